"""A world in memory: servers, clients and programs find each other there, and none of them outside of it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import anyio
import anyio.lowlevel

from indianyio import IPyDriver
from indianyio._tasks import TaskStarter
from indianyio.server import Accepted, Connection, Environment
from indianyio.streams import ByteStream, MemoryStream, memory_pair

T = TypeVar("T")

BEGINNING = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)

REFUSED = 111
TERMINATED, KILLED = -15, -9

# Small, so that senders wait and what is sent at once is sent in parts.
CAPACITY_BYTES = 500


class MemoryProgram:
    """A driver that stands for a program: SIGTERM ends it in order, SIGKILL at once."""

    def __init__(self, driver: IPyDriver, name: str, *, number: int) -> None:
        self.driver = driver
        self.pid = number
        self.status: int | None = None
        self.stream: MemoryStream
        self.stream, self._inside = memory_pair(capacity_bytes=CAPACITY_BYTES, names=(name, "standard input"))
        self._errors, self._error = memory_pair(names=(name, "standard error"))
        self._ended = anyio.Event()
        self._life = anyio.CancelScope()
        self._told_to_end = 0

    async def run(self) -> None:
        with anyio.CancelScope(shield=True):  # nobody but a signal ends a process
            with self._life:
                await self._error.send(b"it begins\n")
                try:
                    await self.driver.asyncrun(self._inside)
                finally:
                    await self._error.send(b"it ends\n")
            self.status = self._told_to_end
            await self._inside.aclose()
            await self._error.aclose()
            self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.status is not None
        return self.status

    async def read_error(self) -> bytes:
        return (await self._errors.receive()).data

    def close_input(self) -> None:
        self.stream.close_sending()

    def hang_up(self) -> None:
        self.stream.close()

    def terminate(self) -> None:
        self.driver.shutdown()
        self._told_to_end = TERMINATED

    def kill(self) -> None:
        self._told_to_end = KILLED
        self._inside.close()
        self._life.cancel("SIGKILL")

    def close(self) -> None:
        self.hang_up()
        self._errors.close()


class World(Environment):
    """What is outside.

    :param tasks: in which the programs run.
    :param seed: of all chance.
    :ivar installed: makes the driver of a program, by the program's name.
    :ivar started: the programs, in the order in which they were started.
    :ivar cut: the most bytes that anybody here receives at a time; ``None`` for the usual.
    """

    program: type[MemoryProgram] = MemoryProgram

    def __init__(self, tasks: TaskStarter, seed: int = 0) -> None:
        self.installed: dict[str, Callable[[], IPyDriver]] = {}
        self.started: list[MemoryProgram] = []
        self.listening: dict[tuple[str, int], MemoryListener] = {}
        self.tokens = 0
        self.cut: int | None = None
        self._tasks = tasks
        self._seed = seed

    def time_of_day(self) -> datetime:
        return BEGINNING + timedelta(seconds=anyio.current_time())

    def random(self, user: str) -> random.Random:
        return random.Random(f"{self._seed} {user}")

    def token(self, length_bytes: int) -> str:
        self.tokens += 1
        return f"{self.tokens:0{2 * length_bytes}x}"

    async def blocking(
        self, call: Callable[..., T], *args: object, limiter: anyio.CapacityLimiter | None = None
    ) -> T:
        await anyio.lowlevel.checkpoint()
        return call(*args)

    async def listen(
        self, host: str | None, port: int, unix: str | None, *, tls: object = None, keepalive_seconds: int = 60
    ) -> list[MemoryListener]:
        await anyio.lowlevel.checkpoint()
        assert host is not None
        if (host, port) in self.listening:
            raise OSError(98, f"cannot listen on {host}:{port}: Address already in use")
        listener = self.listening[host, port] = MemoryListener(self, host, port)
        return [listener]

    async def connect(
        self, host: str, port: int, timeout_seconds: float, *, name: str, tls: object = None
    ) -> ByteStream:
        await anyio.lowlevel.checkpoint()
        if (host, port) not in self.listening:
            raise ConnectionRefusedError(REFUSED, "Connection refused")
        return self.listening[host, port].call(name)

    def find_program(self, program: str, variables: Mapping[str, str] | None) -> str | None:
        if program not in self.installed:
            raise FileNotFoundError(2, "No such file or directory", program)
        return None

    def launch(self, command: Sequence[str], variables: Mapping[str, str] | None, *, name: str) -> MemoryProgram:
        self.find_program(command[0], variables)
        program = self.program(self.installed[command[0]](), name, number=len(self.started) + 1)
        program.stream.cut = self.cut
        self.started.append(program)
        self._tasks.start_soon(program.run)
        return program


class MemoryListener:
    """Where a server is called."""

    def __init__(self, world: World, host: str, port: int) -> None:
        self.address = f"{host}:{port}"
        self._world = world
        self._place = host, port
        self._calls: list[tuple[Connection, MemoryStream]] = []
        self._news = anyio.Event()
        self._closed = False
        self._number = 0

    def call(self, name: str) -> MemoryStream:
        self._number += 1
        connection = Connection("tcp", "127.0.0.1", 50_000 + self._number)
        near, far = memory_pair(capacity_bytes=CAPACITY_BYTES, names=(name, connection.name))
        near.cut = far.cut = self._world.cut
        self._calls.append((connection, far))
        self._news.set()
        return near

    async def accept_forever(self, handle: Callable[[Accepted], Awaitable[None]], tasks: TaskStarter) -> None:
        while not self._closed:
            await self._news.wait()
            self._news = anyio.Event()
            while self._calls:
                tasks.start_soon(_serve, handle, Accepted(*self._calls.pop(0)))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            del self._world.listening[self._place]
            for _, stream in self._calls:
                stream.close()
            self._calls.clear()
            self._news.set()


async def _serve(handle: Callable[[Accepted], Awaitable[None]], accepted: Accepted) -> None:
    try:
        await handle(accepted)
    finally:
        with anyio.CancelScope(shield=True):
            await accepted.aclose()
