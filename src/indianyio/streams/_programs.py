"""A program that was started: its input and output as a byte stream, its standard error, its signals and its end.

As under indiserver, standard input and output are one end of a single socket pair (protocol.md S6), so BLOBs can
travel as descriptors. If this process is killed, its end is closed, and the program sees the end of its input.

The process is a plain :class:`subprocess.Popen`, and nothing waits in a thread: on Linux a descriptor for the
process becomes readable when the process ends. On other systems we have to look now and then.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio

from indianyio.streams._sockets import SocketStream

__all__ = ["ERROR_BYTES", "ChildProcess", "find_program"]

ERROR_BYTES = 4096
"""How much is read of standard error at a time."""

# How often to check whether a process has ended, on systems that do not report it.
_LOOK_SECONDS = 0.2


class ChildProcess:
    """A child of this process; see :class:`indianyio._environment.Program`.

    :param command: the program, looked up in ``PATH``, and its arguments.
    :param variables: its environment variables; ``None`` for those of this process.
    :param name: what it is called in log lines.
    :raises OSError: it cannot be started; the text names it.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str] | None, *, name: str) -> None:
        try:
            self._process, self._near = _started(command, variables)
        except OSError as error:
            if error.filename is None:  # from the socket pair or the fork, which do not know the program's name
                error.filename = command[0]
            raise
        self._stream = SocketStream(self._near, name=name)
        self._ended_descriptor = _descriptor_of(self._process)

    @property
    def stream(self) -> SocketStream:
        """The stream to its standard input and from its standard output."""
        return self._stream

    @property
    def pid(self) -> int:
        """The number of the process; after its end another process may have the same number."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, or minus the signal that killed it; ``None`` while it runs, :meth:`wait` or not."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait for its end and return its :attr:`status`; only one task at a time may wait."""
        while (status := self._process.poll()) is None:
            if self._ended_descriptor is None:
                await anyio.sleep(_LOOK_SECONDS)
            else:
                await anyio.wait_readable(self._ended_descriptor)
        return status

    async def read_error(self) -> bytes:
        """Wait for something on its standard error and return it; returns nothing once that is closed."""
        assert self._process.stderr is not None, "it was started with a pipe"
        descriptor = self._process.stderr.fileno()
        while True:
            await anyio.wait_readable(descriptor)
            try:
                return os.read(descriptor, ERROR_BYTES)
            except BlockingIOError:
                continue

    def close_input(self) -> None:
        """Close its input, so that it finds the end there; what it says is still received."""
        with suppress(OSError):  # it has ended, and has no input any more
            self._near.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """Close its input and its output."""
        self._stream.close()

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Send it SIGKILL."""
        self._process.kill()

    def close(self) -> None:
        """Close all descriptors; nobody may be waiting for any of them."""
        self.hang_up()
        if self._process.stderr is not None:
            self._process.stderr.close()
        if self._ended_descriptor is not None:
            os.close(self._ended_descriptor)
            self._ended_descriptor = None


def find_program(program: str, variables: Mapping[str, str] | None) -> str:
    """Return the file that would be started.

    :param program: a path, or a name that is looked up in ``PATH``.
    :param variables: where ``PATH`` is taken from; ``None`` for the variables of this process.
    :raises FileNotFoundError: there is no such file; the text names it.
    :raises PermissionError: there is one, but it may not be executed; the text names it.
    """
    folders = [""] if os.path.dirname(program) else os.get_exec_path(variables)
    places = [os.path.join(folder, program) for folder in folders]
    for path in places:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    number = errno.EACCES if any(map(os.path.exists, places)) else errno.ENOENT
    raise OSError(number, os.strerror(number), program)  # becomes the subclass for this number


def _started(
    command: Sequence[str], variables: Mapping[str, str] | None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    near, far = socket.socketpair()
    try:
        # A program expects its input to block, even if somebody here has called socket.setdefaulttimeout().
        far.setblocking(True)
        process = subprocess.Popen(
            command,
            stdin=far.fileno(),
            stdout=far.fileno(),
            stderr=subprocess.PIPE,
            bufsize=0,
            env=variables,
            # Python ignores SIGPIPE, as indiserver does, so the driver ignores it too: writing to somebody who has
            # disconnected must not kill it while it parks.
            restore_signals=False,
        )
    except BaseException:
        near.close()
        raise
    finally:
        far.close()
    if process.stderr is not None:
        os.set_blocking(process.stderr.fileno(), False)  # only for our end; the driver's is another open file
    return process, near


def _descriptor_of(process: subprocess.Popen[bytes]) -> int | None:
    """Return a descriptor that becomes readable when the process ends, if the system has one."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(process.pid)
    except OSError:  # an old kernel, or no descriptor is left
        return None
