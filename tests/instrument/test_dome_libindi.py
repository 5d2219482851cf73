"""The dome beside libindi's: the same script for both, and both follow libindi's telescope, and ours."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import anyio
import pytest

from indianyio import INDIError, IPyDriver
from indianyio.client import Change, Client, Device, open_client
from indianyio.instrument.dome._geometry import away, sidereal_hours
from indianyio.server import IPyServer
from indianyio.simulators import dome, mount

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.libindi,
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("indi_simulator_dome") is None, reason="no simulators (Debian: apt-get install indi-bin)"
    ),
]

OURS, THEIRS, MOUNT = "Our Dome", "Dome Simulator", "Telescope Simulator"
LONGITUDE = 11.0


@asynccontextmanager
async def served(*programs: str, drivers: Sequence[IPyDriver] = ()) -> AsyncGenerator[Client]:
    """Serve our dome, which turns as fast as libindi's, and other drivers beside programs of libindi's."""
    ours = dome(OURS)
    ours.rotation.speed = 10.0
    server = IPyServer(ours, *drivers, host="127.0.0.1", port=0)
    for program in programs:
        server.add_exdriver(program)
    with anyio.fail_after(200):
        async with anyio.create_task_group() as tasks:
            [address] = await tasks.start(server.asyncrun)
            async with open_client("127.0.0.1", int(address.rpartition(":")[2])) as client:
                yield client
            server.shutdown()


async def connected(client: Client, name: str, *vectors: str) -> Device:
    device = await client.device(name, timeout=20)
    await (await device.vector("CONNECTION", timeout=10)).set(CONNECT=True, timeout=10)
    for vector in vectors:
        await device.vector(vector, timeout=10)
    return device


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("whose", ["ours", "libindi's"])
async def test_both_domes_follow_a_telescope_to_the_same_azimuth(whose: str) -> None:
    telescopes = ["indi_simulator_telescope"] if whose == "libindi's" else []
    drivers = [mount(MOUNT)] if whose == "ours" else []
    async with served(*telescopes, "indi_simulator_dome", drivers=drivers) as client:
        telescope = await connected(client, MOUNT, "EQUATORIAL_EOD_COORD", "ON_COORD_SET", "TELESCOPE_PARK")
        await (await telescope.vector("GEOGRAPHIC_COORD", timeout=5)).set(LAT=48, LONG=LONGITUDE, ELEV=500)
        await telescope["TELESCOPE_PARK"].set(UNPARK=True)
        domes = [await connected(client, name, "DOME_AUTOSYNC", "DOME_PARAMS") for name in (OURS, THEIRS)]
        for device in domes:
            await device["DOME_PARK"].set(UNPARK=True)
            await device["DOME_MEASUREMENTS"].set(
                DM_DOME_RADIUS=2, DM_NORTH_DISPLACEMENT=-0.5, DM_EAST_DISPLACEMENT=0.3, DM_UP_DISPLACEMENT=0.2
            )
            await device["DOME_AUTOSYNC"].set(DOME_AUTOSYNC_ENABLE=True)
        azimuths = []
        # Three hours west of the meridian, so it is up.
        ra = (sidereal_hours(datetime.now(UTC), LONGITUDE) - 3) % 24
        for mode, dec in (("TRACK", 60.0), ("SYNC", 10.0)):
            await telescope["ON_COORD_SET"].set({mode: True})
            await telescope["EQUATORIAL_EOD_COORD"].set(RA=ra, DEC=dec, timeout=60)
            # libindi's looks once in a second, and follows only a mount that has come to rest.
            with anyio.fail_after(40):
                while not await _stand_together(domes):
                    pass
            azimuths.append(domes[0]["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"])
        assert away(*azimuths) > 30


async def _stand_together(domes: list[Device]) -> bool:
    """Return whether both stand for three seconds, at the same azimuth but for two times the threshold."""
    before = [device["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"] for device in domes]
    await anyio.sleep(3)
    after = [device["ABS_DOME_POSITION"]["DOME_ABSOLUTE_POSITION"] for device in domes]
    return before == after and after[0] != 0 and away(*after) < 1


# -- the same script for both --------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A write of the script, and the properties that are looked at.

    :ivar abort: after how many seconds it is aborted.
    :ivar differs: why libindi's dome does something else.
    """

    name: str
    watched: tuple[str, ...]
    vector: str
    members: dict[str, Any]
    abort: float | None = None
    differs: str = ""


TURN = ("ABS_DOME_POSITION", "DOME_MOTION")

SCRIPT = [
    Step("unpark", ("DOME_PARK",), "DOME_PARK", {"UNPARK": True}),
    Step("turn", TURN, "ABS_DOME_POSITION", {"DOME_ABSOLUTE_POSITION": 40}),
    Step("turn by", (*TURN, "REL_DOME_POSITION"), "REL_DOME_POSITION", {"DOME_RELATIVE_POSITION": 30}),
    Step("stopped", TURN, "ABS_DOME_POSITION", {"DOME_ABSOLUTE_POSITION": 200}, 1.5),
    Step("open", ("DOME_SHUTTER",), "DOME_SHUTTER", {"SHUTTER_OPEN": True}),
    Step(
        "stopped closing",
        ("DOME_SHUTTER",),
        "DOME_SHUTTER",
        {"SHUTTER_CLOSE": True},
        1.5,
        "libindi's says CLOSE with its Alert, though nobody knows; ours says neither",
    ),
    Step("close", ("DOME_SHUTTER",), "DOME_SHUTTER", {"SHUTTER_CLOSE": True}),
    Step("threshold", ("DOME_PARAMS",), "DOME_PARAMS", {"AUTOSYNC_THRESHOLD": 2}),
    Step("sizes", ("DOME_MEASUREMENTS",), "DOME_MEASUREMENTS", {"DM_DOME_RADIUS": 2}),
    Step("stopped parking", ("DOME_PARK",), "DOME_PARK", {"PARK": True}, 1.5),
    Step("park", ("DOME_PARK",), "DOME_PARK", {"PARK": True}),
    Step("turn while parked", ("ABS_DOME_POSITION",), "ABS_DOME_POSITION", {"DOME_ABSOLUTE_POSITION": 10}),
    Step("unpark again", ("DOME_PARK",), "DOME_PARK", {"UNPARK": True}),
    Step(
        "disconnect",
        ("CONNECTION",),
        "CONNECTION",
        {"DISCONNECT": True},
        differs="libindi blocks until it is done, and so need not say Busy",
    ),
]


async def carry_out(device: Device, step: Step) -> list[str]:
    """Write, and return what became of the properties: states, each once."""
    told: dict[str, list[str]] = {name: [] for name in step.watched}

    def note(change: Change) -> None:
        vector = change.vector
        if vector is None or vector.device != device.name or vector.name not in step.watched:
            return
        what = str(change.state) if change.kind == "updated" else change.kind
        if told[vector.name][-1:] != [what]:
            told[vector.name].append(what)

    end = []
    with device["CONNECTION"]._actions.listening(note):
        async with anyio.create_task_group() as tasks:
            if step.abort is not None:
                tasks.start_soon(abort, device, step.abort)
            try:
                await device[step.vector].set(step.members, timeout=30)
            except INDIError as error:
                end.append(type(error).__name__)
        await anyio.sleep(1.2)
    switches = [name for name, value in device[step.vector].items() if value is True]
    return [f"{name} {' '.join(states)}" for name, states in told.items()] + end + switches


async def abort(device: Device, seconds: float) -> None:
    await anyio.sleep(seconds)
    await device["DOME_ABORT_MOTION"].set({"ABORT": True}, wait=False)


async def carried_out(client: Client, name: str, results: dict[str, list[list[str]]]) -> None:
    device = await connected(client, name, "DOME_PARK", "DOME_SHUTTER", "DOME_PARAMS")
    await anyio.sleep(1)
    results[name] = [await carry_out(device, step) for step in SCRIPT]


# Each takes its time, so each runs on one back end.
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_both_domes_do_the_same_but_for_what_has_a_reason() -> None:
    results: dict[str, list[list[str]]] = {}
    async with served("indi_simulator_dome") as client:
        async with anyio.create_task_group() as tasks:
            for name in (OURS, THEIRS):
                tasks.start_soon(carried_out, client, name, results)
    compared = list(zip(SCRIPT, results[OURS], results[THEIRS], strict=True))
    different = {step.name: (ours, theirs) for step, ours, theirs in compared if ours != theirs}
    assert different.keys() == {step.name for step in SCRIPT if step.differs}, different
    assert all(ours for _, ours, _ in compared)
