"""Hosts and the lines between them: servers find their clients, other servers and programs in memory.

Each host is an :class:`~indianyio.server.Environment`. A server that is given one listens there; whoever
connects to it, from that host or another, gets a :class:`Line`. Hosts can be parted, so that nothing passes
between them and nobody is told; and lines can be cut.
"""

from __future__ import annotations

import errno
import math
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import trio

from indianyio.driver import IPyDriver
from indianyio.server import Accepted, Connection, Environment
from indianyio.testing.simulation._chance import chance
from indianyio.testing.simulation._links import Line, LineConditions, LineEnd, Tap
from indianyio.testing.simulation._programs import SimulatedProgram
from indianyio.testing.simulation._reality import moment_of_run

if TYPE_CHECKING:
    from ssl import SSLContext

    from anyio import CapacityLimiter

    from indianyio._tasks import TaskStarter

__all__ = ["Host", "Network"]

T = TypeVar("T")

_NO_TLS = "a simulated network has no TLS: leave tls out in the simulation, and test it with real sockets"
_NO_UNIX = (
    "a simulated network has no unix sockets: listen and connect by the host's name and a port in the simulation, "
    "and test unix sockets with real ones"
)


@dataclass(frozen=True, slots=True)
class _Between:
    caller: str
    called: str
    line: Line


class Network:
    """Hosts, and what connects them.

    :param nursery: the one in which programs run; it outlasts the servers.
    :param seed: of the run.
    :param conditions: returns what a new line is like. It gets its name: ``A-B#2`` is the second from host A to B.
    :param tap: sees what is received on all lines.
    :ivar programs: those that were started, in that order.
    :ivar hung_up: the lines that were closed by whoever was called, before anybody else, and when that was.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        seed: int,
        conditions: Callable[[str], LineConditions] = lambda name: LineConditions(),
        tap: Tap | None = None,
    ) -> None:
        self.nursery = nursery
        self.seed = seed
        self.programs: list[SimulatedProgram] = []
        self.hung_up: list[tuple[float, Line]] = []
        self._conditions = conditions
        self._tap = tap
        self._hosts: dict[str, Host] = {}
        self._listeners: dict[tuple[str, int], _Listener] = {}
        self._between: list[_Between] = []
        self._parted: set[frozenset[str]] = set()
        self._numbers: dict[tuple[str, str], int] = {}

    def host(self, name: str) -> Host:
        """Return a host, which is made when it is first asked for."""
        if name not in self._hosts:
            self._hosts[name] = Host(self, name)
        return self._hosts[name]

    def lines(self, one: str, other: str) -> Iterator[Line]:
        """Yield the lines between two hosts that are open, in the order in which they were made."""
        return (line for line in self._lines(one, other) if line.is_open)

    def _lines(self, one: str, other: str) -> Iterator[Line]:
        """Yield those that one end has closed, too: what it has sent, and that it is closed, may be under way."""
        self._between = [between for between in self._between if not between.line.is_over]
        for between in self._between:
            if {between.caller, between.called} == {one, other}:
                yield between.line

    def part(self, one: str, other: str) -> None:
        """Let nothing pass between two hosts, and tell nobody; an attempt to connect times out."""
        self._parted.add(frozenset((one, other)))
        for line in self._lines(one, other):
            line.stall()

    def join(self, one: str, other: str) -> None:
        """Let everything pass again."""
        self._parted.discard(frozenset((one, other)))
        for line in self._lines(one, other):
            line.go_on()

    def cut(self, one: str, other: str) -> None:
        """Lose the connections between two hosts; they may be made anew."""
        for line in list(self._lines(one, other)):
            line.cut()

    async def connect(self, caller: str, called: str, port: int, timeout_seconds: float = math.inf) -> LineEnd:
        """Connect to a server.

        :raises TimeoutError: the hosts are parted.
        :raises ConnectionRefusedError: nobody listens there.
        """
        await trio.lowlevel.checkpoint()
        if frozenset((caller, called)) in self._parted:
            await trio.sleep(timeout_seconds)
            raise TimeoutError(errno.ETIMEDOUT, f"{called}:{port} does not answer")
        listener = self._listeners.get((called, port))
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {called}:{port}")
        line = self.new_line(caller, called)
        listener.take(line)
        return line.a

    def new_line(self, caller: str, called: str) -> Line:
        """Return a line between two hosts that nobody listens to yet."""
        number = self._numbers[caller, called] = self._numbers.get((caller, called), 0) + 1
        name = f"{caller}-{called}#{number}"
        ends = (f"{called} for {caller}#{number}", f"{caller}#{number}")
        line = Line(name, chance(self.seed, name), self._conditions(name), tap=self._tap, names=ends)
        self._between.append(_Between(caller, called, line))
        return line


class Host(Environment):
    """What is outside a server in a :class:`Network`; :meth:`Network.host` makes it.

    :ivar installed: what makes the driver of each program, by the program's name.
    """

    def __init__(self, network: Network, name: str) -> None:
        self.name = name
        self.installed: dict[str, Callable[[], IPyDriver]] = {}
        self._network = network
        self._tokens = chance(network.seed, f"{name} tokens")
        self._randoms: dict[str, random.Random] = {}

    def now(self) -> float:
        """Return the time of the run, in seconds."""
        return trio.current_time()

    def time_of_day(self) -> datetime:
        """Return the date and the time of day in the run."""
        return moment_of_run()

    def random(self, user: str) -> random.Random:
        """Return the generator of one user on this host."""
        if user not in self._randoms:
            self._randoms[user] = chance(self._network.seed, f"{self.name} {user}")
        return self._randoms[user]

    def token(self, length_bytes: int) -> str:
        """Return a text that nobody else in the run has."""
        return self._tokens.randbytes(length_bytes).hex()

    async def blocking(self, call: Callable[..., T], *args: object, limiter: CapacityLimiter | None = None) -> T:
        """Call a function, here and at once."""
        await trio.lowlevel.checkpoint()
        return call(*args)

    async def listen(
        self,
        host: str | None,
        port: int,
        unix: str | None,
        *,
        tls: SSLContext | None = None,
        keepalive_seconds: int = 60,
    ) -> Sequence[_Listener]:
        """Listen at a port of this host, whatever ``host`` says.

        :raises ValueError: a unix socket or TLS is asked for, neither of which exists here.
        :raises OSError: somebody listens there already.
        """
        await trio.lowlevel.checkpoint()
        if unix is not None:
            raise ValueError(_NO_UNIX)
        if tls is not None:
            raise ValueError(_NO_TLS)
        listeners, place = self._network._listeners, (self.name, port)
        if place in listeners:
            raise OSError(errno.EADDRINUSE, f"cannot listen on {self.name}:{port}: Address already in use")
        listeners[place] = _Listener(self._network, place)
        return [listeners[place]]

    async def connect(
        self, host: str, port: int, timeout_seconds: float, *, name: str, tls: SSLContext | None = None
    ) -> LineEnd:
        """Connect to a server of the network, as :meth:`Network.connect` does.

        :raises ValueError: TLS is asked for, which does not exist here.
        """
        if tls is not None:
            raise ValueError(_NO_TLS)
        return await self._network.connect(self.name, host, port, timeout_seconds)

    async def connect_unix(self, path: str, timeout_seconds: float, *, name: str) -> LineEnd:
        """Refuse, because no host has unix sockets, and a real one would lead out of the run.

        :raises ValueError: always.
        """
        raise ValueError(_NO_UNIX)

    def find_program(self, program: str, variables: Mapping[str, str] | None) -> str | None:
        """Check that a program is installed; return ``None``, because no file has it.

        :raises FileNotFoundError: it is not.
        """
        if program not in self.installed:
            raise FileNotFoundError(errno.ENOENT, "No such program is installed", program)
        return None

    def launch(self, command: Sequence[str], variables: Mapping[str, str] | None, *, name: str) -> SimulatedProgram:
        """Start a program: a driver of its own, on a line."""
        self.find_program(command[0], variables)
        network = self._network
        line = network.new_line(self.name, command[0])
        program = SimulatedProgram(command[0], self.installed[command[0]](), line, pid=len(network.programs) + 1)
        network.programs.append(program)
        network.nursery.start_soon(program.run)
        return program


class _Listener:
    """Where a server waits for connections."""

    def __init__(self, network: Network, place: tuple[str, int]) -> None:
        self._network = network
        self._place = place
        self._waiting: list[Line] = []
        self._news = trio.Event()
        self._closed = False
        self._count = 0

    @property
    def address(self) -> str:
        """Where it is."""
        return f"{self._place[0]}:{self._place[1]}"

    def take(self, line: Line) -> None:
        """Let a new connection wait to be served."""
        self._waiting.append(line)
        self._news.set()

    async def accept_forever(self, handle: Callable[[Accepted], Awaitable[None]], tasks: TaskStarter) -> None:
        """Serve each connection in a task of its own, until :meth:`close` is called."""
        while not self._closed:
            await self._news.wait()
            self._news = trio.Event()
            while self._waiting:
                self._count += 1
                connection = Connection("tcp", "10.0.0.1", 40_000 + self._count)
                tasks.start_soon(self._serve, handle, connection, self._waiting.pop(0))

    def close(self) -> None:
        """Accept nothing more."""
        if not self._closed:
            self._closed = True
            del self._network._listeners[self._place]
            for line in self._waiting:
                line.b.close()
            self._waiting.clear()
            self._news.set()

    async def _serve(
        self, handle: Callable[[Accepted], Awaitable[None]], connection: Connection, line: Line
    ) -> None:
        accepted = Accepted(connection, line.b)
        try:
            await handle(accepted)
        finally:
            if line.is_open:
                self._network.hung_up.append((trio.current_time(), line))
            with trio.CancelScope(shield=True):
                await accepted.aclose()  # it does not wait
