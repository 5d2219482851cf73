"""The examination of a driver: what it is asked, in which order, and everything it says.

The examination does not judge; the rules do so afterwards, in ``_check_rules``, ``_check_answers``,
``_check_blobs`` and ``_check_classes``. It asks for definitions in every way, connects the devices, sends writes
that must be refused, sends garbage, takes a short image if there is a camera, disconnects, and closes the driver's
input.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn
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
    PingRequest,
    SetVector,
    Unusable,
    WireMessage,
    decode,
)
from indianyio.protocol._text import escape_attribute
from indianyio.streams import ByteStream
from indianyio.testing._probes import GARBAGE, Key, Probe, abort_of, exposure, refusals, request, switched

__all__ = ["Bounds", "Evidence", "Key", "Probe", "Said", "examine"]

# How long a driver may take to read an abort whose answer nobody waits for.
_ABORT_SECONDS = 1.0
# After these the examination waits until their vector is no longer Busy.
_WAITED_FOR = frozenset({"connect", "exposure", "abort", "disconnect"})
# How much is shown of bytes that cannot be read.
_SHOWN_BYTES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long a driver may take, in seconds.

    :ivar start: until its first definition.
    :ivar answer: until an answer begins.
    :ivar quiet: without a word, after which an answer that has begun is taken to be complete.
    :ivar most: for one answer, complete or not; also for connecting, for disconnecting, and for a short image.
    :ivar end: from the end of its input until it ends itself.
    """

    start: float = 10.0
    answer: float = 2.0
    quiet: float = 0.5
    most: float = 5.0
    end: float = 10.0


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the driver, or bytes that are not a message.

    :ivar probe: the last probe that had been sent to the driver by then.
    :ivar data: the bytes.
    :ivar message: the message that they decode to.
    :ivar element: the same as XML, with the attributes as they were written; ``None`` if it is not XML.
    :ivar contents: the size of each attachment that came with it.
    """

    probe: Probe
    data: bytes
    message: WireMessage | Unusable
    element: Element | None
    contents: tuple[int, ...] = ()


@dataclass(slots=True)
class Evidence:
    """Everything that happened.

    :ivar probes: what was sent to the driver, in order.
    :ivar said: what it said, in order.
    :ivar lost_at: the probe after which it ended by itself; ``None`` if it did not.
    :ivar ended: whether it ended after its input had ended; ``None`` if that cannot be known.
    :ivar failure: the error with which it ended, if that is known.
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
        """Yield each message, together with the vectors that were defined before it."""
        known: dict[Key, DefVector] = {}
        for one in self.said:
            if isinstance(one.message, Unusable):
                continue
            yield one, known
            note(one.message, known)

    def definitions(self) -> dict[Key, DefVector]:
        """Return the last definition of every vector that was ever defined."""
        return {
            (one.message.device, one.message.name): one.message
            for one in self.said
            if isinstance(one.message, DefVector)
        }


def note(message: WireMessage, known: dict[Key, DefVector]) -> None:
    """Update the vectors that are defined, as a message says."""
    if isinstance(message, DefVector):
        known[message.device, message.name] = message
    elif isinstance(message, DelProperty):
        for key in [key for key in known if key[0] == message.device and message.name in (None, key[1])]:
            del known[key]


class _Lost(Exception):  # noqa: N818 - it is not an error but a finding
    """The driver has ended by itself."""


class _Unreadable(Exception):  # noqa: N818 - it is not an error but a finding
    """Nothing that the driver says from now on can be understood."""


async def examine(
    stream: ByteStream, end: Callable[[], Awaitable[bool | None]], bounds: Bounds, *, writes: bool
) -> Evidence:
    """Examine a driver.

    :param stream: the stream to the driver.
    :param end: ends its input, and returns whether it has ended in time.
    :param bounds: how long it may take.
    :param writes: whether it gets anything besides requests for its definitions.
    """
    evidence = Evidence()
    examination = _Examination(stream, bounds, evidence)
    try:
        await examination.ask_for_definitions()
        if writes:
            await examination.write()
    except _Lost:
        evidence.lost_at = evidence.probes[-1]
    except _Unreadable:
        pass  # the evidence has it as the last thing that was said
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
        self._states: dict[Key, str | None] = {}
        self._framer = Framer(decoding=True)
        self._attachments: deque[Attachment] = deque()
        self._opened: list[Attachment] = []

    async def ask_for_definitions(self) -> None:
        """Ask in every way there is."""
        await self._tell(request("all"), first=self._bounds.start)
        await self._tell(request("star", "*"))
        for device in self._devices():
            await self._tell(request("device", device))
            name = next((name for owner, name in self._known if owner == device), None)
            if name is not None:
                await self._tell(request("vector", device, name))

    async def write(self) -> None:
        """Connect, write what must be refused, take an image, disconnect."""
        for device in self._devices():
            await self._switch("connect", device, "CONNECT")
        await self._tell(request("again"))
        for device in self._devices():
            for probe in refusals(device, self._known):
                await self._tell_and_stop(probe)
        await self._tell(Probe("garbage", GARBAGE + request("garbage").sent))
        for device in self._devices():
            if (device, "CCD_EXPOSURE") in self._known:
                await self._tell_and_stop(exposure(device))
        for device in self._devices():
            await self._switch("disconnect", device, "DISCONNECT")

    def close_attachments(self) -> None:
        """Close all attachments that have arrived."""
        for attachment in self._opened:
            attachment.close()

    def _devices(self) -> list[str]:
        return list(dict.fromkeys(device for device, _ in self._known))

    async def _switch(self, what: str, device: str, member: str) -> None:
        key = (device, "CONNECTION")
        if key in self._known:
            await self._tell(switched(what, key, member))

    async def _tell_and_stop(self, probe: Probe) -> None:
        """Send a probe, and then the abort for it, except after an image that has been taken.

        A driver that does not refuse what it must refuse may be moving, whatever it says.
        """
        abort = abort_of(probe.key, self._known)
        try:
            await self._tell(probe)
        except anyio.get_cancelled_exc_class():
            if abort is not None:
                with anyio.move_on_after(_ABORT_SECONDS, shield=True), suppress(ConnectionLostError):
                    await self._stream.send(abort.sent)
            raise
        if abort is not None and not (probe.what == "exposure" and self._states.get(probe.key) == "Ok"):
            await self._tell(abort)

    async def _tell(self, probe: Probe, *, first: float | None = None) -> None:
        """Send a probe, and record what the driver says until it is quiet and, if that matters, not Busy."""
        self._evidence.probes.append(probe)
        last = anyio.current_time() + max(self._bounds.most, first or 0)
        try:
            await self._stream.send(probe.sent)
            await self._hear_until_quiet(probe, first or self._bounds.answer, last)
            while probe.what in _WAITED_FOR and self._is_busy(probe.key) and anyio.current_time() < last:
                await self._hear_until_quiet(probe, self._bounds.quiet, last)
        except ConnectionLostError as error:
            raise _Lost from error

    async def _hear_until_quiet(self, probe: Probe, seconds: float, last: float) -> None:
        with anyio.move_on_after(min(seconds, last - anyio.current_time())) as waiting:
            while True:
                # A telescope reports where it points all the time, which does not count as an answer.
                if await self._hear(probe):
                    waiting.deadline = min(anyio.current_time() + self._bounds.quiet, last)

    def _is_busy(self, key: Key) -> bool:
        return self._states.get(key) == "Busy"

    async def _hear(self, probe: Probe) -> bool:
        """Record what comes next; return whether it may be a part of the answer."""
        try:
            received = await self._stream.receive()
        except RemoteProtocolError as error:
            self._give_up(probe, str(error), b"")
        self._attachments.extend(received.attachments)
        self._opened.extend(received.attachments)
        before = len(self._evidence.said)
        for item in self._framer.feed(received.data) if received.data else self._framer.close():
            self._take_down(probe, item)
        if self._framer.failure is not None:
            self._give_up(probe, str(self._framer.failure), received.data)
        if not received.data:
            raise _Lost
        heard = self._evidence.said[before:]
        await self._answer_pings(heard)
        return not heard or any(
            not isinstance(one.message, SetVector) or (one.message.device, one.message.name) == probe.key
            for one in heard
        )

    def _give_up(self, probe: Probe, reason: str, data: bytes) -> NoReturn:
        """End the examination, because nothing that the driver says after this can be understood."""
        shown = data[:_SHOWN_BYTES] or probe.sent
        self._evidence.said.append(Said(probe, shown, Unusable(reason, shown, len(data)), None))
        raise _Unreadable

    def _take_down(self, probe: Probe, item: Frame | Unusable) -> None:
        count = min(item.attached, len(self._attachments))
        attachments = tuple(self._attachments.popleft() for _ in range(count))
        if isinstance(item, Unusable):
            self._evidence.said.append(Said(probe, item.excerpt, item, None))
            return
        item.attachments = attachments
        sizes = tuple(getattr(attachment, "size", 0) for attachment in attachments)
        try:
            message = decode(item)
        except RemoteProtocolError as error:
            message = Unusable(str(error), item.data[:_SHOWN_BYTES], len(item.data))
        if not isinstance(message, Unusable):
            note(message, self._known)
        if isinstance(message, DefVector | SetVector):
            self._states[message.device, message.name] = message.state
        self._evidence.said.append(Said(probe, item.data, message, _parsed(item.data), sizes))

    async def _answer_pings(self, heard: Sequence[Said]) -> None:
        uids = [one.message.uid or "" for one in heard if isinstance(one.message, PingRequest)]
        if uids:
            replies = (f'<pingReply uid="{escape_attribute(uid)}"/>\n' for uid in uids)
            await self._stream.send("".join(replies).encode())


def _parsed(data: bytes) -> Element | None:
    try:
        element: Element = fromstring(data)
    except (ParseError, DefusedXmlException, ValueError):
        return None
    return element
