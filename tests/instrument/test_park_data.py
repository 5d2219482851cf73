"""Whether a mount or a dome is parked, and where it parks, is known after a restart, and never wrongly."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import anyio
import anyio.to_thread
import pytest

from indianyio import RefusedError, State
from indianyio.client import Client, Device, open_client
from indianyio.instrument import Dome, Instrument, Mount, Property
from indianyio.instrument._common._park_data import DamagedParkDataError, ParkData, ParkFile
from indianyio.properties import Values
from indianyio.server import IPyServer
from indianyio.simulators import dome, mount
from indianyio.standard.mount import TelescopeParkPositionAzAlt
from indianyio.testing import driver_client

pytest_plugins = ("indianyio.testing.pytest_plugin",)

MOUNT, DOME = "Telescope Simulator", "Dome Simulator"
# Virtual time does not see the threads that write files.
LONG = 1e6

# As libindi writes it.
THEIRS = """<parkdata>
    <device name="Dome Simulator">
        <parkstatus>
true
        </parkstatus>
        <parkposition>
            <axis1position>
135.000000
            </axis1position>
        </parkposition>
    </device>
    <device name="Telescope Simulator">
        <parkstatus>true</parkstatus>
        <parkposition>
            <axis1position>-6.000000</axis1position>
            <axis2position>80.000000</axis2position>
        </parkposition>
        <note>of somebody's own</note>
    </device>
</parkdata>
"""


@pytest.fixture
def path(home: Path) -> Path:
    """Return where park data are kept."""
    return home / "ParkData.xml"


@asynccontextmanager
async def connected(driver: Instrument, path: Path | None, *wanted: str) -> AsyncGenerator[Device]:
    async with driver_client(driver, park_file=path) as (_, client):
        device = await client.device(driver.device.devicename, timeout=LONG)
        await (await device.vector("CONNECTION", timeout=LONG)).set(CONNECT=True, timeout=LONG)
        for name in wanted or ("TELESCOPE_PARK", "TELESCOPE_PARK_POSITION", "TELESCOPE_PARK_OPTION"):
            await device.vector(name, timeout=LONG)
        await anyio.wait_all_tasks_blocked()  # the others are defined, too
        yield device


async def park(device: Device, vector: str = "TELESCOPE_PARK", member: str = "PARK") -> None:
    await device[vector].set({member: True}, timeout=LONG)


def write(path: Path, text: str = THEIRS) -> None:
    path.write_text(text)


def is_as_written(path: Path) -> bool:
    return path.read_text() == THEIRS


def kept(path: Path, name: str = MOUNT) -> ParkData | None:
    return ParkFile(path, name).load()


async def becomes(path: Path, *wanted: ParkData | None) -> None:
    """Wait until one of these is kept."""
    with anyio.fail_after(30):
        while kept(path) not in wanted:  # noqa: ASYNC110 - a file tells nobody
            await anyio.sleep(0.005)


# -- the file ------------------------------------------------------------------------------------------------------


def test_each_device_has_its_place_and_the_others_keep_theirs(path: Path) -> None:
    path.write_text(THEIRS)
    assert kept(path) == ParkData(True, (-6, 80))
    assert kept(path, DOME) == ParkData(True, (135,))
    assert kept(path, "]") is None
    ParkFile(path, "]").save(ParkData(True))
    ParkFile(path, MOUNT).save(ParkData(False, (1.5, 2)))
    assert kept(path, "]") == ParkData(True)
    assert kept(path) == ParkData(False, (1.5, 2))
    assert kept(path, DOME) == ParkData(True, (135,))
    assert "of somebody's own" in path.read_text()
    # libindi compares this word for word, without blanks.
    assert "<parkstatus>false</parkstatus>" in path.read_text()
    ParkFile(path, MOUNT).purge()
    assert kept(path) is None
    assert kept(path, DOME) == ParkData(True, (135,))
    assert sorted(one.name for one in path.parent.iterdir()) == [".ParkData.xml.lock", "ParkData.xml"]


def test_nothing_was_kept_of_a_device_without_a_file(tmp_path: Path) -> None:
    file = ParkFile(tmp_path / "new" / "ParkData.xml", MOUNT)
    assert file.load() is None
    file.purge()
    assert not file.path.parent.exists()
    file.save(ParkData(True))
    assert file.load() == ParkData(True)


def test_what_cannot_be_looked_at_is_not_taken_for_forgotten(tmp_path: Path) -> None:
    """On every Python: Path.exists() of 3.14 says that there is no such file."""
    file = ParkFile(tmp_path / ("x" * 300), MOUNT)
    with pytest.raises(OSError, match="too long"):
        file.purge()
    with pytest.raises(OSError, match="too long"):
        file.load()


@pytest.mark.parametrize(
    "content",
    [b"", b"<parkdata>", b"<html/>", b"\xff\x00", b'<!DOCTYPE x [<!ENTITY a "b">]><parkdata>&a;</parkdata>'],
)
def test_a_file_that_is_none_is_set_aside(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    file = ParkFile(path, MOUNT)
    path.write_bytes(content)
    with pytest.raises(DamagedParkDataError, match=r"set aside as ParkData\.xml\.damaged"):
        file.load()
    assert path.with_name("ParkData.xml.damaged").read_bytes() == content
    assert file.load() is None
    path.write_bytes(content)
    file.save(ParkData(True))
    assert "what it said about other devices is lost" in caplog.text
    assert file.load() == ParkData(True)


@pytest.mark.parametrize(
    "says",
    [
        "<parkstatus>maybe</parkstatus>",
        "",
        "<parkstatus>true</parkstatus><parkposition><axis1position>nan</axis1position></parkposition>",
    ],
)
def test_what_is_damaged_of_one_device_is_its_own_affair(path: Path, says: str) -> None:
    path.write_text(THEIRS.replace("<parkdata>", f"<parkdata><device name='New'>{says}</device>"))
    with pytest.raises(DamagedParkDataError, match="says of New is damaged"):
        kept(path, "New")
    assert kept(path) == ParkData(True, (-6, 80))
    ParkFile(path, "New").save(ParkData(False, (1,)))
    assert kept(path, "New") == ParkData(False, (1,))
    assert kept(path, DOME) == ParkData(True, (135,))


def test_drivers_that_write_at_once_lose_nothing_of_each_other(path: Path) -> None:
    names = [f"device {number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as threads:
        for round_ in (True, False, True):
            list(threads.map(lambda name: ParkFile(path, name).save(ParkData(round_)), names))  # noqa: B023
    assert [kept(path, name) for name in names] == [ParkData(True)] * len(names)


def test_where_files_cannot_be_locked_nothing_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    write(path)
    with pytest.raises(OSError, match="cannot be locked on this system"):
        ParkFile(path, MOUNT).save(ParkData(False))
    assert is_as_written(path)


def test_who_waits_too_long_for_another_driver_gives_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indianyio.instrument._common._park_data._LOCK_SECONDS", 0.1)
    file = ParkFile(path, MOUNT)
    with file._locked(), pytest.raises(TimeoutError, match="another driver has locked it"):
        ParkFile(path, DOME).save(ParkData(True))
    file.save(ParkData(True))


# -- a mount -------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_mount_that_was_parked_is_known_to_be_after_a_restart(path: Path) -> None:
    async with connected(mount(), path) as device:
        assert device["TELESCOPE_PARK"]["UNPARK"] is True
        await park(device)
        assert kept(path) == ParkData(True, (0, 90))
    again = mount()
    async with connected(again, path) as device:
        assert (device["TELESCOPE_PARK"]["PARK"], device["TELESCOPE_PARK"].state) == (True, State.OK)
        for name, wish in (
            ("EQUATORIAL_EOD_COORD", {"RA": 3.0, "DEC": 40.0}),
            ("TELESCOPE_TRACK_STATE", {"TRACK_ON": True}),
            ("TELESCOPE_MOTION_NS", {"MOTION_NORTH": True}),
        ):
            with pytest.raises(RefusedError, match="the mount is parked; unpark it first"):
                await device[name].set(wish, timeout=LONG)
        assert not again.is_moving
        await park(device)  # which it is already
        await park(device, member="UNPARK")
        assert kept(path) == ParkData(False, (0, 90))
    async with connected(mount(), path) as device:
        assert (device["TELESCOPE_PARK"]["UNPARK"], device["TELESCOPE_PARK"].state) == (True, State.OK)


@pytest.mark.anyio
async def test_it_is_kept_before_anything_moves_that_it_is_not_parked_any_more(path: Path) -> None:
    found: list[ParkData | None] = []

    class Watched(mount):
        async def unpark(self) -> None:
            found.append(kept(path))
            if len(found) == 1:
                raise RuntimeError("nobody answers")

    write(path)
    async with connected(Watched(), path) as device:
        with pytest.raises(RefusedError, match="nobody answers"):
            await park(device, member="UNPARK")
        # So it is parked still, and is known to be.
        assert kept(path) == ParkData(True, (-6, 80))
        await park(device, member="UNPARK")
    assert found == [ParkData(False, (-6, 80))] * 2


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_a_parking_that_was_aborted_or_has_failed_is_not_kept(path: Path) -> None:
    class Failing(mount):
        fails = False

        async def park(self) -> None:
            if self.fails:
                raise RuntimeError("the motor is stuck")
            await super().park()

    driver = Failing()
    async with connected(driver, path, "TELESCOPE_PARK", "TELESCOPE_ABORT_MOTION", "TELESCOPE_HOME") as device:
        await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=0, timeout=LONG)
        await device["TELESCOPE_PARK"].set(PARK=True, wait=False)
        await device["TELESCOPE_PARK"].wait_for(lambda it: it.state is State.BUSY, timeout=LONG)
        await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True, timeout=LONG)
        driver.fails = True
        with pytest.raises(RefusedError, match="stuck"):
            await park(device)
        assert kept(path) in (None, ParkData(False, (0, 90)))
        driver.fails = False
        await park(device)
    assert kept(path) == ParkData(True, (0, 90))


@pytest.mark.anyio
async def test_what_is_kept_does_not_depend_on_whether_the_mount_can_be_asked_where_it_is(path: Path) -> None:
    class Mute(mount):
        async def where(self) -> tuple[float, float]:
            raise RuntimeError("no answer")

    driver = Mute()
    async with connected(driver, path) as device:
        await device["POLLING_PERIOD"].set(PERIOD_MS=10, timeout=LONG)
        # Somebody has parked it with its own buttons.
        await driver.parking.report(park=True, state=State.OK)
        await becomes(path, ParkData(True, (0, 90)))
        await driver.parking.report(unpark=True, state=State.OK)
        await becomes(path, ParkData(False, (0, 90)))


@pytest.mark.anyio
async def test_unparked_while_it_is_being_written_that_it_is_parked_it_is_kept_before_it_moves(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[ParkData | None] = []
    write_file, writes = ParkFile.save, threading.Event()

    def save_slowly(self: ParkFile, data: ParkData) -> None:
        if data.is_parked:
            writes.set()
            time.sleep(0.2)
        write_file(self, data)

    class Parked(mount):
        async def connect(self) -> None:
            self.parking.take(park=True)

        async def unpark(self) -> None:
            found.append(kept(path))

    monkeypatch.setattr(ParkFile, "save", save_slowly)
    async with connected(Parked(), path) as device:
        await anyio.to_thread.run_sync(writes.wait)
        await park(device, member="UNPARK")
    assert found == [ParkData(False, (0, 90))]


@pytest.mark.anyio
async def test_what_has_failed_to_unpark_and_then_to_park_is_not_known_to_be_parked(path: Path) -> None:
    class Failing(mount):
        async def unpark(self) -> None:
            raise RuntimeError("nobody answers")

        async def park(self) -> None:
            raise RuntimeError("the motor is stuck")

    write(path)
    async with connected(Failing(), path) as device:
        await device["POLLING_PERIOD"].set(PERIOD_MS=10, timeout=LONG)
        with pytest.raises(RefusedError, match="nobody answers"):
            await park(device, member="UNPARK")
        assert kept(path) == ParkData(True, (-6, 80))
        with pytest.raises(RefusedError, match="stuck"):
            await park(device)
        await anyio.sleep(0.1)
    assert kept(path) == ParkData(False, (-6, 80))


@pytest.mark.anyio
async def test_a_mount_parks_where_a_client_wants_and_after_a_restart_too(path: Path) -> None:
    driver = mount()
    async with connected(driver, path) as device:
        await device["TELESCOPE_PARK_POSITION"].set(PARK_HA=-6, PARK_DEC=80, timeout=LONG)
        option = device["TELESCOPE_PARK_OPTION"]
        await option.set(PARK_WRITE_DATA=True, timeout=LONG)
        assert (option.state, any(option.values())) == (State.OK, False)
        assert kept(path) == ParkData(False, (-6, 80))
    again = mount()
    async with connected(again, path) as device:
        position, option = device["TELESCOPE_PARK_POSITION"], device["TELESCOPE_PARK_OPTION"]
        assert (position["PARK_HA"], position["PARK_DEC"]) == (-6, 80)
        await option.set(PARK_DEFAULT=True, timeout=LONG)
        assert (position["PARK_HA"], position["PARK_DEC"]) == (0, 90)
        again.hour_angle.place(-45)
        again.declination.place(10)
        await option.set(PARK_CURRENT=True, timeout=LONG)
        assert (round(position["PARK_HA"], 6), position["PARK_DEC"]) == (-3, 10)
        assert not again.is_moving
        await option.set(PARK_PURGE_DATA=True, timeout=LONG)
        assert kept(path) is None
        await park(device)
        assert again.declination.position == 10
        for name in ("PARK_CURRENT", "PARK_DEFAULT", "PARK_WRITE_DATA", "PARK_PURGE_DATA"):
            with pytest.raises(RefusedError, match="unpark it first"):
                await option.set({name: True}, timeout=LONG)
        assert kept(path) == ParkData(True, (-3, 10))


@pytest.mark.anyio
async def test_of_damaged_park_data_nobody_knows_and_nothing_moves_until_somebody_says(path: Path) -> None:
    write(path, "<parkdata><device")
    driver = mount()
    async with connected(driver, path) as device:
        parking = device["TELESCOPE_PARK"]
        assert (parking.state, any(parking.values())) == (State.ALERT, False)
        with pytest.raises(RefusedError, match=r"nobody knows whether the mount is parked \(.*is damaged"):
            await device["EQUATORIAL_EOD_COORD"].set(RA=3, DEC=40, timeout=LONG)
        assert not driver.is_moving
        await park(device, member="UNPARK")
        await device["TELESCOPE_TRACK_STATE"].set(TRACK_ON=True, timeout=LONG)
    assert path.with_name("ParkData.xml.damaged").exists()


@pytest.mark.anyio
async def test_a_mount_that_would_be_taken_for_parked_wrongly_is_not_unparked(path: Path) -> None:
    write(path, THEIRS.replace("-6.0", "0.0").replace("80.0", "90.0"))
    driver = mount()
    async with connected(driver, path) as device:
        lock = path.with_name(f".{path.name}.lock")
        lock.mkdir()  # so that nothing can be written
        with pytest.raises(RefusedError, match="after a restart the mount would still be taken for parked"):
            await park(device, member="UNPARK")
        assert driver.is_parked
        lock.rmdir()
        await park(device, member="UNPARK")
        # The other way round it is as it is.
        lock.unlink()
        lock.mkdir()
        await park(device)
        assert driver.is_parked
    assert kept(path) == ParkData(False, (0, 90))


@pytest.mark.anyio
async def test_that_the_simulated_mount_is_parked_says_nothing_of_the_real_one(path: Path) -> None:
    async with connected(mount(), path) as device:
        await device["CONNECTION"].set(DISCONNECT=True, timeout=LONG)
        await device["SIMULATION"].set(ENABLE=True, timeout=LONG)
        await device["CONNECTION"].set(CONNECT=True, timeout=LONG)
        await device.vector("TELESCOPE_PARK", timeout=LONG)
        await park(device)
        await device["CONNECTION"].set(DISCONNECT=True, timeout=LONG)
        await device["SIMULATION"].set(DISABLE=True, timeout=LONG)
        await device["CONNECTION"].set(CONNECT=True, timeout=LONG)
        assert (await device.vector("TELESCOPE_PARK", timeout=LONG))["UNPARK"] is True
    assert kept(path) is None
    assert kept(path, f"{MOUNT} (simulated)") == ParkData(True, (0, 90))


@pytest.mark.anyio
async def test_hardware_that_knows_better_has_the_last_word(path: Path) -> None:
    class Knowing(mount):
        async def connect(self) -> None:
            await super().connect()
            self.parking.take(unpark=True)

    write(path)
    async with connected(Knowing(), path) as device:
        assert device["TELESCOPE_PARK"]["UNPARK"] is True
        await becomes(path, ParkData(False, (-6, 80)))


@pytest.mark.anyio
async def test_a_park_position_of_other_axes_is_left_where_it_was(path: Path) -> None:
    write(path, THEIRS.replace("80.000000", "5000000"))
    async with connected(mount(), path) as device:
        assert device["TELESCOPE_PARK"]["PARK"] is True
        assert device["TELESCOPE_PARK_POSITION"]["PARK_DEC"] == 90


class AltAz(Mount):
    """A mount that parks at an azimuth, without telling where it stands."""

    default_park_position: ClassVar[Values | None] = TelescopeParkPositionAzAlt(az=180, alt=10)
    park_position = Property(TelescopeParkPositionAzAlt)
    park_on_leave = True

    def __init__(self) -> None:
        self.parked_at: list[float] = []
        super().__init__("AltAz")

    async def where(self) -> tuple[float, float]:
        return 1.0, 2.0

    async def park(self) -> None:
        self.parked_at.append(self.park_position.value.az)


@pytest.mark.anyio
async def test_a_mount_parks_in_its_own_terms_and_at_the_end_of_its_driver(path: Path) -> None:
    driver = AltAz()
    async with connected(driver, path) as device:
        assert set(device["TELESCOPE_PARK_OPTION"]) == {"PARK_DEFAULT", "PARK_WRITE_DATA", "PARK_PURGE_DATA"}
        await device["TELESCOPE_PARK_POSITION"].set(PARK_AZ=90, PARK_ALT=0, timeout=LONG)
    assert driver.parked_at == [90]
    assert kept(path, "AltAz") == ParkData(True, (90, 0))


class Leaving(Dome):
    """A dome that parks when its driver ends."""

    park_on_leave = True

    def __init__(self) -> None:
        self.parked_at: list[float] = []
        super().__init__("AltAz")

    async def turn_to(self, azimuth: float) -> None:
        self.parked_at.append(azimuth)


@pytest.mark.anyio
@pytest.mark.parametrize("make", [AltAz, Leaving])
async def test_what_may_be_parked_already_is_not_parked_at_the_end_of_its_driver(
    make: type[AltAz | Leaving], path: Path
) -> None:
    vector = "TELESCOPE_PARK" if make is AltAz else "DOME_PARK"
    for says, parks in (("<parkdata>", False), ("<parkdata/>", True)):
        write(path, says)
        driver = make()
        async with connected(driver, path, vector):
            assert driver.parked_at == []
        assert bool(driver.parked_at) is parks
    assert kept(path, "AltAz") is not None


def test_a_park_position_in_other_terms_has_to_be_declared() -> None:
    class Undeclared(AltAz):
        park_position: Any = Mount.park_position

    with pytest.raises(TypeError, match=r"declare park_position = Property\(TelescopeParkPositionAzAlt\)"):
        Undeclared()


@pytest.mark.anyio
async def test_a_mount_without_a_home_connects_and_parks_and_says_what_it_lacks(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    driver = mount()
    async with connected(driver, Path("~/ParkData.xml")) as device:
        await park(device)
        assert driver.is_parked
    assert "after a restart nobody knows that it is parked" in caplog.text


@pytest.mark.anyio
async def test_whenever_parking_is_aborted_what_is_kept_is_what_clients_see(path: Path) -> None:
    class Slow(mount):
        async def park(self) -> None:
            for _ in range(3):
                await anyio.sleep(0.001)

    async with connected(Slow(), path, "TELESCOPE_PARK", "TELESCOPE_ABORT_MOTION") as device:
        await device["POLLING_PERIOD"].set(PERIOD_MS=10, timeout=LONG)
        seen = set()
        for milliseconds in range(16):
            await device["TELESCOPE_PARK"].set(PARK=True, wait=False)
            await anyio.sleep(milliseconds / 1000)
            await device["TELESCOPE_ABORT_MOTION"].set(ABORT=True, timeout=LONG)
            is_parked = device["TELESCOPE_PARK"]["PARK"]
            seen.add(is_parked)
            await becomes(path, ParkData(is_parked, (0, 90)), *(() if is_parked else (None,)))
            await park(device, member="UNPARK")
        assert False in seen


@pytest.mark.anyio
async def test_a_test_knows_of_no_other_one_and_keeps_nothing(path: Path) -> None:
    write(path)
    async with connected(mount(), None) as device:
        assert device["TELESCOPE_PARK"]["UNPARK"] is True
        await park(device)
    assert is_as_written(path)


# -- a dome --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_parked_dome_is_known_to_be_after_a_restart_and_where_it_parks(path: Path) -> None:
    write(path)
    driver = dome()
    driver.rotation.speed = 1e6
    async with connected(driver, path, "DOME_PARK", "DOME_PARK_POSITION", "DOME_PARK_OPTION", "Goto") as device:
        assert (device["DOME_PARK"]["PARK"], device["DOME_PARK"].state) == (True, State.OK)
        assert device["DOME_PARK_POSITION"]["PARK_AZ"] == 135
        with pytest.raises(RefusedError, match="the dome is parked; unpark it first"):
            await device["ABS_DOME_POSITION"].set(DOME_ABSOLUTE_POSITION=10, timeout=LONG)
        await device["DOME_PARK_POSITION"].set(PARK_AZ=0, timeout=LONG)
        await device["DOME_PARK_OPTION"].set(PARK_WRITE_DATA=True, timeout=LONG)
        assert kept(path, DOME) == ParkData(True, (0,))
        await park(device, "DOME_PARK", "UNPARK")
        assert kept(path, DOME) == ParkData(False, (0,))
        await park(device, "DOME_PARK")
        assert kept(path, DOME) == ParkData(True, (0,))
    assert not driver.is_moving
    assert kept(path) == ParkData(True, (-6, 80))


class Roof(Dome):
    """A roof that is moved by hand."""

    async def move(self, *, clockwise: bool) -> None:
        """Begin to move."""

    async def stop_moving(self) -> None:
        """Stop."""

    async def park(self) -> None:
        """Close."""


@pytest.mark.anyio
async def test_a_roof_is_not_parked_while_it_is_moved_by_hand(path: Path) -> None:
    roof = Roof("Roof")
    async with connected(roof, path, "DOME_PARK", "DOME_MOTION") as device:
        await park(device, "DOME_PARK")
        assert kept(path, "Roof") == ParkData(True)
        await device["DOME_MOTION"].set(DOME_CW=True, wait=False)
        await device["DOME_MOTION"].wait_for(lambda it: it.state is State.BUSY, timeout=LONG)
        assert kept(path, "Roof") == ParkData(False)
        await roof.motion_ended(parked=False)
        assert kept(path, "Roof") == ParkData(False)
        await roof.motion_ended(parked=True)
        assert kept(path, "Roof") == ParkData(True)


# -- libindi -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def served(program: str) -> AsyncGenerator[Client]:
    server = IPyServer(host="127.0.0.1", port=0)
    server.add_exdriver(program)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            [address] = await tasks.start(server.asyncrun)
            async with open_client("127.0.0.1", int(address.rpartition(":")[2])) as client:
                yield client
            server.shutdown()


async def _theirs_begins(name: str, vector: str) -> tuple[bool, bool]:
    async with served("indi_simulator_telescope" if name == MOUNT else "indi_simulator_dome") as client:
        device = await client.device(name, timeout=20)
        await (await device.vector("CONNECTION", timeout=10)).set(CONNECT=True, timeout=10)
        parking = await device.vector(vector, timeout=10)
        await parking.wait_for(lambda it: any(it.values()), timeout=10)
        begins = bool(parking["PARK"]), bool(parking["UNPARK"])
        await parking.set({"UNPARK" if begins[0] else "PARK": True}, timeout=30)
        return begins


@pytest.mark.libindi
@pytest.mark.long
@pytest.mark.anyio
@pytest.mark.skipif(shutil.which("indi_simulator_dome") is None, reason="no simulators (apt-get install indi-bin)")
@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize(("make", "name", "vector"), [(mount, MOUNT, "TELESCOPE_PARK"), (dome, DOME, "DOME_PARK")])
async def test_libindi_s_driver_knows_what_ours_has_kept_and_the_other_way_round(
    make: type[mount | dome], name: str, vector: str, path: Path
) -> None:
    assert os.environ["HOME"] == str(path.parent.parent)
    ours = make()
    if isinstance(ours, dome):
        ours.rotation.speed = 1e6
    async with connected(ours, path, vector) as device:
        await park(device, vector)
    # It is parked, and unparks.
    assert await _theirs_begins(name, vector) == (True, False)
    async with connected(make(), path, vector) as device:
        assert device[vector]["UNPARK"] is True
    # It is not, and parks.
    assert await _theirs_begins(name, vector) == (False, True)
    async with connected(make(), path, vector) as device:
        assert device[vector]["PARK"] is True
