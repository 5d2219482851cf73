"""The headers of images: what other devices say, and what clients add."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from astropy import units as u
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from indianyio.instrument.camera import Camera
from indianyio.instrument.filter_wheel import FilterWheel
from indianyio.protocol import (
    DefNumberVector,
    DelProperty,
    EnableBLOB,
    SetBLOBVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
)
from indianyio.simulators import camera
from indianyio.testing import Peer, running

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "CCD Simulator"
PIER_WEST = (
    '<defSwitchVector device="Telescope Simulator" name="TELESCOPE_PIER_SIDE" state="Ok" perm="ro" timeout="0"'
    ' rule="OneOfMany"><defSwitch name="PIER_WEST">On</defSwitch><defSwitch name="PIER_EAST">Off</defSwitch>'
    "</defSwitchVector>"
)


@asynccontextmanager
async def connected(driver: Camera) -> AsyncGenerator[Peer]:
    async with running(driver) as peer:
        await peer.get_properties()
        await peer.send(EnableBLOB(device=NAME, value="Also"))
        await wait_for_definition(peer, "CONNECTION")
        await peer.write(NAME, "CONNECTION", CONNECT="On")
        await wait_for_definition(peer, "CCD_FAST_COUNT")
        yield peer


async def wait_for_definition(peer: Peer, name: str) -> None:
    while (NAME, name) not in peer.definitions:
        await peer.receive()


def numbers(device: str, name: str, **members: float) -> str:
    inside = "".join(
        f'<defNumber name="{member}" label="" format="%g" min="0" max="0" step="0">{value}</defNumber>'
        for member, value in members.items()
    )
    head = f'<defNumberVector device="{device}" name="{name}" label="" group="" state="Ok" perm="rw" timeout="0">'
    return f"{head}{inside}</defNumberVector>"


async def header(peer: Peer) -> fits.Header:
    """Expose, and return the header of the image."""
    await peer.write(NAME, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=1)
    update = await peer.expect(SetBLOBVector, name="CCD1")
    await peer.expect(SetNumberVector, name="CCD_EXPOSURE", state="Ok")
    return fits.getheader(io.BytesIO(bytes(update.members[0].data)))


async def test_what_other_devices_say_is_in_the_header() -> None:
    async with connected(camera(width=16, height=8)) as peer:
        for heard in (
            numbers("Telescope Simulator", "EQUATORIAL_EOD_COORD", RA=5, DEC=-20),
            numbers("Telescope Simulator", "GEOGRAPHIC_COORD", LAT=48.5, LONG=350, ELEV=120),
            numbers("Focuser Simulator", "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1234),
            numbers("Focuser Simulator", "FOCUS_TEMPERATURE", TEMPERATURE=7.25),
            numbers("Rotator Simulator", "ABS_ROTATOR_ANGLE", ANGLE=33.5),
            numbers("SQM", "SKY_QUALITY", SKY_BRIGHTNESS=21.5),
            PIER_WEST,
        ):
            await peer.send(heard)
        await peer.write(NAME, "SCOPE_INFO", FOCAL_LENGTH=1000, APERTURE=200)
        await peer.expect(SetNumberVector, name="SCOPE_INFO", state="Ok")
        said = await header(peer)
        assert said["TELESCOP"] == "Telescope Simulator"
        assert said["RA"] == pytest.approx(75, abs=0.5)
        assert said["DEC"] == pytest.approx(-20, abs=0.2)
        assert said["OBJCTRA"][:4] == "04 5"
        assert said["OBJCTDEC"][:4] == "-20 "
        assert (said["SITELAT"], said["SITELONG"], said["PIERSIDE"]) == (48.5, -10, "WEST")
        assert (said["FOCUSPOS"], said["FOCUSTEM"], said["ROTATANG"], said["MPSAS"]) == (1234, 7.25, 33.5, 21.5)
        assert (said["FOCALLEN"], said["APTDIA"]) == (1000, 200)
        assert said["SCALE"] == pytest.approx(1.0726, abs=1e-3)
        # What has gone is not said any more, and an update need not carry everything.
        await peer.send('<delProperty device="Rotator Simulator" name="ABS_ROTATOR_ANGLE"/>')
        await peer.send(
            '<setNumberVector device="Telescope Simulator" name="EQUATORIAL_EOD_COORD" state="Busy">'
            '<oneNumber name="DEC">40</oneNumber></setNumberVector>'
        )
        said = await header(peer)
        assert "ROTATANG" not in said
        assert said["DEC"] == pytest.approx(40, abs=0.2)


async def test_nothing_is_said_of_devices_that_are_not_there() -> None:
    async with connected(camera(width=16, height=8)) as peer:
        said = await header(peer)
        assert not {"RA", "OBJCTRA", "SITELAT", "FOCUSPOS", "FILTER", "ROTATANG", "FOCALLEN"} & set(said)


async def test_another_mount_can_be_chosen_and_the_one_before_is_not_heard_any_more() -> None:
    async with connected(camera(width=16, height=8)) as peer:
        await peer.send(numbers("Telescope Simulator", "EQUATORIAL_EOD_COORD", RA=5, DEC=-20))
        await peer.write(NAME, "ACTIVE_DEVICES", ACTIVE_TELESCOPE="Mount")
        await peer.expect(SetTextVector, name="ACTIVE_DEVICES", state="Ok")
        assert "RA" not in await header(peer)
        await peer.send(numbers("Mount", "EQUATORIAL_COORD", RA=1, DEC=10))
        await peer.send(numbers("Mount", "TELESCOPE_INFO", TELESCOPE_APERTURE=80, TELESCOPE_FOCAL_LENGTH=400))
        await peer.send(numbers("Telescope Simulator", "EQUATORIAL_EOD_COORD", RA=5, DEC=-20))
        said = await header(peer)
        assert (said["RA"], said["DEC"], said["TELESCOP"]) == (15, 10, "Mount")
        assert (said["FOCALLEN"], said["APTDIA"]) == (400, 80)


async def test_devices_that_were_chosen_once_are_not_asked_for_for_ever() -> None:
    driver = camera(width=16, height=8)
    async with connected(driver) as peer:
        before = len(driver.snoopvectors)
        for number in range(10):
            await peer.write(NAME, "ACTIVE_DEVICES", ACTIVE_TELESCOPE=f"Mount {number}")
            await peer.expect(SetTextVector, name="ACTIVE_DEVICES", state="Ok")
        assert len(driver.snoopvectors) == before
        assert ("Mount 9", "EQUATORIAL_EOD_COORD") in driver.snoopvectors
        await peer.write(NAME, "ACTIVE_DEVICES", ACTIVE_TELESCOPE="")
        await peer.expect(SetTextVector, name="ACTIVE_DEVICES", state="Ok")
        assert len(driver.snoopvectors) < before


async def test_the_filter_may_be_in_the_camera_or_in_a_wheel_beside_it() -> None:
    class WithWheel(camera, FilterWheel):
        filters: ClassVar[Sequence[str]] = ("Red", "Green")

        async def select(self, slot: int) -> None:
            """Turn at once."""

    async with connected(WithWheel(width=16, height=8)) as peer:
        await peer.write(NAME, "FILTER_SLOT", FILTER_SLOT_VALUE=2)
        await peer.expect(SetNumberVector, name="FILTER_SLOT", state="Ok")
        assert (await header(peer))["FILTER"] == "Green"
        await peer.write(NAME, "ACTIVE_DEVICES", ACTIVE_FILTER="Wheel")
        await peer.expect(SetTextVector, name="ACTIVE_DEVICES", state="Ok")
        await peer.send(numbers("Wheel", "FILTER_SLOT", FILTER_SLOT_VALUE=3))
        assert (await header(peer))["FILTER"] == "Filter 3"


async def keyword(peer: Peer, name: str, value: str = "", comment: str = "") -> str:
    """Write a keyword, and return the state that comes of it, with the message."""
    await peer.write(NAME, "FITS_HEADER", KEYWORD_NAME=name, KEYWORD_VALUE=value, KEYWORD_COMMENT=comment)
    answer = await peer.expect(SetTextVector, name="FITS_HEADER")
    return f"{answer.state} {answer.message or ''}".strip()


async def test_clients_add_keywords_and_clear_them() -> None:
    async with connected(camera(width=16, height=8)) as peer:
        assert await keyword(peer, "OBJECT", "M 31", "the galaxy") == "Ok"
        assert await keyword(peer, "observer", "O'Neil") == "Ok"
        assert await keyword(peer, "TEMP-AIR", "-3.5") == "Ok"
        assert await keyword(peer, "EXPTIME", "77") == "Ok"
        said = await header(peer)
        assert (said["OBJECT"], said.comments["OBJECT"]) == ("M 31", "the galaxy")
        assert (said["OBSERVER"], said["TEMP-AIR"], said["EXPTIME"]) == ("O'Neil", -3.5, 77)
        assert "how the file is built" in await keyword(peer, "NAXIS", "7")
        assert "up to 8" in await keyword(peer, "MUCH TOO LONG", "7")
        assert await keyword(peer, "INDI_CLEAR") == "Ok"
        said = await header(peer)
        assert "OBJECT" not in said
        assert said["EXPTIME"] == 1


async def test_keywords_do_not_fill_the_memory() -> None:
    driver = camera(width=16, height=8)
    async with connected(driver) as peer:
        for number in range(1000):
            assert await keyword(peer, f"K{number}", "1") == "Ok"
        assert "1000 keywords already" in await keyword(peer, "ANOTHER", "1")
        assert await keyword(peer, "K7", "x" * 10_000) == "Ok"
        assert (await header(peer))["K7"] == "x" * 68


WORLD = {"CTYPE1", "CRVAL1", "CRPIX2", "CDELT1", "CROTA2"}


async def ready_for_world_coordinates(peer: Peer) -> None:
    await peer.send(numbers("Telescope Simulator", "EQUATORIAL_COORD", RA=5, DEC=-20))
    await peer.write(NAME, "SCOPE_INFO", FOCAL_LENGTH=1000, APERTURE=200)
    await peer.expect(SetNumberVector, name="SCOPE_INFO", state="Ok")
    await peer.write(NAME, "WCS_CONTROL", WCS_ENABLE="On")
    await peer.expect(SetSwitchVector, name="WCS_CONTROL", state="Ok", WCS_ENABLE="On")
    await peer.expect(DefNumberVector, name="CCD_ROTATION")


async def turn(peer: Peer, degrees: float) -> None:
    await peer.write(NAME, "CCD_ROTATION", CCD_ROTATION_VALUE=degrees)
    await peer.expect(SetNumberVector, name="CCD_ROTATION", state="Ok")


@pytest.mark.parametrize(("degrees", "north", "east"), [(0, 1, 0), (90, 0, 1), (180, -1, 0), (-30, 0.866, -0.5)])
async def test_world_coordinates_say_which_part_of_the_sky_each_pixel_is(
    degrees: float, north: float, east: float
) -> None:
    async with connected(camera(width=64, height=48)) as peer:
        await ready_for_world_coordinates(peer)
        await turn(peer, degrees)
        said = await header(peer)
    world = WCS(said, fix=False)
    middle = world.pixel_to_world(31.5, 23.5)
    assert middle.separation(SkyCoord(75 * u.deg, -20 * u.deg, frame=FK5(equinox="J2000"))).arcsec < 0.01
    # The angle is where the rows count to, from north to east.
    lower = world.pixel_to_world(31.5, 33.5)
    across, up = middle.spherical_offsets_to(lower)
    scale = 10 * said["SCALE"]
    assert (up.arcsec, across.arcsec) == (
        pytest.approx(scale * north, abs=0.01),
        pytest.approx(scale * east, abs=0.01),
    )


async def test_the_middle_of_the_sensor_is_where_the_mount_points_though_only_a_part_is_read_out() -> None:
    async with connected(camera(width=64, height=48)) as peer:
        await ready_for_world_coordinates(peer)
        await turn(peer, 12)
        whole = WCS(await header(peer), fix=False)
        await peer.write(NAME, "CCD_FRAME", X=40, Y=4, WIDTH=20, HEIGHT=16)
        await peer.expect(SetNumberVector, name="CCD_FRAME", state="Ok")
        await peer.write(NAME, "CCD_BINNING", HOR_BIN=2, VER_BIN=4)
        await peer.expect(SetNumberVector, name="CCD_BINNING", state="Ok")
        part = WCS(await header(peer), fix=False)
    # Where pixels 2 to 3 and 4 to 7 of the part are one, its middle is between them.
    assert part.pixel_to_world(1, 1).separation(whole.pixel_to_world(42.5, 9.5)).arcsec < 0.001


async def test_world_coordinates_are_left_out_unless_all_of_what_they_are_made_of_is_known() -> None:
    async with connected(camera(width=16, height=8)) as peer:
        assert (NAME, "CCD_ROTATION") not in peer.definitions
        await ready_for_world_coordinates(peer)
        assert not WORLD & set(await header(peer))  # the angle was not told
        await turn(peer, 5)
        assert set(await header(peer)) >= WORLD
        await peer.write(NAME, "SCOPE_INFO", FOCAL_LENGTH=0)
        await peer.expect(SetNumberVector, name="SCOPE_INFO", state="Ok")
        assert not WORLD & set(await header(peer))
        await peer.write(NAME, "SCOPE_INFO", FOCAL_LENGTH=500)
        await peer.expect(SetNumberVector, name="SCOPE_INFO", state="Ok")
        await peer.send('<delProperty device="Telescope Simulator" name="EQUATORIAL_COORD"/>')
        assert not WORLD & set(await header(peer))
        await peer.send(numbers("Telescope Simulator", "EQUATORIAL_COORD", RA=5, DEC=-20))
        assert set(await header(peer)) >= WORLD
        await peer.write(NAME, "WCS_CONTROL", WCS_DISABLE="On")
        await peer.expect(DelProperty, name="CCD_ROTATION")
        assert not WORLD & set(await header(peer))
        await peer.write(NAME, "WCS_CONTROL", WCS_ENABLE="On")
        await peer.expect(DefNumberVector, name="CCD_ROTATION", state="Idle")
        assert not WORLD & set(await header(peer))  # it may have been turned
