"""Who speaks for a device: what programs say of each other, what clients say meanwhile, who hears of the end."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from indianyio import Device, IPyDriver, SnoopEvent, TextMember, TextVector
from indianyio.protocol import DefTextVector, DelProperty, GetProperties, Message, SetTextVector
from indianyio.server import IPyServer
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._supervision import Backoff
from tests.server.doors import Client
from tests.server.network import Network, at_work, fence
from tests.server.programs import LISTENING, Programs, gone, process_of, write
from tests.server.watching import feeding, new_hub, texts, until

pytestmark = pytest.mark.anyio

# What a driver says of a device that is not its own.
WORDS = {
    "a message": "<message device='Camera' message='waiting for the camera'/>",
    "an update": "<setTextVector device='Camera' name='T' state='Ok'/>",
    "a deletion": "<delProperty device='Camera' name='OLD'/>",
}


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.mark.parametrize("word", WORDS)
async def test_a_word_about_a_device_does_not_keep_its_driver_out(programs: Programs, word: str) -> None:
    hub = new_hub()
    wheel = programs.driver(
        f'\nsay("""{WORDS[word]}""")\nshow(os.getpid(), "Wheel")\n{LISTENING}', "wheel", device="Wheel"
    )
    async with feeding(hub, wheel) as watcher:
        await watcher.expect(DefTextVector, device="Wheel")
        await watcher.expect(SetTextVector, device="Wheel")
        assert hub.router.owner("Camera") is None
        async with feeding(hub, camera := programs.driver(LISTENING, "camera", device="Camera")) as other:
            await other.expect(DefTextVector, device="Camera")
            assert hub.router.owner("Camera") is camera.port
            assert hub.router.owner("Wheel") is wheel.port


@pytest.mark.parametrize("word", WORDS)
async def test_a_word_about_anothers_device_does_not_end_its_sender(
    programs: Programs, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    hub = new_hub()
    saying = f'\nuntil_written()\nsay("""{WORDS[word]}""")\nshow(os.getpid(), "Wheel")\n{LISTENING}'
    wheel = programs.driver(saying, "wheel", device="Wheel")
    camera = programs.driver(LISTENING, "camera", device="Camera")
    async with feeding(hub, wheel, camera) as watcher:
        await until(lambda: None not in (hub.router.owner("Wheel"), hub.router.owner("Camera")))
        watcher.say(write("speak", device="Wheel"))
        process = await process_of(watcher)
        watcher.say(write("still there", device="Wheel"))
        assert (await watcher.expect(SetTextVector, device="Wheel")).members[
            0
        ].value == "2"  # its tag and the end of it
        assert not gone(process)
        passed = [type(one) for one in watcher.received if getattr(one, "device", "") == "Camera"]
    assert (wheel.restarts_done, camera.restarts_done) == (0, 0)
    assert (Message in passed) == (word == "a message")
    assert not {SetTextVector, DelProperty} & set(passed)
    dropped = [text for text in texts(caplog, logging.WARNING) if "speaks for a device 'Camera'" in text]
    assert len(dropped) == (word != "a message")


class Dome(IPyDriver):
    """Snoops one vector of a box, and keeps what it hears."""

    def __init__(self) -> None:
        super().__init__(Device("Dome", [TextVector("N", "", "", "rw", "Ok", [TextMember("t")])]))
        self.heard: list[str] = []

    async def hardware(self) -> None:
        self.snoop("Box", "T")

    async def snoopevent(self, event: SnoopEvent) -> None:
        self.heard.append(type(event).__name__)


class Box(IPyDriver):
    """Fails when it is told to."""

    def __init__(self) -> None:
        super().__init__(Device("Box", [TextVector("T", "", "", "rw", "Ok", [TextMember("t")])]))
        self.unplugged = anyio.Event()

    async def hardware(self) -> None:
        await self.unplugged.wait()
        raise OSError("unplugged")


async def asking_for_one_vector(network: Network) -> Client:
    client = network.connect()
    await client.send(GetProperties(device="Box", name="T"))
    await client.expect(DefTextVector, device="Box")
    return client


async def test_no_client_speaks_for_a_device_that_is_being_started_again(programs: Programs) -> None:
    """A dome that snoops the weather must not hear from a stranger that it is safe."""
    server = IPyServer(dome := Dome(), host="127.0.0.1", port=0)
    server.add_exdriver(programs.path("\nuntil_written()\n"))
    async with at_work(server) as network:
        client = network.connect()
        await client.get_properties()
        await client.expect(DefTextVector, device="Box")
        await until(lambda: "defTextVector" in dome.heard)
        await client.send(write("die"))
        await client.expect(DelProperty, device="Box")
        await client.send(
            '<setTextVector device="Box" name="T" state="Ok"><oneText name="t">safe</oneText></setTextVector>'
        )
        await fence(client)
        await client.expect(DefTextVector, device="Box")
        await until(lambda: dome.heard[-1] == "defTextVector" and "delProperty" in dome.heard)
        assert "setTextVector" not in dome.heard


async def test_another_driver_waits_for_a_device_that_is_being_started_again(programs: Programs) -> None:
    """It is refused and started again, and may have the device when its driver was stopped."""
    hub = new_hub()
    slow = Backoff(first_seconds=1000, most_seconds=1000)
    first = ExternalDriver(programs.path("\nuntil_written()\n", "first"), restarts=1, backoff=slow)
    second = programs.driver(LISTENING, "second", restarts=1000)
    async with feeding(hub, first) as watcher:
        await watcher.expect(DefTextVector, device="Box")
        watcher.say(write("die"))
        await watcher.expect(DelProperty, device="Box")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second.run, hub)
            await until(lambda: second.restarts_done >= 2)
            assert hub.router.owner("Box") is None
            hub.router.will_not_return(first)  # as when it is stopped
            await watcher.expect(DefTextVector, device="Box")
            assert hub.router.owner("Box") is second.port
            tasks.cancel_scope.cancel("the test is over")


@pytest.mark.parametrize("is_far", [False, True], ids=["here", "behind another server"])
async def test_the_end_of_a_device_is_told_to_who_asked_for_one_vector(is_far: bool) -> None:
    box, dome = Box(), Dome()
    keeper = IPyDriver(Device("Keeper", [TextVector("N", "", "", "rw", "Ok", [TextMember("t")])]))
    there = IPyServer(keeper, *([box] if is_far else []), host="127.0.0.1", port=0)
    here = IPyServer(dome, *([] if is_far else [box]), host="127.0.0.1", port=0)
    async with at_work(there) as network:
        here.add_remote("127.0.0.1", int(network.addresses[0].rpartition(":")[2]))
        async with at_work(here) as near:
            await until(lambda: "defTextVector" in dome.heard)
            client = await asking_for_one_vector(near)
            box.unplugged.set()
            assert "unplugged" in ((await client.expect(Message, device="Box")).message or "")
            assert (await client.expect(DelProperty, device="Box")).name is None
            await until(lambda: dome.heard[-2:] == ["Message", "delProperty"])
