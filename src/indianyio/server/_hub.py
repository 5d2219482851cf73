"""The middle of a server: frames come in from peers, the router decides, and the peers get what is theirs.

Nothing here waits. A peer is a :class:`Port`; what is delivered to it waits in an outbox of its own, or is dropped
as that outbox decides, so that no peer can hold up another.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from indianyio._transports import SharedMemory, flaw_of, is_fixed
from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.model import Delivery, PeerKind, PlainRelay, Relay, Relayed, Routed, Router, write_refusal
from indianyio.protocol import Frame, Message, Unusable, encode, format_timestamp
from indianyio.protocol._blob_forms import attached_lengths
from indianyio.protocol._relay import relayable

__all__ = ["Hub", "Port"]

logger = logging.getLogger(__name__)


class Port(Hashable, Protocol):
    """A peer, seen from the hub."""

    @property
    def name(self) -> str:
        """Who the peer is, for log lines."""

    def deliver(self, relay: Relayed) -> None:
        """Queue a message for the peer; never waits and never raises."""

    def refuse(self, reason: str) -> None:
        """Disconnect the peer soon; never waits, and may be called again."""


class Hub:
    """The peers of a server and what passes between them.

    :param limits: what a message that is handed on may be.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.router: Router[Port] = Router(secrets.token_hex(8))

    # -- who comes and goes ------------------------------------------------------------------------------------

    def add_client(self, port: Port, *, may_write: bool = True) -> None:
        """Take in a client."""
        self.router.add_client(port, port.name, may_write=may_write)

    def add_driver(self, port: Port, devices: Iterable[str] = (), *, lineage: Hashable | None = None) -> str | None:
        """Take in a driver and ask for its definitions; return why not, if a device of it is another's.

        :param devices: its devices, if it declares them.
        :param lineage: by what it is known again when it was started again; its name if absent.
        """
        return self._welcome(port, self.router.add_driver(port, port.name, devices, lineage=lineage))

    def add_remote(self, port: Port, host: str, device: str | None) -> str | None:
        """Take in another server and ask for its definitions; return why not, if that cannot be.

        :param host: where it is, as host and port.
        :param device: the only device that is wanted of it, ``None`` for all.
        """
        return self._welcome(port, self.router.add_remote(port, port.name, host=host, device=device))

    def remove(self, port: Port, reason: str, *, returns: bool = False) -> None:
        """Forget a peer, and tell those who know its devices that they are gone, and why.

        :param returns: whether a driver of the same lineage is to come in its place; its devices are kept for that.
        """
        self._carry_out(port, self.router.remove(port, reason, returns=returns))

    def _welcome(self, port: Port, routed: Routed[Port]) -> str | None:
        self._carry_out(port, routed)
        if routed.refuse is None:
            self._carry_out(port, self.router.greeting(port))
        return routed.refuse

    # -- what they say -----------------------------------------------------------------------------------------

    def receive(self, port: Port, frame: Frame, *, forgiving: bool = False) -> Unusable | None:
        """Hand on what a peer sent over a wire, if it is fit for that (design: what is relayed is safe).

        :param forgiving: whether what exceeds a limit costs the message only, and not the connection.
        :return: why it is not, or ``None``.
        """
        try:
            safe = relayable(frame, self.limits)
        except RemoteProtocolError as error:
            if forgiving:
                return Unusable.made_of(frame, str(error))
            port.refuse(str(error))
            return None
        if isinstance(safe, Unusable):
            return safe
        flaw = _flaw_of(safe)
        if flaw is not None:
            self._carry_out(port, self.router.refusal(port, safe, flaw))
            return Unusable.made_of(frame, flaw)
        if safe is not frame:
            frame.attachments = ()  # those that are still wanted are the new frame's
        self.hand_on(port, safe)
        return None

    def refuse_write(self, port: Port, frame: Frame, reason: str) -> None:
        """Answer a client's write that cannot be read: no driver will, and the client would wait for ever.

        Its vector is said to be Alert, to this client only and without values.

        :param port: the client.
        :param frame: what it sent; anything but a write is passed over.
        :param reason: why it cannot be read.
        """
        answer = write_refusal(frame, f"Error: the request cannot be read: {reason}", datetime.now(UTC))
        if answer is not None:
            self._deliver([Delivery(answer, (port,))])

    def hand_on(self, port: Port, frame: Frame) -> None:
        """Hand on a frame that is known to be safe; its attachments are the hub's."""
        if self.hand_on_known(port, (frame,), 0):
            return
        # Whoever maps memory that its sender shortens is killed. Drivers are our own choice, and libindi's do not
        # seal what they send; clients are not.
        hands_over = self.router.kind(port) is not PeerKind.CLIENT or all(map(is_fixed, frame.attachments))
        routed = self.router.receive(port, frame)
        if not any(delivery.frame is frame for delivery in routed.deliveries):
            for attachment in frame.attachments:
                attachment.close()
        self._carry_out(port, routed, hands_over=hands_over)
        frame.attachments = ()

    def hand_on_known(self, port: Port, frames: Sequence[Frame], position: int) -> int:
        """Hand on frames that are plain, or our own, as long as it is known to whom; what has one way, together.

        :param port: who has sent them.
        :param frames: what it sent, in order.
        :param position: the index of the first.
        :return: the index of the first that :meth:`receive` has to be told of, or how many there are.
        """
        ways = self.router.ways(port)
        while position < len(frames):
            targets = ways.get(frames[position].head)
            if targets is None:
                break
            start = position
            while position < len(frames) and ways.get(frames[position].head) is targets:
                position += 1
            relay = PlainRelay(frames[start:position])
            for target in targets:
                target.deliver(relay)
        return position

    def tell_all(self, ports: Iterable[Port], text: str, timestamp: str | None = None) -> None:
        """Send a line for people that names no device to these peers.

        :param timestamp: when this holds, as the wire has it; now if absent.
        """
        message = Message(timestamp=timestamp or format_timestamp(datetime.now(UTC)), message=text)
        frame = Frame.of(message, encode(message))
        targets = tuple(ports)
        if targets:
            self._deliver([Delivery(frame, targets)])

    def _carry_out(self, port: Port, routed: Routed[Port], *, hands_over: bool = True) -> None:
        if routed.dropped is not None:
            logger.warning("%s: %s", port.name, routed.dropped)
        self._deliver(routed.deliveries, hands_over=hands_over)
        if routed.refuse is not None:
            port.refuse(routed.refuse)

    def _deliver(self, deliveries: Iterable[Delivery[Port]], *, hands_over: bool = True) -> None:
        # One relay for a frame, however many deliveries it is in: its attachments can be handed over only once.
        relays: dict[int, Relay] = {}
        try:
            for delivery in deliveries:
                relay = relays.get(id(delivery.frame))
                if relay is None:
                    relay = Relay(delivery.frame, SharedMemory.create, hands_over=hands_over)
                    relays[id(delivery.frame)] = relay
                for target in delivery.targets:
                    target.deliver(relay)
        finally:
            for relay in relays.values():
                relay.close()


def _flaw_of(frame: Frame) -> str | None:
    """Return why an attachment of a frame is not what the frame says, or ``None``."""
    flaws = map(flaw_of, frame.attachments, attached_lengths(frame))
    return next((flaw for flaw in flaws if flaw is not None), None)
