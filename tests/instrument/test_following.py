"""What an instrument hears of other devices."""

from __future__ import annotations

import anyio
import pytest

from indianyio import State
from indianyio.instrument import Instrument
from indianyio.protocol import DelProperty, GetProperties, OneSwitch, SetSwitchVector
from indianyio.standard.dome import DomePark
from indianyio.testing import Peer, running

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

PARKED = SetSwitchVector(
    device="Dome", name="DOME_PARK", state=State.OK, members=(OneSwitch(name="PARK", value="On"),)
)


class Watcher(Instrument):
    """It follows a dome, and notes what it hears."""

    def __init__(self) -> None:
        super().__init__("Watcher")
        self.heard: list[str] = []
        self.dome = self.follow("Dome", DomePark, self._hear, self._miss, timeout=10)

    async def _hear(self, park: DomePark, state: State) -> None:
        self.heard.append(f"parked, {state}" if park.park else f"not parked, {state}")

    async def _miss(self) -> None:
        self.heard.append("gone")


async def hear(driver: Watcher, peer: Peer, message: SetSwitchVector | DelProperty) -> None:
    before = len(driver.heard)
    await peer.send(message)
    with anyio.fail_after(5):
        while len(driver.heard) == before:  # noqa: ASYNC110 - the driver tells nobody
            await anyio.sleep(0.1)


@pytest.mark.parametrize("name", ["DOME_PARK", None])
async def test_what_was_heard_is_forgotten_when_the_property_or_its_device_has_gone(name: str | None) -> None:
    driver = Watcher()
    async with running(driver) as peer:
        await hear(driver, peer, PARKED)
        assert driver.dome.value is not None
        assert (driver.dome.value.park, driver.dome.state) == (True, State.OK)
        await hear(driver, peer, DelProperty(device="Dome", name=name))
        assert driver.dome.value is None
        assert driver.dome.state is State.IDLE
        await hear(driver, peer, PARKED)
    assert driver.heard == ["parked, Ok", "gone", "parked, Ok"]


async def test_another_property_that_goes_is_not_taken_for_it() -> None:
    driver = Watcher()
    async with running(driver) as peer:
        await hear(driver, peer, PARKED)
        for other in (DelProperty(device="Dome", name="DOME_SHUTTER"), DelProperty(device="Mount")):
            await peer.send(other)
        await anyio.sleep(1)
        assert driver.dome.value is not None
    assert driver.heard == ["parked, Ok"]


async def test_what_is_silent_is_asked_for_again() -> None:
    async with running(Watcher()) as peer:
        await peer.expect(GetProperties, device="Dome", name="DOME_PARK")
        asked = anyio.current_time()
        for _ in range(2):
            await peer.expect(GetProperties, device="Dome", name="DOME_PARK")
        assert anyio.current_time() == pytest.approx(asked + 20)
