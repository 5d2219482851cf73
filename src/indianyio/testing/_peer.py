"""The other end of a driver's wire: it sends, receives, and remembers what it was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

from indianyio.exceptions import ConnectionLostError, LocalProtocolError, RemoteProtocolError, UnknownVectorError
from indianyio.protocol import (
    Attachment,
    DefBLOBVector,
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    DelProperty,
    Frame,
    Framer,
    GetProperties,
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    OneBLOB,
    OneNumber,
    OneSwitch,
    OneText,
    PingReply,
    PingRequest,
    Unusable,
    WireMember,
    WireMessage,
    decode,
    encode,
    parse_number,
)
from indianyio.protocol._numbers import number_text
from indianyio.streams import ByteStream

__all__ = ["Peer", "Value", "member_values"]

M = TypeVar("M", bound=WireMessage)

Value: TypeAlias = str | int | float | bytes
"""The value that is written to a member: a text as it goes on the wire, a number, or the content of a BLOB."""


class Peer:
    """A client, seen from a driver. :func:`running` makes one.

    Only one task at a time may receive. What the driver sends waits in a stream of limited size, so a test that
    never receives holds up a driver that sends a lot, as any peer that does not read would.

    :ivar received: every message so far, pings included, the oldest first.
    :ivar definitions: the latest definition of each vector, keyed by the names of device and vector.
    """

    def __init__(self, stream: ByteStream, *, answer_pings: bool = True) -> None:
        self.received: list[WireMessage] = []
        self.definitions: dict[tuple[str, str], WireMessage] = {}
        self._stream = stream
        self._answer_pings = answer_pings
        self._framer = Framer(decoding=True)
        self._items: deque[Frame | Unusable] = deque()
        self._attachments: deque[Attachment] = deque()
        self._opened: list[Attachment] = []

    async def send(self, message: WireMessage | bytes | str) -> None:
        """Send a message, or any bytes or text as they are.

        :raises ConnectionLostError: the driver has ended.
        """
        if isinstance(message, WireMessage):
            data = encode(message)
        else:
            data = message.encode() if isinstance(message, str) else message
        await self._stream.send(data)

    async def get_properties(self, device: str | None = None, name: str | None = None) -> None:
        """Ask for definitions: of everything, of a device or of one vector.

        :raises ConnectionLostError: the driver has ended.
        """
        await self.send(GetProperties(device=device, name=name))

    async def write(
        self, device: str, vector: str, values: Mapping[str, Value] | None = None, /, **members: Value
    ) -> None:
        """Ask the driver to change a vector, whose definition must have been received before.

        Nothing is checked: a wrong text reaches the driver as it is.

        :param device: the name of the device.
        :param vector: the name of the vector, whose definition says what kind of message to send.
        :param values: values by member, for names that are not Python identifiers.
        :param members: further members.
        :raises UnknownVectorError: no definition of the vector has been received.
        :raises LocalProtocolError: vectors of this kind cannot be written.
        :raises ConnectionLostError: the driver has ended.
        """
        definition = self.definitions.get((device, vector))
        if definition is None:
            raise UnknownVectorError(device, vector, tuple(n for d, n in self.definitions if d == device))
        if type(definition) not in _WRITES:
            raise LocalProtocolError(f"{device}.{vector} is a {definition.tag}, which cannot be written")
        make, make_member = _WRITES[type(definition)]
        wanted = {**(values or {}), **members}
        await self.send(
            make(device=device, name=vector, members=tuple(make_member(*item) for item in wanted.items()))
        )

    async def receive(self) -> WireMessage:
        """Return the next message from the driver.

        :raises ConnectionLostError: the driver has ended and everything it sent has been received.
        :raises RemoteProtocolError: it sent something that is not an INDI message.
        """
        while True:
            message = await self._next_message()
            self._note(message)
            if not (self._answer_pings and isinstance(message, PingRequest)):
                return message
            await self.send(PingReply(uid=message.uid))

    async def expect(
        self,
        kind: type[M],
        values: Mapping[str, Value] | None = None,
        /,
        *,
        device: str | None = None,
        name: str | None = None,
        state: str | None = None,
        **members: Value,
    ) -> M:
        """Return the next message that fits a description; those before it are skipped, but kept in ``received``.

        :param kind: the class of the message.
        :param values: members that it must have, and their values: texts as on the wire, numbers as numbers.
        :param device: the device it must be from.
        :param name: the vector it must be about.
        :param state: the state it must have.
        :param members: further members.
        :raises ConnectionLostError: the driver has ended without sending such a message.
        :raises RemoteProtocolError: it sent something that is not an INDI message.
        """
        attributes = {"device": device, "name": name, "state": state}
        wanted = {key: value for key, value in attributes.items() if value is not None}
        wanted_members = {**(values or {}), **members}
        while True:
            message = await self.receive()
            if (
                isinstance(message, kind)
                and all(getattr(message, key, None) == value for key, value in wanted.items())
                and _has_members(message, wanted_members)
            ):
                return message

    async def close(self) -> None:
        """Close the stream: the driver sees the end of its input, and nothing more can be sent or received.

        All attachments that have arrived are closed too, whether their messages are in ``received`` already or not.
        """
        await self._stream.aclose()
        for attachment in self._opened:
            attachment.close()

    async def _next_message(self) -> WireMessage:
        while not self._items:
            received = await self._stream.receive()
            self._attachments.extend(received.attachments)
            self._opened.extend(received.attachments)
            if not received.data:
                raise ConnectionLostError("the driver has ended")
            self._items.extend(self._framer.feed(received.data))
            if not self._items and self._framer.failure is not None:
                raise self._framer.failure  # nothing that follows can be understood
        item = self._items.popleft()
        count = min(item.attached, len(self._attachments))
        attachments = tuple(self._attachments.popleft() for _ in range(count))
        if isinstance(item, Frame):
            item.attachments = attachments
        message = decode(item) if isinstance(item, Frame) else item
        if isinstance(message, Unusable):
            raise RemoteProtocolError(f"{message.reason}: {message.excerpt!r}")
        return message

    def _note(self, message: WireMessage) -> None:
        self.received.append(message)
        if isinstance(message, DelProperty):
            for device, name in list(self.definitions):
                if device == message.device and message.name in (None, name):
                    del self.definitions[device, name]
        elif message.tag.startswith("def"):
            self.definitions[getattr(message, "device", ""), getattr(message, "name", "")] = message


def member_values(message: WireMessage) -> dict[str, str]:
    """Return the texts of a message's members, as they came over the wire; the text of a BLOB is empty."""
    return {member.name: getattr(member, "value", "") for member in getattr(message, "members", ())}


def _has_members(message: WireMessage, wanted: Mapping[str, Value]) -> bool:
    texts = member_values(message)
    return all(name in texts and _same(texts[name], value) for name, value in wanted.items())


def _same(text: str, value: Value) -> bool:
    return parse_number(text) == value if isinstance(value, (int, float)) else text == value


def _text(value: Value) -> str:
    if isinstance(value, bytes):
        raise TypeError("bytes are for BLOBs only; write texts and switches as str, and numbers as numbers or str")
    return value if isinstance(value, str) else number_text(value)


def _one_blob(name: str, content: Value) -> OneBLOB:
    if not isinstance(content, bytes):
        raise TypeError(f"a BLOB is written as bytes, not as {type(content).__name__}")
    return OneBLOB(name=name, size=str(len(content)), format=".bin", data=content)


# The message and the members that write to each kind of vector; lights cannot be written.
_WRITES: dict[type[WireMessage], tuple[Callable[..., NewVector], Callable[[str, Value], WireMember]]] = {
    DefTextVector: (NewTextVector, lambda name, value: OneText(name=name, value=_text(value))),
    DefNumberVector: (NewNumberVector, lambda name, value: OneNumber(name=name, value=_text(value))),
    DefSwitchVector: (NewSwitchVector, lambda name, value: OneSwitch(name=name, value=_text(value))),
    DefBLOBVector: (NewBLOBVector, _one_blob),
}
