"""The middle of a server: frames come in from peers, the router decides, and the peers get what is theirs.

A peer is a :class:`Port`; what is delivered to it waits in a queue of its own, or is dropped or refused as that
decides, so that no peer can hold up another. Nothing waits here but what takes long: a frame so large that proving
it or giving a BLOB another form would hold up everybody is dealt with in a thread; only its sender waits for it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import NoReturn, Protocol, TypeAlias, TypeVar

import anyio

from indianyio._rated_log import RatedLog
from indianyio._routing import Delivery, PeerKind, PlainRelay, Relay, Relayed, Room, Routed, Router, refusal
from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import EnableBLOB, Frame, Message, Unusable, decode, encode, format_timestamp
from indianyio.protocol._blob_forms import attached_bytes, attached_lengths
from indianyio.protocol._messages import CONTENT_TAGS
from indianyio.protocol._relayable import is_relayable_as_it_is, relayable
from indianyio.server._heavy import HeavyWork
from indianyio.server._patience import Patience, Taker
from indianyio.streams import SharedMemory, flaw_of, is_fixed

__all__ = ["Direction", "Hub", "Port", "Tap"]

logger = logging.getLogger(__name__)
wire_logger = logging.getLogger("indianyio.wire")

# How much of a message a DEBUG line shows: a definition whole, of a BLOB enough to recognise it.
_SHOWN_BYTES = 4096

# From these sizes on a frame takes some milliseconds: of elements, and of base64 or what is beside the frame. What
# claims to be BLOBs and is markup or rubbish takes as long as elements do.
_HEAVY_BYTES = 16 << 10
_HEAVY_CONTENT_BYTES = 1 << 20
_ResultT = TypeVar("_ResultT")


class Port(Hashable, Protocol):
    """A peer, seen from the hub."""

    @property
    def name(self) -> str:
        """Who the peer is, for log lines."""

    @property
    def attaches(self) -> bool | None:
        """Whether it gets BLOBs as descriptors, or as base64; ``None`` if it takes either."""

    def deliver(self, relay: Relayed) -> Room | None:
        """Queue a message for the peer; never waits and never raises.

        :return: what room there was for it; ``None`` if it is left out for this peer, which is no refusal.
        """

    def refuse(self, reason: str) -> None:
        """Disconnect the peer soon; never waits, and may be called again."""


class Direction(Enum):
    """Which way a message goes, seen from the server."""

    RECEIVED = "->"
    """The peer has sent it, and it is fit to be handed on; that is yet to be done."""

    SENT = "<-"
    """It was queued for the peer."""


Tap: TypeAlias = Callable[[Port, PeerKind, Direction, Frame], None]
"""Looks at a message from or for a peer; must neither wait nor raise, nor keep its attachments."""


class Hub:
    """The peers of a server and what passes between them.

    :param limits: what a message that is handed on may be.
    :param taps: called with each message that passes: once when a peer has sent it, and once for each peer that
        gets it.
    """

    def __init__(self, limits: Limits, taps: Sequence[Tap] = ()) -> None:
        self.limits = limits
        self._taps = tuple(taps)
        self._debugged: set[Port] = set()
        self._is_watched = bool(taps)
        self.router: Router[Port] = Router(secrets.token_hex(8))
        self._log = RatedLog(logger)
        self._patience: dict[Port, Patience] = {}
        self._heavy = HeavyWork()

    # -- who comes and goes ------------------------------------------------------------------------------------

    def add_client(self, port: Port, *, may_write: bool = True) -> None:
        """Take in a client."""
        self.router.add_client(port, port.name, may_write=may_write)

    def add_driver(
        self, port: Port, devices: Iterable[str] = (), *, lineage: Hashable | None = None, debug: bool = False
    ) -> str | None:
        """Take in a driver and ask for its definitions; return why not, if a device of it is another's.

        :param devices: its devices, if it declares them.
        :param lineage: by what it is known again when it was started again; its name if absent.
        :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
        """
        return self._welcome(port, self.router.add_driver(port, port.name, devices, lineage=lineage), debug=debug)

    def add_remote(self, port: Port, host: str, device: str | None, *, debug: bool = False) -> str | None:
        """Take in another server and ask for its definitions; return why not, if that cannot be.

        :param host: where it is, as host and port.
        :param device: the only device that is wanted of it, ``None`` for all.
        :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
        """
        return self._welcome(port, self.router.add_remote(port, port.name, host=host, device=device), debug=debug)

    def remove(self, port: Port, reason: str, *, returns: bool = False) -> None:
        """Forget a peer, and tell those who know its devices that they are gone, and why.

        :param returns: whether a driver of the same lineage is to come in its place; its devices are kept for that.
        """
        self._patience.pop(port, None)
        self._debugged.discard(port)
        self._is_watched = bool(self._taps or self._debugged)
        self._carry_out(port, self.router.remove(port, reason, returns=returns))

    def _welcome(self, port: Port, routed: Routed[Port], *, debug: bool) -> str | None:
        self._carry_out(port, routed)
        if routed.refuse is None:
            if debug:
                self._debugged.add(port)
                self._is_watched = True
            self._carry_out(port, self.router.greeting(port))
        return routed.refuse

    # -- what they say -----------------------------------------------------------------------------------------

    def is_heavy(self, frame: Frame) -> bool:
        """Tell whether a frame takes so long that it is for :meth:`receive_heavy`."""
        if frame.plain:
            return False
        if frame.tag not in CONTENT_TAGS:
            return len(frame.data) > _HEAVY_BYTES
        # In this order: to find out what is attached, all of a frame is looked at.
        if len(frame.data) > _HEAVY_CONTENT_BYTES or attached_bytes(frame) > _HEAVY_CONTENT_BYTES:
            return True
        return len(frame.data) > _HEAVY_BYTES and not is_relayable_as_it_is(frame, self.limits)

    def receive(self, port: Port, frame: Frame, *, forgiving: bool = False, more: bool = False) -> Unusable | None:
        """Hand on what a peer sent over a wire, if that is safe for those who get it.

        :param forgiving: whether what exceeds a limit costs the message only, and not the connection.
        :param more: whether the peer's next frame is at hand, and is a BLOB policy.
        :return: why it is not, or ``None``.
        """
        safe = self._judge(port, frame, forgiving, partial(relayable, frame, self.limits))
        if isinstance(safe, Frame):
            self.hand_on(port, safe, more=more and safe.tag == EnableBLOB.tag)
            return None
        return safe

    async def receive_heavy(self, port: Port, frame: Frame, *, forgiving: bool = False) -> Unusable | None:
        """Do what :meth:`receive` does with a frame that takes long, while all others go on."""
        done = await self._heavy.do(_caught, relayable, frame, self.limits)
        safe = self._judge(port, frame, forgiving, done)
        if isinstance(safe, Frame):
            await self.hand_on_heavy(port, safe)
            return None
        return safe

    def _judge(
        self, port: Port, frame: Frame, forgiving: bool, prove: Callable[[], Frame | Unusable]
    ) -> Frame | Unusable | None:
        try:
            safe = prove()
        except RemoteProtocolError as error:
            if forgiving:
                return Unusable.made_of(frame, str(error))
            port.refuse(str(error))
            return None
        flaw = _flaw_of(safe) if isinstance(safe, Frame) else None
        if isinstance(safe, Frame) and flaw is None:
            if safe is not frame:
                frame.attachments = ()  # those that are still wanted are the new frame's
            return safe
        unusable = safe if isinstance(safe, Unusable) else Unusable.made_of(frame, flaw or "")
        # Who stands for many is told nothing: which of them wrote this it does not know either.
        if self.router.is_client(port):
            self._answer(port, frame, f"Error: {flaw or f'the request cannot be read: {unusable.reason}'}")
        return unusable

    async def joined(self, parts: Sequence[bytes]) -> bytes:
        """Return the parts of a message as one; where that takes long, while all others go on."""
        if sum(map(len, parts)) > _HEAVY_CONTENT_BYTES:
            return await self._heavy.do(b"".join, parts)
        return b"".join(parts)

    def pause(self, port: Port) -> Awaitable[None] | None:
        """Return what a peer has to wait for before its next message, if anything."""
        patience = self._patience.get(port)
        return patience.wait(port) if patience is not None and patience.is_needed else None

    def hand_on(self, port: Port, frame: Frame, *, more: bool = False) -> None:
        """Hand on a frame that is known to be safe; its attachments are the hub's.

        :param more: whether this is one of several BLOB policies in a row, and not the last.
        """
        if self.hand_on_known(port, (frame,), 0):
            return
        self._carry_out(port, self._route(port, frame, more=more))

    async def hand_on_heavy(self, port: Port, frame: Frame) -> None:
        """Do what :meth:`hand_on` does with a large frame: whatever form it has to have is made in a thread."""
        routed = self._route(port, frame)
        relays: dict[int, Relay] = {}
        try:
            for delivery in routed.deliveries:
                await self._convert(self._relay(relays, port, delivery.frame), delivery)
        except BaseException:
            for relay in relays.values():
                relay.close()
            raise
        self._carry_out(port, routed, relays)

    def _route(self, port: Port, frame: Frame, *, more: bool = False) -> Routed[Port]:
        self._show(port, Direction.RECEIVED, (frame,))
        routed = self.router.receive(port, frame, more=more)
        if not any(delivery.frame is frame for delivery in routed.deliveries):
            for attachment in frame.attachments:
                attachment.close()
            frame.attachments = ()
        return routed

    def _show(self, port: Port, direction: Direction, frames: Sequence[Frame]) -> None:
        # Every message goes through here once for its sender and once for each receiver, whatever they are and by
        # whichever way it is handed on.
        if not self._is_watched:
            return
        kind = self.router.kind(port)
        taps = (*self._taps, _log_xml) if port in self._debugged else self._taps
        for frame in frames:
            for tap in taps:
                tap(port, kind, direction, frame)

    def _give(self, target: Port, relay: Relayed) -> Room | None:
        room = target.deliver(relay)
        if self._is_watched and room is not None and not room.is_refusal:
            self._show(target, Direction.SENT, relay.came)
        return room

    def _relay(self, relays: dict[int, Relay], sender: Port | None, frame: Frame) -> Relay:
        # One relay for a frame, however many deliveries it is in: its attachments can be handed over only once.
        relay = relays.get(id(frame))
        if relay is not None:
            return relay
        # Whoever maps memory that its sender shortens is killed. Drivers are our own choice, and libindi's do not
        # seal what they send; clients are not.
        is_client = sender is not None and self.router.is_client(sender)
        hands_over = not is_client or all(map(is_fixed, frame.attachments))
        relay = relays[id(frame)] = Relay(frame, SharedMemory.create, sender, hands_over=hands_over)
        frame.attachments = ()  # they are the relay's now
        return relay

    async def _convert(self, relay: Relay, delivery: Delivery[Port]) -> None:
        frame = delivery.frame
        # Looked at anew after each: whoever gets behind meanwhile has no room for descriptors any more.
        made: set[bool | None] = {None}
        while forms := {target.attaches for target in delivery.targets} - made:
            attach = bool(forms.pop())
            made.add(attach)
            if relay.needs_conversion(attach=attach):
                await self._heavy.do(partial(relay.convert, attach=attach))
        takes_either = any(target.attaches is None for target in delivery.targets)
        if takes_either and frame.decoded is None and not frame.attached:
            # A driver of this process: it finds the message decoded. What is attached is read when its turn comes.
            await self._heavy.do(_caught, decode, frame, self.limits)

    def hand_on_known(self, port: Port, frames: Sequence[Frame], position: int) -> int:
        """Hand on a row of frames that are plain, or our own, and have one way, if it is known to whom.

        :param port: who has sent them.
        :param frames: what it sent, in order.
        :param position: the index of the first.
        :return: the index of the first that was not handed on, or how many there are. It is ``position`` if
            :meth:`receive` has to be told of that one.
        """
        ways = self.router.ways(port)
        targets = ways.get(frames[position].head)
        if targets is None:
            return position
        start = position
        while position < len(frames) and ways.get(frames[position].head) is targets:
            position += 1
        row = frames[start:position]
        self._show(port, Direction.RECEIVED, row)
        relay = PlainRelay(row, port)
        for target in targets:
            room = self._give(target, relay)
            if room is not None and room.is_refusal:
                self._note_refused(port, target, frames[start], room)
        return position

    def tell_all(self, ports: Iterable[Port], text: str, timestamp: str | None = None) -> None:
        """Send a line for people that names no device to these peers.

        :param timestamp: when this holds, as the wire has it; now if absent.
        """
        message = Message(timestamp=timestamp or format_timestamp(datetime.now(UTC)), message=text)
        frame = Frame.of(message, encode(message))
        targets = tuple(ports)
        if targets:
            self._deliver(None, [Delivery(frame, targets)], {})

    def _carry_out(self, port: Port, routed: Routed[Port], relays: dict[int, Relay] | None = None) -> None:
        if routed.dropped is not None:
            self._log.warning((port.name, "dropped"), "%s: %s", port.name, routed.dropped)
        self._deliver(port, routed.deliveries, {} if relays is None else relays)
        if routed.refuse is not None:
            port.refuse(routed.refuse)

    def _deliver(self, sender: Port | None, deliveries: Iterable[Delivery[Port]], relays: dict[int, Relay]) -> None:
        refused: set[int] = set()
        try:
            for delivery in deliveries:
                frame = delivery.frame
                if id(frame) in refused:
                    continue  # a write that is not carried out is not shown to anybody either
                relay = self._relay(relays, sender, frame)
                for target in delivery.targets:
                    room = self._give(target, relay)
                    if room is not None and room.is_refusal:
                        self._note_refused(sender, target, frame, room)
                        if frame.tag.startswith("new"):
                            refused.add(id(frame))
                    elif room is Room.LITTLE:
                        self._note_slow(sender, target)
        finally:
            for relay in relays.values():
                relay.close()

    def _answer(self, client: Port, frame: Frame, reason: str) -> None:
        """Tell a client that its write is not carried out: no driver will, and the client would wait for ever."""
        answer = refusal(frame, reason, datetime.now(UTC))
        if answer is not None:
            self._deliver(None, [Delivery(answer, (client,))], {})

    # -- when a driver takes less than it is sent ------------------------------------------------------------------

    def _patience_with(self, port: Port) -> Patience:
        return self._patience.setdefault(port, Patience())

    def _note_slow(self, sender: Port | None, target: Port) -> None:
        if sender is not None and self.router.is_client(sender) and isinstance(target, Taker):
            self._patience_with(sender).note_slow(target)

    def _note_refused(self, sender: Port | None, target: Port, frame: Frame, room: Room) -> None:
        """Tell a client that its write is not carried out, and disconnect one that goes on and on."""
        if sender is None:
            return
        is_own = room is Room.NONE
        text = f"%s: a %s is refused: too much{' of what it sent' if is_own else ''} waits for %s already"
        self._log.warning((sender.name, "refused"), text, sender.name, frame.tag, target.name)
        if not self.router.is_client(sender):
            return
        whose = " of what you sent" if is_own else ""
        self._answer(sender, frame, f"[ERROR] not done: too much{whose} waits for {target.name} already")
        if not is_own:
            return  # that others have filled everything up is not this one's fault
        if self._patience_with(sender).note_refusal(anyio.current_time()) and not self.router.is_server(sender):
            sender.refuse("for half a minute it has sent more than a driver takes")


def _log_xml(port: Port, _: PeerKind, direction: Direction, frame: Frame) -> None:
    if wire_logger.isEnabledFor(logging.DEBUG):
        text = frame.data[:_SHOWN_BYTES].decode("utf-8", "replace")
        wire_logger.debug("%s %s %s (%d bytes)", port.name, direction.value, text, len(frame.data))


def _flaw_of(frame: Frame) -> str | None:
    """Return why an attachment of a frame is not what the frame says, or ``None``."""
    flaws = map(flaw_of, frame.attachments, attached_lengths(frame))
    return next((flaw for flaw in flaws if flaw is not None), None)


def _caught(call: Callable[[Frame, Limits], _ResultT], frame: Frame, limits: Limits) -> Callable[[], _ResultT]:
    """Call in a thread, and return what returns or raises the outcome where it is wanted."""
    try:
        result = call(frame, limits)
    except RemoteProtocolError as error:
        return partial(_raise, error)
    return lambda: result


def _raise(error: Exception) -> NoReturn:
    raise error
