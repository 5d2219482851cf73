"""What the commands share: the server that they talk to, patterns of names, and lines."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

from indianyio._block import at_work
from indianyio._vocabulary import Limits
from indianyio.client._open import way_to
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import (
    Framer,
    PingReply,
    PingRequest,
    Unusable,
    WireMessage,
    decode,
    encode,
)
from indianyio.streams import ByteStream

__all__ = [
    "ATTRIBUTES",
    "Conversation",
    "Pattern",
    "add_backend",
    "add_server",
    "complain",
    "connect",
    "conversation",
    "json_line",
    "run_until_interrupted",
    "say",
    "server_name",
    "shows_table",
]

_CONNECT_SECONDS = 10.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

T = TypeVar("T")
ArgsT = TypeVarTuple("ArgsT")

ATTRIBUTES = {
    "_LABEL": "label",
    "_GROUP": "group",
    "_STATE": "state",
    "_PERM": "perm",
    "_TO": "timeout",
    "_TS": "timestamp",
}
"""What a pattern may have in the place of a member, and the attribute that it stands for."""


def add_server(parser: argparse.ArgumentParser, *, timeout: float | None = None) -> None:
    """Add the options that name a server.

    :param timeout: the default of ``--timeout``, in seconds; there is no such option if absent.
    """
    parser.add_argument("-H", "--host", default="localhost", help="the server's host (default: %(default)s)")
    parser.add_argument("-p", "--port", type=int, default=7624, help="its port (default: %(default)s)")
    parser.add_argument("--unix", metavar="PATH", help="its unix socket instead; @NAME for an abstract one")
    add_backend(parser)
    if timeout is not None:
        parser.add_argument(
            *("-t", "--timeout"),
            type=float,
            default=timeout,
            metavar="SECONDS",
            help="how long to wait for the server to tell more; 0 for ever (default: %(default)s)",
        )


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the event loop, which nobody needs but tests."""
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio", help=argparse.SUPPRESS)


def run_until_interrupted(
    options: argparse.Namespace, function: Callable[[Unpack[ArgsT]], Awaitable[T]], *args: *ArgsT
) -> T:
    """Run the asynchronous part of a command, and return what it returns.

    Ctrl-C, SIGTERM and SIGHUP cancel it, so that what moves is stopped when a shell, a time-out or a service ends
    the command. A second one ends the process at once.

    :raises KeyboardInterrupt: it was cancelled so, and has ended.
    """
    return anyio.run(_until_interrupted, function, args, backend=options.backend)


async def _until_interrupted(function: Callable[[Unpack[ArgsT]], Awaitable[T]], args: tuple[*ArgsT]) -> T:
    if threading.current_thread() is not threading.main_thread():
        return await function(*args)  # only the main thread gets signals
    listening = anyio.CancelScope()

    async def listen(ready: Callable[[], None]) -> None:
        with listening, anyio.open_signal_receiver(*_ENDING) as signals:
            ready()
            async for _ in signals:
                raise KeyboardInterrupt

    async def end() -> None:  # noqa: ASYNC124 - what a block calls
        listening.cancel("the command has ended")

    async with at_work(listen, end, what="the command", failed=lambda failure: failure):
        return await function(*args)


def server_name(options: argparse.Namespace) -> str:
    """Return how a line for people names the server."""
    return options.unix or f"{options.host}:{options.port}"


class Conversation:
    """Messages to and from a server, one after the other, as they are."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._framer = Framer(limits=Limits())
        self._waiting: deque[WireMessage] = deque()

    async def send(self, *messages: WireMessage) -> None:
        """Send messages."""
        await self._stream.send(b"".join(map(encode, messages)))

    async def receive(self) -> WireMessage:
        """Wait for the next message; pings are answered, and what cannot be read is left out.

        :raises ConnectionLostError: the server has closed the connection.
        """
        while not self._waiting:
            received = await self._stream.receive()
            for attachment in received.attachments:
                attachment.close()
            if not received.data:
                raise ConnectionLostError(f"{self._stream.name}: the server has closed the connection")
            for item in self._framer.feed(received.data):
                message = item if isinstance(item, Unusable) else decode(item)
                if isinstance(message, PingRequest):
                    await self.send(PingReply(uid=message.uid))
                elif not isinstance(message, Unusable):
                    self._waiting.append(message)
        return self._waiting.popleft()


async def connect(options: argparse.Namespace) -> ByteStream:
    """Return a connection to the server that the options name.

    :raises OSError: there is none.
    """
    _, dial_once = way_to(options.host, options.port, options.unix, None, _CONNECT_SECONDS, None)
    return await dial_once()


@asynccontextmanager
async def conversation(options: argparse.Namespace) -> AsyncGenerator[Conversation]:
    """Talk to the server that the options name for as long as the block lasts.

    :raises OSError: there is none.
    """
    stream = await connect(options)
    try:
        yield Conversation(stream)
    finally:
        with anyio.CancelScope(shield=True):
            await stream.aclose()


@dataclass(frozen=True)
class Pattern:
    """Names of a device, a vector and a member (or ``_STATE`` and the like), each or ``*`` for any."""

    device: str
    vector: str
    member: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read ``Device.VECTOR.member``; a part that begins with ``*``, or is not there, is any.

        :raises ValueError: there are too many parts, or an empty one.
        """
        parts = text.split(".")
        if len(parts) > 3 or not all(parts):
            raise ValueError(f"{text!r} is not of the form Device.VECTOR.member")
        return cls(*("*" if part.startswith("*") else part for part in parts), *["*"] * (3 - len(parts)))

    def __str__(self) -> str:
        return f"{self.device}.{self.vector}.{self.member}"

    @property
    def is_wild(self) -> bool:
        """Whether it may stand for more than one member."""
        return "*" in (self.device, self.vector, self.member)

    def matches(self, device: str, vector: str = "", member: str = "") -> bool:
        """Tell whether a device, a vector of it, or a member of that is meant; an empty name is not asked."""
        asked = zip((self.device, self.vector, self.member), (device, vector, member), strict=True)
        return all(wanted == "*" or not name or wanted == name for wanted, name in asked)


def say(line: str) -> None:
    """Print a line of the answer, at once: who reads a pipe acts on it, and may end the command at any time."""
    print(line, flush=True)  # noqa: T201 - the command's answer


def json_line(**fields: object) -> None:
    """Print an answer as a line of JSON."""
    say(json.dumps(fields, ensure_ascii=False))


def complain(line: str) -> None:
    """Print a line that is not the answer."""
    print(line, file=sys.stderr)  # noqa: T201 - the command's own words


def shows_table(options: argparse.Namespace) -> bool:
    """Tell whether people read the answer, and not a program."""
    return sys.stdout.isatty() and not options.json
