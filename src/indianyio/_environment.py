"""The world outside a server or a client: clocks, random numbers, threads, networks and other programs.

Servers and clients never reach for these themselves; they ask their :class:`Environment`. The default one is this
machine. A simulation is a subclass that answers differently: its clients, other servers and programs live in
memory, and its random numbers come from a seed, so that a run can be repeated exactly.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import anyio

from indianyio.streams import ByteStream, dial, dial_tls, dial_unix
from indianyio.streams._base import Accepted

if TYPE_CHECKING:
    from random import Random
    from ssl import SSLContext

    from indianyio._tasks import TaskStarter

__all__ = ["THIS_MACHINE", "Environment", "Listener", "Program"]

_ResultT = TypeVar("_ResultT")


class Listener(Protocol):
    """A place where clients connect."""

    @property
    def address(self) -> str:
        """Where that is: ``127.0.0.1:7624``, ``[::1]:7624``, the path or the ``@name`` of a unix socket."""

    async def accept_forever(self, handle: Callable[[Accepted], Awaitable[None]], tasks: TaskStarter) -> None:
        """Accept connections and serve each in a task of its own, until :meth:`close` is called.

        Cancelled, it leaves nothing half-done: a connection is either not accepted yet or has its task.

        :param handle: serves one connection; what it raises goes to the task group. The listener closes the
            connection when this has returned or raised.
        :param tasks: where the connections are served; they may outlast this call.
        """

    def close(self) -> None:
        """Stop accepting; :meth:`accept_forever` returns. Closing twice does nothing."""


class Program(Protocol):
    """A program that was started, and that runs until :meth:`wait` returns."""

    @property
    def stream(self) -> ByteStream:
        """The way to its standard input and from its standard output."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def status(self) -> int | None:
        """Its exit status; the negative number of the signal that killed it; ``None`` while it runs."""

    async def wait(self) -> int:
        """Wait until it ends and return its :attr:`status`; for one task at a time."""

    async def read_error(self) -> bytes:
        """Wait for output on its standard error and return it; ``b""`` at its end. For one task at a time."""

    def close_input(self) -> None:
        """Close its input: it reads what was sent, then end of file. What it says is still received."""

    def hang_up(self) -> None:
        """Close its input and its output; a ``receive`` or ``send`` under way raises ``ConnectionLostError``."""

    def terminate(self) -> None:
        """Ask it to end, as SIGTERM does; nothing happens to a program that has ended.

        :raises OSError: that is not allowed.
        """

    def kill(self) -> None:
        """End it, as SIGKILL does; nothing happens to a program that has ended.

        :raises OSError: that is not allowed.
        """

    def close(self) -> None:
        """Close its streams; no task may be waiting on them."""


class Environment:
    """The world outside a server or a client; this class is the machine on which the program runs.

    For another world, subclass this and pass an instance to :class:`~indianyio.IPyServer` or
    :func:`~indianyio.open_client`. What a subclass does not override comes from this machine. All methods are
    called in the event loop.
    """

    _random: Random | None = None

    def now(self) -> float:
        """Return the event loop's time in seconds, the clock of all deadlines; it never goes back."""
        return anyio.current_time()

    def time_of_day(self) -> datetime:
        """Return the date and the time of day in UTC, which messages and log files carry; it may be set back."""
        return datetime.now(UTC)

    def random(self, user: str) -> Random:
        """Return a source of random numbers.

        :param user: the name of what needs them; each user may get a source of its own.
        """
        if self._random is None:
            from random import Random  # a client needs it only when it has lost its server

            self._random = Random()
        return self._random

    def token(self, length_bytes: int) -> str:
        """Return a unique text that nobody can guess, as hexadecimal digits.

        :param length_bytes: how many random bytes it stands for; it has twice as many digits.
        """
        from secrets import token_hex  # a client needs none

        return token_hex(length_bytes)

    async def blocking(
        self, call: Callable[..., _ResultT], *args: object, limiter: anyio.CapacityLimiter | None = None
    ) -> _ResultT:
        """Call a slow function in a thread, and return what it returns.

        When cancelled, it still waits for the function, so that nothing uses the arguments after this has returned.

        :param limiter: bounds how many such calls run at a time.
        """
        from anyio import to_thread  # a client needs none

        return await to_thread.run_sync(call, *args, limiter=limiter)

    async def listen(
        self,
        host: str | None,
        port: int,
        unix: str | None,
        *,
        tls: SSLContext | None = None,
        keepalive_seconds: int = 60,
    ) -> Sequence[Listener]:
        """Listen at every address asked for; if one fails, listen at none.

        :param host: where to listen for TCP, a name or an address, which may mean several; ``None`` for no TCP.
        :param port: the TCP port; 0 picks a free one.
        :param unix: a unix socket as well: a path, or ``@`` and a name; ``None`` for none.
        :param tls: a server's context; with it, TCP connections are encrypted.
        :param keepalive_seconds: after how much silence the system asks whether a TCP client is still there, 0 to
            32767; 0 for never.
        :raises ValueError: a number is out of its range, or a name is empty.
        :raises OSError: listening failed at one of them; the text names it.
        """
        from indianyio.streams._listening import open_listeners  # a client needs none

        return await open_listeners(host, port, unix, tls=tls, keepalive_seconds=keepalive_seconds)

    async def connect(
        self, host: str, port: int, timeout_seconds: float, *, name: str, tls: SSLContext | None = None
    ) -> ByteStream:
        """Connect to a server by TCP. Cancelled, it leaves nothing open.

        :param timeout_seconds: how long connecting may take in all.
        :param name: what the stream is called in log lines.
        :param tls: a client's context; with it, the connection is encrypted.
        :raises OSError: there is no such host, it cannot be connected to, or its certificate is not accepted.
        :raises UnicodeError: the host's name cannot be a name in DNS.
        """
        if tls is not None:
            return await dial_tls(host, port, timeout_seconds, tls, name=name)
        return await dial(host, port, timeout_seconds, name=name)

    async def connect_unix(self, path: str, timeout_seconds: float, *, name: str) -> ByteStream:
        """Connect to a server by its unix socket. Cancelled, it leaves nothing open.

        :param path: where it is, or ``@`` and a name for an abstract one.
        :param timeout_seconds: how long connecting may take.
        :param name: what the stream is called in log lines.
        :raises OSError: there is no such socket, or nobody listens there.
        """
        return await dial_unix(path, timeout_seconds, name=name)

    def find_program(self, program: str, variables: Mapping[str, str] | None) -> str | None:
        """Look for a program as :meth:`launch` will, without starting it.

        :param program: a path, or a name that is looked up in ``PATH``.
        :param variables: the environment variables with ``PATH``; ``None`` for those of this process.
        :return: its file; ``None`` for a program without a file, as in a simulation.
        :raises FileNotFoundError: there is no such program; the text names it.
        :raises PermissionError: the program may not be executed; the text names it.
        """
        from indianyio.streams._programs import find_program  # few servers need it

        return find_program(program, variables)

    def launch(self, command: Sequence[str], variables: Mapping[str, str] | None, *, name: str) -> Program:
        """Start a program, whose standard input and output are one stream.

        :param command: the program, looked up in ``PATH``, and its arguments.
        :param variables: its environment variables, all of them; ``None`` for those of this process.
        :param name: what its stream is called in log lines.
        :raises OSError: it cannot be started; the text names it.
        """
        from indianyio.streams._programs import ChildProcess  # few servers need it

        return ChildProcess(command, variables, name=name)


THIS_MACHINE: Final = Environment()
"""The default environment."""
