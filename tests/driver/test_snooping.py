"""What a driver hears of other drivers."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from indianyio import Message, delProperty, setNumberVector
from indianyio._model import SnoopEvent
from indianyio.protocol import DefTextVector, GetProperties, PingReply
from indianyio.testing import Peer, running
from tests.driver.gadget import DEVICE, Gadget

pytestmark = pytest.mark.anyio

on_virtual_time = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="mock-trio")],
)

WEATHER = (
    '<setNumberVector device="Weather" name="WIND" state="Ok">'
    '<oneNumber name="speed">{}</oneNumber></setNumberVector>'
)


async def settle(peer: Peer) -> None:
    await peer.send('<pingRequest uid="settled"/>')
    await peer.expect(PingReply)
    await anyio.wait_all_tasks_blocked()


async def test_what_is_snooped_arrives_and_the_rest_does_not() -> None:
    driver = Gadget()
    driver.snoop("Weather", "WIND")
    async with running(driver) as peer:
        request = await peer.expect(GetProperties)
        assert (request.device, request.name) == ("Weather", "WIND")
        await peer.send(WEATHER.format(5))
        await peer.send(WEATHER.format(5).replace("WIND", "RAIN"))
        await peer.send(WEATHER.format(5).replace("Weather", "Dome"))
        await settle(peer)
    (event,) = driver.snooped
    assert isinstance(event, setNumberVector)
    assert event.getfloatvalue("speed") == 5


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('<message device="Weather" message="hello"/>', Message),
        ('<message device="Weather"/>', Message),
        ('<delProperty device="Weather" name="WIND"/>', delProperty),
        ('<delProperty device="Weather"/>', delProperty),
        ('<setNumberVector device="Weather" name="WIND" state="Alert"/>', setNumberVector),
        ('<setNumberVector device="Weather" name="WIND"/>', setNumberVector),
    ],
)
async def test_d2_d20_messages_deletions_and_bare_states_arrive(text: str, kind: type[SnoopEvent]) -> None:
    driver = Gadget()
    driver.snoop("Weather", "WIND")
    async with running(driver) as peer:
        await peer.send(text)
        await settle(peer)
    (event,) = driver.snooped
    assert isinstance(event, kind)
    assert event.devicename == "Weather"


@pytest.mark.parametrize("kind", ["Text", "Number", "Switch", "Light", "BLOB"])
async def test_d19_empty_members_are_survived(kind: str) -> None:
    driver = Gadget()
    driver.snoop("Weather", "WIND")
    async with running(driver) as peer:
        await peer.send(f'<def{kind}Vector device="Weather" name="WIND"><def{kind} name="a"/></def{kind}Vector>')
        await settle(peer)
    assert len(driver.snooped) == 1


async def test_a_failing_snoopevent_costs_its_own_event(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Gadget):
        async def snoopevent(self, event: SnoopEvent) -> None:
            await super().snoopevent(event)
            raise RuntimeError("no such window")

    driver = Failing()
    driver.snoop("Weather", "WIND")
    async with running(driver) as peer:
        await peer.send(WEATHER.format(1) + WEATHER.format(2))
        await settle(peer)
        await peer.get_properties()
        await peer.expect(DefTextVector)
    assert len(driver.snooped) == 2
    assert "no such window" in caplog.text


@on_virtual_time
async def test_d25_what_is_silent_is_asked_for_again_on_the_monotonic_clock() -> None:
    driver = Gadget()
    driver.snoop("Weather", "WIND", timeout=30)
    async with running(driver) as peer:
        start = anyio.current_time()
        asked = []
        for _ in range(3):
            await peer.expect(GetProperties)
            asked.append(anyio.current_time() - start)
        assert asked == pytest.approx([0, 30, 60])
        await anyio.sleep(20)
        await peer.send(WEATHER.format(1))
        await peer.expect(GetProperties)
        assert anyio.current_time() - start == pytest.approx(110)


@on_virtual_time
async def test_d21_snoops_may_be_added_at_any_time() -> None:
    """While the table is being worked through, and during a run."""
    driver = Gadget()
    async with running(driver) as peer:
        for number in range(50):
            driver.snoop("Weather", f"V{number}")
            await anyio.lowlevel.checkpoint()
        for _ in range(50):
            await peer.expect(GetProperties, device="Weather")
        await driver.send_getProperties("Dome")
        assert (await peer.expect(GetProperties, device="Dome")).name is None
        await peer.send(WEATHER.format(1).replace("Weather", "Dome"))
        await settle(peer)
        assert len(driver.snooped) == 1
        await driver.send_getProperties()
        assert (await peer.expect(GetProperties)).device is None
        assert driver.snoopall
        assert driver.snoopdevices == {"Dome"}
        assert ("Weather", "V7") in driver.snoopvectors


async def test_every_run_asks_anew() -> None:
    driver = Gadget()
    driver.snoop("Weather", "WIND")
    for _ in range(2):
        async with running(driver) as peer:
            await peer.expect(GetProperties, device="Weather")


async def test_own_devices_cannot_be_snooped() -> None:
    driver = Gadget()
    with pytest.raises(ValueError, match="of this driver"):
        driver.snoop(DEVICE, "TEXT")
    with pytest.raises(ValueError, match="of this driver"):
        await driver.send_getProperties(DEVICE)
    with pytest.raises(ValueError, match="5"):
        driver.snoop("Weather", "WIND", timeout=4)


@on_virtual_time
async def test_a_slow_snoopevent_loses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(Gadget):
        async def snoopevent(self, event: SnoopEvent) -> None:
            await super().snoopevent(event)
            await anyio.sleep(1)

    driver = Slow()
    driver.snoop("Weather", "WIND")
    async with running(driver) as peer:
        await peer.send(WEATHER.format(0))
        await settle(peer)
        await peer.send("".join(WEATHER.format(number) for number in range(1, 101)))
        await anyio.sleep(100)
    speeds = [event["speed"] for event in driver.snooped if isinstance(event, setNumberVector)]
    assert speeds[0] == "0"
    assert speeds[1:] == [str(number) for number in range(69, 101)]
    assert "dropped" in caplog.text
