"""What a driver does with each message: decided at once, by the task that reads, without waiting.

Requests for definitions are answered here. Writes are checked, and handed to the lane of their vector or refused.
What other drivers say goes to the lane of what is snooped. Nothing here calls the author's code.

The answers are sent by the task that reads, at once, so that no answer waits behind a handler. While the peer reads
nothing and its outbox is full they wait in :class:`Replies`, at most one for each thing there is to say: a
definition asked for a thousand times is sent once, as it is then. So the reader goes on to the next command, an
Abort perhaps, and memory does not grow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar, cast

import anyio

from indianyio._model import SnoopEvent, SnoopMessage, snoop_event
from indianyio._rated_log import RatedLog
from indianyio.driver._blobs import BLOBSender
from indianyio.driver._events import Arrival, Write, getProperties, new_event
from indianyio.driver._hooks import DriverHooks
from indianyio.driver._link import DriverLink
from indianyio.driver._readers import Lanes
from indianyio.driver._vectors import AnyVector
from indianyio.exceptions import RemoteProtocolError, WriteRefusedError
from indianyio.protocol import (
    Frame,
    GetProperties,
    Message,
    NewVector,
    PingReply,
    PingRequest,
    Unusable,
    WireMessage,
    decode,
    format_timestamp,
)
from indianyio.protocol._text import brief
from indianyio.streams import flaw_of

__all__ = ["Inbox", "Replies"]

logger = logging.getLogger(__name__)


class Replies:
    """What is still to be answered to one peer.

    :param link: the peer.
    :param limit: how many different answers may wait; the oldest ones are kept.
    """

    def __init__(self, link: DriverLink, *, limit: int = 10_000) -> None:
        self._link = link
        self._limit = limit
        self._pending: dict[Hashable, Callable[[], WireMessage | None]] = {}
        self._added = anyio.Event()
        self._log = RatedLog(logger)

    def answer(self, key: Hashable, make: Callable[[], WireMessage | None]) -> None:
        """Send what ``make`` returns, now if there is room, else as soon as there is.

        :param key: what is answered; a later answer to the same takes the place of one that still waits.
        :param make: called once, when the answer is sent; returns ``None`` if by then there is nothing to say.
        """
        if not self._pending and self._link.has_room:
            message = make()
            if message is not None:
                self._link.offer(message)
        elif key in self._pending or len(self._pending) < self._limit:
            self._pending[key] = make
            self._added.set()

    def refuse(self, vector: AnyVector, reason: str) -> None:
        """Answer a write with Alert, the reason, and the values as they are when the answer is sent."""
        self._log.warning("refused", "%s: %s.%s: %s", self._link.name, vector.devicename, vector.name, reason)
        vector.note_refusal()

        def make() -> WireMessage | None:
            return vector.refusal(reason, timestamp=datetime.now(UTC)) if vector.is_enabled else None

        self.answer(("refuse", vector), make)

    async def run(self) -> None:
        """Send the answers that had to wait; runs until it is cancelled."""
        try:
            while True:
                await self._added.wait()
                self._added = anyio.Event()
                if self._pending:
                    await self._link.send_made(self._all)
        finally:
            self._log.flush()

    def _all(self) -> Iterator[WireMessage]:
        # All at once: between two of them a newer update could go out, and be followed by the older answer.
        pending, self._pending = self._pending, {}
        for make in pending.values():
            message = make()
            if message is not None:
                yield message


# libindi keeps 64 characters of a uid; nobody sends a much longer one.
_LONGEST_UID = 1024


class Inbox:
    """Where a driver's messages arrive.

    :param driver: whose devices are asked for and written to.
    :param link: the peer that sends them.
    :param replies: takes the answers.
    :param writes: takes the writes that are to be handled.
    :param snooped: takes what other drivers said.
    :param blobs: is told of ping replies.
    """

    def __init__(
        self,
        driver: DriverHooks,
        link: DriverLink,
        replies: Replies,
        *,
        writes: Lanes[Write],
        snooped: Lanes[Arrival[SnoopEvent]],
        blobs: BLOBSender,
    ) -> None:
        self._driver = driver
        self._link = link
        self._replies = replies
        self._writes = writes
        self._snooped = snooped
        self._blobs = blobs
        self._log = RatedLog(logger)

    def receive(self, frame: Frame) -> None:
        """Deal with one message."""
        self._HANDLERS.get(frame.tag, Inbox._overhear)(self, frame)

    def refuse_waiting(self, vector: AnyVector, reason: str) -> int:
        """Refuse the writes to a vector that wait behind the one being handled; see the driver's method."""
        refused = self._writes.drop_waiting(vector)
        if refused:
            self._replies.refuse(vector, reason)
        return refused

    def count_waiting(self, vector: AnyVector) -> int:
        """Return how many writes to a vector wait behind the one being handled."""
        return self._writes.count_waiting(vector)

    def close(self) -> None:
        """Let go of everything that waits to be handled: the run is over."""
        self._writes.close()
        self._snooped.close()
        self._log.flush()

    # -- requests ----------------------------------------------------------------------------------------------

    def _define(self, frame: Frame) -> None:
        request = cast("GetProperties | None", self._link.decode(frame))
        if request is None:
            return
        for vector in self._asked_for(request):
            if self._driver.auto_send_def:
                self._replies.answer(("define", vector), self._definition(vector))
            else:
                self._queue_request(vector, request, frame)

    def _queue_request(self, vector: AnyVector, request: GetProperties, frame: Frame) -> None:
        # A lane of their own: a write that is being handled delays no definition. One that waits answers for all.
        key = (vector, "define")
        if not self._writes.count_waiting(key):
            make = partial(getProperties, request, vector=vector, data=frame.data, now=datetime.now(UTC))
            self._writes.put(key, Write(vector, frame, request, make))

    def _asked_for(self, request: GetProperties) -> Iterator[AnyVector]:
        # A device that begins with "*" is how a server asks another server for everything (docs/protocol.md 2.9).
        everything = not request.device or request.device.startswith("*")
        for device in self._driver.data.values():
            if everything or device.devicename == request.device:
                for vector in device.properties():
                    if vector.is_enabled and (not request.name or vector.name == request.name):
                        yield vector

    @staticmethod
    def _definition(vector: AnyVector) -> Callable[[], WireMessage | None]:
        def make() -> WireMessage | None:
            # By the time there is room the vector may have been deleted.
            return vector.define(timestamp=datetime.now(UTC)) if vector.is_enabled else None

        return make

    def _ping(self, frame: Frame) -> None:
        request = cast("PingRequest | None", self._link.decode(frame))
        if request is not None and len(request.uid or "") <= _LONGEST_UID:
            uid = request.uid
            self._replies.answer(("ping", uid), lambda: PingReply(uid=uid))

    def _pinged(self, frame: Frame) -> None:
        reply = cast("PingReply | None", self._link.decode(frame))
        if reply is not None:
            self._blobs.reply(reply.uid)

    def _ignore(self, frame: Frame) -> None:
        """Take note of a message that says nothing to a driver: enableBLOB is between servers and clients."""
        self._link.decode(frame)

    # -- writes ------------------------------------------------------------------------------------------------

    def _write(self, frame: Frame) -> None:
        # Most frames of a driver on a stream are decoded already.
        known = frame.decoded if isinstance(frame.decoded, WireMessage) else self._link.decode(frame)
        write = cast("NewVector | None", known)
        # What cannot be read has a start tag that says whom it was for, or nobody can answer.
        addressed = frame if write is None else write
        vector = self._vector_of(addressed.device or "", addressed.name or "")
        if vector is None:
            return
        if write is None:
            self._replies.refuse(vector, f"Error: the request cannot be read: {self._flaw_of(frame)}")
            return
        try:
            vector.check_write(write)
        except WriteRefusedError as error:
            self._replies.refuse(vector, str(error))
        else:
            self._queue_write(vector, write, frame)

    def _flaw_of(self, frame: Frame) -> str:
        """Return why a frame cannot be read; one that others share does not remember it."""
        try:
            found = decode(frame, self._link.limits)
        except RemoteProtocolError as error:
            return str(error)
        return found.reason if isinstance(found, Unusable) else "it exceeds the driver's limits"

    def _queue_write(self, vector: AnyVector, write: NewVector, frame: Frame) -> None:
        limits = self._link.limits
        make = partial(new_event, write, vector, frame.data, datetime.now(UTC), limits)
        arrival = Write(vector, frame, write, make)
        flaws = [flaw for one in frame.attachments if (flaw := flaw_of(one, 0))]
        if flaws:
            self._replies.refuse(vector, f"Error: {flaws[0]}")
        elif arrival.size > limits.blob_bytes:
            self._replies.refuse(vector, f"Error: {arrival.size} bytes are more than is taken at a time.")
        elif self._writes.put(vector, arrival):
            frame.attachments = ()
        else:
            called = vector.label or vector.name
            self._replies.refuse(vector, f"Error: too many requests wait for {called} ({vector.name}) already.")

    def _vector_of(self, devicename: str, name: str) -> AnyVector | None:
        """Return the vector that a write is for, ``None`` if there is none; its client is told.

        A write to a vector that is disabled is only logged: whoever sent it has not heard yet that it was deleted.
        """
        device = self._driver.data.get(devicename)
        if device is None:
            return None
        vector = device.data.get(name)
        if vector is None:
            self._answer_unknown(devicename, name)
            return None
        if not vector.is_enabled:
            disabled = "%s: a write to %s.%s, which is disabled"
            self._log.log("disabled", logging.INFO, disabled, self._link.name, devicename, name)
            return None
        return vector

    def _answer_unknown(self, devicename: str, name: str) -> None:
        unknown = "%s: a write to %s.%s, which does not exist"
        self._log.warning("unknown", unknown, self._link.name, devicename, name)
        text = brief(f"[WARNING] there is no property {name}")
        answer = Message(device=devicename, timestamp=format_timestamp(datetime.now(UTC)), message=text)
        self._replies.answer(("unknown", devicename), lambda: answer)

    # -- snooping ----------------------------------------------------------------------------------------------

    def _overhear(self, frame: Frame) -> None:
        """Pass on what another driver says, if anybody asked for it."""
        table = self._driver._snoops
        if not table.wants(frame.device, frame.name):
            return
        message = cast("SnoopMessage | None", self._link.decode(frame))
        if message is None:
            return
        table.heard(frame.device, frame.name, anyio.current_time())
        make = partial(snoop_event, message, frame.data, datetime.now(UTC), self._link.limits)
        arrival = Arrival(frame, message, make)
        if arrival.size > self._link.limits.blob_bytes:
            large = "%s: snooped %s.%s: %d bytes are too many"
            self._log.warning("large", large, self._link.name, frame.device, frame.name, arrival.size)
            return
        key = (frame.device, frame.name)
        while not self._snooped.put(key, arrival):
            # The newest word of a weather station counts; nobody waits for an answer to the oldest.
            behind = "%s: snoopevent is behind: an event of %s.%s is dropped"
            self._log.warning("behind", behind, self._link.name, *key)
            if not self._snooped.drop_oldest(key):
                return
        frame.attachments = ()

    _HANDLERS: ClassVar[dict[str, Callable[[Inbox, Frame], None]]] = {
        "getProperties": _define,
        "newTextVector": _write,
        "newNumberVector": _write,
        "newSwitchVector": _write,
        "newBLOBVector": _write,
        "pingRequest": _ping,
        "pingReply": _pinged,
        "enableBLOB": _ignore,
    }
    """What is done with each tag; all others are overheard."""
