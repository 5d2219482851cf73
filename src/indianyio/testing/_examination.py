"""An examination of a driver: what it is asked, in which order, and all that it says.

The examination judges nothing; when it is over the rules do, in ``_check_rules``, ``_check_answers`` and
``_check_classes``. It asks for definitions in every way, connects the devices, sends writes that must be refused,
sends garbage, takes a short image where there is a camera, disconnects, and closes the driver's input.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, ParseError

import anyio
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from indianyio.exceptions import ConnectionLostError, RemoteProtocolError
from indianyio.protocol import (
    Attachment,
    DefVector,
    DelProperty,
    Frame,
    Framer,
    SetVector,
    Unusable,
    WireMessage,
    decode,
)
from indianyio.protocol._text import escape_attribute
from indianyio.streams import ByteStream

__all__ = ["Bounds", "Evidence", "Key", "Probe", "Said", "examine"]

Key = tuple[str, str]
"""The names of a device and of one of its vectors."""

# Without an ampersand: libindi's drivers would read on to the next semicolon, whatever is in between (W8).
_GARBAGE = b'\x00\xff<<newNumberVector device="x" name=<oneNumber>]]></newSwitchVector>\n'
_SHORT_EXPOSURE_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a driver may take, in seconds.

    :ivar start: until its first definition.
    :ivar quiet: after so long without a word it has said all; an answer must have begun by then.
    :ivar most: for one answer, whether it has said all or not.
    :ivar end: from the end of its input to its own.
    """

    start: float = 10.0
    quiet: float = 0.5
    most: float = 5.0
    end: float = 10.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What the driver was told, and why.

    :ivar what: ``all``, ``star``, ``device``, ``vector``, ``connect``, ``again``, ``range``, ``member``,
        ``number``, ``read-only``, ``garbage``, ``exposure``, ``disconnect``.
    :ivar sent: the bytes.
    :ivar key: which device and vector it is about; empty names for all.
    """

    what: str
    sent: bytes
    key: Key = ("", "")


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the driver, or what is none.

    :ivar probe: the latest of what it had been told by then.
    :ivar data: the bytes.
    :ivar message: what they mean.
    :ivar element: the same as XML, with the attributes as they were written; ``None`` if it is not XML.
    :ivar contents: what came attached, for each BLOB that says so.
    """

    probe: Probe
    data: bytes
    message: WireMessage | Unusable
    element: Element | None
    contents: tuple[int, ...] = ()


@dataclass(slots=True)
class Evidence:
    """All that happened.

    :ivar probes: what the driver was told, in order.
    :ivar said: what it said, in order.
    :ivar lost_at: after which probe it ended by itself; ``None`` if it did not.
    :ivar ended: whether it ended when its input had; ``None`` if nobody can know.
    :ivar failure: what it ended with, if that is known.
    """

    probes: list[Probe] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    lost_at: Probe | None = None
    ended: bool | None = None
    failure: str = ""

    def after(self, probe: Probe) -> list[Said]:
        """Return what was said after this probe and before the next one."""
        return [one for one in self.said if one.probe is probe]

    def walk(self) -> Iterator[tuple[Said, dict[Key, DefVector]]]:
        """Yield each message with the vectors that were defined before it; not what is no message."""
        known: dict[Key, DefVector] = {}
        for one in self.said:
            if isinstance(one.message, Unusable):
                continue
            yield one, known
            note(one.message, known)

    def definitions(self) -> dict[Key, DefVector]:
        """Return every vector that was ever defined, as it was at last."""
        return {
            (one.message.device, one.message.name): one.message
            for one in self.said
            if isinstance(one.message, DefVector)
        }


def note(message: WireMessage, known: dict[Key, DefVector]) -> None:
    """Change the vectors that are defined by what a message says."""
    if isinstance(message, DefVector):
        known[message.device, message.name] = message
    elif isinstance(message, DelProperty):
        for key in [key for key in known if key[0] == message.device and message.name in (None, key[1])]:
            del known[key]


class _Lost(Exception):  # noqa: N818 - it is not an error but a finding
    """The driver has ended by itself."""


async def examine(
    stream: ByteStream, end: Callable[[], Awaitable[bool | None]], bounds: Bounds, *, writes: bool
) -> Evidence:
    """Examine a driver.

    :param stream: the way to it.
    :param end: ends its input, and returns whether it has ended in time.
    :param bounds: how long it may take.
    :param writes: whether it is told anything but to define what it has.
    """
    evidence = Evidence()
    examination = _Examination(stream, bounds, evidence)
    try:
        await examination.ask_for_definitions()
        if writes:
            await examination.write()
    except _Lost:
        evidence.lost_at = evidence.probes[-1]
    finally:
        examination.close_attachments()
    evidence.ended = await end()
    return evidence


class _Examination:
    """The driver's peer."""

    def __init__(self, stream: ByteStream, bounds: Bounds, evidence: Evidence) -> None:
        self._stream = stream
        self._bounds = bounds
        self._evidence = evidence
        self._known: dict[Key, DefVector] = {}
        self._framer = Framer(decoding=True)
        self._attachments: deque[Attachment] = deque()
        self._opened: list[Attachment] = []

    async def ask_for_definitions(self) -> None:
        """Ask in every way there is."""
        await self._tell(Probe("all", _get_properties()), first=self._bounds.start)
        await self._tell(Probe("star", _get_properties("*")))
        for device in self._devices():
            await self._tell(Probe("device", _get_properties(device), (device, "")))
            name = next((name for owner, name in self._known if owner == device), None)
            if name is not None:
                await self._tell(Probe("vector", _get_properties(device, name), (device, name)))

    async def write(self) -> None:
        """Connect, write what must be refused, take an image, disconnect."""
        for device in self._devices():
            await self._connect(device)
        await self._tell(Probe("again", _get_properties()))
        for device in self._devices():
            for probe in _refusals(device, self._known):
                await self._tell(probe)
        await self._tell(Probe("garbage", _GARBAGE + _get_properties()))
        for device in self._devices():
            if (device, "CCD_EXPOSURE") in self._known:
                await self._expose(device)
        for device in self._devices():
            if (device, "CONNECTION") in self._known:
                write = _new(device, "CONNECTION", "Switch", {"DISCONNECT": "On"})
                await self._tell(Probe("disconnect", write, (device, "CONNECTION")))

    def close_attachments(self) -> None:
        """Close all that came attached."""
        for attachment in self._opened:
            attachment.close()

    def _devices(self) -> list[str]:
        return list(dict.fromkeys(device for device, _ in self._known))

    async def _connect(self, device: str) -> None:
        if (device, "CONNECTION") in self._known:
            write = _new(device, "CONNECTION", "Switch", {"CONNECT": "On"})
            await self._tell(Probe("connect", write, (device, "CONNECTION")))

    async def _expose(self, device: str) -> None:
        enable = f'<enableBLOB device="{escape_attribute(device)}">Also</enableBLOB>\n'.encode()
        write = _new(device, "CCD_EXPOSURE", "Number", {"CCD_EXPOSURE_VALUE": str(_SHORT_EXPOSURE_SECONDS)})
        await self._tell(Probe("exposure", enable + write, (device, "CCD_EXPOSURE")))

    async def _tell(self, probe: Probe, *, first: float | None = None) -> None:
        """Tell the driver something, and take down what it says until it is quiet."""
        self._evidence.probes.append(probe)
        try:
            await self._stream.send(probe.sent)
            with anyio.move_on_after(first or self._bounds.quiet) as waiting:
                last = anyio.current_time() + max(self._bounds.most, first or 0)
                while True:
                    # A telescope tells where it is all the time: that does not count as an answer.
                    if await self._hear(probe):
                        waiting.deadline = min(anyio.current_time() + self._bounds.quiet, last)
        except ConnectionLostError as error:
            raise _Lost from error

    async def _hear(self, probe: Probe) -> bool:
        """Take down what comes next; return whether that may be more of an answer."""
        try:
            received = await self._stream.receive()
        except RemoteProtocolError as error:
            raise ConnectionLostError(str(error)) from error
        self._attachments.extend(received.attachments)
        self._opened.extend(received.attachments)
        if not received.data:
            raise _Lost
        before = len(self._evidence.said)
        for item in self._framer.feed(received.data):
            self._take_down(probe, item)
        await self._answer_pings(probe, received.data)
        heard = [one.message for one in self._evidence.said[before:]]
        return not heard or any(
            not isinstance(message, SetVector) or (message.device, message.name) == probe.key for message in heard
        )

    def _take_down(self, probe: Probe, item: Frame | Unusable) -> None:
        if isinstance(item, Unusable):
            self._evidence.said.append(Said(probe, item.excerpt, item, None))
            return
        count = min(item.attached, len(self._attachments))
        item.attachments = tuple(self._attachments.popleft() for _ in range(count))
        sizes = tuple(getattr(attachment, "size", 0) for attachment in item.attachments)
        message = decode(item)
        if not isinstance(message, Unusable):
            note(message, self._known)
        self._evidence.said.append(Said(probe, item.data, message, _parsed(item.data), sizes))

    async def _answer_pings(self, probe: Probe, data: bytes) -> None:
        if b"<pingRequest" not in data:
            return
        for one in reversed(self._evidence.said):
            if one.message.tag == "pingRequest" and one.probe is probe:
                uid = escape_attribute(getattr(one.message, "uid", None) or "")
                await self._stream.send(f'<pingReply uid="{uid}"/>\n'.encode())
                return


def _parsed(data: bytes) -> Element | None:
    try:
        element: Element = fromstring(data)
    except (ParseError, DefusedXmlException, ValueError):
        return None
    return element


def _refusals(device: str, known: dict[Key, DefVector]) -> Iterator[Probe]:
    """Yield writes to a device that it must refuse."""
    vectors = [vector for (owner, _), vector in known.items() if owner == device and vector.members]
    numbers = [one for one in vectors if one.tag == "defNumberVector" and getattr(one, "perm", None) != "ro"]
    # What sets nothing in motion, where there is a choice: the driver may well obey.
    numbers.sort(key=lambda one: one.name != "POLLING_PERIOD")
    for vector in numbers[:1]:
        key, members = (device, vector.name), vector.members
        for high in _beyond(members[0]):
            values = {one.name: high if one is members[0] else getattr(one, "value", "0") for one in members}
            yield Probe("range", _new(*key, "Number", values), key)
        yield Probe("member", _new(*key, "Number", {"NO_SUCH_MEMBER": "1"}), key)
        yield Probe("number", _new(*key, "Number", {members[0].name: "banana"}), key)
    for vector in [one for one in vectors if getattr(one, "perm", None) == "ro"][:1]:
        kind = vector.tag.removeprefix("def").removesuffix("Vector")
        if kind in ("Text", "Number", "Switch"):
            key = (device, vector.name)
            values = {one.name: getattr(one, "value", "") for one in vector.members}
            yield Probe("read-only", _new(*key, kind, values), key)


def _beyond(member: object) -> list[str]:
    """Return a number beyond the limits of a member, if it has any."""
    try:
        low, high = (float(getattr(member, name) or 0) for name in ("min", "max"))
    except ValueError:
        return []
    return [f"{high + 10 * (high - low):.17g}"] if low < high else []


def _get_properties(device: str | None = None, name: str | None = None) -> bytes:
    attributes = {"version": "1.7", "device": device, "name": name}
    texts = [f'{key}="{escape_attribute(value)}"' for key, value in attributes.items() if value is not None]
    return f"<getProperties {' '.join(texts)}/>\n".encode()


def _new(device: str, name: str, kind: str, values: dict[str, str]) -> bytes:
    members = "".join(
        f'<one{kind} name="{escape_attribute(member)}">{escape_attribute(text)}</one{kind}>'
        for member, text in values.items()
    )
    head = f'<new{kind}Vector device="{escape_attribute(device)}" name="{escape_attribute(name)}">'
    return f"{head}{members}</new{kind}Vector>\n".encode()
