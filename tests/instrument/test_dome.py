"""The dome and the roll-off roof: what clients find, what the simulated one does, and how it follows a mount."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import anyio
import pytest

from indianyio import OperationAbortedError, RefusedError, State
from indianyio.client import Client
from indianyio.client import Device as ClientDevice
from indianyio.instrument.dome import Dome
from indianyio.instrument.dome._geometry import away, horizontal, hour_angle
from indianyio.simulators import dome
from indianyio.testing import assert_states, cancel_everywhere, check_driver, driver_client
from tests.instrument.others import OtherDevice

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Dome Simulator"
MOUNT = "Telescope Simulator"
EVENING = datetime(2026, 3, 20, 20, tzinfo=UTC)
LATITUDE, LONGITUDE = 48.0, 11.0


class SkyDome(dome):
    """The simulated dome, below a sky that turns with the clock of the test."""

    def utc_now(self) -> datetime:
        return EVENING + timedelta(seconds=anyio.current_time() % 1e6)


async def connect(client: Client, name: str = NAME, last: str = "Goto") -> ClientDevice:
    device = await client.device(name, timeout=5)
    await (await device.vector("CONNECTION", timeout=5)).set(CONNECT=True)
    await device.vector(last, timeout=5)
    return device


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[ClientDevice, dome]]:
    async with driver_client(dome()) as (driver, client):
        yield await connect(client), driver


async def begun(device: ClientDevice, vector: str, **members: float | bool) -> None:
    """Write, and wait until it is Busy."""
    await device[vector].set(members, wait=False)
    await device[vector].wait_for(lambda it: it.state is State.BUSY, timeout=5)


async def becomes(device: ClientDevice, vector: str, state: State) -> None:
    await device[vector].wait_for(lambda it: it.state is state, timeout=300)


async def test_it_has_what_kstars_and_ccdciel_look_for() -> None:
    async with connected() as (device, _):
        assert int(device["DRIVER_INFO"]["DRIVER_INTERFACE"]) == 32
        assert {
            "ABS_DOME_POSITION",
            "REL_DOME_POSITION",
            "DOME_ABORT_MOTION",
            "DOME_PARK",
            "DOME_SHUTTER",
            "DOME_MOTION",
            "DOME_AUTOSYNC",
            "DOME_MEASUREMENTS",
        } <= set(device)
        assert device["DOME_PARK"]["UNPARK"] is True


# -- turning -------------------------------------------------------------------------------------------------------


async def test_it_turns_the_shorter_way_and_shows_which_at_the_motion() -> None:
    async with connected() as (device, driver):
        position, motion = device["ABS_DOME_POSITION"], device["DOME_MOTION"]
        async with assert_states(position, "Busy", "Ok", timeout=60), assert_states(motion, "Busy", "Ok"):
            await begun(device, "ABS_DOME_POSITION", DOME_ABSOLUTE_POSITION=330)
            await motion.wait_for(lambda it: it["DOME_CCW"] is True, timeout=5)
            await anyio.sleep(3)
            assert 341 < position["DOME_ABSOLUTE_POSITION"] < 350
            await becomes(device, "ABS_DOME_POSITION", State.OK)
        assert driver.rotation.position == -30
        assert position["DOME_ABSOLUTE_POSITION"] == 330
        assert (motion["DOME_CW"], motion["DOME_CCW"]) == (False, False)


async def test_it_turns_by_degrees_across_north_and_shows_at_both_positions() -> None:
    async with connected() as (device, _):
        async with assert_states(device["ABS_DOME_POSITION"], "Busy", "Ok", timeout=60):
            async with assert_states(device["REL_DOME_POSITION"], "Busy", "Ok", timeout=60):
                await device["REL_DOME_POSITION"].set(DOME_RELATIVE_POSITION=-20)
        assert device["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"] == 340


async def test_360_degrees_are_0() -> None:
    async with connected() as (device, driver):
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=30)
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=360)
        assert driver.rotation.position == device["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"] == 0


async def test_an_abort_leaves_it_idle_where_it_stands() -> None:
    async with connected() as (device, driver):
        async with anyio.create_task_group() as tasks:

            async def turn() -> None:
                with pytest.raises(OperationAbortedError):
                    await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=90)

            tasks.start_soon(turn)
            await anyio.sleep(5)
            await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert device["ABS_DOME_POSITION"].state is device["DOME_MOTION"].state is State.IDLE
        assert device["DOME_ABORT_MOTION"]["ABORT"] is False
        assert device["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"] == driver.rotation.position == 30
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=36)


async def test_an_azimuth_that_abort_has_found_out_is_what_clients_see_then() -> None:
    class Slow(Dome):
        async def turn_to(self, azimuth: float) -> None:
            await anyio.sleep_forever()

        async def abort(self) -> None:
            await anyio.sleep(1)
            self.position.take(degrees=123)

    async with driver_client(Slow("Slow")) as (_, client):
        device = await connect(client, "Slow", "ABS_DOME_POSITION")
        await device.vector("DOME_ABORT_MOTION", timeout=5)
        await begun(device, "ABS_DOME_POSITION", DOME_ABSOLUTE_POSITION=90)
        await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert device["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"] == 123
        assert device["ABS_DOME_POSITION"].state is State.IDLE


async def test_moved_by_hand_it_turns_until_it_is_stopped_and_excludes_all_else() -> None:
    async with connected() as (device, driver):
        motion = device["DOME_MOTION"]
        async with assert_states(motion, "Busy", "Idle", timeout=60):
            await begun(device, "DOME_MOTION", DOME_CW=True)
            await anyio.sleep(10)
            with pytest.raises(RefusedError, match="moved by hand; stop that first"):
                await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=90)
            with pytest.raises(RefusedError, match="cannot be synchronised while it moves"):
                await device["DOME_SYNC"].set(DOME_SYNC_VALUE=90)
            await motion.set(DOME_CW=False, wait=False)
            await motion.wait_for(lambda it: it.state is State.IDLE, timeout=5)
        assert not driver.is_moving
        assert 58 < driver.rotation.position < 62


async def test_the_other_direction_takes_the_place_of_the_one_before() -> None:
    async with connected() as (device, driver):
        await begun(device, "DOME_MOTION", DOME_CW=True)
        await anyio.sleep(10)
        await device["DOME_MOTION"].set(DOME_CCW=True, wait=False)
        await anyio.sleep(10)
        assert -2 < driver.rotation.position < 2
        await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert device["DOME_MOTION"].state is State.IDLE
        assert not driver.is_moving


async def test_all_switches_off_stop_a_turn_too_but_no_parking() -> None:
    async with connected() as (device, driver):
        await begun(device, "ABS_DOME_POSITION", DOME_ABSOLUTE_POSITION=90)
        await device["DOME_MOTION"].set(DOME_CW=False, DOME_CCW=False, wait=False)
        await becomes(device, "ABS_DOME_POSITION", State.IDLE)
        assert not driver.is_moving
        await begun(device, "DOME_PARK", PARK=True)
        await device["DOME_MOTION"].set(DOME_CW=False, DOME_CCW=False, wait=False)
        await becomes(device, "DOME_PARK", State.OK)
        assert driver.rotation.position == 90


async def test_a_sync_turns_nothing() -> None:
    async with connected() as (device, driver):
        await device["DOME_SYNC"].set(DOME_SYNC_VALUE=200)
        assert device["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"] == driver.rotation.position == 200
        assert not driver.is_moving


async def test_the_speed_counts_for_the_next_turn() -> None:
    async with connected() as (device, _):
        await device["DOME_SPEED"].set(DOME_SPEED_VALUE=0.5)
        started = anyio.current_time()
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=90)
        assert 29 < anyio.current_time() - started < 32
        with pytest.raises(RefusedError, match="gets nowhere"):
            await device["DOME_SPEED"].set(DOME_SPEED_VALUE=0)


async def test_a_preset_is_somewhere_to_turn_to() -> None:
    async with connected() as (device, driver):
        await device["Presets"].set({"Preset 2": 48})
        async with assert_states(device["ABS_DOME_POSITION"], "Busy", "Ok", timeout=60):
            await device["Goto"].set({"Preset 2": True})
            assert device["Goto"].state is State.OK
        assert driver.rotation.position == 48


async def test_disconnected_it_is_no_longer_moved_by_hand() -> None:
    async with connected() as (device, driver):
        await begun(device, "DOME_MOTION", DOME_CW=True)
        await device["CONNECTION"].set(DISCONNECT=True)
        assert not driver.is_moving
        await device["CONNECTION"].set(CONNECT=True)
        await device.vector("Goto", timeout=5)
        assert device["DOME_MOTION"].state is State.IDLE
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=20)


async def test_a_hand_that_cannot_be_stopped_does_not_keep_it_connected(caplog: pytest.LogCaptureFixture) -> None:
    class Loose(dome):
        async def stop_moving(self) -> None:
            raise RuntimeError("nobody answers")

        async def disconnect(self) -> None:
            self.rotation.halt()

    async with driver_client(Loose()) as (driver, client):
        device = await connect(client)
        await begun(device, "DOME_MOTION", DOME_CW=True)
        await device["CONNECTION"].set(DISCONNECT=True)
        assert not driver.is_moving
    assert "could not be stopped" in caplog.text


async def test_a_dome_that_does_not_know_its_azimuth_turns_by_degrees_and_parks() -> None:
    class Blind(Dome):
        done: ClassVar[list[str]] = []

        async def turn_by(self, degrees: float) -> None:
            self.done.append(f"by {degrees:g}")

        async def park(self) -> None:
            self.done.append("park")

    async with driver_client(Blind("Blind")) as (_, client):
        device = await connect(client, "Blind", "DOME_PARK")
        assert not {"ABS_DOME_POSITION", "DOME_AUTOSYNC", "DOME_PARK_POSITION"} & set(device)
        async with assert_states(device["DOME_MOTION"], "Busy", "Ok"):
            await device["REL_DOME_POSITION"].set(DOME_RELATIVE_POSITION=-20)
        await device["DOME_PARK"].set(PARK=True)
        with pytest.raises(RefusedError, match="read-only"):
            await device["DOME_MOTION"].set(DOME_CW=True, validate=False)
    assert Blind.done == ["by -20", "park"]


async def test_an_abort_that_fails_is_alert_and_the_mount_is_followed_no_longer_all_the_same() -> None:
    class Deaf(SkyDome):
        hears = False

        async def abort(self) -> None:
            if not self.hears:
                raise RuntimeError("nobody answers")

    async with driver_client(Deaf()) as (driver, client):
        device = await connect(client)
        await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True)
        with pytest.raises(RefusedError, match="nobody answers"):
            await device["DOME_ABORT_MOTION"].set(ABORT=True)
        await device["DOME_AUTOSYNC"].wait_for(lambda it: it["DOME_AUTOSYNC_DISABLE"] is True, timeout=5)
        # And nobody knows any longer whether it is parked.
        async with assert_states(device["DOME_PARK"], "Busy", "Alert", "Idle", timeout=60):
            await begun(device, "DOME_PARK", PARK=True)
            with pytest.raises(RefusedError, match="nobody answers"):
                await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert set(device["DOME_PARK"].values()) == {False}
        driver.hears = True


# -- parking and the shutter ---------------------------------------------------------------------------------------


async def test_parked_it_does_not_turn_for_anything_and_unparks_again() -> None:
    async with connected() as (device, driver):
        park = device["DOME_PARK"]
        async with assert_states(park, "Busy", "Ok", timeout=60):
            await begun(device, "DOME_PARK", PARK=True)
            assert park["PARK"] is True
            await becomes(device, "ABS_DOME_POSITION", State.BUSY)
            await becomes(device, "DOME_PARK", State.OK)
        assert driver.rotation.position == 90
        assert device["ABS_DOME_POSITION"].state is State.IDLE
        for vector, members in (
            ("ABS_DOME_POSITION", {"DOME_ABSOLUTE_POSITION": 10}),
            ("REL_DOME_POSITION", {"DOME_RELATIVE_POSITION": 10}),
            ("DOME_MOTION", {"DOME_CW": True}),
            ("Goto", {"Preset 1": True}),
        ):
            with pytest.raises(RefusedError, match="is parked; unpark it first"):
                await device[vector].set(members)
        assert not driver.is_moving
        await park.set(PARK=True)  # which it is
        with pytest.raises(RefusedError):
            await park.set(PARK=False, validate=False)  # which says neither
        assert park["PARK"] is True
        await park.set(UNPARK=True)
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=80)


async def test_parking_aborted_is_alert_with_the_switch_where_it_was() -> None:
    async with connected() as (device, driver):
        async with assert_states(device["DOME_PARK"], "Busy", "Alert", timeout=60):
            await begun(device, "DOME_PARK", PARK=True)
            await anyio.sleep(3)
            await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert device["DOME_PARK"]["UNPARK"] is True
        assert device["ABS_DOME_POSITION"].state is State.IDLE
        assert not driver.is_moving
        # It counts as unparked.
        await device["DOME_PARK"].set(UNPARK=True)
        assert device["DOME_PARK"].state is State.OK


async def test_where_it_parks_by_itself_is_told_with_the_end_and_not_only_by_the_next_poll() -> None:
    class Itself(dome):
        async def park(self) -> None:
            self.rotation.place(45)

    async with driver_client(Itself()) as (driver, client):
        device = await connect(client)
        await device["POLLING_PERIOD"].set(PERIOD_MS=600_000)
        await anyio.sleep(2)
        async with assert_states(device["ABS_DOME_POSITION"], "Busy", "Idle"):
            await device["DOME_PARK"].set(PARK=True)
        assert device["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"] == driver.rotation.position == 45


@pytest.mark.parametrize("member", ["PARK", "UNPARK"])
async def test_a_client_that_disconnects_waits_until_it_is_parked_or_unparked(member: str) -> None:
    class Slow(dome):
        async def unpark(self) -> None:
            await anyio.sleep(10)

    async with driver_client(Slow()) as (driver, client):
        device = await connect(client)
        if member == "UNPARK":
            await device["DOME_PARK"].set(PARK=True)
        async with assert_states(device["DOME_PARK"], "Busy", "Ok", timeout=60):
            await begun(device, "DOME_PARK", **{member: True})
            await device["CONNECTION"].set(DISCONNECT=True)
        assert driver.is_parked is (member == "PARK")
        assert not driver.is_moving


@pytest.mark.parametrize(("member", "position"), [("SHUTTER_CLOSE", 0), ("SHUTTER_OPEN", 1)])
async def test_a_client_that_disconnects_waits_until_the_shutter_is_open_or_closed(
    member: str, position: float
) -> None:
    async with connected() as (device, driver):
        driver.curtain.place(0.5)
        async with assert_states(device["DOME_SHUTTER"], "Busy", "Ok", timeout=60):
            await begun(device, "DOME_SHUTTER", **{member: True})
            await device["CONNECTION"].set(DISCONNECT=True)
        assert driver.curtain.position == position


async def test_an_abort_ends_a_parking_that_a_client_waits_for_to_disconnect() -> None:
    async with connected() as (device, driver):
        async with anyio.create_task_group() as tasks:
            await begun(device, "DOME_PARK", PARK=True)
            tasks.start_soon(lambda: device["CONNECTION"].set(DISCONNECT=True))
            await anyio.sleep(3)
            assert driver.is_moving
            await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert not driver.is_moving
        assert device["CONNECTION"].state is State.IDLE
        assert driver.rotation.position < 30


async def test_parking_takes_the_place_of_a_turn_and_of_a_motion_by_hand() -> None:
    async with connected() as (device, driver):
        await begun(device, "ABS_DOME_POSITION", DOME_ABSOLUTE_POSITION=200)
        await device["DOME_PARK"].set(PARK=True)
        assert driver.rotation.position % 360 == 90
        await device["DOME_PARK"].set(UNPARK=True)
        await begun(device, "DOME_MOTION", DOME_CCW=True)
        await device["DOME_PARK"].set(PARK=True)
        assert driver.rotation.position % 360 == 90
        assert device["DOME_MOTION"].state is not State.BUSY


async def test_the_park_position_can_be_changed() -> None:
    async with connected() as (device, driver):
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=12)
        await device["DOME_PARK_OPTION"].set(PARK_CURRENT=True)
        assert device["DOME_PARK_POSITION"]["PARK_AZ"] == 12
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=18)
        await device["DOME_PARK"].set(PARK=True)
        assert driver.rotation.position == 12
        await device["DOME_PARK_OPTION"].set(PARK_DEFAULT=True)
        assert device["DOME_PARK_POSITION"]["PARK_AZ"] == 90
        assert device["DOME_PARK_OPTION"]["PARK_DEFAULT"] is False


async def test_the_shutter_is_busy_then_ok_and_does_not_wait_for_a_turn() -> None:
    async with connected() as (device, driver):
        shutter = device["DOME_SHUTTER"]
        await begun(device, "ABS_DOME_POSITION", DOME_ABSOLUTE_POSITION=170)
        async with assert_states(shutter, "Busy", "Ok", timeout=60):
            started = anyio.current_time()
            await shutter.set(SHUTTER_OPEN=True)
            assert 4.9 < anyio.current_time() - started < 5.1
        assert driver.curtain.position == 1
        assert driver.rotation.is_moving
        assert device["ABS_DOME_POSITION"].state is State.BUSY


async def test_closing_takes_the_place_of_opening_but_not_the_other_way_round() -> None:
    async with connected() as (device, driver):
        shutter = device["DOME_SHUTTER"]
        # Alert is the answer to who wanted it open.
        async with assert_states(shutter, "Busy", "Alert", "Ok", timeout=60):
            await begun(device, "DOME_SHUTTER", SHUTTER_OPEN=True)
            await anyio.sleep(2)
            await shutter.set(SHUTTER_CLOSE=True, wait=False)
            await shutter.wait_for(lambda it: it["SHUTTER_CLOSE"] is True, timeout=5)
            await anyio.sleep(1)
            await shutter.set(SHUTTER_OPEN=True, wait=False)
            await shutter.wait_for(lambda it: "is closing" in it.message, timeout=5)
            assert driver.curtain.is_moving
            await becomes(device, "DOME_SHUTTER", State.OK)
        assert driver.curtain.position == 0
        assert shutter["SHUTTER_CLOSE"] is True


async def test_a_shutter_that_was_aborted_is_neither_open_nor_closed() -> None:
    async with connected() as (device, driver):
        async with assert_states(device["DOME_SHUTTER"], "Busy", "Alert", timeout=60):
            await begun(device, "DOME_SHUTTER", SHUTTER_OPEN=True)
            await anyio.sleep(2)
            await device["DOME_ABORT_MOTION"].set(ABORT=True)
        assert not driver.is_moving
        assert 0.3 < driver.curtain.position < 0.5
        assert set(device["DOME_SHUTTER"].values()) == {False}
        await device["DOME_SHUTTER"].set(SHUTTER_CLOSE=True)
        assert driver.curtain.position == 0


async def test_the_policy_opens_and_closes_the_shutter_with_the_dome() -> None:
    async with connected() as (device, driver):
        await device["DOME_SHUTTER_PARK_POLICY"].set(SHUTTER_CLOSE_ON_PARK=True, SHUTTER_OPEN_ON_UNPARK=True)
        await device["DOME_SHUTTER"].set(SHUTTER_OPEN=True)
        async with assert_states(device["DOME_SHUTTER"], "Busy", "Ok", timeout=60):
            await device["DOME_PARK"].set(PARK=True)
        assert (driver.rotation.position, driver.curtain.position) == (90, 0)
        async with assert_states(device["DOME_SHUTTER"], "Busy", "Ok", timeout=60):
            await device["DOME_PARK"].set(UNPARK=True)
        assert driver.curtain.position == 1


async def test_parking_is_no_success_if_the_shutter_stays_open() -> None:
    class Stuck(dome):
        async def close_shutter(self) -> None:
            raise RuntimeError("the shutter is stuck")

    async with driver_client(Stuck()) as (driver, client):
        device = await connect(client)
        await device["DOME_SHUTTER_PARK_POLICY"].set(SHUTTER_CLOSE_ON_PARK=True)
        await device["DOME_SHUTTER"].set(SHUTTER_OPEN=True)
        with pytest.raises(RefusedError, match="its shutter did not close"):
            await device["DOME_PARK"].set(PARK=True)
        # It has gone to its place all the same.
        assert driver.rotation.position == 90
        assert device["DOME_PARK"]["UNPARK"] is True
        assert device["DOME_SHUTTER"].state is State.ALERT


# -- a roll-off roof -----------------------------------------------------------------------------------------------


class Roof(Dome):
    """A roof that takes ten seconds."""

    park_on_leave: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("Roof")
        self.done: list[str] = []

    async def park(self) -> None:
        self.done.append("closing")
        await anyio.sleep(10)
        self.done.append("closed")

    async def unpark(self) -> None:
        await anyio.sleep(10)
        self.done.append("open")

    async def move(self, *, clockwise: bool) -> None:
        self.done.append("begins to open" if clockwise else "begins to close")

    async def stop_moving(self) -> None:
        self.done.append("stops")

    async def abort(self) -> None:
        self.done.append("aborted")


async def test_a_roof_has_no_azimuth_and_opens_and_closes() -> None:
    async with driver_client(Roof()) as (roof, client):
        device = await connect(client, "Roof", "DOME_PARK")
        assert {name for name in device if "DOME" in name} == {
            "DOME_PARK",
            "DOME_MOTION",
            "DOME_ABORT_MOTION",
        }
        assert [member.label for member in device["DOME_MOTION"].members.values()] == ["Open", "Close"]
        async with assert_states(device["DOME_PARK"], "Busy", "Ok", "Busy", "Ok", timeout=60):
            await device["DOME_PARK"].set(PARK=True)
            await device["DOME_PARK"].set(UNPARK=True)
        assert roof.done == ["closing", "closed", "open"]


async def test_a_parked_roof_opens_by_hand_and_says_when_it_has_ended() -> None:
    async with driver_client(Roof()) as (roof, client):
        device = await connect(client, "Roof", "DOME_PARK")
        await device["DOME_PARK"].set(PARK=True)
        await begun(device, "DOME_MOTION", DOME_CW=True)
        await roof.motion_ended(parked=False)
        await becomes(device, "DOME_MOTION", State.OK)
        await device["DOME_PARK"].wait_for(lambda it: it["UNPARK"] is True, timeout=5)


async def test_at_the_end_of_its_driver_it_parks_if_its_class_says_so() -> None:
    async with driver_client(Roof()) as (roof, client):
        roof.grace = 60
        await connect(client, "Roof", "DOME_PARK")
    assert roof.done == ["aborted", "closing", "closed"]


# -- the mount -----------------------------------------------------------------------------------------------------


class FakeMount(OtherDevice):
    """What a mount says."""

    def __init__(self) -> None:
        super().__init__(MOUNT)

    async def stands(self) -> None:
        await self.says("Number", "GEOGRAPHIC_COORD", "Ok", LAT=LATITUDE, LONG=LONGITUDE, ELEV=0)

    async def looks(self, ra: float, dec: float, state: str = "Ok") -> None:
        await self.says("Number", "EQUATORIAL_EOD_COORD", state, RA=ra, DEC=dec)

    async def is_going(self, ra: float, dec: float) -> None:
        await self.says("Number", "TARGET_EOD_COORD", "Busy", RA=ra, DEC=dec)

    async def parks(self, park: bool, state: str = "Ok") -> None:
        await self.says(
            "Switch", "TELESCOPE_PARK", state, PARK="On" if park else "Off", UNPARK="Off" if park else "On"
        )


@asynccontextmanager
async def below_the_sky() -> AsyncGenerator[tuple[ClientDevice, SkyDome, FakeMount]]:
    mount = FakeMount()
    async with driver_client(SkyDome(), wrap=mount.wrap) as (driver, client):
        yield await connect(client), driver, mount


def sky_azimuth(driver: SkyDome, ra: float, dec: float) -> float:
    return horizontal(hour_angle(driver.utc_now(), LONGITUDE, ra), dec, LATITUDE)[0]


async def test_it_follows_the_mount_as_the_sky_turns() -> None:
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await mount.looks(3, 20)
        await anyio.sleep(5)
        assert not driver.is_moving
        async with assert_states(device["ABS_DOME_POSITION"], "Busy", "Ok", timeout=60):
            await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True)
            await becomes(device, "ABS_DOME_POSITION", State.BUSY)
            await becomes(device, "ABS_DOME_POSITION", State.OK)
        first = driver.rotation.position % 360
        assert away(first, sky_azimuth(driver, 3, 20)) < 0.6
        # The mount tracks, and has nothing new to say.
        await anyio.sleep(1800)
        assert away(driver.rotation.position % 360, sky_azimuth(driver, 3, 20)) < 0.6
        assert away(first, driver.rotation.position % 360) > 3


async def test_it_does_not_follow_by_less_than_the_threshold() -> None:
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await device["DOME_PARAMS"].set(AUTOSYNC_THRESHOLD=20)
        await device["DOME_SYNC"].set(DOME_SYNC_VALUE=(sky_azimuth(driver, 3, 20) + 19) % 360)
        await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True)
        async with assert_states(device["ABS_DOME_POSITION"]):
            await mount.looks(3, 20)
            await anyio.sleep(10)
        assert not driver.is_moving


async def test_it_goes_with_a_slew_to_where_that_will_end() -> None:
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await mount.is_going(0, 0)  # of earlier
        await mount.looks(3, 20)
        await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True)
        await anyio.sleep(60)
        await mount.looks(3, 20, "Busy")
        await mount.is_going(7, 30)
        await anyio.sleep(60)
        await mount.looks(5, 25, "Busy")
        assert away(driver.rotation.position % 360, sky_azimuth(driver, 7, 30)) < 0.6
        # Stopped on its way, the mount is elsewhere.
        await mount.looks(5, 25, "Idle")
        await anyio.sleep(60)
        assert away(driver.rotation.position % 360, sky_azimuth(driver, 5, 25)) < 0.6


@pytest.mark.parametrize("why", ["mount parked", "dome parked", "mount busy", "no site"])
async def test_it_does_not_follow_while_there_is_a_reason(why: str) -> None:
    async with below_the_sky() as (device, driver, mount):
        if why != "no site":
            await mount.stands()
        if why == "dome parked":
            await device["DOME_PARK"].set(PARK=True)
        await mount.parks(why == "mount parked")
        await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True)
        async with assert_states(device["ABS_DOME_POSITION"]):
            await mount.looks(3, 20, "Busy" if why == "mount busy" else "Ok")
            await anyio.sleep(30)
        assert not driver.is_moving


async def test_stopped_it_follows_no_longer() -> None:
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await mount.looks(3, 20)
        await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True)
        await becomes(device, "ABS_DOME_POSITION", State.BUSY)
        await anyio.sleep(1)
        await device["DOME_ABORT_MOTION"].set(ABORT=True)
        stopped = driver.rotation.position
        await mount.looks(3, 20)
        await anyio.sleep(60)
        assert driver.rotation.position == stopped
        assert device["DOME_AUTOSYNC"]["DOME_AUTOSYNC_DISABLE"] is True
        assert "no longer follows the mount" in device["DOME_AUTOSYNC"].message


async def test_measurements_by_which_the_telescope_is_outside_are_told() -> None:
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await mount.looks(3, 20)
        await device["DOME_MEASUREMENTS"].set(DM_DOME_RADIUS=1, DM_UP_DISPLACEMENT=5)
        await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True, wait=False)
        await becomes(device, "DOME_AUTOSYNC", State.ALERT)
        assert "DOME_MEASUREMENTS" in device["DOME_AUTOSYNC"].message
        assert not driver.is_moving
        await device["DOME_MEASUREMENTS"].set(DM_UP_DISPLACEMENT=0)
        await becomes(device, "DOME_AUTOSYNC", State.OK)
        await becomes(device, "ABS_DOME_POSITION", State.BUSY)


async def test_the_side_of_the_tube_moves_the_slit() -> None:
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await mount.looks(3, 20)
        await device["DOME_MEASUREMENTS"].set(DM_DOME_RADIUS=2, DM_OTA_OFFSET=0.5)
        found = {}
        for side in ("EAST", "WEST", "IGNORE", "HA", "MOUNT"):
            await device["DM_OTA_SIDE"].set({f"DM_OTA_SIDE_{side}": True})
            found[side] = driver.slit_azimuth()
        # On that evening the hour angle is some 5 hours: to the west, with the tube on the east side.
        assert found["HA"] == pytest.approx(found["EAST"], abs=0.01)
        assert found["MOUNT"] == pytest.approx(found["IGNORE"], abs=0.01)
        await mount.says("Switch", "TELESCOPE_PIER_SIDE", "Ok", PIER_WEST="On", PIER_EAST="Off")
        assert driver.slit_azimuth() == pytest.approx(found["WEST"], abs=0.01)
        assert found["EAST"] is not None
        assert found["WEST"] is not None
        assert away(found["EAST"], found["WEST"]) > 5


async def test_a_mount_that_is_not_parked_locks_the_dome_if_the_policy_says_so() -> None:
    async with below_the_sky() as (device, driver, mount):
        await device["MOUNT_POLICY"].set(MOUNT_LOCKS=True)
        with pytest.raises(RefusedError, match=f"{MOUNT} is not known to be parked"):
            await device["DOME_PARK"].set(PARK=True)
        await mount.parks(False)
        with pytest.raises(RefusedError, match="MOUNT_POLICY says that this locks"):
            await device["DOME_PARK"].set(PARK=True)
        await mount.parks(True, "Busy")
        with pytest.raises(RefusedError, match="MOUNT_POLICY says that this locks"):
            await device["DOME_PARK"].set(PARK=True)
        assert not driver.is_moving
        # Closing the shutter harms no telescope, and keeps it dry.
        await device["DOME_SHUTTER"].set(SHUTTER_OPEN=True)
        await device["DOME_SHUTTER"].set(SHUTTER_CLOSE=True)
        await mount.parks(True)
        await device["DOME_PARK"].set(PARK=True)


async def test_a_locked_roof_does_not_close_by_hand_either_nor_at_its_end() -> None:
    async with driver_client(Roof()) as (roof, client):
        device = await connect(client, "Roof", "DOME_PARK")
        await device["MOUNT_POLICY"].set(MOUNT_LOCKS=True)
        with pytest.raises(RefusedError, match="MOUNT_POLICY says that this locks"):
            await device["DOME_MOTION"].set(DOME_CCW=True)
        await begun(device, "DOME_MOTION", DOME_CW=True)
        await device["DOME_ABORT_MOTION"].set(ABORT=True)
    assert roof.done == ["begins to open", "aborted", "aborted"]


async def test_it_cannot_be_its_own_mount_and_another_one_begins_unknown() -> None:
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await mount.looks(3, 20)
        assert driver.slit_azimuth() is not None
        with pytest.raises(RefusedError, match="is the dome itself"):
            await device["ACTIVE_DEVICES"].set(ACTIVE_TELESCOPE=NAME)
        await device["ACTIVE_DEVICES"].set(ACTIVE_TELESCOPE="Other")
        assert driver.slit_azimuth() is None
        await mount.looks(3, 20)
        assert driver.slit_azimuth() is None


# -- as a whole ----------------------------------------------------------------------------------------------------


async def test_loading_the_settings_moves_nothing_and_the_mount_is_not_followed_by_itself() -> None:
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await mount.looks(3, 20)
        await device["DOME_MEASUREMENTS"].set(DM_DOME_RADIUS=2)
        await device["MOUNT_POLICY"].set(MOUNT_LOCKS=True)
        await device["DOME_BACKLASH_TOGGLE"].set(INDI_ENABLED=True)
        await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True)
        await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True)
        await device["DOME_ABORT_MOTION"].set(ABORT=True)
    async with below_the_sky() as (device, driver, mount):
        await mount.stands()
        await mount.looks(3, 20)
        await device["DOME_BACKLASH_TOGGLE"].wait_for(lambda it: it["INDI_ENABLED"] is True, timeout=5)
        assert device["DOME_MEASUREMENTS"]["DM_DOME_RADIUS"] == 2
        await device["CONFIG_PROCESS"].set(CONFIG_LOAD=True)
        assert device["MOUNT_POLICY"]["MOUNT_LOCKS"] is True
        await anyio.sleep(30)
        assert not driver.is_moving
        assert driver.rotation.position == 0


async def test_cancelled_anywhere_the_motors_stand_still() -> None:
    async def move(driver: dome, client: Client) -> None:
        device = await connect(client)
        await device["DOME_SHUTTER"].set(SHUTTER_OPEN=True, wait=False)
        await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=6)
        await device["DOME_PARK"].set(PARK=True)

    async def still(driver: dome, client: Client) -> None:
        assert not driver.rotation.is_moving

    assert await cancel_everywhere(move, dome, check=still) > 3


async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(dome) == []
