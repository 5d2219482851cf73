"""A session with a camera, cancelled anywhere: whatever was begun is ended."""

from __future__ import annotations

import os

import anyio
import anyio.abc
import pytest
import trio
import trio.testing

from indianyio.client import ConnectionLostError, open_client
from indianyio.protocol import NewNumberVector, NewSwitchVector, WireMessage
from indianyio.streams import MemoryStream, memory_pair
from indianyio.testing import Peer
from tests.client.scripted import DEVICE, blobs, numbers, set_numbers, set_switches, switches
from tests.driver.test_life import CancelAtStep

DEFINITIONS = (
    numbers("CCD_EXPOSURE", "Ok", S=0)
    + switches("CCD_ABORT_EXPOSURE", rule="AtMostOne", ABORT=False)
    + switches("CONNECTION", CONNECT=False, DISCONNECT=True)
    + blobs()
)
IMAGE = (
    f'<setBLOBVector device="{DEVICE}" name="CCD1" state="Ok">'
    '<oneBLOB name="CCD1" size="3" format=".x">YWJj</oneBLOB></setBLOBVector>'
)


class Camera:
    """A camera at the other end of a stream, and what was asked of it."""

    def __init__(self, stream: MemoryStream, seconds: float) -> None:
        self.asked: list[str] = []
        self.finished = 0
        self._stream = stream
        self._peer = Peer(stream)
        self._seconds = seconds
        self._exposing = anyio.CancelScope()

    async def run(self) -> None:
        """Be the camera until the client ends, whoever is cancelled."""
        with anyio.CancelScope(shield=True):
            try:
                async with anyio.create_task_group() as tasks:
                    await self._say(DEFINITIONS)
                    while True:
                        await self._answer(await self._peer.receive(), tasks)
            except* ConnectionLostError:
                pass
        await self._stream.aclose()

    def check(self, when: object) -> None:
        """Whatever was begun is ended."""

        def count(what: str) -> int:
            return self.asked.count(what)

        exposures, aborts = count("CCD_EXPOSURE S"), count("CCD_ABORT_EXPOSURE ABORT")
        # Cancelled while it was sent, the exposure may or may not have begun; an Abort too many does no harm.
        assert exposures - self.finished <= aborts <= 1, (when, self.asked)
        # Neither does disconnecting once too often.
        assert count("CONNECTION CONNECT") <= count("CONNECTION DISCONNECT") <= 1, (when, self.asked)
        assert count("CCD1 Also") == count("CCD1 Never"), (when, self.asked)

    async def _answer(self, message: WireMessage, tasks: anyio.abc.TaskGroup) -> None:
        members = [one.name for one in getattr(message, "members", ())] or [getattr(message, "value", "")]
        self.asked.append(" ".join([getattr(message, "name", None) or message.tag, *members]))
        if isinstance(message, NewNumberVector):
            tasks.start_soon(self._expose)
        elif isinstance(message, NewSwitchVector) and message.name == "CCD_ABORT_EXPOSURE":
            self._exposing.cancel()
            await self._say(set_numbers("CCD_EXPOSURE", "Idle", S=0))
        elif isinstance(message, NewSwitchVector):
            on = members == ["CONNECT"]
            await self._say(set_switches("CONNECTION", "Ok", CONNECT=on, DISCONNECT=not on))

    async def _expose(self) -> None:
        with self._exposing:
            await self._say(set_numbers("CCD_EXPOSURE", "Busy", S=5))
            await anyio.sleep(self._seconds)
            self.finished += 1
            await self._say(IMAGE)
            await self._say(set_numbers("CCD_EXPOSURE", "Ok", S=0))

    async def _say(self, xml: str) -> None:
        await self._stream.send(xml.encode())


async def session(far: MemoryStream) -> None:
    """Take an image."""
    async with open_client(stream=far) as client:
        device = await client.device(DEVICE, timeout=5)
        async with device.connected(timeout=5), device.next("CCD1") as image:
            await device.set("CCD_EXPOSURE", S=5, timeout=20)
            assert (await image.get(timeout=5)).content() == b"abc"


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def cancelled_at(step: int) -> tuple[Camera, bool]:
    """Cancel a session after so many steps; return its camera, and whether it was cancelled before its end."""
    scope = trio.CancelScope()

    async def main() -> Camera:
        began = trio.current_time()
        near, far = memory_pair()
        camera = Camera(near, 5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(camera.run)
            with scope:
                await session(far)
            await far.aclose()
        assert trio.current_time() - began < 30, f"step {step}"
        return camera

    clock = trio.testing.MockClock(autojump_threshold=0)
    camera = trio.run(main, clock=clock, instruments=[CancelAtStep(scope, step)])
    return camera, scope.cancelled_caught


def test_cancelled_at_every_step() -> None:
    before = open_descriptors()
    camera, cancelled = cancelled_at(1)
    step = 1
    while cancelled:
        camera.check(step)
        step += 1
        camera, cancelled = cancelled_at(step)
    assert step > 40  # some fifty, as trio happens to order them; the session has come to its end
    assert camera.finished == 1
    assert open_descriptors() == before


@pytest.mark.long
@pytest.mark.anyio
async def test_cancelled_at_any_moment() -> None:
    """In real time, so that asyncio has its turn too."""
    finished = 0
    for number in range(80):
        near, far = memory_pair()
        camera = Camera(near, 0.01)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(camera.run)
                with anyio.move_on_after(number * 0.0004):
                    await session(far)
                await far.aclose()
        camera.check(number)
        finished += camera.finished
    assert finished < 80
