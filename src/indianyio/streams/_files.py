"""Reading and writing pipes, terminals and files by descriptor, without a thread and without O_NONBLOCK.

Both first ask the kernel, with ``poll()`` and a timeout of zero, whether a call would wait, and only then let the
event loop wait for it. Asking costs a microsecond, while waiting for the loop costs twenty or more. And the answer
is right for regular files and ``/dev/null`` too, which are always ready and for which the event loops refuse to
wait.

A pipe that is ready takes PIPE_BUF bytes without waiting, whatever its flags say. More than that might have to wait
for the reader, and with it the whole program.
"""

from __future__ import annotations

import os
import select
from collections.abc import Sequence

import anyio
import anyio.lowlevel

from indianyio.protocol._elements import Attachment
from indianyio.streams._base import (
    RECEIVE_BYTES,
    SCRATCH,
    Received,
    lost,
    refuse_attachments,
    until_readable,
    until_writable,
)

__all__ = ["FileReader", "FileWriter"]

_PIPE_BUF: int = getattr(select, "PIPE_BUF", 512)  # 512 is the least that POSIX allows
_PIECES = 16  # how many are written before the other tasks may run: as much as a Linux pipe holds
_RETRY_SECONDS = 0.05


class _Descriptor:
    """A descriptor that can be asked whether it is ready."""

    def __init__(self, descriptor: int, name: str, events: int) -> None:
        self._descriptor = descriptor
        self._name = name
        self._poll = select.poll()
        self._poll.register(descriptor, events)

    def close(self) -> None:
        """Close the descriptor, once; an event loop must be running."""
        if self._descriptor >= 0:
            closing, self._descriptor = self._descriptor, -1
            self._poll.unregister(closing)
            anyio.notify_closing(closing)
            os.close(closing)

    def _ready(self) -> bool:
        return bool(self._poll.poll(0))


class FileReader(_Descriptor):
    """The receiving half of a stream, which owns the descriptor."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, name, select.POLLIN)

    async def receive(self) -> Received:
        """Wait for the next bytes; no bytes mean the end of the stream.

        :raises ConnectionLostError: the terminal has hung up, or the descriptor is closed.
        """
        await anyio.lowlevel.checkpoint()
        while True:
            while not self._ready():
                await until_readable(self._descriptor, self._name)
            try:
                landing = SCRATCH.memory[:RECEIVE_BYTES]
                return Received(bytes(landing[: os.readv(self._descriptor, (landing,))]))
            except BlockingIOError:
                # Somebody has set O_NONBLOCK, and another reader was faster.
                await anyio.sleep(_RETRY_SECONDS)
            except OSError as exc:
                raise lost(self._name, exc) from exc


class FileWriter(_Descriptor):
    """The sending half of a stream, which owns the descriptor."""

    carries_attachments = False

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, name, select.POLLOUT)

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        """Write all of ``data``; if this is cancelled, it may have written a part.

        :raises ConnectionLostError: nobody reads any more, or the descriptor is closed.
        :raises ValueError: there are attachments.
        """
        refuse_attachments(self._name, attachments)
        rest = memoryview(data).cast("B")
        await anyio.lowlevel.checkpoint_if_cancelled()
        while True:
            written = self._write_now(rest)
            rest = rest[written:]
            if not rest:
                break
            await self._until_more(taken=written > 0)
        await anyio.lowlevel.cancel_shielded_checkpoint()

    def _write_now(self, rest: memoryview) -> int:
        """Write as much as a pipe takes without waiting, and return how many bytes that was."""
        written = 0
        for _ in range(_PIECES):
            if written == len(rest) or not self._ready():
                break
            try:
                written += os.write(self._descriptor, rest[written : written + _PIPE_BUF])
            except BlockingIOError:
                break
            except OSError as exc:
                raise lost(self._name, exc) from exc
        return written

    async def _until_more(self, *, taken: bool) -> None:
        if not self._ready():
            await until_writable(self._descriptor, self._name)
        elif taken:
            await anyio.lowlevel.checkpoint()
        else:
            # A non-blocking terminal with room for one byte is ready, but refuses a newline, which becomes two.
            await anyio.sleep(_RETRY_SECONDS)
