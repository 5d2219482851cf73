"""The camera beside libindi's: the same script for both, and what each hears of the other's telescope."""

from __future__ import annotations

import io
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from astropy import units as u
from astropy.coordinates import FK5, SkyCoord
from astropy.io import fits
from astropy.time import Time

from indianyio import INDIError, IPyDriver
from indianyio.client import Change, Client, Device, open_client
from indianyio.server import IPyServer
from indianyio.simulators import camera, mount

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.libindi,
    pytest.mark.skipif(
        shutil.which("indi_simulator_ccd") is None, reason="no simulators (Debian: apt-get install indi-bin)"
    ),
]

OURS, THEIRS, MOUNT = "Our Camera", "CCD Simulator", "Telescope Simulator"


@asynccontextmanager
async def served(program: str, *others: IPyDriver) -> AsyncGenerator[Client]:
    """Serve our camera and other drivers beside one of libindi's programs."""
    server = IPyServer(camera(OURS, 64, 64), *others, host="127.0.0.1", port=0)
    server.add_exdriver(program)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            [address] = await tasks.start(server.asyncrun)
            async with open_client("127.0.0.1", int(address.rpartition(":")[2])) as client:
                yield client
            server.shutdown()


async def test_what_libindi_s_telescope_says_is_in_our_header() -> None:
    async with served("indi_simulator_telescope") as client:
        theirs = await client.device(MOUNT, timeout=20)
        ours = await client.device(OURS, timeout=5)
        async with theirs.connected(timeout=20), ours.connected(timeout=5):
            await ours.vector("CCD_FAST_COUNT", timeout=5)
            coordinates = await theirs.vector("EQUATORIAL_EOD_COORD", timeout=5)
            await theirs.vector("ON_COORD_SET", timeout=5)
            await theirs["GEOGRAPHIC_COORD"].set(LAT=40, LONG=350, ELEV=100)
            await theirs["TELESCOPE_PARK"].set(UNPARK=True)
            await theirs["ON_COORD_SET"].set(SYNC=True)
            await coordinates.set(RA=5, DEC=20)
            await client.wait_for(
                lambda it: abs(coordinates["DEC"] - 20) < 0.01 and abs(coordinates["RA"] - 5) < 0.01, timeout=5
            )
            header = await header_of(ours)
            told = SkyCoord(5 * u.hourangle, 20 * u.deg, frame=FK5(equinox=Time(header["DATE-OBS"])))
            found = SkyCoord(header["RA"] * u.deg, header["DEC"] * u.deg, frame=FK5(equinox="J2000"))
            assert found.separation(told.transform_to(FK5(equinox="J2000"))).arcmin < 10
            assert (
                told.separation(SkyCoord(header["RA"] * u.deg, header["DEC"] * u.deg, frame=told.frame)).arcmin > 15
            )
            assert (header["SITELAT"], header["SITELONG"]) == (pytest.approx(40), pytest.approx(-10))
            assert header["TELESCOP"] == MOUNT


async def header_of(device: Device) -> fits.Header:
    """Expose, and return the header of the image."""
    async with device.next("CCD1") as image:
        await device.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.1, timeout=20)
        return fits.getheader(io.BytesIO((await image.get(timeout=20)).content()))


async def test_what_our_telescope_says_is_in_both_headers_and_both_say_the_same_of_the_sky() -> None:
    async with served("indi_simulator_ccd", mount("Our Mount")) as client:
        scope = await client.device("Our Mount", timeout=5)
        cameras = [await client.device(name, timeout=20) for name in (OURS, THEIRS)]
        async with scope.connected(timeout=5), cameras[0].connected(timeout=5), cameras[1].connected(timeout=20):
            await scope.set("TELESCOPE_PARK", UNPARK=True)
            await scope.set("TELESCOPE_TRACK_STATE", TRACK_ON=True)
            await scope.set("ON_COORD_SET", SYNC=True)
            await scope.set("EQUATORIAL_EOD_COORD", RA=5, DEC=20)
            ours, theirs = [await pointed_header(device) for device in cameras]
    assert ours["TELESCOP"] == theirs["TELESCOP"] == "Our Mount"
    for name in ("CRVAL1", "CRVAL2", "RA", "DEC"):
        # libindi takes back nutation and aberration as well.
        assert ours[name] == pytest.approx(theirs[name], abs=0.02), name
    # Away from those of today, which the mount tells.
    assert abs(ours["RA"] - 75) > 0.2
    for name in ("CTYPE1", "CTYPE2"):
        assert ours[name] == theirs[name]
    for header in (ours, theirs):
        for axis in (1, 2):
            assert header[f"CDELT{axis}"] == pytest.approx(header[f"PIXSIZE{axis}"] / 1000 / 500 * 57.3, rel=1e-3)
    assert ours["CROTA1"] == theirs["CROTA1"] == ours["CROTA2"] == theirs["CROTA2"] == 330


async def pointed_header(device: Device) -> fits.Header:
    """Have a camera follow our mount, tell it of its telescope and its angle, and return the header of an image."""
    await device["ACTIVE_DEVICES"].set(ACTIVE_TELESCOPE="Our Mount")
    await (await device.vector("SCOPE_INFO", timeout=10)).set(FOCAL_LENGTH=500, APERTURE=100)
    await (await device.vector("WCS_CONTROL", timeout=10)).set(WCS_ENABLE=True)
    await (await device.vector("CCD_ROTATION", timeout=10)).set(CCD_ROTATION_VALUE=30)
    await device.vector("CCD1", timeout=10)
    return await header_of(device)


# -- the same script for both --------------------------------------------------------------------------------------

EXPOSURE = ("CCD_EXPOSURE", "CCD1")


class Step(NamedTuple):
    """A write of the script, and the properties that are looked at.

    :ivar differs: why libindi's camera does something else.
    """

    name: str
    watched: tuple[str, ...]
    vector: str
    members: dict[str, Any]
    differs: str = ""


def script(folder: Path) -> list[Step]:
    saved = {"UPLOAD_DIR": str(folder), "UPLOAD_PREFIX": "M31_XXX"}
    part = {"X": 0, "Y": 0, "WIDTH": 64, "HEIGHT": 64}
    limits = "libindi tells the limits once more, in an update that is Idle"
    busy = "libindi blocks until it is done, and so need not say Busy"
    return [
        Step("a part", ("CCD_FRAME",), "CCD_FRAME", part, limits),
        Step("too large a part", ("CCD_FRAME",), "CCD_FRAME", {**part, "X": 60, "WIDTH": 0}, "libindi takes it"),
        Step("a part again", ("CCD_FRAME",), "CCD_FRAME", part),
        Step("binned", ("CCD_BINNING",), "CCD_BINNING", {"HOR_BIN": 2, "VER_BIN": 2}, limits),
        Step("dark", ("CCD_FRAME_TYPE",), "CCD_FRAME_TYPE", {"FRAME_DARK": True}),
        Step("gain", ("CCD_GAIN",), "CCD_GAIN", {"GAIN": 50}),
        Step("offset", ("CCD_OFFSET",), "CCD_OFFSET", {"OFFSET": 50}),
        Step("an exposure", EXPOSURE, "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 1.2}),
        Step("a long one", ("CCD_EXPOSURE",), "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 30}),
        Step("compression", ("CCD_COMPRESSION",), "CCD_COMPRESSION", {"INDI_ENABLED": True}),
        Step("a compressed one", EXPOSURE, "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 0.2}),
        Step("a folder", ("UPLOAD_SETTINGS",), "UPLOAD_SETTINGS", saved),
        Step("local", ("UPLOAD_MODE",), "UPLOAD_MODE", {"UPLOAD_LOCAL": True}),
        Step("a saved one", (*EXPOSURE, "CCD_FILE_PATH"), "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 0.2}),
        Step("to clients", ("CCD_FILE_PATH",), "UPLOAD_MODE", {"UPLOAD_CLIENT": True}),
        Step("ramp", ("CCD_TEMP_RAMP",), "CCD_TEMP_RAMP", {"RAMP_SLOPE": 0, "RAMP_THRESHOLD": 0.3}),
        Step("colder", ("CCD_TEMPERATURE",), "CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": -1}),
        Step("cooler off", ("CCD_COOLER",), "CCD_COOLER", {"COOLER_OFF": True}, "libindi's is Busy, and Idle then"),
        Step("optics", ("SCOPE_INFO",), "SCOPE_INFO", {"FOCAL_LENGTH": 500, "APERTURE": 100}),
        Step("others", ("ACTIVE_DEVICES",), "ACTIVE_DEVICES", {"ACTIVE_FOCUSER": "Some Focuser"}),
        Step("video", ("CCD_VIDEO_STREAM",), "CCD_VIDEO_STREAM", {"STREAM_ON": True}),
        Step("no video", ("CCD_VIDEO_STREAM",), "CCD_VIDEO_STREAM", {"STREAM_OFF": True}, busy),
        Step("disconnect", ("CONNECTION",), "CONNECTION", {"DISCONNECT": True}, busy),
    ]


async def carry_out(device: Device, step: Step) -> list[str]:
    """Write, and return what became of the properties: states and images, each once."""
    told: list[str] = []

    def note(change: Change) -> None:
        vector = change.vector
        if vector is None or vector.device != device.name or vector.name not in step.watched:
            return
        what = str(change.state) if change.kind == "updated" else change.kind
        if vector.kind == "BLOB" and change.members:
            what = f"image {vector[next(iter(change.members))].format}"
        if told[-1:] != [f"{vector.name} {what}"]:
            told.append(f"{vector.name} {what}")

    members = dict(step.members)
    if members.get("WIDTH") == 0:
        members["WIDTH"] = device["CCD_INFO"]["CCD_MAX_X"]
    if "CCD_TEMPERATURE_VALUE" in members:
        members["CCD_TEMPERATURE_VALUE"] += device["CCD_TEMPERATURE"]["CCD_TEMPERATURE_VALUE"]
    with device["CONNECTION"]._actions.listening(note):
        async with anyio.create_task_group() as tasks:
            if step.name == "a long one":
                tasks.start_soon(abort, device)
            try:
                await device[step.vector].set(members, timeout=10)
            except INDIError as error:
                told.append(type(error).__name__)
        await anyio.sleep(0.15)
    return told


async def abort(device: Device) -> None:
    await anyio.sleep(0.5)
    await device["CCD_ABORT_EXPOSURE"].set(ABORT=True)


async def carried_out(device: Device, steps: list[Step], results: dict[str, list[list[str]]]) -> None:
    await device["CONNECTION"].set(CONNECT=True, timeout=10)
    # The last of what each of them defines.
    for last in ("CCD_VIDEO_STREAM", "CCD_FAST_COUNT", "CCD1"):
        await device.vector(last, timeout=10)
    await anyio.sleep(0.5)
    await device.enable_blobs("CCD1")
    results[device.name] = [await carry_out(device, step) for step in steps]


@pytest.mark.long
async def test_both_cameras_do_the_same_but_for_what_has_a_reason(tmp_path: Path) -> None:
    results: dict[str, list[list[str]]] = {}
    async with served("indi_simulator_ccd") as client:
        async with anyio.create_task_group() as tasks:
            for name in (OURS, THEIRS):
                device = await client.device(name, timeout=20)
                tasks.start_soon(carried_out, device, script(tmp_path / name), results)
    steps = script(tmp_path)
    compared = list(zip(steps, results[OURS], results[THEIRS], strict=True))
    different = {step.name: (ours, theirs) for step, ours, theirs in compared if ours != theirs}
    assert different.keys() == {step.name for step in steps if step.differs}, different
    assert all(ours for _, ours, _ in compared)
    saved = [[path.name.partition(".")[0] for path in (tmp_path / name).iterdir()] for name in (OURS, THEIRS)]
    assert saved == [["M31_001"], ["M31_001"]]
