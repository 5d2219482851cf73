"""A whole observatory of libindi's simulators, tools and servers around our server."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from astropy.io import fits

from indianyio import Device, IPyDriver, SnoopEvent, TextMember, TextVector
from indianyio.protocol import (
    DefSwitchVector,
    DelProperty,
    EnableBLOB,
    NewNumberVector,
    NewSwitchVector,
    OneNumber,
    OneSwitch,
    SetBLOBVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
)
from indianyio.server import IPyServer
from tests.driver.gadget import DEVICE, Gadget
from tests.libindi.libindi_harness import IndiServer, indiserver
from tests.server.doors import Client
from tests.server.network import Echo, Network, at_work, fence, talk
from tests.server.watching import nothing_left

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.libindi,
    pytest.mark.skipif(
        shutil.which("indi_simulator_ccd") is None, reason="no simulators (Debian: apt-get install indi-bin)"
    ),
]

MOUNT, CAMERA, WHEEL = "Telescope Simulator", "CCD Simulator", "Filter Simulator"
SIMULATORS = {
    "indi_simulator_telescope": MOUNT,
    "indi_simulator_ccd": CAMERA,
    "indi_simulator_focus": "Focuser Simulator",
    "indi_simulator_wheel": WHEEL,
    "indi_simulator_dome": "Dome Simulator",
    "indi_simulator_weather": "Weather Simulator",
    "indi_simulator_gps": "GPS Simulator",
}
COORDINATES = "EQUATORIAL_EOD_COORD"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the drivers keep their settings somewhere else."""
    monkeypatch.setenv("HOME", str(tmp_path))


class Pointing(IPyDriver):
    """Repeats where the mount says that it points."""

    def __init__(self) -> None:
        self.seen = TextVector("SEEN", "Seen", "Main", "ro", "Idle", [TextMember("ra"), TextMember("dec")])
        super().__init__(Device("Pointing", [self.seen]))
        self.snoop(MOUNT, COORDINATES, 30)

    async def snoopevent(self, event: SnoopEvent) -> None:
        values = dict(getattr(event, "items", dict)())
        if {"RA", "DEC"} <= values.keys():
            self.seen["ra"], self.seen["dec"] = f"{float(values['RA']):.3f}", f"{float(values['DEC']):.3f}"
            await self.seen.send_setVector(state="Ok", allvalues=True)


# -- what a client does ----------------------------------------------------------------------------------------


async def connect(client: Client, device: str) -> None:
    """Let a driver connect to its instrument; of a driver that is just starting, wait for the definition."""
    while (device, "CONNECTION") not in client.definitions:
        await client.expect(DefSwitchVector, device=device, name="CONNECTION")
    await client.send(
        NewSwitchVector(device=device, name="CONNECTION", members=(OneSwitch(name="CONNECT", value="On"),))
    )
    await client.expect(SetSwitchVector, device=device, name="CONNECTION", state="Ok", CONNECT="On")


async def defined(client: Client, device: str, name: str) -> None:
    while (device, name) not in client.definitions:
        await client.receive()


async def expose(client: Client) -> None:
    await defined(client, CAMERA, "CCD_EXPOSURE")
    exposure = OneNumber(name="CCD_EXPOSURE_VALUE", value="0.1")
    await client.send(NewNumberVector(device=CAMERA, name="CCD_EXPOSURE", members=(exposure,)))


async def image(client: Client) -> bytes:
    """Return the next image, which must be a whole FITS file."""
    (blob,) = (await client.expect(SetBLOBVector, device=CAMERA, name="CCD1")).members
    size = int(blob.size or 0)
    data = bytes(blob.data or b"") if blob.attachment is None else blob.attachment.read(int(blob.len or size))
    assert len(data) == size > 1_000_000
    with fits.open(io.BytesIO(data)) as hdus:
        assert hdus[0].data.std() > 0
    return data


async def wants_images(client: Client, policy: str = "Also") -> None:
    await client.send(EnableBLOB(device=CAMERA, name="CCD1", value=policy))
    await fence(client)


def values(message: SetNumberVector) -> dict[str, float]:
    return {member.name: float(member.value) for member in message.members}


async def move(client: Client, ra: float, dec: float) -> None:
    await defined(client, MOUNT, COORDINATES)
    members = (OneNumber(name="RA", value=f"{ra}"), OneNumber(name="DEC", value=f"{dec}"))
    await client.send(NewNumberVector(device=MOUNT, name=COORDINATES, members=members))


async def slew(client: Client) -> tuple[float, float]:
    """Unpark the mount and let it go a few degrees from where it is; return where it has arrived."""
    await defined(client, MOUNT, COORDINATES)
    for name, member in (("TELESCOPE_PARK", "UNPARK"), ("ON_COORD_SET", "TRACK")):
        await defined(client, MOUNT, name)
        await client.send(NewSwitchVector(device=MOUNT, name=name, members=(OneSwitch(name=member, value="On"),)))
    now = values(await client.expect(SetNumberVector, device=MOUNT, name=COORDINATES))
    wanted = (now["RA"] + 0.1) % 24, now["DEC"] - 2
    await move(client, *wanted)
    await client.expect(SetNumberVector, device=MOUNT, name=COORDINATES, state="Busy")
    arrived = await client.expect(SetNumberVector, device=MOUNT, name=COORDINATES, state="Ok")
    there = values(arrived)
    assert abs(there["RA"] - wanted[0]) * 15 < 0.1
    assert abs(there["DEC"] - wanted[1]) < 0.1
    return there["RA"], there["DEC"]


async def tool(network: Network, program: str, *arguments: str) -> tuple[int, str]:
    """Run one of libindi's tools; return its exit status and what it said."""
    port = network.addresses[0].rpartition(":")[2]
    done = await anyio.run_process([program, "-p", port, *arguments], check=False, stdin=subprocess.DEVNULL)
    return done.returncode, (done.stdout + done.stderr).decode()


# -- one server ------------------------------------------------------------------------------------------------


async def test_a_night_with_seven_simulators_and_a_driver_of_ours() -> None:
    with nothing_left():
        server = IPyServer(Pointing(), host="127.0.0.1", port=0, unix=f"@{uuid.uuid4().hex}")
        for program in SIMULATORS:
            server.add_exdriver(program)
        async with at_work(server) as network:
            far, near = (network.connect(address) for address in network.addresses)
            for client in (far, near):
                await client.get_properties()
            for device in SIMULATORS.values():
                await connect(far, device)
            ra, dec = await slew(far)
            seen = await far.expect(SetTextVector, device="Pointing")
            assert abs(float(seen.members[0].value) - ra) < 0.01, "a C++ driver is snooped by one of ours"
            assert abs(float(seen.members[1].value) - dec) < 0.1
            for client in (far, near):
                await wants_images(client)
            await expose(far)
            sent, attached = await image(far), await image(near)
            assert sent == attached
            header = fits.getheader(io.BytesIO(sent))
            assert abs(header["DEC"] - dec) < 1, "a C++ driver is snooped by another"
            for client in (far, near):
                await client.close()
        network.tidy()


async def test_the_tools_of_libindi() -> None:
    server = IPyServer(Gadget(), host="127.0.0.1", port=0, maxconnections=20)
    server.add_exdriver("indi_simulator_telescope")
    async with at_work(server) as network:
        client = network.connect()
        await client.get_properties()
        await defined(client, MOUNT, "CONNECTION")
        query = f"{MOUNT}.CONNECTION.CONNECT"
        assert await tool(network, "indi_getprop", "-1", query) == (0, "Off\n")
        assert (await tool(network, "indi_setprop", f"{query}=On"))[0] == 0
        await client.expect(SetSwitchVector, device=MOUNT, name="CONNECTION", CONNECT="On")
        assert await tool(network, "indi_getprop", "-1", query) == (0, "On\n")
        assert (await tool(network, "indi_eval", f'"{query}"==1'))[0] == 0
        assert (await tool(network, "indi_eval", f'"{DEVICE}.NUMBER.position">10'))[0] == 1
        assert await tool(network, "indi_getprop", "-1", f"{DEVICE}.TEXT.word") == (0, "hello\n")
        status, said = await tool(network, "indi_getprop", "-t", "1", f"{DEVICE}.NOPE.X")
        assert status == 1
        assert f"No {DEVICE}.NOPE.X" in said


# -- several servers -------------------------------------------------------------------------------------------


@contextmanager
def behind(network: Network, home: Path) -> Iterator[IndiServer]:
    """Run an indiserver that serves what a server of ours has."""
    folder = home / "behind"
    folder.mkdir()
    with indiserver(folder, f"@localhost:{network.addresses[0].rpartition(':')[2]}") as server:
        yield server


@asynccontextmanager
async def in_front_of(server: IndiServer, *drivers: IPyDriver) -> AsyncGenerator[Network]:
    """Run a server of ours that serves what an indiserver has."""
    front = IPyServer(*drivers, host="127.0.0.1", port=0)
    front.add_remote("localhost", server.port)
    async with at_work(front) as network:
        yield network


@pytest.mark.long
async def test_ours_behind_indiserver_behind_ours(tmp_path: Path) -> None:
    """Three deep: writes go all the way, answers and images come back, and the end is told."""
    first = IPyServer(Echo(), host="127.0.0.1", port=0)
    first.add_exdriver("indi_simulator_ccd")
    async with at_work(first) as network:
        with behind(network, tmp_path) as second:
            async with in_front_of(second) as front:
                client = front.connect()
                await client.get_properties()
                await defined(client, DEVICE, "TEXT")
                enough = anyio.Event()
                enough.set()
                await talk(client, enough)
                await connect(client, CAMERA)
                await defined(client, CAMERA, "CCD1")
                await wants_images(client)
                for _ in range(2):
                    await expose(client)
                    await image(client)
                os.kill(second.process.pid, signal.SIGKILL)
                gone = {(await client.expect(DelProperty)).device for _ in range(2)}
                assert gone == {DEVICE, CAMERA}
        while len(first.statistics()) > 2:  # noqa: ASYNC110 - nobody tells when the killed client is noticed
            await anyio.sleep(0.01)


async def test_one_clients_never_is_not_the_others(tmp_path: Path) -> None:
    with indiserver(tmp_path, "indi_simulator_ccd") as server:
        async with in_front_of(server) as network:
            keen, other = network.connect(), network.connect()
            for client in (keen, other):
                await client.get_properties()
                await defined(client, CAMERA, "CONNECTION")
            await connect(keen, CAMERA)
            await defined(keen, CAMERA, "CCD1")
            await wants_images(keen)
            await wants_images(other)
            await expose(keen)
            for client in (keen, other):
                await image(client)
            await wants_images(other, "Never")
            await expose(keen)
            await image(keen)
            await keen.expect(SetNumberVector, device=CAMERA, name="CCD_EXPOSURE", state="Ok")
            await fence(other)
    assert len([one for one in other.received if isinstance(one, SetBLOBVector)]) == 1


@contextmanager
def again(server: IndiServer) -> Iterator[None]:
    """Run a server that was killed once more, on the same port."""
    with subprocess.Popen(server.process.args, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


async def test_a_server_that_is_killed_takes_only_its_own_devices_and_comes_back(tmp_path: Path) -> None:
    with indiserver(tmp_path, "indi_simulator_wheel") as server:
        async with in_front_of(server, Echo()) as network:
            client, healthy = await network.greeted(), await network.greeted()
            await defined(client, WHEEL, "CONNECTION")
            enough = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk, healthy, enough)
                server.process.kill()
                server.process.wait()
                assert (await client.expect(DelProperty)).device == WHEEL
                with again(server):
                    await connect(client, WHEEL)
                assert (await client.expect(DelProperty)).device == WHEEL
                enough.set()
            assert {one.device for one in healthy.received if isinstance(one, DelProperty)} <= {WHEEL}
