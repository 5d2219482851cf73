"""External programs in memory: a driver on a line, with standard error, signals and an end."""

from __future__ import annotations

import signal
from collections import deque

import trio

from indianyio.driver import IPyDriver
from indianyio.testing.simulation._links import Line, LineEnd

__all__ = ["SimulatedProgram"]


class SimulatedProgram:
    """A program that a server has started; an :class:`~indianyio.server.Program`.

    SIGTERM ends its driver in order. SIGKILL, and :meth:`die`, end the program at once: nothing that the driver
    says from then on arrives. There is no process that could vanish, so its driver is cancelled instead,
    and its ``leave()`` runs, unlike that of a real program.

    :param name: what it is called.
    :param driver: what it does.
    :param line: its standard input and output; the program has the end ``b``.
    :param pid: its number.
    :ivar ignores_sigterm: whether SIGTERM does nothing.
    :ivar line: the same.
    """

    def __init__(self, name: str, driver: IPyDriver, line: Line, *, pid: int) -> None:
        self.name = name
        self.driver = driver
        self.line = line
        self.ignores_sigterm = False
        self._pid = pid
        self._status: int | None = None
        self._life = trio.CancelScope()
        self._ended = trio.Event()
        self._errors: deque[bytes] = deque()
        self._said = trio.Event()
        self._signal = 0

    async def run(self) -> None:
        """Do what the program does, until its end."""
        # Only a signal ends a program.
        with trio.CancelScope(shield=True):
            try:
                with self._life:
                    await self.driver.asyncrun(self.line.b)
            except Exception as error:  # noqa: BLE001 - a program prints the error that ends it
                self.say(f"{error!r}\n")
                self._end(3)
            self._end(-self._signal)

    @property
    def stream(self) -> LineEnd:
        """The way to its standard input and from its standard output."""
        return self.line.a

    @property
    def pid(self) -> int:
        """Its number."""
        return self._pid

    @property
    def status(self) -> int | None:
        """Its exit status, negative if a signal has ended it; ``None`` while it runs."""
        return self._status

    async def wait(self) -> int:
        """Wait for its end."""
        await self._ended.wait()
        return self._status or 0

    async def read_error(self) -> bytes:
        """Wait for what it says on standard error."""
        while not self._errors and self._status is None:
            await self._said.wait()
            self._said = trio.Event()
        return self._errors.popleft() if self._errors else b""

    def say(self, text: str) -> None:
        """Say something on standard error."""
        self._errors.append(text.encode())
        self._said.set()

    def close_input(self) -> None:
        """Let it find the end of its input."""
        self.line.a.close_sending()

    def hang_up(self) -> None:
        """Close its input and its output."""
        self.line.a.close()

    def terminate(self) -> None:
        """Ask it to end."""
        if not self.ignores_sigterm and self._status is None:
            self._signal = signal.SIGTERM
            self.driver.shutdown("SIGTERM")

    def kill(self) -> None:
        """End it at once."""
        self.die(-signal.SIGKILL)

    def die(self, status: int = -signal.SIGSEGV) -> None:
        """End at once, by itself."""
        if self._status is None:
            self._end(status)
            self._life.cancel("the program was killed")

    def close(self) -> None:
        """Let go of it."""
        self.hang_up()

    def _end(self, status: int) -> None:
        if self._status is None:
            self._status = status
            # What it has sent still arrives, as from a real one.
            self.line.b.close()
            self._ended.set()
            self._said.set()
