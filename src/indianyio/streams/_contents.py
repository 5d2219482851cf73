"""The contents of BLOBs on their way to a peer: as base64, or as shared memory if that can be passed on.

A content is read slice by slice into one of these two, so a file is never held as a whole, and of a buffer only the
base64 that is sent. Whatever may take long (files, and buffers of more than a few slices) happens in a worker
thread, and the event loop goes on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import TypeAlias

import anyio.to_thread

from indianyio.protocol._blobs import Base64Encoder
from indianyio.streams._attachments import SharedMemory

__all__ = ["SLICE_BYTES", "Buffer", "OutgoingContent"]

SLICE_BYTES = 768 * 1024
"""Large enough that a 50 MB image takes only a few turns, small enough that a slice and its base64 fit into a
processor's cache."""

# What takes longer to encode or to copy than switching to a thread and back.
_LONG_BYTES = 4 * SLICE_BYTES

Buffer: TypeAlias = bytes | bytearray | memoryview


class OutgoingContent:
    """The content of one BLOB, while it is read and until it is sent.

    :param memory: where the content goes; if ``None``, it becomes base64.
    :ivar length: how many bytes it has so far.
    :ivar memory: the shared memory that holds it, or ``None``.
    :ivar base64: the content as base64, in slices; empty if it is in shared memory.
    """

    def __init__(self, memory: SharedMemory | None = None) -> None:
        self.length = 0
        self.memory = memory
        self.base64: list[bytes] = []
        self._encoder = Base64Encoder()

    @classmethod
    def make(cls, name: str, *, attach: bool, cleanup: ExitStack) -> OutgoingContent:
        """Return an empty content.

        :param name: the member's name, for the system's tools.
        :param attach: whether to use shared memory rather than base64. If none can be had, base64 is used, which is
            understood as well.
        :param cleanup: closes the shared memory, unless the caller passes that on.
        """
        with suppress(OSError):  # no descriptor is left, or no memory
            if attach:
                memory = SharedMemory.create(name)
                cleanup.callback(memory.close)
                return cls(memory)
        return cls()

    def write(self, piece: Buffer) -> None:
        """Append a piece.

        :raises OSError: no memory is left.
        """
        self.length += len(piece)
        if self.memory is None:
            self.base64.append(self._encoder.feed(piece))
        else:
            self.memory.write(piece)

    def write_all(self, pieces: Iterable[Buffer]) -> None:
        """Append pieces; if that takes long, call this in a thread."""
        for piece in pieces:
            self.write(piece)

    async def write_buffer(self, data: Buffer) -> None:
        """Append a buffer, in a thread if it is long."""
        view = memoryview(data)
        view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        pieces = (view[start : start + SLICE_BYTES] for start in range(0, len(view), SLICE_BYTES))
        if len(view) > _LONG_BYTES:
            await anyio.to_thread.run_sync(self.write_all, pieces)
        else:
            self.write_all(pieces)

    async def write_path(self, path: str | os.PathLike[str]) -> None:
        """Append a file, in a thread.

        If it is cancelled while it reads a slow file, it ends when that read ends.

        :raises OSError: the file cannot be read.
        """
        await anyio.to_thread.run_sync(self.write_all, _slices_of(path))

    def finish(self) -> None:
        """Note that nothing more will be written."""
        if self.memory is None:
            self.base64.append(self._encoder.finish())
        else:
            self.memory.seal()


def _slices_of(path: str | os.PathLike[str]) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        # No further than it reaches now: somebody may be appending to it as fast as it is read.
        status = os.fstat(file.fileno())
        left = float(status.st_size) if stat.S_ISREG(status.st_mode) else float("inf")
        while piece := file.read(int(min(SLICE_BYTES, left))):
            left -= len(piece)
            yield piece
