"""Those who write in an observatory: clients that read with expat, and users of the library's client."""

from __future__ import annotations

from dataclasses import dataclass, field

from indianyio.client import AnyVector, Client
from indianyio.testing.simulation import Known, LineEnd, Mirror, Part, Wish


@dataclass(eq=False)
class Session:
    """One connection of a client.

    :ivar part: what the plan says of the client.
    :ivar number: of this connection of the client.
    :ivar at: when it was made.
    :ivar mirror: what the client knows.
    """

    part: Part
    number: int
    at: float
    stream: LineEnd
    mirror: Mirror = field(default_factory=Mirror)
    is_open: bool = True
    closed_at: float = 0.0

    @property
    def server(self) -> str:
        return self.part.text("server")

    @property
    def policy(self) -> str:
        return self.part.text("policy") or "Never"

    def open_since(self, moment: float) -> bool:
        """Whether it was still open at a moment or after it."""
        return self.is_open or self.closed_at >= moment

    async def send(self, wish: Wish) -> None:
        """Send a write.

        :raises ConnectionLostError: the connection is lost.
        """
        await self.stream.send(wish.encode())

    def wants(self, device: str) -> bool:
        """Whether it has asked for a device."""
        return not self.part.names("wants") or device in self.part.names("wants")

    def __str__(self) -> str:
        return f"{self.part.name}, connection {self.number}"


@dataclass(eq=False)
class User:
    """A program that uses the library's own client.

    :ivar part: what the plan says of it.
    :ivar client: the client, as long as it is open.
    :ivar is_deaf: whether a line to it has garbled something, so that it may not know what it should.
    """

    part: Part
    client: Client | None = None
    is_deaf: bool = False

    @property
    def server(self) -> str:
        return self.part.text("server")

    @property
    def mirror(self) -> Mirror:
        """What its client has of the server, other than from an earlier connection."""
        vectors = [] if self.client is None else [one for device in self.client.values() for one in device.values()]
        return Mirror({(one.device, one.name): _known(one) for one in vectors if not one.stale})

    def wants(self, device: str) -> bool:
        """Whether it has asked for a device, as it has for all."""
        return True

    def __str__(self) -> str:
        return self.part.name


def _known(vector: AnyVector) -> Known:
    values = {name: _text(value) for name, value in vector.items()} if vector.kind != "BLOB" else {}
    return Known(vector.kind, {}, {}, str(vector.state), values)


def _text(value: object) -> str:
    return ("On" if value else "Off") if isinstance(value, bool) else str(value)


@dataclass
class LastWrite:
    """A write of those with which a night ends, and what has come of it.

    :ivar writer: whose it is.
    :ivar device: to which device.
    :ivar name: to which of its vectors.
    :ivar at: when it was written.
    :ivar value: the target, which nobody else has written; 0 for an Abort.
    :ivar number: of the wish; 0 for users, whose writes have a timestamp of the library's own.
    :ivar is_done: whether the station has reached the target, or has begun to deal with the Abort.
    :ivar is_answered: whether the writer has heard so.
    :ivar failure: what the library's client has said instead.
    """

    writer: Session | User
    device: str
    name: str
    at: float
    value: float = 0.0
    number: int = 0
    is_done: bool = False
    is_answered: bool = False
    failure: Exception | None = None
