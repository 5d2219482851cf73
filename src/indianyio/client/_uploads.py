"""The contents of BLOBs on their way to a driver: as base64, or as shared memory if that can be passed on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from msgspec.structs import replace

from indianyio._vocabulary import MAX_DESCRIPTORS
from indianyio.client._actions import Upload, Written
from indianyio.protocol import NewBLOBVector, OneBLOB
from indianyio.streams._contents import OutgoingContent

__all__ = ["LoadedBLOBs", "with_contents"]


class LoadedBLOBs(NamedTuple):
    """A message with the contents that travel with it.

    :ivar message: the message; it has the attachments.
    :ivar base64: the contents of those members that have no attachment, in slices.
    """

    message: NewBLOBVector
    base64: Mapping[str, Sequence[bytes]]


async def with_contents(message: NewBLOBVector, values: Mapping[str, Written], *, attach: bool) -> LoadedBLOBs:
    """Return a message with the contents that should be written.

    Files and long contents are read slice by slice in a thread. Over a plain stream of bytes they are in memory as
    base64 until they are sent.

    :param attach: whether the contents may travel as shared memory.
    :raises OSError: a file cannot be read, or there is no shared memory.
    :raises ValueError: a file is empty.
    """
    base64: dict[str, Sequence[bytes]] = {}
    with ExitStack() as cleanup:
        blobs: list[OneBLOB] = []
        for number, one in enumerate(message.members):
            upload = values[one.name]
            assert isinstance(upload, Upload)  # by typed_values()
            content = OutgoingContent.make(one.name, attach=attach and number < MAX_DESCRIPTORS, cleanup=cleanup)
            await _load(upload.content, content)
            size = str(content.length)
            if content.memory is None:
                base64[one.name] = content.base64
                blobs.append(replace(one, size=size))
            else:
                blobs.append(replace(one, size=size, len=size, attached="true", attachment=content.memory))
        cleanup.pop_all()  # the message has them now
        return LoadedBLOBs(replace(message, members=tuple(blobs)), base64)


async def _load(source: bytes | os.PathLike[str], content: OutgoingContent) -> None:
    if isinstance(source, bytes):
        await content.write_buffer(source)
    else:
        await content.write_path(source)
        if not content.length:
            raise ValueError(f"{os.fspath(source)} is empty")
    content.finish()
