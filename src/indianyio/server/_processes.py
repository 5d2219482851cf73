"""A driver's process: how it starts, what it writes to standard error, and how it is brought to an end.

As under indiserver, standard input and output are one end of one socket pair (protocol.md S6), so BLOBs can travel
as descriptors. Whoever kills this program closes the other end, and the driver sees the end of its input.

The process is a plain :class:`subprocess.Popen`, and nothing waits in a thread: on Linux a descriptor for the
process becomes readable when it ends. Elsewhere somebody has to look now and then.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel

from indianyio.streams import SocketStream

__all__ = ["REAP_SECONDS", "DriverProcess", "find_program", "require_program"]

logger = logging.getLogger(__name__)

REAP_SECONDS = 1.0
"""How long a killed process may take to disappear: none does, except one that hangs in a device's kernel driver."""

# How often to look whether a process has ended, where nothing tells.
_LOOK_SECONDS = 0.2

# What is read of standard error at a time, and so the length of a line in the log, within a factor of 2.
_ERROR_BYTES = 4096
# There may be thousands of short ones in that; the other tasks have their turn after so many.
_LINES_IN_A_ROW = 50


class DriverProcess:
    """A running program; to be used as a context, which closes what belongs to it.

    :param command: the program, looked up in ``PATH``, and its arguments.
    :param environment: its environment; ``None`` for that of this process.
    :param name: what it is called in log lines.
    :ivar stream: the way to its standard input and from its standard output.
    :ivar exited: set when it has ended and :meth:`reap` has seen it.
    :raises OSError: it cannot be started; the text names it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None, *, name: str) -> None:
        self.name = name
        self.exited = anyio.Event()
        try:
            self._process, self._near = _started(command, environment)
        except OSError as error:
            if error.filename is None:  # of the pair or the fork, which know nothing of the program
                error.filename = command[0]
            raise
        self.stream = SocketStream(self._near, name=name)
        self._ended_descriptor = _descriptor_of(self._process)

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all descriptors; nobody may be waiting for one of them."""
        self.hang_up()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if self._ended_descriptor is not None:
            os.close(self._ended_descriptor)
            self._ended_descriptor = None

    @property
    def pid(self) -> int:
        """The number of the process, which another one may have after its end."""
        return self._process.pid

    @property
    def outcome(self) -> str:
        """How it ended, in words for people."""
        status = self._process.returncode
        if status is None:
            return "it has not ended"
        return f"it exited with status {status}" if status >= 0 else f"it was killed by {_signal_name(-status)}"

    async def reap(self) -> None:
        """Wait for the end of the process and set :attr:`exited`; for one task at a time."""
        while self._process.poll() is None:
            if self._ended_descriptor is None:
                await anyio.sleep(_LOOK_SECONDS)
            else:
                await anyio.wait_readable(self._ended_descriptor)
        self.exited.set()

    async def log_errors(self, log: logging.Logger) -> None:
        """Log every line of its standard error, until that is closed."""
        rest = b""
        try:
            while data := await self._read_error():
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > _ERROR_BYTES:
                    lines, rest = [*lines, rest], b""
                for number, line in enumerate(lines, 1):
                    _log(log, line)
                    if number % _LINES_IN_A_ROW == 0:
                        await anyio.lowlevel.checkpoint()
        finally:
            _log(log, rest)

    def close_input(self) -> None:
        """Let it find the end of its input, which asks it to end; what it says is still received."""
        with suppress(OSError):  # it has gone, and has no input any more
            self._near.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """Close its input, which asks it to end, and its output; nothing more can be received from it."""
        self.stream.close()

    async def end(self, grace_seconds: float) -> None:
        """Wait for its end, then demand that by SIGTERM, then by SIGKILL; its input is for the caller to close.

        Needs :meth:`reap` to run beside it. Takes twice the grace at most, and what the system takes to kill a
        process; whoever calls this sets a bound to that.

        :param grace_seconds: how long to wait before each signal.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            with anyio.move_on_after(grace_seconds):
                await self.exited.wait()
                return
            logger.warning("%s: runs on after %g s; sending it %s", self.name, grace_seconds, number.name)
            try:
                self._process.send_signal(number)
            except OSError as error:  # a program with another user's rights
                logger.error("%s: cannot send it %s: %s", self.name, number.name, error)
        await self.exited.wait()

    async def _read_error(self) -> bytes:
        assert self._process.stderr is not None, "it was started with a pipe"
        descriptor = self._process.stderr.fileno()
        while True:
            await anyio.wait_readable(descriptor)
            try:
                return os.read(descriptor, _ERROR_BYTES)
            except BlockingIOError:
                continue


def require_program(program: str, environment: Mapping[str, str] | None) -> None:
    """Look for a program as its start will, without starting it.

    :param program: a path, or a name that is looked up in ``PATH``.
    :param environment: in which ``PATH`` is looked up; ``None`` for that of this process.
    :raises FileNotFoundError: there is none; the text names it.
    :raises PermissionError: there is one which may not be executed; the text names it.
    """
    if find_program(program, environment) is None:
        number = errno.EACCES if any(map(os.path.exists, _places(program, environment))) else errno.ENOENT
        raise OSError(number, os.strerror(number), program)  # of the class that belongs to the number


def find_program(program: str, environment: Mapping[str, str] | None) -> str | None:
    """Return the file that a start will find, ``None`` if there is none.

    :param program: a path, or a name that is looked up in ``PATH``.
    :param environment: in which ``PATH`` is looked up; ``None`` for that of this process.
    """
    places = _places(program, environment)
    return next((path for path in places if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def _places(program: str, environment: Mapping[str, str] | None) -> list[str]:
    folders = [""] if os.path.dirname(program) else os.get_exec_path(environment)
    return [os.path.join(folder, program) for folder in folders]


def _started(
    command: Sequence[str], environment: Mapping[str, str] | None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    near, far = socket.socketpair()
    try:
        # A program expects its input to block, also where somebody has called socket.setdefaulttimeout().
        far.setblocking(True)
        process = subprocess.Popen(
            command,
            stdin=far.fileno(),
            stdout=far.fileno(),
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            # Python ignores SIGPIPE, as indiserver does, and so does the driver then: a word to somebody who has
            # gone must not kill it while it parks.
            restore_signals=False,
        )
    except BaseException:
        near.close()
        raise
    finally:
        far.close()
    if process.stderr is not None:
        os.set_blocking(process.stderr.fileno(), False)  # of our end only; the driver's is another open file
    return process, near


def _descriptor_of(process: subprocess.Popen[bytes]) -> int | None:
    """Return a descriptor that becomes readable when the process ends, where the system has such."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(process.pid)
    except OSError:  # an old kernel, or no descriptor is left
        return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _log(log: logging.Logger, line: bytes) -> None:
    text = line.decode("utf-8", "backslashreplace").rstrip()
    if text:
        log.info("%s", text)
