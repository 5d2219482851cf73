"""What a vector knows of its device, and both of their driver: what they send with, and what runs beside them.

The owners are protocols, so that what is owned need not import its owner's module.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

import anyio.lowlevel

from indianyio._model import AnyVector, BLOBMember
from indianyio._tasks import is_unbegun
from indianyio.protocol import OneBLOB, SetBLOBVector, WireMessage
from indianyio.protocol._frames import Head

__all__ = [
    "Background",
    "BackgroundWork",
    "DeviceOwner",
    "Job",
    "Running",
    "Sender",
    "VectorOwner",
    "send",
    "timestamp_or_now",
]


class Sender(Protocol):
    """The way from vectors, devices and their driver to the peer of a run."""

    async def send(self, message: WireMessage) -> None:
        """Send a message, waiting while there is no room for it."""

    async def send_encoded(self, data: bytes, head: Head) -> None:
        """Send a message without BLOBs that is encoded already, as :meth:`send` does.

        :param data: its bytes, with the end of the message.
        :param head: its tag, device and vector.
        """

    async def send_blobs(
        self, members: Sequence[BLOBMember], update: Callable[[Sequence[OneBLOB]], SetBLOBVector | None]
    ) -> None:
        """Send the contents of members, all of one vector.

        :param update: makes the message once the contents are read and it is their turn; ``None`` is not sent.
        """


async def send(sender: Sender | None, message: WireMessage | None) -> None:
    """Send a message, waiting while the outbox is full.

    Where there is no message or nobody to send it to, nothing is sent, but the other tasks have their turn: nothing
    else would ever stop a loop of these.
    """
    if message is None or sender is None:
        await anyio.lowlevel.checkpoint()
    else:
        await sender.send(message)


def timestamp_or_now(timestamp: datetime | None) -> datetime:
    """Return what a message shall be stamped with: the given moment, else this one."""
    return datetime.now(UTC) if timestamp is None else timestamp


class Running(Protocol):
    """Whether there is a run."""

    @property
    def sender(self) -> Sender | None:
        """What sends for the run, if there is one."""


class DeviceOwner(Protocol):
    """A driver, seen from its devices and vectors; in fact it is the :class:`IPyDriver`, with all that it has."""

    driverdata: dict[str, object]

    @property
    def stop(self) -> bool:
        """Whether the run is to end."""

    def __getitem__(self, name: str, /) -> VectorOwner:
        """Return a device."""

    def shutdown(self, reason: str = ...) -> None:
        """Let the run end in order."""

    def add_background(self, work: BackgroundWork, *args: object) -> None:
        """Have ``work`` run beside the driver."""

    async def send_message(self, message: str = ..., timestamp: datetime | None = ...) -> None:
        """Send a line for people that names no device."""


class VectorOwner(Protocol):
    """A device, seen from its vectors; in fact it is the :class:`Device`, with all that it has."""

    devicename: str
    devicedata: dict[str, object]
    enable: bool
    driver: DeviceOwner | None

    @property
    def _run_state(self) -> Running:
        """Whether there is a run."""

    def __getitem__(self, name: str, /) -> AnyVector:
        """Return a vector."""


# -- what runs beside hardware(): functions with every run, coroutine objects in one ---------------------------


Job: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
BackgroundWork: TypeAlias = Callable[..., Awaitable[object]] | Coroutine[Any, Any, object]


class Background:
    """The background work of a driver or a device.

    A coroutine object can be awaited once, so it serves one run; one that no run ever started is closed with its
    owner, where it would otherwise be reported as never awaited.
    """

    def __init__(self) -> None:
        self._functions: list[Job] = []
        self._coroutines: list[tuple[Coroutine[Any, Any, object], weakref.finalize[[], Background]]] = []
        self._taken: list[Coroutine[Any, Any, object]] = []
        self._spawn: Callable[[Job], None] | None = None

    def add(self, work: BackgroundWork, *args: object) -> None:
        """Have ``work`` run with every run from now on, the present one included.

        :param work: an async function, called with ``args``; or a coroutine object, as indipydriver takes it.
        :raises TypeError: it is neither, or arguments came with a coroutine object.
        """
        if inspect.iscoroutine(work):
            if args:
                raise TypeError("a coroutine object takes no further arguments; hand over the function instead")
            self._add_coroutine(work)
        elif callable(work):
            function = work

            async def call() -> None:
                await function(*args)

            call.__name__ = getattr(function, "__name__", call.__name__)
            self._functions.append(call)
            self._start(call)
        else:
            raise TypeError(f"background work is an async function or a coroutine object, not {work!r}")

    def begin(self, spawn: Callable[[Job], None]) -> None:
        """Start everything with ``spawn``, and whatever is added until :meth:`end` as well."""
        self._spawn = spawn
        for function in self._functions:
            spawn(function)
        for coroutine, closing in self._coroutines:
            closing.detach()
            self._take(coroutine, spawn)
        self._coroutines.clear()

    def end(self) -> None:
        """Start nothing more, and close the coroutine objects that no task has begun with."""
        self._spawn = None
        for _, closing in self._coroutines:
            closing()
        self._coroutines.clear()
        for coroutine in filter(is_unbegun, self._taken):
            coroutine.close()
        self._taken.clear()

    def _add_coroutine(self, coroutine: Coroutine[Any, Any, object]) -> None:
        if self._spawn is not None:
            self._take(coroutine, self._spawn)
        else:
            self._coroutines.append((coroutine, weakref.finalize(self, coroutine.close)))

    def _take(self, coroutine: Coroutine[Any, Any, object], spawn: Callable[[Job], None]) -> None:
        self._taken = [*filter(is_unbegun, self._taken), coroutine]
        spawn(_awaiting(coroutine))

    def _start(self, job: Job) -> None:
        if self._spawn is not None:
            self._spawn(job)


def _awaiting(coroutine: Coroutine[Any, Any, object]) -> Job:
    async def run() -> None:
        await coroutine

    run.__name__ = getattr(coroutine, "__name__", run.__name__)
    return run
