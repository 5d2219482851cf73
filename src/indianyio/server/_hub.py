"""The middle of a server: frames come in from peers, the router decides, and the peers get what is theirs.

A peer is a ``Port`` (see ``_ports``). Each has a queue of its own, which keeps, drops or refuses what is delivered,
so that no peer can hold up another. Nothing here waits, with one exception: checking a very large frame, or
converting its BLOBs, would hold up everybody, so a thread does that (``_heavy``) and only the frame's sender waits.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from indianyio._environment import THIS_MACHINE, Environment
from indianyio._rated_log import RatedLog
from indianyio._routing import Delivery, PlainRelay, Relay, Relayed, Room, Routed, Router, refusal
from indianyio._routing._routes import Route
from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import EnableBLOB, Frame, Message, Unusable, decode, encode, format_timestamp
from indianyio.protocol._blob_forms import attached_lengths
from indianyio.protocol._frames import Head
from indianyio.protocol._relayable import relayable
from indianyio.server._heavy import HeavyWork
from indianyio.server._ports import Direction, Patience, Port, Taker, Tap, Taps
from indianyio.streams import SharedMemory, flaw_of, is_fixed

__all__ = ["Hub"]

logger = logging.getLogger(__name__)

# Random bytes in the name by which a server recognises itself in a ring of servers: too many to meet twice.
_TOKEN_BYTES = 8

_NOTHING: Final[Mapping[Head, Route[Port]]] = {}


class Hub:
    """The peers of a server and what passes between them.

    :param limits: the largest message that is forwarded.
    :param taps: who looks at the messages; see :class:`~indianyio.server._ports.Taps`.
    :param environment: what is outside.
    :ivar heavy: the threads for slow work.
    """

    def __init__(self, limits: Limits, taps: Sequence[Tap] = (), environment: Environment = THIS_MACHINE) -> None:
        self.limits = limits
        self.environment = environment
        self.taps = Taps(taps)
        self.router: Router[Port] = Router(environment.token(_TOKEN_BYTES))
        self._log = RatedLog(logger)
        self._patience: dict[Port, Patience] = {}
        self.heavy = HeavyWork(environment)

    def flush_log(self) -> None:
        """Say how many log lines were left out; nobody says anything any more."""
        self._log.flush()

    # -- who comes and goes ------------------------------------------------------------------------------------

    def add_client(self, port: Port, *, may_write: bool = True) -> None:
        """Add a client."""
        self.router.add_client(port, port.name, may_write=may_write)

    def add_driver(
        self, port: Port, devices: Iterable[str] = (), *, lineage: Hashable | None = None, debug: bool = False
    ) -> str | None:
        """Add a driver and ask for its definitions; return why not, if another driver has one of its devices.

        :param devices: its devices, if it declares them.
        :param lineage: what identifies the driver across restarts; its name if absent.
        :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
        """
        return self._welcome(port, self.router.add_driver(port, port.name, devices, lineage=lineage), debug=debug)

    def add_remote(self, port: Port, host: str, device: str | None, *, debug: bool = False) -> str | None:
        """Add another server and ask for its definitions; return the reason if it is refused.

        :param host: its host and port.
        :param device: the only device wanted from it, ``None`` for all.
        :param debug: whether its XML is logged at DEBUG on the logger ``indianyio.wire``.
        """
        return self._welcome(port, self.router.add_remote(port, port.name, host=host, device=device), debug=debug)

    def remove(self, port: Port, reason: str, *, returns: bool = False) -> None:
        """Forget a peer, and tell everybody who knows its devices that these are gone, and why.

        :param returns: whether a driver of the same lineage will replace it; its devices are kept for that one.
        """
        self._patience.pop(port, None)
        self.taps.forget(port)
        self._carry_out(port, self.router.remove(port, reason, returns=returns))

    def _welcome(self, port: Port, routed: Routed[Port], *, debug: bool) -> str | None:
        self._carry_out(port, routed)
        if routed.refuse is None:
            if debug:
                self.taps.debug(port)
            self._carry_out(port, self.router.greeting(port))
        return routed.refuse

    # -- what they say -----------------------------------------------------------------------------------------

    def receive(self, port: Port, frame: Frame, *, forgiving: bool = False, more: bool = False) -> Unusable | None:
        """Forward what a peer sent over a wire, if it is safe for its receivers.

        :param forgiving: whether exceeding a limit costs only the message, not the connection.
        :param more: whether the peer's next frame has arrived already and is a BLOB policy too.
        :return: why the frame is not safe, or ``None`` if it is.
        """
        safe = self._judge(port, frame, forgiving, partial(relayable, frame, self.limits))
        if isinstance(safe, Frame):
            self.forward(port, safe, more=more and safe.tag == EnableBLOB.tag)
            return None
        return safe

    async def receive_heavy(self, port: Port, frame: Frame, *, forgiving: bool = False) -> Unusable | None:
        """Do what :meth:`receive` does for a frame that takes long, while everybody else goes on."""
        done = await self.heavy.look_at(relayable, frame, self.limits)
        safe = self._judge(port, frame, forgiving, done)
        if isinstance(safe, Frame):
            await self.forward_heavy(port, safe)
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
                frame.attachments = ()  # the new frame has taken over those that are still wanted
            return safe
        unusable = safe if isinstance(safe, Unusable) else Unusable.made_of(frame, flaw or "")
        # A server gets no answer: it does not know which of its own clients wrote this.
        if self.router.is_client(port):
            self._answer(port, frame, f"Error: {flaw or f'the request cannot be read: {unusable.reason}'}")
        return unusable

    def pause(self, port: Port) -> Awaitable[None] | None:
        """Return what to await before reading a peer's next message, if anything."""
        patience = self._patience.get(port)
        return patience.wait(port) if patience is not None and patience.is_needed else None

    def forward(self, port: Port, frame: Frame, *, more: bool = False) -> None:
        """Forward a frame that is known to be safe; the hub takes over its attachments.

        :param more: whether this is one of several BLOB policies in a row, and not the last.
        """
        if self.forward_known(port, (frame,), 0):
            return
        self._carry_out(port, self._route(port, frame, more=more))

    async def forward_heavy(self, port: Port, frame: Frame) -> None:
        """Do what :meth:`forward` does for a large frame, converting its BLOBs in a thread where that is needed."""
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
        if self.taps.in_use:
            self.taps.show(port, self.router.kind(port), Direction.RECEIVED, (frame,))
        routed = self.router.receive(port, frame, more=more)
        if not any(delivery.frame is frame for delivery in routed.deliveries):
            for attachment in frame.attachments:
                attachment.close()
            frame.attachments = ()
        return routed

    def _relay(self, relays: dict[int, Relay], sender: Port | None, frame: Frame) -> Relay:
        # One relay for each frame, however many deliveries contain it: its attachments can be handed over only
        # once.
        relay = relays.get(id(frame))
        if relay is not None:
            return relay
        # A process that maps memory which its sender then shortens is killed (SIGBUS). We trust the drivers that we
        # chose to run, and libindi's do not seal their memory; a client's must be sealed.
        is_client = sender is not None and self.router.is_client(sender)
        hands_over = not is_client or all(map(is_fixed, frame.attachments))
        relay = relays[id(frame)] = Relay(frame, SharedMemory.create, sender, hands_over=hands_over)
        frame.attachments = ()  # they are the relay's now
        return relay

    async def _convert(self, relay: Relay, delivery: Delivery[Port]) -> None:
        frame = delivery.frame
        # Looked at again after each conversion: a peer that fell behind meanwhile has no room for descriptors any
        # more.
        made: set[bool | None] = {None}
        while forms := {target.attaches for target in delivery.targets} - made:
            attach = bool(forms.pop())
            made.add(attach)
            if relay.needs_conversion(attach=attach):
                await self.heavy.do(partial(relay.convert, attach=attach))
        takes_either = any(target.attaches is None for target in delivery.targets)
        if takes_either and frame.decoded is None and not frame.attached:
            # For a driver of this process the message is decoded here. It reads attachments when it handles the
            # message.
            await self.heavy.look_at(decode, frame, self.limits)

    def forward_known(self, port: Port, frames: Sequence[Frame], position: int) -> int:
        """Forward a row of plain frames (or our own) whose receivers are known and the same.

        After a frame of a client's, :meth:`pause` tells whether the next one has to wait.

        :param port: who sent them.
        :param frames: what it sent, in order.
        :param position: the index of the first.
        :return: the index of the first that was not forwarded, or how many there are. If it is ``position``, that
            frame has to go through :meth:`receive`.
        """
        known = self.router.known_routes.get(port, _NOTHING)
        first = frames[position]
        route = known.get(first.known_head or first.head)
        if route is None:
            return position
        start, position = position, position + 1
        # A client's frames are taken one by one: it may have to wait after each, and hears of each refusal.
        if position < len(frames) and not self.router.is_client(port):
            while position < len(frames) and known.get(frames[position].head) is route:
                position += 1
        row = frames[start:position]
        if self.taps.in_use:
            self.taps.show(port, self.router.kind(port), Direction.RECEIVED, row)
        relay = PlainRelay(row, port)
        for targets in route:
            if not self._give_all(port, targets, relay, first):
                break
        return position

    def _give_all(self, sender: Port | None, targets: Iterable[Port], relay: Relayed, frame: Frame) -> bool:
        """Deliver a message to all of these; return whether others may see it too.

        A write that a driver refuses is not shown to observers, since it is not carried out.
        """
        is_done = True
        for target in targets:
            room = target.deliver(relay)
            if self.taps.in_use and room is not None and not room.is_refusal:
                self.taps.show(target, self.router.kind(target), Direction.SENT, relay.received)
            if room is None or room is Room.ENOUGH:
                continue
            if room is Room.LITTLE:
                self._note_slow(sender, target)
            else:
                self._note_refused(sender, target, frame, room)
                is_done &= not frame.tag.startswith("new")
        return is_done

    def tell_all(self, ports: Iterable[Port], text: str, timestamp: str | None = None) -> None:
        """Send these peers a message for people that names no device.

        :param timestamp: the message's time, as written on the wire; now if absent.
        """
        message = Message(timestamp=timestamp or format_timestamp(self.environment.time_of_day()), message=text)
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
                    continue  # its driver refused this write, so observers do not see it either
                relay = self._relay(relays, sender, frame)
                if not self._give_all(sender, delivery.targets, relay, frame):
                    refused.add(id(frame))
        finally:
            for relay in relays.values():
                relay.close()

    def _answer(self, client: Port, frame: Frame, reason: str) -> None:
        """Tell a client that its write is not carried out: no driver will answer, and it would wait for ever."""
        answer = refusal(frame, reason, self.environment.time_of_day())
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
        if room is Room.CLOSED:
            self._note_closed(sender, target, frame)
            return
        is_own = room is Room.NONE
        text = f"%s: a %s is refused: too much{' of what it sent' if is_own else ''} waits for %s already"
        self._log.warning((sender.name, "refused"), text, sender.name, frame.tag, target.name)
        if not self.router.is_client(sender):
            return
        whose = " of what you sent" if is_own else ""
        self._answer(sender, frame, f"[ERROR] not done: too much{whose} waits for {target.name} already")
        if not is_own:
            return  # others have filled the queue; this sender is not at fault
        if self._patience_with(sender).note_refusal(self.environment.now()) and not self.router.is_server(sender):
            sender.refuse("for half a minute it has sent more than a driver takes")

    def _note_closed(self, sender: Port, target: Port, frame: Frame) -> None:
        """Tell a client that its write is not carried out, as the driver is ending and has not been removed yet."""
        if self.router.is_client(sender) and frame.tag.startswith("new"):
            text = "%s: a %s is refused: %s no longer takes commands"
            self._log.warning((sender.name, "closed"), text, sender.name, frame.tag, target.name)
            self._answer(sender, frame, f"[ERROR] not done: {target.name} no longer takes commands")


def _flaw_of(frame: Frame) -> str | None:
    """Return why an attachment of a frame is not what the frame says, or ``None``."""
    flaws = map(flaw_of, frame.attachments, attached_lengths(frame))
    return next((flaw for flaw in flaws if flaw is not None), None)
