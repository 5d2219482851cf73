"""What the commands share: the server that they talk to, and patterns of names."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio

from indianyio._link import MOST_UNCLAIMED
from indianyio.client._open import way_to
from indianyio.commands._arguments import port_number, seconds
from indianyio.commands._interruption import run_until_interrupted
from indianyio.commands._output import complain, json_line, say, shows_table
from indianyio.exceptions import ConnectionLostError, INDIError, RefusedError, RemoteProtocolError
from indianyio.protocol import (
    Attachment,
    Frame,
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
    "NotDoneError",
    "Pattern",
    "add_backend",
    "add_server",
    "complain",
    "connect",
    "conversation",
    "json_line",
    "refusing",
    "run_until_interrupted",
    "say",
    "server_name",
    "shows_table",
]

_CONNECT_SECONDS = 10.0

ATTRIBUTES = {
    "_LABEL": "label",
    "_GROUP": "group",
    "_STATE": "state",
    "_PERM": "perm",
    "_TO": "timeout",
    "_TS": "timestamp",
}
"""What a pattern may have in place of a member, and the attribute that it stands for."""


def add_server(
    parser: argparse.ArgumentParser,
    *,
    timeout: float | None = None,
    bounds: str = "how long to wait for the server to send more",
) -> None:
    """Add the options that name a server.

    :param timeout: the default of ``--timeout``, in seconds; if absent, there is no such option.
    :param bounds: its help: what it bounds.
    """
    parser.add_argument("-H", "--host", default="localhost", help="the server's host (default: %(default)s)")
    parser.add_argument("-p", "--port", type=port_number, default=7624, help="its port (default: %(default)s)")
    parser.add_argument("--unix", metavar="PATH", help="its unix socket instead; @NAME for an abstract one")
    add_backend(parser)
    if timeout is not None:
        parser.add_argument(
            *("-t", "--timeout"),
            type=seconds,
            default=timeout,
            metavar="SECONDS",
            help=f"{bounds}; 0 for ever (default: %(default)g)",
        )


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the event loop, which only tests need."""
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio", help=argparse.SUPPRESS)


def server_name(options: argparse.Namespace) -> str:
    """Return the name of the server for people."""
    return options.unix or f"{options.host}:{options.port}"


class NotDoneError(INDIError):
    """What was asked for was not done, although there is a server and the command line is right."""


class Conversation:
    """Messages to and from a server, one after the other, as they are.

    :ivar on_piece: called whenever a part of a message has arrived that is not yet complete.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.on_piece: Callable[[], None] = lambda: None
        self._stream = stream
        # A server speaks for all its drivers: a mistake of one of them must cost only that message.
        self._framer = Framer(forgiving=True)
        self._arrived: deque[Attachment] = deque()
        self._waiting: deque[WireMessage] = deque()

    async def send(self, *messages: WireMessage) -> None:
        """Send messages."""
        await self._stream.send(b"".join(map(encode, messages)))

    async def receive(self) -> WireMessage:
        """Wait for the next message; pings are answered, and what cannot be read is left out.

        Descriptors that come with a BLOB are closed when the last reference to it is dropped.

        :raises ConnectionLostError: the server has closed the connection.
        :raises RemoteProtocolError: the server has broken the protocol so badly that reading cannot go on.
        """
        while not self._waiting:
            received = await self._stream.receive()
            self._arrived.extend(received.attachments)
            if not received.data:
                raise ConnectionLostError(f"{self._stream.name}: the server has closed the connection")
            items = self._framer.feed(received.data)
            for item in items:
                message = self._message(item)
                if isinstance(message, PingRequest):
                    await self.send(PingReply(uid=message.uid))
                elif message is not None:
                    self._waiting.append(message)
            if self._framer.failure is not None:
                raise self._framer.failure
            if len(self._arrived) > MOST_UNCLAIMED:
                raise RemoteProtocolError(f"{len(self._arrived)} descriptors without a message that uses them")
            if not items and self._framer.pending_bytes:  # 0 while something is skipped that is not a message
                self.on_piece()
        return self._waiting.popleft()

    def _message(self, item: Frame | Unusable) -> WireMessage | None:
        """Return what was received, with the descriptors that came with it; ``None`` if it cannot be used."""
        attachments = tuple(self._arrived.popleft() for _ in range(min(item.attached, len(self._arrived))))
        if isinstance(item, Unusable):
            return None
        item.attachments = attachments
        try:
            message = decode(item)
        except RemoteProtocolError:
            return None  # too deep, or too many members
        return None if isinstance(message, Unusable) else message


async def connect(options: argparse.Namespace) -> ByteStream:
    """Return a connection to the server that the options name.

    :raises OSError: there is no server.
    """
    _, dial_once = way_to(options.host, options.port, options.unix, None, _CONNECT_SECONDS, None)
    return await dial_once()


@asynccontextmanager
async def conversation(options: argparse.Namespace) -> AsyncGenerator[Conversation]:
    """Talk to the server that the options name for as long as the block lasts.

    :raises OSError: there is no server.
    """
    stream = await connect(options)
    try:
        yield Conversation(stream)
    finally:
        with anyio.CancelScope(shield=True):
            await stream.aclose()


@contextmanager
def refusing(device: str, vector: str) -> Iterator[None]:
    """Report what the client itself refuses to send, by the rules of the device, as a refusal by the device.

    The command line is not to blame: the vector is read-only, or the value out of range.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        reason = _without_subject(str(error), f"{device}.{vector}")
        raise RefusedError(reason, device=device, vector=vector) from None


def _without_subject(text: str, vector: str) -> str:
    """Return what a text says of a vector, to stand behind the vector's name and a colon."""
    said = text.removeprefix(vector)
    if said == text:
        return text
    # "Mount.DRIVER_INFO is read-only", or "Mount.EQUATORIAL_EOD_COORD: RA must be ...".
    return f"it{said}" if said.startswith(" ") else said.lstrip(":. ")


@dataclass(frozen=True)
class Pattern:
    """Names of a device, a vector and a member (or ``_STATE`` and the like), each or ``*`` for any."""

    device: str
    vector: str
    member: str

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read ``Device.VECTOR.member``; a part that begins with ``*`` or is missing matches anything.

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
        """Return whether this matches a device, a vector or a member; empty names are not compared."""
        asked = zip((self.device, self.vector, self.member), (device, vector, member), strict=True)
        return all(wanted == "*" or not name or wanted == name for wanted, name in asked)
