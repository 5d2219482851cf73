"""Standard input and output as a byte stream: how a driver talks to indiserver.

Standard input and output are the wire, and other code in this process uses them too. So while the stream is open,
and before that while :func:`divert_stdio` holds them (a driver's module and its constructor may start programs,
too),

- the wire is a pair of private duplicates, which no child process inherits;
- descriptor 1 points to standard error, so that a stray ``print``, here or in a child, is a line in the log and not
  a broken element;
- descriptor 0 points to ``/dev/null``, so that a child process cannot swallow a command that was meant for us;
- no flag of the descriptors is changed, because they are shared with the parent, and often with each other.

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

# What can carry bytes, in the words of a log line. Anything else with a low number is there by accident, such as
# the event loop's own descriptor in a program that was started with standard input closed.
_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFREG: "a file",
    stat.S_IFCHR: "a device",
}

# There is one lock for the process, because it has only one pair of descriptors 0 and 1.
_in_use = threading.Lock()

# The original standard input and output, while divert_stdio() holds them.
_diverted_wire: tuple[int, int] | None = None


class _StdioStream:
    """A half that reads and a half that writes, each of its own kind."""

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
        # A pipe may make its writer wait, and only the descriptor's own flag could prevent that.
        return self._writer.send_now(data) if isinstance(self._writer, SocketStream) else 0

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


@asynccontextmanager
async def open_stdio() -> AsyncIterator[ByteStream]:
    """Open standard input and output as one stream, and restore both on the way out, whatever ends the block.

    Attachments arrive if standard input is a Unix socket, and can be sent if standard output is one. Even if the
    stream is closed inside the block, descriptors 0 and 1 are restored only at the end of the block.

    :raises OSError: one of the two is not open or cannot carry bytes, or this is not a POSIX system.
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

    :raises OSError: one of the two is not open or cannot carry bytes.
    :raises RuntimeError: they are diverted, or open as a stream, already.
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
    """Return whether standard input is a terminal, which suggests a person rather than a server.

    Call this before :func:`open_stdio`, which points descriptor 0 elsewhere; within :func:`divert_stdio` it still
    answers rightly.
    """
    stdin, _ = _diverted_wire or (_STDIN, _STDOUT)
    return os.isatty(stdin)


def stdin_duplicate() -> int:
    """Return another descriptor of standard input, for the caller to close.

    To be asked when :func:`stdio_is_terminal` may be.
    """
    stdin, _ = _diverted_wire or (_STDIN, _STDOUT)
    return os.dup(stdin)


def describe_stdio() -> str:
    """Return in words what standard input and output are; call it only where :func:`stdio_is_terminal` may be."""
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
    """Point descriptors 0 and 1 elsewhere; yield duplicates of the originals, which live as long as the block."""
    with ExitStack() as stack:
        _check_usable(_STDIN, sys.__stdin__, "standard input")
        _check_usable(_STDOUT, sys.__stdout__, "standard output")
        # This comes first: if descriptor 2 is free, /dev/null takes the number, and no duplicate of the wire does.
        null = os.open(os.devnull, os.O_RDWR)
        stack.callback(os.close, null)
        stdin = _diverted(_STDIN, null, stack)
        # If standard error was closed at the start, something else may have its number by now.
        stdout = _diverted(_STDOUT, null if sys.__stderr__ is None else _STDERR, stack)
        # After the diversion, and again before it ends: what was printed before the stream was opened, or while it
        # was open, is text for people and must not go onto the wire.
        _flush()
        stack.callback(_flush)
        yield stdin, stdout


def _check_usable(descriptor: int, at_start: TextIOWrapper | None, what: str) -> None:
    # Python leaves sys.__stdin__ empty if the descriptor was closed when the program started. By now anything may
    # have its number, such as the sockets of the event loop.
    if at_start is None:
        raise OSError(errno.EBADF, f"{what} was closed when the program started")
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError as exc:
        raise OSError(errno.EBADF, f"{what} is not open") from exc
    if stat.S_IFMT(mode) not in _KINDS:
        raise OSError(errno.EINVAL, f"{what} is neither a socket, a pipe, a terminal nor a file")


def _diverted(descriptor: int, target: int, stack: ExitStack) -> int:
    """Point ``descriptor`` to what ``target`` is until the stack unwinds; return a duplicate of the original."""
    kept = os.dup(descriptor)
    stack.callback(os.close, kept)
    inheritable = os.get_inheritable(descriptor)
    stack.callback(os.dup2, kept, descriptor, inheritable)
    os.dup2(target, descriptor, inheritable)
    return kept


def _flush() -> None:
    # A print buffer that is missing, closed or full must not keep us from using the wire.
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
    """Return a duplicate of a pipe, a file or a terminal; for a terminal, one that can be written without waiting.

    A terminal that is ready may have room for a single byte and then wait for its reader, even for ever if somebody
    has pressed Ctrl-S. Opened a second time it has flags of its own, so O_NONBLOCK affects nobody else.
    """
    if os.isatty(descriptor):
        with suppress(OSError):  # after su it may belong to another user; then a duplicate has to do
            return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    return os.dup(descriptor)
