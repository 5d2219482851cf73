"""All of libindi's simulators together as drivers of our server, driven with libindi's tools."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.io import fits

from indianyio.protocol import DelProperty, NewSwitchVector, OneSwitch, SetSwitchVector, WireMessage
from tests.libindi.libindi_harness import Client, IndiServer, indiserver, installed, tcp_client, wait_until
from tests.server.processes import executables, ours

pytestmark = [
    pytest.mark.libindi,
    pytest.mark.skipif(not installed("indi_simulator_ccd"), reason="no simulators (Debian: indi-bin)"),
]

SIMULATORS = {
    "indi_simulator_telescope": "Telescope Simulator",
    "indi_simulator_ccd": "CCD Simulator",
    "indi_simulator_focus": "Focuser Simulator",
    "indi_simulator_wheel": "Filter Simulator",
    "indi_simulator_dome": "Dome Simulator",
    "indi_simulator_weather": "Weather Simulator",
    "indi_simulator_gps": "GPS Simulator",
}
MOUNT, CAMERA, FOCUSER, WHEEL, DOME, *_ = SIMULATORS.values()
COORDINATES = f"{MOUNT}.EQUATORIAL_EOD_COORD"
AZIMUTH = f"{DOME}.ABS_DOME_POSITION.DOME_ABSOLUTE_POSITION"
POSITION = f"{FOCUSER}.ABS_FOCUS_POSITION.FOCUS_ABSOLUTE_POSITION"
SLOT = f"{WHEEL}.FILTER_SLOT.FILTER_SLOT_VALUE"
TEMPERATURE = f"{FOCUSER}.FOCUS_TEMPERATURE.TEMPERATURE"
EXPOSURE = f"{CAMERA}.CCD_EXPOSURE"

# What indi_eval takes for the states, in this order.
IDLE, OK, BUSY, ALERT = range(4)


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndiServer]:
    """Run our server with all simulators, connected to their instruments by indi_setprop."""
    home = tmp_path_factory.mktemp("night")
    with ours(home, *executables(*SIMULATORS), backend=request.param) as server:
        for device in SIMULATORS.values():
            assert wait_until(lambda device=device: bool(server.value(f"{device}.CONNECTION.CONNECT")), 20)  # type: ignore[misc]
            assert_set(server, f"{device}.CONNECTION.CONNECT=On")
            assert_true(server, f'"{device}.CONNECTION.CONNECT"==1 && "{device}.CONNECTION._STATE"=={OK}')
        yield server


def assert_set(server: IndiServer, *values: str) -> None:
    done = server.setprop(*values)
    assert done.returncode == 0, done.stderr


def assert_true(server: IndiServer, expression: str) -> None:
    """Wait until it is true, as indi_eval sees it; an operand that comes twice it never gets."""
    done = server.tool("indi_eval", "-w", "-t", "50", expression)
    assert done.returncode == 0, f"{expression}: {done.stderr}"


def near(query: str, value: float, tolerance: float) -> str:
    return f'abs("{query}"-{value})<{tolerance}'


@pytest.mark.long
def test_getprop_lists_all_of_them(night: IndiServer) -> None:
    listed = night.getprop("-t", "2").stdout.splitlines()
    assert {line.split(".")[0] for line in listed} == set(SIMULATORS.values())
    assert len(listed) > 200


@pytest.mark.long
def test_the_mount_slews_the_dome_follows_and_the_camera_knows(night: IndiServer, tmp_path: Path) -> None:
    assert_set(night, f"{MOUNT}.TELESCOPE_PARK.UNPARK=On")
    assert_set(night, f"{MOUNT}.ON_COORD_SET.TRACK=On")
    assert_set(night, f"{DOME}.DOME_AUTOSYNC.DOME_AUTOSYNC_DISABLE=On")
    assert_set(night, f"{AZIMUTH}=40")
    assert_true(night, near(AZIMUTH, 40, 1))
    assert_set(night, f"{DOME}.DOME_MEASUREMENTS.DM_DOME_RADIUS=2")
    assert_set(night, f"{DOME}.DOME_AUTOSYNC.DOME_AUTOSYNC_ENABLE=On")
    right_ascension = (float(night.value(f"{COORDINATES}.RA")) + 0.2) % 24
    assert_set(night, f"{COORDINATES}.RA;DEC={right_ascension};80")
    assert_true(night, f'"{COORDINATES}._STATE"=={BUSY}')
    arrived = near(f"{COORDINATES}.RA", right_ascension, 0.01), near(f"{COORDINATES}.DEC", 80, 0.1)
    assert_true(night, " && ".join((*arrived, f'"{COORDINATES}._STATE"=={OK}')))
    assert_true(night, f'abs("{AZIMUTH}"-40)>2 && "{DOME}.ABS_DOME_POSITION._STATE"=={OK}')
    assert_set(night, f"{TEMPERATURE}=7.5")
    assert_true(night, near(TEMPERATURE, 7.5, 0.01))
    header = fits.getheader(expose(night, tmp_path))
    assert header["FOCUSTEM"] == 7.5
    assert header["TELESCOP"] == MOUNT
    assert abs(header["DEC"] - 80) < 0.5
    assert abs((header["RA"] / 15 - right_ascension + 12) % 24 - 12) < 0.2


def expose(server: IndiServer, folder: Path) -> Path:
    """Take images until indi_getprop has saved one; return its file."""
    image = f"{CAMERA}.CCD1.CCD1"
    command = ["indi_getprop", "-p", str(server.port), "-t", "50", image]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as saving:
        while saving.poll() is None:
            assert_set(server, f"{EXPOSURE}.CCD_EXPOSURE_VALUE=0.1")
            assert_true(server, f'"{EXPOSURE}._STATE"=={OK}')
    assert saving.returncode == 0
    return folder / f"{image}.fits"


def test_an_image_that_getprop_saves_is_whole(night: IndiServer, tmp_path: Path) -> None:
    with fits.open(expose(night, tmp_path)) as hdus:
        header = hdus[0].header
        assert hdus[0].data.shape == (header["NAXIS2"], header["NAXIS1"])
        assert hdus[0].data.std() > 0
        assert header["INSTRUME"] == CAMERA


@pytest.mark.long
@pytest.mark.parametrize(("query", "there", "back"), [(POSITION, 49_000, 50_000), (SLOT, 3, 1), (AZIMUTH, 60, 20)])
def test_what_is_told_to_move_arrives(night: IndiServer, query: str, there: float, back: float) -> None:
    assert_set(night, f"{DOME}.DOME_AUTOSYNC.DOME_AUTOSYNC_DISABLE=On")
    for target in (there, back):
        assert_set(night, f"{query}={target}")
        state = query.rpartition(".")[0] + "._STATE"
        assert_true(night, f'{near(query, target, 1)} && "{state}"=={OK}')


# -- compared with indiserver ----------------------------------------------------------------------------------

Seen = dict[str, dict[str, tuple[object, ...]]]


def connect_all(client: Client) -> None:
    """Let all drivers connect to their instruments."""
    client.ask()
    waiting: set[str | None] = set(SIMULATORS.values())
    asked: set[str | None] = set()
    while waiting:
        message = client.receive()
        device = getattr(message, "device", None)
        if device in waiting - asked:
            asked.add(device)
            connect = (OneSwitch(name="CONNECT", value="On"),)
            client.send(NewSwitchVector(device=str(device), name="CONNECTION", members=connect))
        elif isinstance(message, SetSwitchVector) and message.name == "CONNECTION" and message.state == "Ok":
            waiting.discard(message.device)


def all_seen(client: Client) -> Seen:
    """Return what a client knows of each device when everything has been defined twice.

    A driver that is asked again has finished what it did before; a second answer begins when the first is complete.
    """
    for _ in range(2):
        client.ask()
    seen: Seen = {device: {} for device in SIMULATORS.values()}
    answers: Counter[str] = Counter()
    while min(answers[device] for device in seen) < 2:
        message = client.receive()
        if message.tag.startswith("def"):
            device, name = str(getattr(message, "device", "")), str(getattr(message, "name", ""))
            seen[device][name] = description(message)
            answers[device] += name == "CONNECTION"
        elif isinstance(message, DelProperty):
            seen[message.device].pop(message.name or "", None)
    return seen


def description(message: WireMessage) -> tuple[object, ...]:
    """Return all of a definition that does not change with time."""
    fixed = tuple(getattr(message, name, None) for name in ("label", "group", "perm", "rule", "timeout"))
    members = tuple(
        tuple(getattr(member, name, None) for name in ("name", "label", "format", "step"))
        for member in getattr(message, "members", ())
    )
    return message.tag, *fixed, members


def seen_of(server: IndiServer) -> Seen:
    with tcp_client(server) as client:
        connect_all(client)
        return all_seen(client)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_everything_is_seen_as_through_indiserver(tmp_path: Path, backend: str) -> None:
    with indiserver(tmp_path, *SIMULATORS) as theirs:
        expected = seen_of(theirs)
    with ours(tmp_path, *executables(*SIMULATORS), backend=backend) as server:
        seen = seen_of(server)
    assert sum(map(len, expected.values())) > 150
    for device in SIMULATORS.values():
        assert seen[device] == expected[device], device
