"""The instrument's end of a serial line: the other side of a pseudo-terminal."""

from __future__ import annotations

import os
import tempfile
import tty
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeAlias

import anyio

__all__ = ["Part", "Terminal", "answering", "terminal"]

Part: TypeAlias = bytes | float | anyio.Event


class Terminal:
    """What is plugged in: its port has a path, and what is written there is heard here.

    :ivar port: a link, as udev makes them. The system gives the name of a terminal that is closed to the next one
        that anybody opens, so a wire that opened it again would talk to the instrument of another test.
    :ivar device: where the link leads, the name by which this process's descriptors show it.
    """

    def __init__(self) -> None:
        self._descriptor, port = os.openpty()
        self._folder = tempfile.TemporaryDirectory(prefix="terminal-")
        self.device = os.ttyname(port)
        link = Path(self._folder.name, "port")
        link.symlink_to(self.device)
        self.port = str(link)
        tty.setraw(port)
        os.close(port)
        os.set_blocking(self._descriptor, False)
        self.heard = bytearray()

    def say(self, data: bytes) -> int:
        return os.write(self._descriptor, data)

    async def hear(self, until: bytes) -> bytes:
        """Return the next request, which ends with these bytes."""
        while until not in self.heard:
            await anyio.wait_readable(self._descriptor)
            try:
                self.heard += os.read(self._descriptor, 4096)
            except BlockingIOError:
                continue
            except OSError:  # nobody has the port open
                await anyio.sleep(0.001)
        request, _, self.heard = self.heard.partition(until)
        return bytes(request)

    async def until_sayable(self) -> None:
        await anyio.wait_writable(self._descriptor)

    def unplug(self) -> None:
        if self._descriptor >= 0:
            self._folder.cleanup()
            closing, self._descriptor = self._descriptor, -1
            anyio.notify_closing(closing)
            os.close(closing)


@contextmanager
def terminal() -> Iterator[Terminal]:
    plugged_in = Terminal()
    try:
        yield plugged_in
    finally:
        plugged_in.unplug()


@asynccontextmanager
async def answering(answer: Callable[[bytes], Sequence[Part]]) -> AsyncGenerator[Terminal]:
    """Plug in what answers requests that end with ``#``: with bytes, pauses, and events that it waits for."""

    async def serve() -> None:
        while True:
            for part in answer(await plugged_in.hear(b"#")):
                if isinstance(part, bytes):
                    plugged_in.say(part)
                elif isinstance(part, anyio.Event):
                    await part.wait()
                else:
                    await anyio.sleep(part)

    with terminal() as plugged_in:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            yield plugged_in
            tasks.cancel_scope.cancel()
