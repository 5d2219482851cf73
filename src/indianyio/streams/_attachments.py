"""BLOB content in shared memory, passed from process to process as a descriptor (protocol.md 1.6).

Descriptors are counted, because a process has few: of all peers together, and of each peer that sends some. What is
received beyond that is refused, and what is made here travels in another way.

Whoever sends such a descriptor keeps one too, and may shorten the file at any time. A mapping of it would then
kill this process with SIGBUS at the next access, so the content is read, never mapped: a read of what is no
longer there comes out short, and that can be refused.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import weakref
from collections.abc import Iterator, Sequence
from typing import Self

from indianyio.protocol._elements import Attachment
from indianyio.protocol._shared_attachments import SharedAttachment
from indianyio.streams._descriptors import PROCESS, Account, close_memory, seals_of

__all__ = ["RefusedAttachment", "SharedMemory", "as_shared_memory", "attachments_supported", "flaw_of", "is_fixed"]

_LABEL_BYTES = 249  # what the kernel accepts as the name of an anonymous file
# Future writes, not all writes: before Linux 6.7 a file sealed against all writes cannot be mapped MAP_SHARED even
# for reading, which is how libindi reads it (W39). The constant (Linux 5.1) is not in every Python's fcntl.
_F_SEAL_FUTURE_WRITE = 0x0010


def attachments_supported() -> bool:
    """Return whether this system can make shared memory and pass it on (protocol.md 1.6: in practice Linux)."""
    needed = ((os, "memfd_create"), (socket, "AF_UNIX"), (socket, "SCM_RIGHTS"), (socket, "CMSG_SPACE"))
    return all(hasattr(module, name) for module, name in needed)


class SharedMemory:
    """An open descriptor on shared memory; an :class:`~indianyio.protocol._elements.Attachment`.

    Frames share one of these between many peers, any of which may be the last to let go. So a descriptor that
    nobody closed is closed with its last reference.
    """

    def __init__(self, descriptor: int, account: Account | None = None) -> None:
        """Take over a descriptor, which is closed with this object from now on.

        :param account: where it is counted until then, besides all others of the process.
        """
        self._descriptor = descriptor
        ticket = object()
        accounts = (PROCESS,) if account is None else (PROCESS, account)
        for each in accounts:
            each.enter(ticket)
        self._close = weakref.finalize(self, _let_go, descriptor, accounts, ticket)

    @classmethod
    def create(cls, label: str, account: Account | None = None) -> Self:
        """Make empty shared memory, to be filled by :meth:`write` and finished by :meth:`seal`.

        :param label: shown by the system's tools beside the descriptor; nothing else depends on it.
        :param account: where it is counted, besides all others of the process.
        :raises OSError: there is no memory left, or no descriptor that BLOBs may have.
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
        """Return the descriptor, which stays this object's to close.

        :raises ValueError: it is closed.
        """
        if not self._close.alive:
            raise ValueError("the attachment is closed")
        return self._descriptor

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Append all of ``piece``.

        :raises PermissionError: the memory is sealed.
        :raises OSError: there is no memory left; the content is incomplete.
        """
        rest = memoryview(piece).cast("B")
        while rest:
            rest = rest[os.write(self.fileno(), rest) :]

    def seal(self) -> None:
        """Finish the content: from now on nobody, whoever gets the descriptor, can write, grow or shrink it."""
        import fcntl  # here, because the package must be importable where there is no such module

        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        try:
            fcntl.fcntl(self.fileno(), fcntl.F_ADD_SEALS, seals | _F_SEAL_FUTURE_WRITE)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            fcntl.fcntl(self.fileno(), fcntl.F_ADD_SEALS, seals)  # a kernel that does not know the newer seal

    def read(self, length: int) -> bytes:
        """Return the first ``length`` bytes.

        Memory is taken for ``length`` bytes only after the file was found to have them; it may be all hole, so
        the caller still bounds what it asks for.

        :raises ValueError: there are not so many, the descriptor is not a file that can be read, or it is closed.
        """
        # Of a single piece, which is the rule, this is no copy.
        return b"".join(self.slices(length, length))

    def slices(self, length: int, slice_bytes: int) -> Iterator[bytes]:
        """Yield the first ``length`` bytes, at most ``slice_bytes`` at a time.

        :raises ValueError: as :meth:`read`; or, after some slices, the file has become shorter.
        """
        self._check_readable(self.fileno(), length)
        offset = 0
        while offset < length:
            piece = self._read_at(self.fileno(), min(slice_bytes, length - offset), offset)
            yield piece
            offset += len(piece)

    def duplicate(self) -> Self:
        """Return another descriptor on the same memory, closed on its own.

        :raises OSError: there is no descriptor left.
        """
        return type(self)(os.dup(self.fileno()))

    def close(self) -> None:
        """Release the descriptor, without waiting for that; closing twice does nothing."""
        self._close()

    @staticmethod
    def _check_readable(descriptor: int, length: int) -> None:
        status = os.fstat(descriptor)
        # A pipe, a socket or a device in its place could keep us waiting for as long as its sender likes.
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("the attachment is not a file")
        if not 0 <= length <= status.st_size:
            raise ValueError(f"{length} bytes wanted, the attachment has {status.st_size}")

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
    """The place of a descriptor that was not taken, in the order of arrival; an :class:`Attachment`.

    :param reason: why not, for people.
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


def flaw_of(attachment: Attachment, length: int) -> str | None:
    """Return why so many bytes cannot be had of what has been received, or ``None``.

    The sender may still take them away later.
    """
    if isinstance(attachment, RefusedAttachment):
        return attachment.reason
    if isinstance(attachment, SharedMemory) and attachment.size < length:
        return f"{length} bytes are announced, the attachment has {attachment.size}"
    return None


def is_fixed(attachment: Attachment) -> bool:
    """Return whether nobody can shorten this any more, so that whoever maps it is safe."""
    import fcntl  # here, because the package must be importable where there is no such module

    if not isinstance(attachment, SharedMemory):
        return False
    return bool((seals_of(attachment.fileno()) or 0) & fcntl.F_SEAL_SHRINK)


def as_shared_memory(attachments: Sequence[Attachment]) -> list[SharedMemory]:
    """Return the attachments as what can be passed on; of one that is shared, what is shared.

    :raises TypeError: one is of another kind, with no descriptor to pass.
    :raises ValueError: this holder of a shared one has closed it.
    """
    plain = (each.attachment if isinstance(each, SharedAttachment) else each for each in attachments)
    known = [attachment for attachment in plain if isinstance(attachment, SharedMemory)]
    if len(known) < len(attachments):
        raise TypeError("only SharedMemory can be attached")
    return known


def _let_go(descriptor: int, accounts: Sequence[Account], ticket: object) -> None:
    def done() -> None:
        for account in accounts:
            account.leave(ticket)

    close_memory(descriptor, done)
