"""Connecting, disconnecting, losing the hardware, polling, and what clients see of it."""

from __future__ import annotations

from contextlib import suppress

import anyio
import pytest

from indianyio import RefusedError, State
from indianyio.instrument import Instrument, Interface, Property
from indianyio.properties import Values, number
from indianyio.standard.general import Connection
from indianyio.testing import assert_states, driver_client
from tests.instrument.stage import NAME, Speed, Stage

pytestmark = pytest.mark.anyio


async def test_connecting_defines_what_is_there_while_connected_after_ok_and_disconnecting_deletes_it() -> None:
    stage = Stage()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        await device.vector("EXTRA", timeout=5)
        assert "STEPS" not in device
        assert "NOTE" in device
        async with assert_states(connection, "Busy", "Ok"):
            await connection.set(CONNECT=True)
        await device.vector("SPEED", timeout=5)
        assert stage.is_connected
        async with assert_states(connection, "Busy", "Idle"):
            await connection.set(DISCONNECT=True)
        await client.wait_for(lambda it: "SPEED" not in device, timeout=5)
        assert "STEPS" not in device
        assert not stage.is_connected
        assert stage.done() == ["connect", "disconnect"]


async def test_a_failing_connection_is_alert_with_its_reason() -> None:
    stage = Stage(fails="connect")
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        with pytest.raises(RefusedError, match="connect does not work"):
            await connection.set(CONNECT=True)
        assert connection["DISCONNECT"] is True
        assert connection.state is State.ALERT
        stage.fails = ""
        await connection.set(CONNECT=True)
        await device.vector("STEPS", timeout=5)
    assert stage.done() == ["connect", "connect", "disconnect"]


async def test_who_disconnects_need_not_wait_for_a_slow_connection() -> None:
    stage = Stage(fails="connect slowly")
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        await connection.set(CONNECT=True, wait=False)
        await connection.wait_for(lambda it: it.state is State.BUSY, timeout=5)
        await connection.set(DISCONNECT=True, wait=False)
        await connection.wait_for(lambda it: it.state is State.IDLE, timeout=5)
        assert stage.connection.value == Connection(disconnect=True)
    assert stage.done() == ["connect"]


async def test_what_moves_is_stopped_before_it_is_disconnected() -> None:
    stage = Stage()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            steps = await device.vector("STEPS", timeout=5)
            await steps.set(N=5, wait=False)
            await steps.wait_for(lambda vector: vector.state == "Busy", timeout=5)
        done = stage.done()
        assert sorted(done[2:-1]) == ["halt", "stopped before 5"]
        assert (done[:2], done[-1]) == (["connect", "move to 5"], "disconnect")
        async with device.connected(timeout=5):
            """Nothing moves now."""
    assert stage.done() == [*done, "connect", "disconnect"]


async def test_it_is_disconnected_though_it_cannot_be_stopped_and_people_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(fails="halt")
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        await connection.set(CONNECT=True)
        steps = await device.vector("STEPS", timeout=5)
        await steps.set(N=5, wait=False)
        await steps.wait_for(lambda vector: vector.state == "Busy", timeout=5)
        await connection.set(DISCONNECT=True)
        assert connection.state is State.IDLE
        assert any("what moves could not be stopped: RuntimeError" in text for _, text in device.messages)
    assert stage.done()[-1] == "disconnect"
    assert "Stage: what moves could not be stopped" in caplog.text


async def test_lost_hardware_disconnects_with_the_reason() -> None:
    stage = Stage()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        await connection.set(CONNECT=True)
        await device.vector("SPEED", timeout=5)
        await device["STEPS"].set(N=5, wait=False)
        await device["STEPS"].wait_for(lambda it: it.state is State.BUSY, timeout=5)
        stage.connection_lost("the cable was pulled")
        await connection.wait_for(lambda it: it.state is State.ALERT, timeout=5)
        assert connection.message == "the cable was pulled"
        assert connection["CONNECT"] is False
        await client.wait_for(lambda it: "SPEED" not in device, timeout=5)
    assert stage.done() == ["connect", "move to 5", "stopped before 5", "disconnect"]


async def test_the_hardware_can_be_lost_in_a_poll() -> None:
    class Lost(Stage):
        async def _poll(self) -> None:
            await super()._poll()
            self.connection_lost("gone")

    async with driver_client(Lost()) as (lost, client):
        device = await client.device(NAME, timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        await connection.set(CONNECT=True, wait=False)
        await connection.wait_for(lambda it: it.state is State.ALERT, timeout=5)
        assert lost.done() == ["connect", "disconnect"]


async def test_polling_goes_on_after_an_error_which_clients_are_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = True

    def breaks() -> None:
        if failing:
            raise OSError("no answer")

    stage = Stage(breaks=breaks)
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        async with device.connected(timeout=5):
            await client.wait_for(lambda it: bool(device.messages), timeout=5)
            await anyio.sleep(0.05)
            assert [text for _, text in device.messages] == ["[ERROR] _poll: OSError: no answer"]
            failing = False
            await anyio.sleep(0.1)
            assert "poll" in stage.log


@pytest.mark.parametrize("times", [99, pytest.param(999, marks=pytest.mark.long)])
async def test_connecting_again_and_again_keeps_definitions_and_deletions_in_balance(times: int) -> None:
    stage = Stage()
    async with driver_client(stage) as (_, client):
        device = await client.device(NAME, timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        for turn in range(times):
            stage.fails = ("", "connect", "disconnect")[turn % 3]
            for wish in ({"CONNECT": True}, {"DISCONNECT": True}):
                with suppress(RefusedError):  # as it should be where something does not work
                    await connection.set(wish)
                now = stage.is_connected
                await client.wait_for(lambda it, now=now: ("SPEED" in device) is now, timeout=5)  # type: ignore[misc]
        done = stage.done()
        assert done.count("connect") == times
        assert done.count("disconnect") == times * 2 // 3


async def test_driver_info_tells_the_kinds_of_all_classes() -> None:
    class Guiding(Instrument):
        interface = Interface.GUIDER

    class Both(Guiding):
        interface = Interface.CCD
        version = "2.1"

    info = Both("Both").driver_info.value
    assert (info.interface, info.version, info.name) == ("6", "2.1", "Both")


async def test_what_clients_need_and_do_not_find_is_said(caplog: pytest.LogCaptureFixture) -> None:
    class Wheel(Instrument):
        interface = Interface.FILTER

    Wheel("Wheel")
    assert "Wheel lacks what clients need to use it as FILTER: FILTER_SLOT" in caplog.text


def test_a_property_declared_anew_keeps_what_its_write_does() -> None:
    class Steps(Values, name="STEPS"):
        steps: float = number("N", min=0, max=5)

    class Short(Stage):
        steps = Property(Steps)  # type: ignore[assignment]

    assert Short().device["STEPS"].member("N").max == "5"  # type: ignore[attr-defined]
    assert Short.steps.method == "_move"


def test_two_methods_for_one_property_are_an_error() -> None:
    with pytest.raises(TypeError, match=r"one\(\) carries out writes to"):

        class Twice(Instrument):
            steps = Property(Stage.steps.values)

            @steps.write
            async def one(self, wanted: object) -> None: ...

            @steps.write
            async def two(self, wanted: object) -> None: ...


def test_an_operation_cannot_be_kept_in_the_settings() -> None:
    steps = Property(Stage.steps.values, persist=True)
    with pytest.raises(TypeError, match="must not begin an operation"):
        steps.operation()


async def test_a_property_can_be_seen_only_while_a_function_says_so() -> None:
    class Changing(Stage):
        is_noisy = False

        speed = Property(Speed, when=lambda stage: stage.is_noisy)

    async with driver_client(Changing()) as (stage, client):
        device = await client.device(NAME, timeout=5)
        stage.is_noisy = True
        await stage.redefine()
        assert not stage.speed.vector.enable, "not while it is not connected"
        async with device.connected(timeout=5):
            await device.vector("SPEED", timeout=5)
            stage.is_noisy = False
            await stage.redefine()
            await client.wait_for(lambda it: "SPEED" not in device, timeout=5)
            stage.is_noisy = True
            await stage.redefine()
            await device.vector("SPEED", timeout=5)
        await client.wait_for(lambda it: "SPEED" not in device, timeout=5)


def test_a_private_name_of_the_library_cannot_be_taken_by_mistake() -> None:
    with pytest.raises(TypeError, match=r"Mine\._bound_property: Instrument uses this name itself"):

        class Mine(Instrument):
            async def _bound_property(self) -> None: ...  # type: ignore[override]
