from __future__ import annotations

from functools import partial

import anyio
import pytest

from indianyio.examples._telescope import Motion, Telescope
from indianyio.examples.mount import DEGREES_PER_SECOND, DEVICE, STEP_SECONDS, Mount
from indianyio.protocol import (
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    NewNumberVector,
    NewSwitchVector,
    OneNumber,
    OneSwitch,
    SetNumberVector,
    SetSwitchVector,
    encode,
)
from indianyio.streams import memory_pair
from indianyio.testing import Peer, member_values, running

pytestmark = pytest.mark.anyio

COORD = "EQUATORIAL_EOD_COORD"


async def connect(peer: Peer) -> None:
    await peer.get_properties(DEVICE)
    await peer.expect(DefSwitchVector, name="CONNECTION")
    await peer.write(DEVICE, "CONNECTION", CONNECT="On")
    await peer.expect(SetSwitchVector, name="CONNECTION", state="Ok")
    await peer.expect(DefSwitchVector, name="TELESCOPE_TRACK_STATE")


async def unpark(peer: Peer) -> None:
    await connect(peer)
    await peer.write(DEVICE, "TELESCOPE_PARK", UNPARK="On")
    await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Ok", PARK="Off", UNPARK="On")


def put_to_rest(driver: Mount) -> None:
    """Spare a test in real time the parking."""
    driver.telescope.park()
    driver.telescope.advance(100)


async def slew(peer: Peer, ra: float, dec: float) -> None:
    await peer.write(DEVICE, COORD, RA=ra, DEC=dec)
    await peer.expect(SetNumberVector, name=COORD, state="Busy")


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_abort_stops_a_slew_at_once() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        await slew(peer, 5, -80)
        await peer.write(DEVICE, "TELESCOPE_ABORT_MOTION", ABORT="On")
        await peer.expect(SetNumberVector, name=COORD, state="Idle")
        await peer.expect(SetSwitchVector, name="TELESCOPE_ABORT_MOTION", state="Ok", ABORT="Off")
        assert driver.telescope.motion is Motion.STANDING
        put_to_rest(driver)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_d15_an_abort_that_arrives_together_with_a_slew_is_obeyed_after_it() -> None:
    target = (OneNumber(name="RA", value="1"), OneNumber(name="DEC", value="-80"))
    slewing = encode(NewNumberVector(device=DEVICE, name=COORD, members=target))
    abort = (OneSwitch(name="ABORT", value="On"),)
    aborting = encode(NewSwitchVector(device=DEVICE, name="TELESCOPE_ABORT_MOTION", members=abort))
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        for _ in range(20):
            await peer.send(slewing + aborting)
            await peer.expect(SetSwitchVector, name="TELESCOPE_ABORT_MOTION", state="Ok")
            await anyio.wait_all_tasks_blocked()
            assert not driver.telescope.moving
        put_to_rest(driver)


async def test_nothing_moves_after_an_abort() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        await slew(peer, 5, -80)
        await anyio.sleep(1)
        await peer.write(DEVICE, "TELESCOPE_ABORT_MOTION", ABORT="On")
        idle = await peer.expect(SetNumberVector, name=COORD, state="Idle")
        await anyio.sleep(100)
        assert driver.telescope.dec == float(member_values(idle)["DEC"])
        assert 0 < driver.telescope.dec < 90


async def test_a_slew_takes_its_time_and_ends_in_tracking() -> None:
    async with running(Mount()) as peer:
        await unpark(peer)
        started = anyio.current_time()
        await slew(peer, 5.5, 0)
        await peer.expect(
            SetSwitchVector, name="TELESCOPE_TRACK_STATE", state="Busy", TRACK_ON="On", TRACK_OFF="Off"
        )
        await peer.expect(SetNumberVector, name=COORD, state="Ok", RA=5.5, DEC=0)
        assert anyio.current_time() - started == pytest.approx(90 / DEGREES_PER_SECOND, abs=2 * STEP_SECONDS)
        declinations = [
            float(member_values(message)["DEC"])
            for message in peer.received
            if isinstance(message, SetNumberVector) and message.name == COORD and message.state == "Busy"
        ]
        assert declinations == sorted(declinations, reverse=True)
        assert len(declinations) >= 90 / DEGREES_PER_SECOND / STEP_SECONDS - 1


async def test_slew_mode_ends_standing_and_sync_does_not_move() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        await peer.write(DEVICE, "ON_COORD_SET", SLEW="On")
        await peer.expect(SetSwitchVector, name="ON_COORD_SET", state="Ok", TRACK="Off", SLEW="On", SYNC="Off")
        await slew(peer, 1, 60)
        await peer.expect(SetNumberVector, name=COORD, state="Idle", RA=1, DEC=60)
        await peer.write(DEVICE, "ON_COORD_SET", SYNC="On")
        await peer.expect(SetSwitchVector, name="ON_COORD_SET", state="Ok", SYNC="On")
        before = anyio.current_time()
        await peer.write(DEVICE, COORD, RA=2, DEC=50)
        await peer.expect(SetNumberVector, name=COORD, state="Idle", RA=2, DEC=50)
        assert anyio.current_time() == before
    assert driver.telescope.parked


async def test_another_target_takes_the_place_of_the_first() -> None:
    async with running(Mount()) as peer:
        await unpark(peer)
        await slew(peer, 5, -80)
        await slew(peer, 0, 80)
        await peer.expect(SetNumberVector, name=COORD, state="Ok", DEC=80)
        lowest = min(
            float(member_values(message)["DEC"])
            for message in peer.received
            if isinstance(message, SetNumberVector) and message.name == COORD
        )
        assert lowest > 0


@pytest.mark.parametrize(
    ("written", "reason"),
    [({"RA": 1.0, "DEC": 2.0}, "parked"), ({"RA": 1.0}, "parked"), ({"RA": 1.0, "DEC": 91.0}, "90")],
)
async def test_what_must_not_move_it_is_refused(written: dict[str, float], reason: str) -> None:
    driver = Mount()
    async with running(driver) as peer:
        await connect(peer)
        await peer.write(DEVICE, COORD, written)
        refusal = await peer.expect(SetNumberVector, name=COORD, state="Alert", RA=0, DEC=90)
        assert refusal.message is not None
        assert reason in refusal.message
        await anyio.sleep(10)
        assert driver.telescope.motion is Motion.PARKED


async def test_a_parked_mount_refuses_to_track_and_answers_to_everything_else() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await connect(peer)
        await peer.write(DEVICE, "TELESCOPE_TRACK_STATE", TRACK_ON="On")
        await peer.expect(SetSwitchVector, name="TELESCOPE_TRACK_STATE", state="Alert", TRACK_ON="Off")
        await peer.write(DEVICE, "TELESCOPE_TRACK_STATE", TRACK_OFF="On")
        await peer.expect(SetSwitchVector, name="TELESCOPE_TRACK_STATE", state="Idle", TRACK_OFF="On")
        await peer.write(DEVICE, "TELESCOPE_PARK", PARK="On")
        await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Ok", PARK="On")
        await peer.write(DEVICE, "TELESCOPE_ABORT_MOTION", ABORT="On")
        await peer.expect(SetSwitchVector, name="TELESCOPE_ABORT_MOTION", state="Ok", ABORT="Off")
        assert driver.telescope.motion is Motion.PARKED


async def test_a_right_ascension_alone_keeps_the_declination() -> None:
    async with running(Mount()) as peer:
        await unpark(peer)
        await slew(peer, 5, 60)
        await peer.expect(SetNumberVector, name=COORD, state="Ok", RA=5, DEC=60)
        await peer.write(DEVICE, COORD, RA=6)
        await peer.expect(SetNumberVector, name=COORD, state="Busy")
        await peer.expect(SetNumberVector, name=COORD, state="Ok", RA=6, DEC=60)


async def test_an_abort_leaves_a_mount_that_tracks_tracking() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        await slew(peer, 5, 60)
        await peer.expect(SetNumberVector, name=COORD, state="Ok")
        await slew(peer, 5, -60)
        await peer.write(DEVICE, "TELESCOPE_ABORT_MOTION", ABORT="On")
        await peer.expect(SetNumberVector, name=COORD, state="Idle")
        assert driver.telescope.motion is Motion.TRACKING
        # The next look tells it.
        await peer.expect(SetNumberVector, name=COORD, state="Ok")


async def test_parking_is_busy_until_it_is_done_and_can_be_aborted() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        await slew(peer, 3, 0)
        await peer.expect(SetNumberVector, name=COORD, state="Ok", DEC=0)
        await peer.write(DEVICE, "TELESCOPE_PARK", PARK="On")
        await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Busy", PARK="On")
        await peer.write(DEVICE, "TELESCOPE_ABORT_MOTION", ABORT="On")
        # As libindi's mounts: neither parked nor unparked, which nobody can take for parked.
        await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Alert", PARK="Off", UNPARK="Off")
        assert driver.telescope.motion is Motion.TRACKING
        await peer.write(DEVICE, "TELESCOPE_PARK", PARK="On")
        await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Busy")
        await peer.expect(SetNumberVector, name=COORD, state="Idle", RA=3, DEC=90)
        await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Ok")
        assert driver.telescope.parked


async def test_tracking_is_switched_on_and_off() -> None:
    async with running(Mount()) as peer:
        await unpark(peer)
        await peer.write(DEVICE, "TELESCOPE_TRACK_STATE", TRACK_ON="On")
        await peer.expect(SetSwitchVector, name="TELESCOPE_TRACK_STATE", state="Busy", TRACK_ON="On")
        await peer.expect(SetNumberVector, name=COORD, state="Ok")
        await peer.write(DEVICE, "TELESCOPE_TRACK_STATE", TRACK_OFF="On")
        await peer.expect(SetNumberVector, name=COORD, state="Idle")


async def test_the_definitions_are_those_of_a_telescope() -> None:
    async with running(Mount()) as peer:
        await peer.get_properties()
        info = await peer.expect(DefTextVector, name="DRIVER_INFO")
        assert member_values(info)["DRIVER_INTERFACE"] == "1"
        await connect(peer)
        definition = peer.definitions[DEVICE, COORD]
        assert isinstance(definition, DefNumberVector)
        assert [(member.name, member.format, member.max) for member in definition.members] == [
            ("RA", "%010.6m", "24"),
            ("DEC", "%010.6m", "90"),
        ]


async def test_disconnecting_stops_the_motion() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        await slew(peer, 5, -80)
        await peer.write(DEVICE, "CONNECTION", DISCONNECT="On")
        await peer.expect(SetSwitchVector, name="CONNECTION", state="Idle")
        assert driver.telescope.motion is Motion.STANDING
        await connect(peer)
        definition = peer.definitions[DEVICE, COORD]
        assert isinstance(definition, DefNumberVector)
        assert definition.state == "Idle"


# -- leave() ---------------------------------------------------------------------------------------------------


async def test_it_parks_when_it_is_shut_down_and_says_so() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        await slew(peer, 5, -90)
        await peer.expect(SetNumberVector, name=COORD, state="Ok", DEC=-90)
        driver.shutdown()
        await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Busy", PARK="On")
        await peer.expect(SetNumberVector, name=COORD, state="Idle", DEC=90)
        await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Ok")
    assert driver.telescope.parked


async def test_it_parks_when_its_peer_is_gone() -> None:
    driver = Mount()
    async with running(driver) as peer:
        await unpark(peer)
        await slew(peer, 5, -30)
        await peer.close()
        await driver.stopped.wait()
        assert driver.telescope.parked


async def test_it_parks_when_the_program_around_it_is_cancelled() -> None:
    driver = Mount()
    driver.park_file = None  # as in other tests
    near, far = memory_pair()
    peer = Peer(near)
    async with anyio.create_task_group() as program:
        await program.start(driver.asyncrun, far)
        await unpark(peer)
        await slew(peer, 5, -30)
        program.cancel_scope.cancel("the program ends")
    assert driver.telescope.parked
    await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Busy")
    await peer.expect(SetNumberVector, name=COORD, state="Idle", DEC=90)
    await peer.expect(SetSwitchVector, name="TELESCOPE_PARK", state="Ok")


async def test_a_mount_that_was_not_touched_ends_at_once() -> None:
    async with running(Mount()) as peer:
        await connect(peer)
        before = anyio.current_time()
    assert anyio.current_time() == before


# -- the simulated telescope -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "goal", "after"),
    [(23.0, 1.0, 23.5), (1.0, 23.0, 0.5), (0.2, 23.9, 23.9), (2.0, 10.0, 2.5), (10.0, 2.0, 9.5)],
)
def test_right_ascension_takes_the_shorter_way(start: float, goal: float, after: float) -> None:
    telescope = Telescope(degrees_per_second=7.5)
    telescope.sync(start, 0)
    telescope.slew(goal, 0)
    telescope.advance(1)
    assert telescope.ra == pytest.approx(after)


def test_right_ascension_24_is_0() -> None:
    telescope = Telescope(degrees_per_second=1000)
    telescope.track(True)
    telescope.slew(24, 10)
    telescope.advance(1)
    assert (telescope.ra, telescope.dec, telescope.motion) == (0, 10, Motion.TRACKING)


def test_a_parked_telescope_stays_parked() -> None:
    telescope = Telescope(degrees_per_second=1)
    for command in (telescope.halt, partial(telescope.track, True), partial(telescope.advance, 5.0)):
        command()
        assert telescope.parked


def test_parking_from_anywhere_fits_in_the_grace_period() -> None:
    assert Mount.grace > 180 / DEGREES_PER_SECOND + STEP_SECONDS
