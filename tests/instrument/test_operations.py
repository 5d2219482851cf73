"""Operations: Busy, Ok, aborted, failed, refused, queued, replaced."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from indianyio import NewEvent, OperationAbortedError, RefusedError, State, WriteRefusedError
from indianyio.client import Client
from indianyio.client import Device as ClientDevice
from indianyio.instrument import Property
from indianyio.standard.focuser import FocusSync
from indianyio.testing import assert_states, driver_client
from tests.instrument.stage import NAME, Note, Speed, Stage, Steps

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(stage: Stage) -> AsyncGenerator[tuple[ClientDevice, Client]]:
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            for name in ("STEPS", "SPEED", "LAMP", "EXTRA"):
                await device.vector(name, timeout=5)
            yield device, client


async def test_an_operation_is_busy_then_ok_with_the_wanted_values() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        async with assert_states(device["STEPS"], "Busy", "Ok"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: device["STEPS"].set(N=5))
                await device["STEPS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
                # A number shows where it is, not where it shall go.
                assert device["STEPS"]["N"] == 0
                stage.gate.set()
        assert device["STEPS"]["N"] == 5
        assert stage.steps.value == Steps(steps=5)


async def test_what_the_method_returns_counts_for_more_than_what_was_wanted() -> None:
    stage = Stage()
    stage.gate.set()
    async with connected(stage) as (device, _):
        await device["TURN"].set(D=90)
        assert device["TURN"]["D"] == 89


async def test_an_abort_cancels_lets_it_stop_and_leaves_idle() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        async with anyio.create_task_group() as tasks:

            async def move() -> None:
                with pytest.raises(OperationAbortedError):
                    await device["STEPS"].set(N=5)

            tasks.start_soon(move)
            await device["STEPS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
            await device["HALT"].set(ABORT=True)
            assert device["HALT"]["ABORT"] is False
            assert device["HALT"].state is State.OK
        assert device["STEPS"].state is State.IDLE
        assert device["STEPS"]["N"] == 0
        # The abort acts at once, and waits until what the method does on its way out is done.
        assert stage.done() == ["connect", "move to 5", "halt", "stopped before 5"]
        stage.gate.set()
        await device["STEPS"].set(N=7)
        assert device["STEPS"]["N"] == 7


async def test_what_is_still_being_checked_when_an_abort_comes_does_not_begin() -> None:
    class Careful(Stage):
        steps = Property(Steps)

        @steps.check
        async def _look_around(self, wanted: Steps) -> None:
            self._do("look around")
            await looked.wait()

    looked = anyio.Event()
    stage = Careful()
    async with connected(stage) as (device, _):
        await device["STEPS"].set(N=5, wait=False)
        while "look around" not in stage.log:
            await anyio.lowlevel.checkpoint()
        await device["HALT"].set(ABORT=True)
        looked.set()
        await device["STEPS"].wait_for(lambda it: it.state is State.ALERT, timeout=5)
        stage.gate.set()
        assert stage.done() == ["connect", "look around", "halt"]
        await device["STEPS"].set(N=7)
        assert stage.done()[-1] == "move to 7"


async def test_an_abort_where_nothing_moves_is_carried_out_all_the_same() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        await device["HALT"].set(ABORT=True)
        assert stage.done() == ["connect", "halt"]


async def test_a_failure_is_alert_with_its_text() -> None:
    stage = Stage(fails="move to 5")
    async with connected(stage) as (device, _):
        with pytest.raises(RefusedError, match="move to 5 does not work"):
            await device["STEPS"].set(N=5)
        assert device["STEPS"].state is State.ALERT
        assert device["STEPS"]["N"] == 0


async def test_a_failure_on_the_way_out_is_alert_and_not_taken_for_stopped() -> None:
    stage = Stage(fails="stopped before 5")
    async with connected(stage) as (device, _):
        async with anyio.create_task_group() as tasks:

            async def move() -> None:
                with pytest.raises(RefusedError, match="stopped before 5 does not work"):
                    await device["STEPS"].set(N=5)

            tasks.start_soon(move)
            await device["STEPS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
            await device["HALT"].set(ABORT=True)
        assert device["STEPS"].state is State.ALERT


async def test_a_refusal_needs_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        with pytest.raises(RefusedError, match=r"TURN: not to 13 degrees$"):
            await device["TURN"].set(D=13)
    assert not [record for record in caplog.records if record.exc_info]


async def test_the_latest_write_replaces_the_move_that_goes_on() -> None:
    stage = Stage()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            steps = await device.vector("STEPS", timeout=5)
            async with assert_states(steps, "Busy", "Ok"):
                for target in (5, 6, 7):
                    await steps.set(N=target, wait=False)
                    while f"move to {target}" not in stage.log:
                        await anyio.lowlevel.checkpoint()
                stage.gate.set()
                await steps.wait_for(lambda it: it.state is State.OK, timeout=5)
            assert steps["N"] == 7
            assert stage.done() == [
                "connect",
                "move to 5",
                "stopped before 5",
                "move to 6",
                "stopped before 6",
                "move to 7",
            ]


async def test_another_operation_of_the_same_group_is_refused_while_one_goes_on() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        await device["STEPS"].set(N=5, wait=False)
        with pytest.raises(RefusedError, match="STEPS is busy"):
            await device["TURN"].set(D=90)
        assert "turn to 90" not in stage.log
        stage.gate.set()
        await device["STEPS"].wait_for(lambda it: it.state is State.OK, timeout=5)


async def test_one_that_replaces_its_group_takes_the_place_of_another() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        await device["TURN"].set(D=90, wait=False)
        await device["TURN"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await device["STEPS"].set(N=5, wait=False)
        await device["TURN"].wait_for(lambda it: it.state is State.IDLE, timeout=5)
        stage.gate.set()
        await device["STEPS"].wait_for(lambda it: it.state is State.OK, timeout=5)


async def test_queued_writes_are_carried_out_in_order_and_switches_show_what_is_wanted() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        await device["LAMP"].set(ON=True, wait=False)
        await device["LAMP"].set(OFF=True, wait=False)
        await device["LAMP"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        assert device["LAMP"]["ON"] is True
        stage.gate.set()
        await device["LAMP"].wait_for(lambda it: it.state is State.OK and it["OFF"], timeout=5)
        assert stage.done() == ["connect", "lamp on", "lamp off"]


async def test_the_end_of_the_driver_lets_an_operation_stop_and_tells_its_end() -> None:
    stage = Stage()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        await device.set("CONNECTION", CONNECT=True)
        await device.vector("STEPS", timeout=5)
        await device["STEPS"].set(N=5, wait=False)
        await device["STEPS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
    assert stage.done() == ["connect", "move to 5", "stopped before 5", "disconnect"]
    assert stage.steps.state is State.IDLE


async def test_hand_made_vectors_go_to_rxevent() -> None:
    heard: list[str] = []

    class WithRxevent(Stage):
        async def rxevent(self, event: NewEvent) -> None:
            heard.append(event.vectorname)
            await self.hand_made.send_setVector(state="Ok")

    stage = WithRxevent()
    async with connected(stage) as (device, _):
        await device["EXTRA"].set(X=4, wait=False)
        await device["SPEED"].set(V=4)
        await device["EXTRA"].wait_for(lambda it: bool(heard), timeout=5)
    assert heard == ["EXTRA"]


async def test_an_instrument_begins_an_operation_of_its_own_that_clients_see_and_can_abort() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        async with assert_states(device["STEPS"], "Busy", "Idle"):
            await stage.begin(Steps(steps=5))
            await device["STEPS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
            await device["HALT"].set(ABORT=True)
        assert stage.done() == ["connect", "move to 5", "halt", "stopped before 5"]
        stage.gate.set()
        async with assert_states(device["STEPS"], "Busy", "Ok"):
            await stage.carry_out(Steps(steps=7))
            # It returns when all is over.
            assert (stage.steps.state, stage.steps.value.steps) == (State.OK, 7)


async def test_only_what_has_an_operation_can_be_begun() -> None:
    stage = Stage()
    with pytest.raises(KeyError, match="Stage has no operation for Note"):
        await stage.begin(Note(words="x"))
    with pytest.raises(KeyError, match="Stage has no property FocusSync"):
        await stage.begin(FocusSync(steps=1))


async def test_what_a_subclass_does_with_a_property_is_for_it_alone() -> None:
    class Bounded(Stage):
        @Stage.steps.check
        async def _check_bounds(self, wanted: Steps) -> None:
            if wanted.steps > 100:
                raise WriteRefusedError("too far")

        @Stage.speed.write
        async def _set_speed(self, wanted: Speed) -> None:
            self._do(f"speed {wanted.speed:g}")

    class Other(Stage):
        @Stage.speed.write
        async def _set_other_speed(self, wanted: Speed) -> None:
            self._do(f"other speed {wanted.speed:g}")

    class FurtherDown(Bounded): ...

    for cls, is_refused, speeds in (
        (Stage, False, []),
        (Bounded, True, ["speed 3"]),
        (FurtherDown, True, ["speed 3"]),
        (Other, False, ["other speed 3"]),
    ):
        stage = cls()
        stage.gate.set()
        async with connected(stage) as (device, _):
            await device["SPEED"].set(V=3)
            if is_refused:
                with pytest.raises(RefusedError, match="too far"):
                    await device["STEPS"].set(N=500)
            else:
                await device["STEPS"].set(N=500)
        assert [what for what in stage.done() if "speed" in what] == speeds


async def test_a_check_in_a_subclass_comes_before_that_of_the_base_class_and_not_in_its_place() -> None:
    class Bounded(Stage):
        @Stage.steps.check
        async def look_at_bounds(self, wanted: Steps) -> None:
            self._do(f"bounds of {wanted.steps:g}")
            if wanted.steps > 100:
                raise WriteRefusedError("too far")

    class Cautious(Bounded):
        @Bounded.steps.check
        async def look_at_weather(self, wanted: Steps) -> Steps | None:
            self._do(f"weather of {wanted.steps:g}")
            return wanted if wanted.steps == 1 else None

    class Redeclared(Cautious):
        steps = Property(Steps, adapt=lambda _: {"label": "Place"})

        async def look_at_bounds(self, wanted: Steps) -> None:
            self._do("no bounds")

    for cls, done in (
        (Cautious, ["weather of 1", "weather of 500", "bounds of 500"]),
        (Redeclared, ["weather of 1", "weather of 500", "no bounds", "move to 500"]),
    ):
        stage = cls()
        stage.gate.set()
        async with connected(stage) as (device, _):
            await device["STEPS"].set(N=1)
            if cls is Cautious:
                with pytest.raises(RefusedError, match="too far"):
                    await device["STEPS"].set(N=500)
            else:
                await device["STEPS"].set(N=500)
            assert stage.done()[1:] == done


async def test_a_mix_in_that_is_no_instrument_may_say_what_is_done_with_a_property() -> None:
    class Bounds:
        @Stage.steps.check
        async def _check_bounds(self, wanted: Steps) -> None:
            raise WriteRefusedError("too far")

    class Bounded(Bounds, Stage): ...

    async with connected(Bounded()) as (device, _):
        with pytest.raises(RefusedError, match="too far"):
            await device["STEPS"].set(N=500)


def test_a_property_that_is_written_already_is_not_written_twice_by_a_subclass() -> None:
    with pytest.raises(TypeError, match=r"_take_note\(\) carries out writes to .* already; _note_again\(\)"):

        class Twice(Stage):
            @Stage.note.write
            async def _note_again(self, wanted: Note) -> None: ...
