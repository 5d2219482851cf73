"""What has arrived as descriptors beside some bytes, on its way to becoming attachments.

Memory is taken as it is. Everything else is looked at in a thread: what a regular file holds is copied into memory,
so that from then on nothing depends on its file system; a socket, a pipe, a device or a folder is no BLOB. Either
way its descriptor is closed there. Until that is done the peer is not read any further, so that it can neither pile
them up nor change the order.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress

import anyio
import anyio.from_thread
import anyio.lowlevel
from anyio.lowlevel import EventLoopToken

from indianyio.protocol._elements import Attachment
from indianyio.streams._attachments import RefusedAttachment, SharedMemory
from indianyio.streams._descriptors import PROCESS, Account, close_memory, close_stranger, is_memory

__all__ = ["Arrivals"]

# Of files that are not in memory so much is copied for one message: the largest image of today's cameras, twice.
_COPIED_BYTES = 256 << 20
_PIECE_BYTES = 1 << 20


class Arrivals:
    """The descriptors that one call to the kernel brought.

    An event loop must be running.

    :param descriptors: they belong to this object from now on.
    :param account: where those are counted that are taken.
    """

    def __init__(self, descriptors: Sequence[int], account: Account) -> None:
        self._account = account
        self._attachments: list[Attachment] = []
        self._looked_at = anyio.Event()
        strangers: list[tuple[int, int]] = []
        for place, descriptor in enumerate(descriptors):
            if is_memory(descriptor):
                self._attachments.append(self._taken(descriptor))
            else:
                strangers.append((place, descriptor))
                self._attachments.append(RefusedAttachment("the attachment was not looked at"))
        if strangers:
            work = (strangers, anyio.lowlevel.current_token())
            # A daemon: what keeps a thread for ever must not keep the process.
            threading.Thread(target=self._look_at, args=work, name="attachments", daemon=True).start()
        else:
            self._looked_at.set()

    async def attachments(self) -> tuple[Attachment, ...]:
        """Wait until all are looked at, and return them in order; who is cancelled may ask again."""
        if not self._looked_at.is_set():
            await self._looked_at.wait()
        return tuple(self._attachments)

    def discard(self) -> None:
        """Close all of them, those in the thread when it has done its work."""
        if self._looked_at.is_set():
            for attachment in self._attachments:
                attachment.close()

    def _taken(self, descriptor: int) -> Attachment:
        for account in (PROCESS, self._account):
            if not account.has_room:
                close_memory(descriptor, lambda: None)
                return RefusedAttachment(f"{account.limit} attachments are being dealt with already")
        return SharedMemory(descriptor, self._account)

    def _look_at(self, strangers: Sequence[tuple[int, int]], token: EventLoopToken) -> None:
        room = _COPIED_BYTES
        for place, descriptor in strangers:
            try:
                copy = self._copied(descriptor, room)
            except (OSError, ValueError) as error:
                self._attachments[place] = RefusedAttachment(getattr(error, "strerror", None) or str(error))
            else:
                self._attachments[place] = copy
                room -= copy.size
            finally:
                close_stranger(descriptor)
        # Without a loop nobody waits any more; what was copied is closed with its last reference.
        with suppress(RuntimeError):
            anyio.from_thread.run_sync(self._looked_at.set, token=token)

    def _copied(self, descriptor: int, room: int) -> SharedMemory:
        """Return what a file holds.

        :raises ValueError: it is no file, or too long.
        :raises OSError: it cannot be read, or there is no room for it.
        """
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("the attachment is not a file")
        if status.st_size > room:
            raise ValueError(f"the attachment is a file of {status.st_size} bytes outside memory, more than {room}")
        if not self._account.has_room:
            raise ValueError(f"{self._account.limit} attachments are being dealt with already")
        copy = SharedMemory.create("copied", self._account)
        position = 0
        while position < status.st_size:
            piece = os.pread(descriptor, min(_PIECE_BYTES, status.st_size - position), position)
            if not piece:
                break  # it was cut meanwhile; who wants more than this is told
            copy.write(piece)
            position += len(piece)
        copy.seal()
        return copy
