"""BLOB content in shared memory, passed from process to process as a descriptor (protocol.md 1.6).

Descriptors are counted, because a process has only a few: those of all peers together, and those of each peer that
sends some. Beyond the limit, descriptors that arrive are refused, and BLOBs made here travel another way.

Whoever sends such a descriptor keeps one too, and may shorten the file at any time. A mapping of it would then kill
this process with SIGBUS at the next access. So the content is read and never mapped: reading what is no longer
there returns too little, and that can be refused.

What arrives as a descriptor together with some bytes becomes an attachment first (:class:`Arrivals`). Memory is
taken as it is. Anything else is examined in a thread. There, the content of a regular file is copied into memory,
so that nothing depends on its file system any longer; a socket, a pipe, a device or a folder is not a BLOB. Either
way the thread closes the descriptor. Until this is done nothing more is read from the peer, so it can neither pile
up descriptors nor change their order.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Self

import anyio
import anyio.lowlevel
from anyio.lowlevel import EventLoopToken

from indianyio.protocol._blobs import SharedAttachment
from indianyio.protocol._elements import Attachment
from indianyio.streams._descriptors import PROCESS, Account, close_memory, close_stranger, is_memory, seals_of

__all__ = [
    "Arrivals",
    "RefusedAttachment",
    "SharedMemory",
    "as_shared_memory",
    "attachments_supported",
    "flaw_of",
    "is_fixed",
]

_LABEL_BYTES = 249  # the longest name that the kernel accepts for an anonymous file
# Future writes, not all writes: before Linux 6.7 nobody could map a file MAP_SHARED that is sealed against all
# writes, not even for reading, which is how libindi reads it (W39). Some Pythons' fcntl lacks the constant (Linux
# 5.1).
_F_SEAL_FUTURE_WRITE = 0x0010
# How much is copied for one message from files that are not in memory: twice the largest image of today's cameras.
_COPIED_BYTES = 256 << 20
_PIECE_BYTES = 1 << 20


def attachments_supported() -> bool:
    """Return whether this system can make shared memory and pass it on (protocol.md 1.6: in practice Linux)."""
    needed = ((os, "memfd_create"), (socket, "AF_UNIX"), (socket, "SCM_RIGHTS"), (socket, "CMSG_SPACE"))
    return all(hasattr(module, name) for module, name in needed)


class SharedMemory:
    """An open descriptor on shared memory; an :class:`~indianyio.protocol._elements.Attachment`.

    Several peers share one of these, by way of a frame, and any of them may be the last to release it. So a
    descriptor that nobody has closed is closed with its last reference.
    """

    def __init__(self, descriptor: int, account: Account | None = None) -> None:
        """Take over a descriptor; from now on it is closed with this object.

        :param account: where it is counted until it is closed, besides all others of the process.
        """
        self._descriptor = descriptor
        ticket = object()
        accounts = (PROCESS,) if account is None else (PROCESS, account)
        for each in accounts:
            each.enter(ticket)
        self._close = weakref.finalize(self, _close_and_uncount, descriptor, accounts, ticket)

    @classmethod
    def create(cls, label: str, account: Account | None = None) -> Self:
        """Make empty shared memory, which :meth:`write` fills and :meth:`seal` finishes.

        :param label: what the system's tools show with the descriptor; nothing else depends on it.
        :param account: where it is counted, besides all others of the process.
        :raises OSError: no memory is left, or none of the descriptors that BLOBs may have.
        """
        if not PROCESS.has_room:
            raise OSError(errno.EMFILE, f"{PROCESS.limit} descriptors of BLOBs are open already")
        name = label.encode()[:_LABEL_BYTES].decode(errors="ignore")
        return cls(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), account)

    @property
    def size(self) -> int:
        """The bytes in the file, which may be more than the BLOB in it has (protocol.md W38)."""
        return os.fstat(self.fileno()).st_size

    def fileno(self) -> int:
        """Return the descriptor, which this object still closes.

        :raises ValueError: it is closed.
        """
        if not self._close.alive:
            raise ValueError("the attachment is closed")
        return self._descriptor

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append all of ``piece``.

        :raises PermissionError: the memory is sealed.
        :raises OSError: no memory is left; the content is incomplete.
        """
        rest = memoryview(piece).cast("B")
        while rest:
            rest = rest[os.write(self.fileno(), rest) :]

    def seal(self) -> None:
        """Finish the content: from now on nobody who has the descriptor can write, extend or shorten it."""
        import fcntl  # here, because this package must be importable on systems without that module

        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        try:
            fcntl.fcntl(self.fileno(), fcntl.F_ADD_SEALS, seals | _F_SEAL_FUTURE_WRITE)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            fcntl.fcntl(self.fileno(), fcntl.F_ADD_SEALS, seals)  # for kernels that do not know the newer seal

    def read(self, length: int) -> bytes:
        """Return the first ``length`` bytes.

        Memory is allocated for ``length`` bytes only once the file is known to have them. But the file may consist
        of holes, so the caller must still limit what it asks for.

        :raises ValueError: there are fewer, the descriptor is not a file that can be read, or it is closed.
        """
        # There is nearly always a single piece, and joining one piece makes no copy.
        return b"".join(self.slices(length, length))

    def slices(self, length: int, slice_bytes: int) -> Iterator[bytes]:
        """Yield the first ``length`` bytes, at most ``slice_bytes`` at a time.

        :raises ValueError: as in :meth:`read`; or, after some slices, the file has become shorter.
        """
        self._check_readable(self.fileno(), length)
        offset = 0
        while offset < length:
            piece = self._read_at(self.fileno(), min(slice_bytes, length - offset), offset)
            yield piece
            offset += len(piece)

    def duplicate(self) -> Self:
        """Return another descriptor of the same memory, which is closed separately.

        :raises OSError: no descriptor is left.
        """
        return type(self)(os.dup(self.fileno()))

    def close(self) -> None:
        """Release the descriptor, without waiting until it is closed; closing twice does nothing."""
        self._close()

    @staticmethod
    def _check_readable(descriptor: int, length: int) -> None:
        status = os.fstat(descriptor)
        # A pipe, a socket or a device could make us wait for as long as its sender likes.
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("the attachment is not a file")
        if not 0 <= length <= status.st_size:
            raise ValueError(f"the attachment has {status.st_size} bytes, not {length}")

    @staticmethod
    def _read_at(descriptor: int, length: int, offset: int) -> bytes:
        try:
            piece = os.pread(descriptor, length, offset)
        except OSError as exc:
            raise ValueError(f"the attachment cannot be read: {exc.strerror}") from exc
        if not piece:
            raise ValueError(f"the attachment was cut to {offset} bytes while it was read")
        return piece


class RefusedAttachment:
    """Stands for a descriptor that was not accepted, in the order of arrival; an :class:`Attachment`.

    :param reason: why it was not accepted, for people.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def read(self, length: int) -> bytes:
        """Refuse.

        :raises ValueError: always.
        """
        raise ValueError(self.reason)

    def close(self) -> None:
        """Do nothing: the descriptor is closed already."""


class Arrivals:
    """The descriptors that arrived with one call to the kernel.

    An event loop must be running.

    :param descriptors: from now on they belong to this object.
    :param account: where the accepted ones are counted.
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
                self._attachments.append(RefusedAttachment("the attachment was not examined"))
        if strangers:
            work = (strangers, anyio.lowlevel.current_token())
            # A daemon: if something holds up the thread for ever, it must not hold up the process.
            threading.Thread(target=self._look_at, args=work, name="attachments", daemon=True).start()
        else:
            self._looked_at.set()

    async def attachments(self) -> tuple[Attachment, ...]:
        """Wait until all are examined, and return them in order; may be called again after a cancellation."""
        if not self._looked_at.is_set():
            await self._looked_at.wait()
        return tuple(self._attachments)

    def discard(self) -> None:
        """Close all of them; those that the thread is examining are closed when it has finished."""
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
        from anyio import from_thread  # importing it takes time, and few drivers get such attachments

        # Without a loop nobody is waiting any more; the copies are closed with their last references.
        with suppress(RuntimeError):
            from_thread.run_sync(self._looked_at.set, token=token)

    def _copied(self, descriptor: int, room: int) -> SharedMemory:
        """Return a copy of what a file holds.

        :raises ValueError: it is not a file, or it is too long.
        :raises OSError: it cannot be read, or no memory is left for it.
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
                break  # it was shortened meanwhile; whoever asks for more gets an error then
            copy.write(piece)
            position += len(piece)
        copy.seal()
        return copy


def flaw_of(attachment: Attachment, length: int) -> str | None:
    """Return why this many bytes cannot be read from a received attachment, or ``None`` if they can.

    Even then the sender may still take them away later.
    """
    if isinstance(attachment, RefusedAttachment):
        return attachment.reason
    if isinstance(attachment, SharedMemory) and attachment.size < length:
        return f"{length} bytes are announced, but the attachment has {attachment.size}"
    return None


def is_fixed(attachment: Attachment) -> bool:
    """Return whether nobody can shorten this any more, so that it is safe to map it."""
    import fcntl  # here, because this package must be importable on systems without that module

    if not isinstance(attachment, SharedMemory):
        return False
    return bool((seals_of(attachment.fileno()) or 0) & fcntl.F_SEAL_SHRINK)


def as_shared_memory(attachments: Sequence[Attachment]) -> list[SharedMemory]:
    """Return the attachments in the form in which they can be passed on; for a shared one, what it shares.

    :raises TypeError: one is of another kind, without a descriptor that could be passed on.
    :raises ValueError: one is a share that its holder has closed.
    """
    plain = (each.attachment if isinstance(each, SharedAttachment) else each for each in attachments)
    known = [attachment for attachment in plain if isinstance(attachment, SharedMemory)]
    if len(known) < len(attachments):
        raise TypeError("only SharedMemory can be attached")
    return known


def _close_and_uncount(descriptor: int, accounts: Sequence[Account], ticket: object) -> None:
    def done() -> None:
        for account in accounts:
            account.leave(ticket)

    close_memory(descriptor, done)
