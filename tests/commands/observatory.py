"""A server with a camera, in a thread of its own, for clients that wait."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from indianyio import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    newSwitchVector,
)
from indianyio.driver import NewEvent
from indianyio.server import IPyServer
from tests.server.network import at_work

CAMERA = "Camera"
IMAGE = b"an image" * 1000

_PORT = re.compile(r"127\.0\.0\.1:([0-9]+)")
_numbers = count()


class Camera(IPyDriver):
    """Exposes for as long as it is told, can be aborted, and is too warm for long exposures."""

    def __init__(self) -> None:
        on, off = SwitchMember("CONNECT", membervalue="Off"), SwitchMember("DISCONNECT", membervalue="On")
        seconds = NumberMember("CCD_EXPOSURE_VALUE", "Seconds", "%5.2f", 0, 100, 0, 0)
        self.connection = SwitchVector("CONNECTION", "Connection", "Main", "rw", "OneOfMany", "Idle", [on, off])
        self.exposure = NumberVector("CCD_EXPOSURE", "Expose", "Main", "rw", "Idle", [seconds])
        self.abort = SwitchVector(
            "CCD_ABORT_EXPOSURE", "Abort", "Main", "rw", "AtMostOne", "Idle", [SwitchMember("ABORT")]
        )
        self.image = BLOBVector("CCD1", "Image", "Main", "ro", "Idle", [BLOBMember("CCD1", "Image", 0, ".fits")])
        super().__init__(Device(CAMERA, [self.connection, self.exposure, self.abort, self.image]))
        self.written: list[tuple[str, dict[str, str]]] = []
        self.aborted = threading.Event()
        self.busy = threading.Event()
        self._asked_to_stop = anyio.Event()

    async def rxevent(self, event: NewEvent) -> None:
        if isinstance(event, newSwitchVector | newNumberVector):
            self.written.append((event.vectorname, dict(event)))
        match event:
            case newSwitchVector(vectorname="CONNECTION"):
                for member in event:
                    self.connection[member] = event[member]
                await self.connection.send_setVector(state="Ok")
            case newNumberVector(vectorname="CCD_EXPOSURE"):
                await self._expose(float(event["CCD_EXPOSURE_VALUE"]))
            case newSwitchVector(vectorname="CCD_ABORT_EXPOSURE"):
                self.aborted.set()
                self._asked_to_stop.set()
                await self.abort.send_setVector(state="Ok")

    async def _expose(self, seconds: float) -> None:
        if seconds > 90:
            await self.exposure.send_setVector(state="Alert", message="too warm for that")
            return
        self.aborted.clear()
        self._asked_to_stop = anyio.Event()
        self.exposure["CCD_EXPOSURE_VALUE"] = seconds
        await self.exposure.send_setVector(state="Busy")
        self.busy.set()
        with anyio.move_on_after(seconds):
            await self._asked_to_stop.wait()
            await self.exposure.send_setVector(state="Idle")
            return
        self.image["CCD1"] = IMAGE
        await self.image.send_setVectorMembers(members=["CCD1"], state="Ok")
        await self.exposure.send_setVector(state="Ok")


class LyingCamera(Camera):
    """Answers a write to its exposure with a value that is out of the range it has announced."""

    async def rxevent(self, event: NewEvent) -> None:
        if isinstance(event, newNumberVector):
            self.exposure["CCD_EXPOSURE_VALUE"] = 1e6
            await self.exposure.send_setVector(state="Ok")
        else:
            await super().rxevent(event)


class Observatory:
    """The server at work.

    :ivar camera: its driver.
    :ivar port: where it listens.
    :ivar unix: its unix socket.
    """

    def __init__(self, camera: Camera, server: IPyServer, port: int, unix: str, portal: BlockingPortal) -> None:
        self.camera = camera
        self.port = port
        self.unix = unix
        self._server = server
        self._portal = portal

    def shut_down(self) -> None:
        """End the server at once."""
        self._portal.call(self._server.shutdown)


@contextmanager
def observatory() -> Iterator[Observatory]:
    """Run the server for the block."""
    camera = Camera()
    unix = f"@indianyio-commands-{os.getpid()}-{next(_numbers)}"
    server = IPyServer(camera, host="127.0.0.1", port=0, unix=unix)
    with start_blocking_portal("asyncio") as portal:
        # It serves all tests of a module, which may take minutes on a busy machine; each of them has its own limit.
        with portal.wrap_async_context_manager(at_work(server, float("inf"))) as network:
            port = next(int(found[1]) for found in map(_PORT.fullmatch, network.addresses) if found)
            yield Observatory(camera, server, port, unix, portal)
