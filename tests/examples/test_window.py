from __future__ import annotations

import anyio
import pytest

from indianyio import Permission, State
from indianyio.examples.thermostat import Thermostat
from indianyio.examples.window import ASK_AGAIN_SECONDS, SILENCE_SECONDS, Window
from indianyio.protocol import (
    DefLightVector,
    DefNumber,
    DefNumberVector,
    DefTextVector,
    DelProperty,
    GetProperties,
    OneNumber,
    SetLightVector,
    SetNumberVector,
    SetTextVector,
    WireMessage,
)
from indianyio.testing import Peer, running

pytestmark = pytest.mark.anyio


def temperature(celsius: str) -> WireMessage:
    members = (OneNumber(name="temperature", value=celsius),)
    return SetNumberVector(device="Thermostat", name="temperaturevector", state=State.OK, members=members)


async def see_it_heard(peer: Peer, celsius: str) -> None:
    await peer.send(temperature(celsius))
    await peer.expect(SetLightVector, name="thermostatlink", state="Ok", heard="Ok")


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_it_asks_for_the_thermostat_and_follows_it() -> None:
    async with running(Window()) as peer:
        await peer.expect(GetProperties, device="Thermostat", name="temperaturevector")
        await peer.get_properties("Window")
        await peer.expect(DefTextVector, name="windowstatus", status="closed")
        await peer.expect(DefLightVector, name="thermostatlink", heard="Idle")
        await see_it_heard(peer, "21.5")
        await peer.expect(SetTextVector, name="windowstatus", status="open")


async def test_a_definition_counts_as_well_as_an_update() -> None:
    member = DefNumber(name="temperature", format="%3.1f", min="0", max="0", step="0", value="25")
    definition = DefNumberVector(
        device="Thermostat", name="temperaturevector", state=State.OK, perm=Permission.RO, members=(member,)
    )
    async with running(Window()) as peer:
        await peer.send(definition)
        await peer.expect(SetTextVector, name="windowstatus", status="open")


async def test_the_window_does_not_flutter() -> None:
    async with running(Window()) as peer:
        await see_it_heard(peer, "21.5")
        await peer.expect(SetTextVector, status="open")
        for celsius in ("20.9", "21.1", "18.1", "20"):
            await peer.send(temperature(celsius))
        await peer.send(temperature("17.9"))
        await peer.expect(SetTextVector, status="closed")
        assert sum(isinstance(message, SetTextVector) for message in peer.received) == 2


async def test_a_silent_thermostat_is_asked_again_and_then_given_up() -> None:
    async with running(Window()) as peer:
        await see_it_heard(peer, "19")
        heard_at = anyio.current_time()
        await peer.expect(GetProperties, device="Thermostat", name="temperaturevector")
        assert anyio.current_time() - heard_at == pytest.approx(ASK_AGAIN_SECONDS, abs=0.1)
        await peer.expect(SetLightVector, name="thermostatlink", state="Alert", heard="Alert")
        assert anyio.current_time() - heard_at == pytest.approx(SILENCE_SECONDS, abs=0.1)
        await see_it_heard(peer, "19")
        heard_at = anyio.current_time()
        await peer.expect(SetLightVector, name="thermostatlink", heard="Alert")
        assert anyio.current_time() - heard_at == pytest.approx(SILENCE_SECONDS, abs=0.1)


async def test_a_thermostat_never_heard_is_reported() -> None:
    async with running(Window()) as peer:
        await peer.expect(SetLightVector, name="thermostatlink", state="Alert", heard="Alert")
        assert anyio.current_time() == pytest.approx(SILENCE_SECONDS, abs=1)


async def test_a_thermostat_that_goes_away_is_reported_at_once() -> None:
    async with running(Window()) as peer:
        await see_it_heard(peer, "19")
        heard_at = anyio.current_time()
        await peer.send(DelProperty(device="Thermostat"))
        await peer.expect(SetLightVector, name="thermostatlink", heard="Alert")
        assert anyio.current_time() == heard_at


async def test_an_update_without_the_temperature_leaves_the_window_alone() -> None:
    async with running(Window()) as peer:
        await peer.send(SetNumberVector(device="Thermostat", name="temperaturevector", state=State.BUSY))
        await peer.expect(SetLightVector, heard="Ok")
        with anyio.move_on_after(1):
            await peer.receive()
        assert not any(isinstance(message, SetTextVector) for message in peer.received[1:])


async def test_the_two_examples_understand_each_other() -> None:
    async with running(Thermostat()) as thermostat, running(Window()) as window:

        async def relay(source: Peer, target: Peer) -> None:
            while True:
                await target.send(await source.receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay, thermostat, window)
            request = await window.expect(GetProperties)
            await thermostat.send(request)
            # The room cools down from 20 degrees to 10.
            await window.expect(SetLightVector, heard="Ok")
            await thermostat.send(temperature("0"))
            tasks.cancel_scope.cancel("seen enough")
