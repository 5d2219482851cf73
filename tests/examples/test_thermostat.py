from __future__ import annotations

import anyio
import pytest

from indianyio.examples.thermostat import UPDATE_SECONDS, Room, Thermostat
from indianyio.protocol import DefNumberVector, DefSwitchVector, SetNumberVector, SetSwitchVector
from indianyio.testing import Peer, member_values, running

pytestmark = pytest.mark.anyio


async def read_definitions(peer: Peer) -> None:
    await peer.get_properties()
    await peer.expect(DefNumberVector, name="temperaturevector")
    await peer.expect(DefNumberVector, name="targetvector")
    await peer.expect(DefSwitchVector, name="power")


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_it_is_there_on_either_back_end() -> None:
    async with running(Thermostat()) as peer:
        await read_definitions(peer)
        await peer.write("Thermostat", "targetvector", target=18.5)
        await peer.expect(SetNumberVector, name="targetvector", state="Ok", target=18.5)


async def test_a_target_out_of_range_is_refused() -> None:
    driver = Thermostat()
    async with running(driver) as peer:
        await read_definitions(peer)
        await peer.write("Thermostat", "targetvector", target=100)
        refusal = await peer.expect(SetNumberVector, name="targetvector", state="Alert", target=15)
        assert refusal.message is not None
        assert "99" in refusal.message
    assert driver.room.target == 15


async def test_the_room_cools_and_changes_are_reported() -> None:
    async with running(Thermostat()) as peer:
        await read_definitions(peer)
        first = await peer.expect(SetNumberVector, name="temperaturevector")
        second = await peer.expect(SetNumberVector, name="temperaturevector")
    temperatures = [float(member_values(message)["temperature"]) for message in (first, second)]
    assert 10 < temperatures[1] < temperatures[0] <= 20


async def test_a_temperature_that_stays_is_not_repeated() -> None:
    driver = Thermostat()
    driver.room.temperature = Room.OUTSIDE
    async with running(driver) as peer:
        await peer.expect(SetNumberVector, name="temperaturevector", temperature=10)
        with anyio.move_on_after(100 * UPDATE_SECONDS) as waiting:
            await peer.receive()
        assert waiting.cancelled_caught


async def test_it_heats_when_it_is_switched_on_up_to_the_target() -> None:
    driver = Thermostat()
    async with running(driver) as peer:
        await read_definitions(peer)
        await peer.write("Thermostat", "targetvector", target=25)
        await peer.write("Thermostat", "power", On="On")
        await peer.expect(SetSwitchVector, name="power", state="Ok", On="On", Off="Off")
        await peer.expect(SetNumberVector, name="temperaturevector", temperature=25)
        await anyio.sleep(1000)
        assert driver.room.temperature == pytest.approx(25, abs=0.1)
        await peer.write("Thermostat", "power", Off="On")
        await peer.expect(SetSwitchVector, name="power", state="Ok", On="Off", Off="On")
        await peer.expect(SetNumberVector, name="temperaturevector", temperature=15)


async def test_it_can_run_again() -> None:
    driver = Thermostat()
    for _ in range(2):
        async with running(driver) as peer:
            await read_definitions(peer)
            before = driver.room.temperature
            await anyio.sleep(10)
            assert driver.room.temperature < before
