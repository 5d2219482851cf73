"""A client that is a port of the hub and nothing else: it keeps what it is given."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeGuard, TypeVar

import anyio
import pytest

from indianyio._routing import Relayed
from indianyio._vocabulary import Limits
from indianyio.protocol import Frame, Framer, GetProperties, WireMessage, decode, encode
from indianyio.server._hub import Hub
from indianyio.server._run import Feeder

M = TypeVar("M", bound=WireMessage)

SECONDS = 60.0


class Watcher:
    """A client of the hub; it reads at once, as TCP clients get it."""

    def __init__(self, hub: Hub) -> None:
        self.name = "the watcher"
        self.attaches = False
        self.received: list[WireMessage] = []
        self.refused: list[str] = []
        self._hub = hub
        self._read = 0
        self._news = anyio.Event()
        hub.add_client(self)
        self.say(GetProperties())

    def deliver(self, relay: Relayed) -> None:
        for item in Framer().feed(b"".join(relay.outgoing(attach=False).parts)):
            assert isinstance(item, Frame), item
            message = decode(item)
            assert isinstance(message, WireMessage), message
            self.received.append(message)
        self._news.set()

    def refuse(self, reason: str) -> None:
        self.refused.append(reason)

    def say(self, message: WireMessage) -> None:
        for item in Framer().feed(encode(message)):
            assert isinstance(item, Frame), item
            assert self._hub.receive(self, item) is None

    async def expect(self, kind: type[M], name: str | None = None, **attributes: str) -> M:
        """Return the next message of this kind; those before it are skipped."""
        wanted = attributes if name is None else {"name": name, **attributes}
        with anyio.fail_after(SECONDS):
            while True:
                while self._read < len(self.received):
                    message = self.received[self._read]
                    self._read += 1
                    if _matches(message, kind, wanted):
                        return message
                await self._more()

    async def has(self, kind: type[WireMessage], **attributes: str) -> None:
        """Wait until such a message has come, be it already or later; nothing is skipped."""
        with anyio.fail_after(SECONDS):
            while not any(_matches(message, kind, attributes) for message in self.received):
                await self._more()

    async def _more(self) -> None:
        self._news = anyio.Event()
        await self._news.wait()


def _matches(message: WireMessage, kind: type[M], attributes: dict[str, str]) -> TypeGuard[M]:
    return isinstance(message, kind) and all(
        getattr(message, key, None) == value for key, value in attributes.items()
    )


@asynccontextmanager
async def feeding(hub: Hub, *feeders: Feeder) -> AsyncGenerator[Watcher]:
    """Run these for the block, watched by a client, and cancel them after it."""
    watcher = Watcher(hub)
    async with anyio.create_task_group() as tasks:
        for feeder in feeders:
            tasks.start_soon(feeder.run, hub)
        try:
            yield watcher
        finally:
            tasks.cancel_scope.cancel("the test is over")


@contextmanager
def nothing_left() -> Iterator[None]:
    """After the block there are no more descriptors and no more children than before."""
    descriptors, children = _descriptors(), _children()
    yield
    assert _descriptors() == descriptors
    assert _children() == children


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again, as nothing tells when another process has got somewhere."""
    with anyio.fail_after(SECONDS):
        while not condition():  # noqa: ASYNC110 - there is no event
            await anyio.sleep(0.005)


def texts(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return texts(caplog, logging.ERROR)


def new_hub() -> Hub:
    return Hub(Limits())


def _descriptors() -> set[str]:
    """Return what is open, but not what a back end opens for itself and the test's own look at it."""
    opened = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the folder that was just listed
            continue
        opened.add(f"{number} {target}")
    return opened


def _children() -> set[str]:
    """Return the processes that this one has started, those that nobody has waited for included."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split())
