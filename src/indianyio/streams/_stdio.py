"""Standard input and output as a byte stream: how a driver talks to indiserver.

Standard input and output are the wire, and this process is not alone with them. So while the stream is open, and
before that while :func:`divert_stdio` has them (a driver's module and its constructor may start programs, too),

- the wire is a pair of private duplicates, which no child process inherits;
- descriptor 1 points at standard error, so that a stray ``print``, here or in a child, is a line in the log and not
  a broken element;
- descriptor 0 points at ``/dev/null``, so that a child process cannot swallow a command that was meant for us;
- no flag of the descriptors is touched, because they are shared with the parent, and often with each other.

Either may be a socket, a pipe, a terminal or a file, whatever the other is.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from io import TextIOWrapper

from indianyio.protocol._elements import Attachment
from indianyio.streams._base import ByteStream, Received
from indianyio.streams._descriptors import adopt_socket
from indianyio.streams._files import FileReader, FileWriter
from indianyio.streams._sockets import SocketStream

__all__ = ["describe_stdio", "divert_stdio", "open_stdio", "stdio_is_terminal"]

_NAME = "stdin/stdout"
_STDIN, _STDOUT, _STDERR = 0, 1, 2

# What can carry bytes, in the words of a log line. Anything else under a low number is an accident, such as the
# event loop's own descriptor in a program that was started with standard input closed.
_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFREG: "a file",
    stat.S_IFCHR: "a device",
}

# Descriptors 0 and 1 belong to the process, so this is, rightly, one for the process.
_in_use = threading.Lock()

# And so is what they were, while divert_stdio() has them.
_diverted_wire: tuple[int, int] | None = None


class _StdioStream:
    """A reading half and a writing half, each of its own kind."""

    def __init__(self, reader: SocketStream | FileReader, writer: SocketStream | FileWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def name(self) -> str:
        return _NAME

    @property
    def carries_attachments(self) -> bool:
        return self._writer.carries_attachments

    async def receive(self) -> Received:
        return await self._reader.receive()

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        await self._writer.send(data, attachments)

    def send_now(self, data: bytes) -> int:
        # A pipe may make its writer wait, as nothing but the descriptor's own flag would prevent.
        return self._writer.send_now(data) if isinstance(self._writer, SocketStream) else 0

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


@asynccontextmanager
async def open_stdio() -> AsyncIterator[ByteStream]:
    """Open standard input and output as one stream, and put both back on the way out, whatever the way.

    Attachments arrive where standard input is a Unix socket, and can be sent where standard output is one. The
    stream closed inside the block stays closed; descriptors 0 and 1 come back at the end of the block only.

    :raises OSError: one of the two is not open, or nothing that carries bytes, or this is not a POSIX system.
    :raises RuntimeError: they are open as a stream already.
    """
    if os.name != "posix":
        raise OSError(errno.ENOTSUP, "standard input and output carry INDI on POSIX systems only")
    with _exclusively(), _taken_over() if _diverted_wire is None else nullcontext(_diverted_wire) as wire:
        stream = _open(*wire)
        try:
            yield stream
        finally:
            stream.close()


@contextmanager
def divert_stdio() -> Iterator[None]:
    """Keep standard input and output for :func:`open_stdio` in this block; needs no event loop.

    Descriptors 0 and 1 point elsewhere from the beginning of the block to its end.

    :raises OSError: one of the two is not open, or nothing that carries bytes.
    :raises RuntimeError: they are diverted or open as a stream already.
    """
    global _diverted_wire
    with _exclusively():
        if _diverted_wire is not None:
            raise RuntimeError("standard input and output are diverted already")
    with _taken_over() as wire:
        _diverted_wire = wire
        try:
            yield
        finally:
            _diverted_wire = None


def stdio_is_terminal() -> bool:
    """Return whether standard input is a terminal, where a person rather than a server is expected.

    To be asked before :func:`open_stdio`, which points descriptor 0 elsewhere; within :func:`divert_stdio` it may
    be asked as well.
    """
    stdin, _ = _diverted_wire or (_STDIN, _STDOUT)
    return os.isatty(stdin)


def describe_stdio() -> str:
    """Return in words what standard input and output are; to be asked when :func:`stdio_is_terminal` may be."""
    stdin, stdout = _diverted_wire or (_STDIN, _STDOUT)
    return f"standard input is {_describe(stdin)}, standard output is {_describe(stdout)}"


def _describe(descriptor: int) -> str:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return "closed"
    if os.isatty(descriptor):
        return "a terminal"
    return _KINDS.get(stat.S_IFMT(mode), "of no usable kind")


@contextmanager
def _exclusively() -> Iterator[None]:
    if not _in_use.acquire(blocking=False):
        raise RuntimeError("standard input and output are already open as a stream")
    try:
        yield
    finally:
        _in_use.release()


@contextmanager
def _taken_over() -> Iterator[tuple[int, int]]:
    """Point descriptors 0 and 1 elsewhere; yield what they were, as duplicates that live as long as the block."""
    with ExitStack() as stack:
        _check_usable(_STDIN, sys.__stdin__, "standard input")
        _check_usable(_STDOUT, sys.__stdout__, "standard output")
        # First of all: should descriptor 2 be free, this takes the number, and no duplicate of the wire does.
        null = os.open(os.devnull, os.O_RDWR)
        stack.callback(os.close, null)
        stdin = _diverted(_STDIN, null, stack)
        # Where standard error was closed at the start, something else may have its number by now.
        stdout = _diverted(_STDOUT, null if sys.__stderr__ is None else _STDERR, stack)
        # After the diversion, and again before it ends: what was printed before the stream was opened, or within,
        # is text for people and has no business on the wire.
        _flush()
        stack.callback(_flush)
        yield stdin, stdout


def _check_usable(descriptor: int, at_start: TextIOWrapper | None, what: str) -> None:
    # Python leaves sys.__stdin__ empty where the descriptor was closed when the program started. By now its number
    # may be taken by anything, such as the sockets of the event loop.
    if at_start is None:
        raise OSError(errno.EBADF, f"{what} was closed when the program started")
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError as exc:
        raise OSError(errno.EBADF, f"{what} is not open") from exc
    if stat.S_IFMT(mode) not in _KINDS:
        raise OSError(errno.EINVAL, f"{what} is neither a socket, a pipe, a terminal nor a file")


def _diverted(descriptor: int, target: int, stack: ExitStack) -> int:
    """Point ``descriptor`` at what ``target`` is until the stack unwinds; return a duplicate of what it was."""
    kept = os.dup(descriptor)
    stack.callback(os.close, kept)
    inheritable = os.get_inheritable(descriptor)
    stack.callback(os.dup2, kept, descriptor, inheritable)
    os.dup2(target, descriptor, inheritable)
    return kept


def _flush() -> None:
    # A print buffer that is missing, closed or full is no reason to do without the wire.
    with suppress(AttributeError, OSError, ValueError):
        sys.stdout.flush()


def _open(stdin: int, stdout: int) -> _StdioStream:
    with ExitStack() as on_failure:
        reader = _open_reader(stdin)
        on_failure.callback(reader.close)
        writer = _open_writer(stdout)
        on_failure.pop_all()
    return _StdioStream(reader, writer)


def _open_reader(descriptor: int) -> SocketStream | FileReader:
    if _is_socket(descriptor):
        return SocketStream(adopt_socket(os.dup(descriptor)), name=_NAME, is_shared=True)
    return FileReader(os.dup(descriptor), _NAME)


def _open_writer(descriptor: int) -> SocketStream | FileWriter:
    if _is_socket(descriptor):
        return SocketStream(adopt_socket(os.dup(descriptor)), name=_NAME, is_shared=True)
    return FileWriter(_private_output(descriptor), _NAME)


def _is_socket(descriptor: int) -> bool:
    return stat.S_ISSOCK(os.fstat(descriptor).st_mode)


def _private_output(descriptor: int) -> int:
    """Return a duplicate of a pipe, a file or a terminal; of the latter one that can be written without waiting.

    A terminal that is ready may have room for a single byte and then wait for its reader, for ever if somebody
    pressed Ctrl-S. Opened a second time it has flags of its own, so O_NONBLOCK troubles nobody else.
    """
    if os.isatty(descriptor):
        with suppress(OSError):  # it may be another user's, after su; then the duplicate must do
            return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    return os.dup(descriptor)
