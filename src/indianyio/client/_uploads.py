"""The contents of BLOBs on their way to a driver: base64, or shared memory where that can be passed on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import BinaryIO

from anyio import to_thread
from msgspec.structs import replace

from indianyio.client._actions import Upload, Written
from indianyio.protocol import NewBLOBVector, OneBLOB
from indianyio.streams import SharedMemory

__all__ = ["with_contents"]

_SLICE_BYTES = 1 << 20


async def with_contents(message: NewBLOBVector, values: Mapping[str, Written], *, attach: bool) -> NewBLOBVector:
    """Return a message with the contents that are to be written.

    Files are read in a thread. Into shared memory they are copied slice by slice; otherwise they are in memory as a
    whole until they are sent.

    :param attach: whether the contents may travel as shared memory.
    :raises OSError: a file cannot be read, or there is no shared memory.
    :raises ValueError: a file is empty.
    """
    with ExitStack() as cleanup:
        blobs: list[OneBLOB] = []
        for one in message.members:
            upload = values[one.name]
            assert isinstance(upload, Upload)  # by typed_values()
            memory = SharedMemory.create(one.name) if attach else None
            if memory is not None:
                cleanup.callback(memory.close)
            blobs.append(await to_thread.run_sync(_loaded, one, upload.content, memory))
        cleanup.pop_all()  # the message has them now
        return replace(message, members=tuple(blobs))


def _loaded(one: OneBLOB, content: bytes | os.PathLike[str], memory: SharedMemory | None) -> OneBLOB:
    if isinstance(content, bytes):
        length, data = len(content), content
        if memory is not None:
            memory.write(content)
    else:
        with open(content, "rb") as file:
            data = b"" if memory is not None else file.read()
            length = len(data) if memory is None else _copy(file, memory)
        if not length:
            raise ValueError(f"{os.fspath(content)} is empty")
    if memory is None:
        return replace(one, size=str(length), data=data)
    memory.seal()
    return replace(one, size=str(length), len=str(length), attachment=memory)


def _copy(file: BinaryIO, memory: SharedMemory) -> int:
    length = 0
    while piece := file.read(_SLICE_BYTES):
        memory.write(piece)
        length += len(piece)
    return length
