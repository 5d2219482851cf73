"""What a service manager is told that has started this process: that it is ready, alive, and about to end.

systemd, and what speaks like it, has a datagram socket for that, which the variable NOTIFY_SOCKET names. With a
watchdog it wants to hear from time to time that the event loop is at work (WATCHDOG_USEC), and ends the process
otherwise. That is a few lines, so no library does it.

The variables are taken out of the environment: a driver's program that is started later must not speak for the
server. Nothing here fails the run. Whoever cannot be told is one line in the log.
"""

from __future__ import annotations

import logging
import os
import socket
import textwrap
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Self

import anyio

from indianyio._tasks import Tasks
from indianyio.driver import Flag

__all__ = ["Service", "ServiceManager", "describe_server"]

logger = logging.getLogger(__name__)

_STATUS_CHARACTERS = 400
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Service:
    """What is managed.

    :ivar up: set when it is ready.
    :ivar ending: set when it is about to end.
    :ivar describe: says in a line for people what is served, when it is ready.
    :ivar end_seconds: says how long the process may take from now to be gone.
    """

    up: Flag
    ending: Flag
    describe: Callable[[], str]
    end_seconds: Callable[[], float]


def describe_server(served: Iterable[str], addresses: Iterable[str]) -> str:
    """Return what :attr:`Service.describe` says of a server.

    :param served: its devices, programs and other servers, by their names for people.
    :param addresses: where it listens.
    """
    names = ", ".join(served) or "nothing yet"
    return f"Serving {names} at {', '.join(addresses)}"


class ServiceManager:
    """Who wants to be told.

    :param address: of its socket: a path, or ``@`` and the name of an abstract one.
    :param watchdog_seconds: how often it wants to hear that the process is alive, at the least; ``None`` for never.
    """

    def __init__(self, address: str, watchdog_seconds: float | None = None) -> None:
        self._address = address
        self._watchdog_seconds = watchdog_seconds
        self._complained = False

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> Self | None:
        """Return who is named in an environment, ``None`` if nobody is; what names it is removed there."""
        address = environment.pop("NOTIFY_SOCKET", "")
        period, process = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        if not address:
            return None
        is_ours = process in ("", str(os.getpid()))
        seconds = int(period) / _MICROSECONDS if is_ours and period.isascii() and period.isdigit() else 0.0
        return cls(address, seconds or None)

    async def attend(self, service: Service) -> None:
        """Tell what there is to tell, until this is cancelled, which should be when the run has ended."""
        async with Tasks() as tasks:
            tasks.start_soon(self._tell_ready, service)
            if self._watchdog_seconds is not None:
                # Until the very end: what hangs on the way out is bounded by the process itself.
                tasks.start_soon(self._keep_alive, self._watchdog_seconds)
            try:
                await service.ending.wait()
            finally:
                # At once, because after a cancellation there is no time to wait.
                self._tell_at_once(_ending(service.end_seconds()))

    async def _tell_ready(self, service: Service) -> None:
        await service.up.wait()
        await self._tell(f"READY=1\n{_status(service.describe())}")

    async def _keep_alive(self, period_seconds: float) -> None:
        while True:
            await self._tell("WATCHDOG=1")
            # Half the time, as systemd recommends: one that is late is none that is missing.
            await anyio.sleep(period_seconds / 2)

    async def _tell(self, message: str) -> None:
        try:
            with self._dial() as sock:
                while not _is_taken(sock, message):
                    await anyio.wait_writable(sock)
        except OSError as error:
            self._complain(error)

    def _tell_at_once(self, message: str) -> None:
        try:
            with self._dial() as sock:
                sock.send(_encoded(message))
        except OSError as error:
            self._complain(error)

    def _dial(self) -> socket.socket:
        """Return a socket for one message: the manager may have been started again since the last."""
        if not self._address.startswith(("/", "@")):
            raise OSError("its socket is not a unix socket")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(f"\0{self._address[1:]}" if self._address.startswith("@") else self._address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            logger.warning("the service manager cannot be told at %s: %s", self._address, error)
        self._complained = True


def _is_taken(sock: socket.socket, message: str) -> bool:
    try:
        sock.send(_encoded(message))
    except BlockingIOError:
        return False
    return True


def _encoded(message: str) -> bytes:
    # The name of a program may be what no text is.
    return message.encode(errors="backslashreplace")


def _ending(seconds: float) -> str:
    # The process may have learned since its unit was written that somebody takes longer.
    extended = f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}"
    return f"STOPPING=1\n{extended}\n{_status(f'Ending, within {seconds:.0f} s')}"


def _status(text: str) -> str:
    return f"STATUS={textwrap.shorten(text, _STATUS_CHARACTERS)}"
