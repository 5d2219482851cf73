"""What must never happen: motion that nobody can stop, two owners of the hardware, states that are not true."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import pytest

from indianyio import RefusedError, State
from indianyio.client import Client, SwitchVector
from indianyio.client import Device as ClientDevice
from indianyio.instrument import Aborted, Property
from indianyio.properties import Values
from indianyio.standard.general import Connection
from indianyio.testing import driver_client
from tests.instrument.stage import NAME, Note, Speed, Stage, Steps

pytestmark = pytest.mark.anyio

S = TypeVar("S", bound=Stage)


@asynccontextmanager
async def connected(stage: S) -> AsyncGenerator[tuple[ClientDevice, Client]]:
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        await device.set("CONNECTION", CONNECT=True)
        for name in ("STEPS", "SPEED", "LAMP", "HALT", "EXTRA"):
            await device.vector(name, timeout=5)
        yield device, client


async def move(device: ClientDevice, steps: float = 5) -> None:
    await device["STEPS"].set(N=steps, wait=False)
    await device["STEPS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)


class Slow(Stage):
    """Takes its time to disconnect, to set a speed, and to halt."""

    speed = Property(Speed)

    def __init__(self, *, fails: str = "") -> None:
        super().__init__(fails=fails)
        self.letting_go, self.let_go = anyio.Event(), anyio.Event()
        self.halting, self.halted = anyio.Event(), anyio.Event()
        self.halted.set()
        self.inside = anyio.Event()

    async def disconnect(self) -> None:
        self.letting_go.set()
        await self.let_go.wait()
        await super().disconnect()

    async def _halt(self, wanted: Values) -> None:
        self.halting.set()
        await self.halted.wait()
        self._do("halt")

    @speed.write
    async def _set_speed(self, wanted: Speed) -> None:
        self.inside.set()
        try:
            await self.gate.wait()
        finally:
            await anyio.sleep(0.001)
            self._do("speed is over")


# -- disconnecting -------------------------------------------------------------------------------------------------


async def test_nothing_begins_while_the_hardware_is_let_go() -> None:
    stage = Slow()
    async with connected(stage) as (device, _):
        await device["CONNECTION"].set(DISCONNECT=True, wait=False)
        await stage.letting_go.wait()
        with pytest.raises(RefusedError, match="being disconnected"):
            await device["STEPS"].set(N=5)
        with pytest.raises(RefusedError, match="being disconnected"):
            await device["SPEED"].set(V=5)
        stage.let_go.set()
        await device["CONNECTION"].wait_for(lambda it: it.state is State.IDLE, timeout=5)
    assert stage.done() == ["connect", "disconnect"]


async def test_a_write_that_is_under_way_ends_before_the_hardware_is_let_go() -> None:
    stage = Slow()
    stage.let_go.set()
    async with connected(stage) as (device, _):
        await device["SPEED"].set(V=5, wait=False)
        await stage.inside.wait()
        await device["CONNECTION"].set(DISCONNECT=True)
    assert stage.done() == ["connect", "speed is over", "disconnect"]


async def test_what_moves_is_told_to_stop_before_the_hardware_is_let_go() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        await move(device)
        await device["CONNECTION"].set(DISCONNECT=True)
    assert stage.done() == ["connect", "move to 5", "stopped before 5", "halt", "disconnect"]


async def test_hardware_that_cannot_be_stopped_is_let_go_all_the_same() -> None:
    stage = Stage(fails="halt")
    async with connected(stage) as (device, client):
        await move(device)
        await device["CONNECTION"].set(DISCONNECT=True)
        await client.wait_for(lambda it: bool(device.messages), timeout=5)
        assert "[ERROR] what moves could not be stopped: RuntimeError" in device.messages[0][1]
    assert stage.done()[-2:] == ["halt", "disconnect"]


async def test_an_operation_that_leads_to_safety_ends_before_a_client_can_disconnect() -> None:
    class Parks(Stage):
        steps = Property(Steps)

        @steps.operation(abort=Stage.halt, finishes=True)
        async def _park(self, wanted: Steps) -> None:
            await self.gate.wait()
            self._do("parked")

    stage = Parks()
    async with connected(stage) as (device, _):
        await move(device)
        await device["CONNECTION"].set(DISCONNECT=True, wait=False)
        await device["CONNECTION"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await anyio.wait_all_tasks_blocked()
        stage.gate.set()
        await device["CONNECTION"].wait_for(lambda it: it.state is State.IDLE, timeout=5)
        assert stage.done() == ["connect", "parked", "disconnect"]


async def test_an_abort_lets_who_waits_for_safety_disconnect() -> None:
    class Parks(Stage):
        steps = Property(Steps)

        @steps.operation(abort=Stage.halt, finishes=True)
        async def _park(self, wanted: Steps) -> None:
            await anyio.sleep_forever()

    stage = Parks()
    async with connected(stage) as (device, _):
        await move(device)
        await device["CONNECTION"].set(DISCONNECT=True, wait=False)
        await device["CONNECTION"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await device["HALT"].set(ABORT=True, wait=False)
        await device["CONNECTION"].wait_for(lambda it: it.state is State.IDLE, timeout=5)
    assert stage.done() == ["connect", "halt", "disconnect"]


# -- losing the hardware -------------------------------------------------------------------------------------------


async def test_hardware_that_is_lost_twice_at_once_is_let_go_once() -> None:
    stage = Slow()
    async with connected(stage) as (device, _):
        stage.connection_lost("gone")
        await stage.letting_go.wait()
        stage.connection_lost("gone as well")
        await anyio.wait_all_tasks_blocked()
        stage.let_go.set()
        await device["CONNECTION"].wait_for(lambda it: it.state is State.ALERT, timeout=5)
        await anyio.wait_all_tasks_blocked()
        assert device["CONNECTION"].message == "gone"
    assert stage.done() == ["connect", "disconnect"]


async def test_who_connects_while_the_hardware_is_being_lost_waits_for_that() -> None:
    stage = Slow()
    async with connected(stage) as (device, _):
        stage.connection_lost("gone")
        await stage.letting_go.wait()
        await device["CONNECTION"].set(CONNECT=True, wait=False)
        await anyio.wait_all_tasks_blocked()
        assert stage.done() == ["connect"]
        stage.let_go.set()
        await device["CONNECTION"].wait_for(lambda it: it.state is State.OK, timeout=5)
        await device.vector("STEPS", timeout=5)
        assert stage.is_connected
    assert stage.done() == ["connect", "disconnect", "connect", "disconnect"]


async def test_hardware_can_be_lost_while_it_is_being_connected() -> None:
    stage = Stage(fails="connect slowly")
    async with driver_client(stage) as (_, client):
        connection = await connecting(client)
        stage.connection_lost("never there")
        await connection.wait_for(lambda it: it.state is State.ALERT, timeout=5)
        assert (connection.message, connection["CONNECT"]) == ("never there", False)
        stage.gate.set()
        await anyio.wait_all_tasks_blocked()
        assert not stage.is_connected
    assert stage.done() == ["connect"]


async def test_disconnecting_is_not_cut_short_by_the_loss_that_it_causes() -> None:
    class Noisy(Slow):
        async def disconnect(self) -> None:
            self.connection_lost("end of file")
            await super().disconnect()

    stage = Noisy()
    async with connected(stage) as (device, _):
        await device["CONNECTION"].set(DISCONNECT=True, wait=False)
        await stage.letting_go.wait()
        await anyio.wait_all_tasks_blocked()
        stage.let_go.set()
        await device["CONNECTION"].wait_for(lambda it: it.state is State.IDLE, timeout=5)
    assert stage.done() == ["connect", "disconnect"]


async def test_a_lost_connection_whose_rest_cannot_be_let_go_does_not_end_the_driver() -> None:
    stage = Stage(fails="disconnect")
    async with connected(stage) as (device, _):
        stage.connection_lost("gone")
        await device["CONNECTION"].wait_for(lambda it: it.state is State.ALERT, timeout=5)
        await device["CONNECTION"].set(CONNECT=True)
        stage.fails = ""
    assert stage.done() == ["connect", "disconnect", "connect", "disconnect"]


# -- connecting ----------------------------------------------------------------------------------------------------


async def test_the_end_while_connecting_leaves_nothing_busy_and_the_next_run_begins_anew() -> None:
    stage = Stage(fails="connect slowly")
    for _ in range(2):
        async with driver_client(stage) as (_, client):
            device = await client.device(NAME, timeout=5)
            connection = await device.vector("CONNECTION", timeout=5)
            assert connection.state is State.IDLE
            await connection.set(CONNECT=True, wait=False)
            await connection.wait_for(lambda it: it.state is State.BUSY, timeout=5)
        assert (stage.connection.state, stage.connection.value) == (State.IDLE, Connection(disconnect=True))
    assert stage.done() == ["connect", "connect"]


async def connecting(client: Client) -> SwitchVector:
    """Have the instrument begin to connect; return CONNECTION, which is Busy."""
    device = await client.device(NAME, timeout=5)
    connection = await device.vector("CONNECTION", timeout=5)
    await connection.set(CONNECT=True, wait=False)
    await connection.wait_for(lambda it: it.state is State.BUSY, timeout=5)
    assert isinstance(connection, SwitchVector)
    return connection


class Stubborn(Stage):
    """Swallows that its connection was given up."""

    async def connect(self) -> None:
        with suppress(Aborted):
            await super().connect()


async def test_a_connection_that_swallows_that_it_was_given_up_is_let_go() -> None:
    stage = Stubborn(fails="connect slowly")
    async with driver_client(stage) as (_, client):
        connection = await connecting(client)
        await connection.set(DISCONNECT=True, wait=False)
        await connection.wait_for(lambda it: it.state is State.IDLE, timeout=5)
        assert not stage.is_connected
    assert stage.done() == ["connect", "disconnect"]


async def test_a_lost_connection_that_swallows_its_end_is_let_go_before_clients_see_it_gone() -> None:
    class Telling(Stubborn):
        async def disconnect(self) -> None:
            self.log.append(f"CONNECTION is {self.connection.state}")
            await super().disconnect()

    stage = Telling(fails="connect slowly")
    async with driver_client(stage) as (_, client):
        connection = await connecting(client)
        stage.connection_lost("unplugged")
        await connection.wait_for(lambda it: it.state is State.ALERT, timeout=5)
    assert stage.done() == ["connect", "CONNECTION is Busy", "disconnect"]


async def test_what_is_connected_only_after_the_end_of_the_run_is_let_go_all_the_same() -> None:
    class Late(Stage):
        grace = 0.01

        async def connect(self) -> None:
            with anyio.CancelScope(shield=True):
                await self.gate.wait()
            await super().connect()

        async def leave(self) -> None:
            self.log.append("leave")
            await super().leave()
            self.gate.set()

    stage = Late()
    async with driver_client(stage) as (_, client):
        await connecting(client)
    assert stage.done() == ["leave", "connect", "disconnect"]
    assert not stage.is_connected
    assert stage.connection.value == Connection(disconnect=True)


async def test_a_setting_that_hangs_does_not_keep_anybody_from_disconnecting(home: Path) -> None:
    class Hanging(Stage):
        note = Property(Note, persist=True)

        @note.write
        async def _take_note(self, wanted: Note) -> None:
            self._do("hangs")
            await anyio.sleep_forever()

    setting = "<newTextVector device='Stage' name='NOTE'><oneText name='TEXT'>x</oneText></newTextVector>"
    (home / "Stage_config.xml").write_text(f"<INDIDriver>{setting}</INDIDriver>")
    stage = Hanging()
    async with connected(stage) as (device, _):
        while "hangs" not in stage.log:
            await anyio.lowlevel.checkpoint()
        await device["CONNECTION"].set(DISCONNECT=True)
    assert stage.done() == ["connect", "hangs", "disconnect"]


DEEP = b"<INDIDriver>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</INDIDriver>"


@pytest.mark.parametrize("content", [None, b'<?xml version="1.0" encoding="nonsense"?><INDIDriver/>', DEEP])
async def test_settings_that_cannot_be_read_are_told_and_cost_nothing_else(
    home: Path, content: bytes | None
) -> None:
    path = home / "Stage_config.xml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    stage = Stage()
    async with connected(stage) as (device, _):
        while "poll" not in stage.log:
            await anyio.lowlevel.checkpoint()
        await device["SPEED"].set(V=5)


async def test_the_hardware_is_let_go_although_coming_to_rest_takes_too_long() -> None:
    class Restless(Stage):
        grace = 0.05

        async def make_safe(self) -> None:
            self._do("make safe")
            await anyio.sleep_forever()

        async def disconnect(self) -> None:
            await anyio.sleep(0.001)
            await super().disconnect()

    stage = Restless()
    async with connected(stage):
        pass
    assert stage.done() == ["connect", "make safe", "disconnect"]


# -- operations ----------------------------------------------------------------------------------------------------


async def test_a_move_that_is_asked_for_during_an_abort_begins_when_the_hardware_was_told_to_stop() -> None:
    stage = Slow()
    stage.let_go.set()
    stage.halted = anyio.Event()
    async with connected(stage) as (device, _):
        await move(device)
        await device["HALT"].set(ABORT=True, wait=False)
        await stage.halting.wait()
        await device["STEPS"].wait_for(lambda it: it.state is State.IDLE, timeout=5)
        await move(device, 7)
        await anyio.wait_all_tasks_blocked()
        assert "move to 7" not in stage.log
        stage.halted.set()
        stage.gate.set()
        await device["STEPS"].wait_for(lambda it: it.state is State.OK, timeout=5)
    assert stage.done()[:5] == ["connect", "move to 5", "stopped before 5", "halt", "move to 7"]


async def test_what_swallows_an_abort_has_not_arrived() -> None:
    class Stubborn(Stage):
        async def _move(self, wanted: Steps) -> None:
            with suppress(Aborted):
                await super()._move(wanted)

    stage = Stubborn()
    async with connected(stage) as (device, _):
        await move(device)
        await device["HALT"].set(ABORT=True)
        assert device["STEPS"].state is State.IDLE
        assert device["STEPS"]["N"] == 0


async def test_a_method_that_returns_something_else_fails_alone() -> None:
    class Wrong(Stage):
        async def _turn(self, wanted: Values) -> Values:  # type: ignore[override]
            return Speed(speed=2)

    async with connected(Wrong()) as (device, _):
        with pytest.raises(RefusedError, match="TypeError"):
            await device["TURN"].set(D=5)
        await device["SPEED"].set(V=5)


async def test_a_check_that_fails_does_not_make_what_goes_on_look_failed() -> None:
    class Checked(Stage):
        steps = Property(Steps)

        @steps.check
        async def _look_at(self, wanted: Steps) -> None:
            if wanted.steps == 13:
                raise OSError("no answer")

    stage = Checked()
    async with connected(stage) as (device, _):
        await move(device)
        with pytest.raises(RefusedError, match="OSError: no answer"):
            await device["STEPS"].set(N=13)
        assert stage.steps.state is State.BUSY
        stage.gate.set()
        await device["STEPS"].wait_for(lambda it: it.state is State.OK, timeout=5)


async def test_what_waits_at_the_end_of_a_run_is_not_carried_out_in_the_next() -> None:
    stage = Stage()
    async with connected(stage) as (device, _):
        await device["LAMP"].set(ON=True, wait=False)
        await device["LAMP"].set(OFF=True, wait=False)
        await device["LAMP"].set(ON=True, wait=False)
        while "lamp on" not in stage.log:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
    stage.log.clear()
    stage.gate.set()
    async with connected(stage) as (device, _):
        await device["LAMP"].set(OFF=True)
        await anyio.wait_all_tasks_blocked()
    assert stage.done() == ["connect", "lamp off", "disconnect"]


async def test_what_a_poll_reports_meanwhile_is_no_answer_to_a_write() -> None:
    class Watched(Slow):
        async def _poll(self) -> None:
            await self.speed.report()

    stage = Watched()
    stage.let_go.set()
    async with connected(stage) as (device, _):
        await device["SPEED"].set(V=5, wait=False)
        await stage.inside.wait()
        await anyio.sleep(0.03)
        stage.gate.set()
        await device["SPEED"].wait_for(lambda it: it["V"] == 5 and it.state is State.OK, timeout=5)


async def test_an_instrument_beside_another_is_not_touched_by_its_end() -> None:
    one, other = Stage(), Stage()
    async with connected(other) as (device, _):
        await move(device)
        async with connected(one) as (second, _):
            await move(second)
        assert one.done()[-1] == "disconnect"
        assert device["STEPS"].state is State.BUSY
        other.gate.set()
        await device["STEPS"].wait_for(lambda it: it.state is State.OK, timeout=5)
