"""What waits for one driver, by sender: nobody's messages can crowd out those of another sender.

Each sender has a lane, in which its messages keep their order, and a share of what may wait. Lanes take turns of a
few messages, in the order in which they were filled. A lane that holds a write has its turns before those without
one, so a write overtakes the waiting messages of all other senders, but never those of its own. Between writes the
turns matter too: somebody who sends thousands of them delays somebody else's Abort by one turn and no more, while a
few writes that wait at the same time are carried out in the order in which they came. Every so often a lane without
a write gets a turn nevertheless, because a dome that hears nothing about the weather is no safer than one that
hears no command.

Updates of other drivers carry a key. When much of a sender's traffic is waiting, a new message replaces the older
ones with its key: what counts is the newest state of a weather station, and its sender never has to wait.

A message costs its bytes and the memory for the objects that hold it. What was taken still counts for its sender
until more is taken, because sending it may take long.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from enum import Enum, auto
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import field

from indianyio.protocol._frames import Frame
from indianyio.protocol._messages import EnableBLOB

__all__ = ["HOLDING_BYTES", "ORDINARY", "SHARE_BYTES", "FairQueue", "Rank", "Room", "rank_of"]

ItemT = TypeVar("ItemT")

SHARE_BYTES = 4 << 20
"""How much of one sender's messages may wait before more are refused."""

HOLDING_BYTES = 512
"""What a waiting message costs besides its bytes: the objects that hold it, measured at 400 to 500 bytes."""

# A lane's turn: some tens of messages, which a driver handles within a few milliseconds.
_TURN_BYTES = 16 << 10
# How much in a row goes to lanes with writes while others wait.
_WRITES_IN_A_ROW_BYTES = 4 * _TURN_BYTES
# How much of one sender waits before the newest message replaces older ones; a burst of a few hundred is kept.
_NEWEST_WINS_BYTES = 256 << 10
# How much any sender may have waiting, however much others have: enough for an Abort and what comes before it.
# Senders come and go, and what they leave behind still waits, so beyond a few times the limit nobody has a share.
_LEAST_SHARE_BYTES = 64 << 10
_MOST_LIMITS = 2
# Longer messages are images and the like, whose sender waits instead of being refused.
_LARGE_BYTES = 64 << 10


class Rank(msgspec.Struct, frozen=True):
    """How a message waits for a driver.

    :ivar urgent: whether it is a write, which overtakes the messages of other senders.
    :ivar key: newer messages with the same key replace it; ``None`` if none do.
    :ivar by_server: whether it is the server's own message, whoever caused it.
    """

    urgent: bool = False
    key: Hashable | None = None
    by_server: bool = False


ORDINARY: Final = Rank()
"""The rank of a message that is neither a write nor replaced by newer ones."""

_WRITE: Final = Rank(urgent=True)


def rank_of(frame: Frame) -> Rank:
    """Return how a message waits for a driver."""
    kind = frame.tag[:3]
    if kind == "new":
        return _WRITE
    if kind in ("set", "def"):
        return Rank(key=frame.head)
    if frame.tag == EnableBLOB.tag:
        # What all our clients together want from another server; it must know this before it is written to.
        return Rank(key=frame.head, by_server=True)
    return ORDINARY


class Room(Enum):
    """What room there was for a sender's messages."""

    ENOUGH = auto()
    """They were accepted."""

    LITTLE = auto()
    """They were accepted, but large messages have used up the sender's share, so it should wait a little."""

    NONE = auto()
    """The sender had used up its share; they were not accepted, or not all of them."""

    FULL = auto()
    """They were not accepted although nothing of the sender waits: others have used up everything."""

    CLOSED = auto()
    """They were not accepted, because the receiver no longer reads; it will soon be removed."""

    @property
    def is_refusal(self) -> bool:
        """Whether something was not accepted."""
        return self in (Room.NONE, Room.FULL, Room.CLOSED)


class _Entry(msgspec.Struct, Generic[ItemT]):
    item: ItemT
    cost: int
    urgent: bool
    key: Hashable | None


class _Lane(msgspec.Struct, Generic[ItemT]):
    """The messages of one sender.

    :ivar cost: what they cost, including those that were taken last.
    :ivar large: what the large ones among them cost.
    :ivar turn_bytes: how much of its turn is left.
    """

    entries: OrderedDict[int, _Entry[ItemT]] = field(default_factory=OrderedDict)
    keyed: dict[Hashable, list[int]] = field(default_factory=dict)
    cost: int = 0
    large: int = 0
    urgent: int = 0
    turn_bytes: int = _TURN_BYTES


_Ring = OrderedDict[Hashable, _Lane[ItemT]]


class FairQueue(Generic[ItemT]):
    """The messages that wait for one driver.

    A sender is any hashable object. ``None`` is the server itself, which says little: its messages come before all
    others and are never refused.

    :param drop: releases what an item holds, when a newer one replaces it.
    :param limit_bytes: how much may wait in all. When less is left than a share, shares become smaller. The least
        shares are granted on top of the limit, up to as much again, and so is a message that exceeds it.
    :param share_bytes: how much may wait of one sender.
    :ivar waiting_bytes: what the waiting messages cost.
    """

    def __init__(self, drop: Callable[[ItemT], None], *, limit_bytes: int, share_bytes: int = SHARE_BYTES) -> None:
        self._drop = drop
        self._limit_bytes = limit_bytes
        self._share_bytes = share_bytes
        self._serial = 0
        self._lanes: dict[Hashable, _Lane[ItemT]] = {}
        self._own: _Lane[ItemT] = _Lane()
        self._with_writes: _Ring[ItemT] = OrderedDict()
        self._without: _Ring[ItemT] = OrderedDict()
        self._writes_in_a_row = 0
        self._in_hand: list[tuple[Hashable, _Lane[ItemT], int]] = []
        self._waiting = 0
        self.waiting_bytes = 0

    def __len__(self) -> int:
        """Return how many messages wait."""
        return self._waiting

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, and the driver has received what was taken."""
        return not self._lanes and not self._own.cost

    def cost_of(self, sender: Hashable) -> int:
        """Return what the messages of one sender cost, including those that were taken last."""
        lane = self._lanes.get(sender)
        return 0 if lane is None else lane.cost

    def room_for(self, sender: Hashable, *, taken: bool) -> Room:
        """Return what room there was for messages of a sender.

        :param taken: whether all of them were accepted.
        """
        lane = self._lanes.get(sender)
        if not taken:
            return Room.NONE if lane is not None and lane.cost else Room.FULL
        return Room.LITTLE if lane is not None and lane.large and self.is_behind(sender) else Room.ENOUGH

    def is_behind(self, sender: Hashable) -> bool:
        """Return whether a sender has used up its share with large messages, for which it can wait."""
        lane = self._lanes.get(sender)
        return lane is not None and lane.cost - lane.large < self._share() <= lane.cost

    def offer(
        self, sender: Hashable, item: ItemT, size: int, *, urgent: bool = False, key: Hashable | None = None
    ) -> bool:
        """Queue a message behind those of its sender.

        The share is checked beforehand, because one image may be longer than the share.

        :param sender: who sends it.
        :param item: the message.
        :param size: its bytes.
        :param urgent: whether it is a write.
        :param key: what it is about; the sender's older messages with the same key are obsolete once it is known.
        :return: ``False`` if the sender has used up its share. Then the message was not accepted.
        """
        if sender is None:
            return self._offer_own(item, size, key)
        lane = self._lanes.get(sender)
        if lane is None:
            lane = self._lanes[sender] = _Lane()
        share = self._share()
        has_replaced = False
        if key is not None and lane.cost >= min(_NEWEST_WINS_BYTES, share):
            has_replaced = self._replace(lane, key)
        # A newer message may always take the place of an older one: without either the driver would not know the
        # state.
        has_room = has_replaced or lane.cost < share
        if has_room:
            self._append(lane, _Entry(item, size + HOLDING_BYTES, urgent, key))
        self._line_up(sender, lane)
        return has_room

    def take(self) -> ItemT | None:
        """Return the next message, or ``None`` if none waits; what was taken before no longer counts."""
        if self._in_hand:
            self.release()
        return self._take_next()

    def take_some(self, most_bytes: int) -> list[ItemT]:
        """Return the next messages, at least one if any waits; what was taken before no longer counts.

        :param most_bytes: stop adding messages when they cost this much.
        """
        self.release()
        taken: list[ItemT] = []
        begun = self.waiting_bytes
        while begun - self.waiting_bytes < most_bytes and (item := self._take_next()) is not None:
            taken.append(item)
        return taken

    def release(self) -> None:
        """Stop counting what was taken, because the driver has it."""
        for sender, lane, cost in self._in_hand:
            _uncount(lane, cost)
            if lane is not self._own:
                self._line_up(sender, lane)
        self._in_hand.clear()

    def drain(self) -> Iterator[ItemT]:
        """Take out everything."""
        while (item := self.take()) is not None:
            yield item
        self.release()

    # -- putting in ------------------------------------------------------------------------------------------------

    def _share(self) -> int:
        if self.waiting_bytes >= _MOST_LIMITS * self._limit_bytes:
            return 0
        free = self._limit_bytes - self.waiting_bytes
        return min(self._share_bytes, max(free, min(self._limit_bytes, _LEAST_SHARE_BYTES)))

    def _offer_own(self, item: ItemT, size: int, key: Hashable | None) -> bool:
        if key is not None:
            self._replace(self._own, key)
        self._append(self._own, _Entry(item, size + HOLDING_BYTES, urgent=False, key=key))
        return True

    def _append(self, lane: _Lane[ItemT], entry: _Entry[ItemT]) -> None:
        self._serial += 1
        lane.entries[self._serial] = entry
        lane.urgent += entry.urgent
        lane.cost += entry.cost
        if entry.cost > _LARGE_BYTES:
            lane.large += entry.cost
        if entry.key is not None:
            lane.keyed.setdefault(entry.key, []).append(self._serial)
        self._waiting += 1
        self.waiting_bytes += entry.cost

    def _replace(self, lane: _Lane[ItemT], key: Hashable) -> bool:
        """Take out the messages with a key, and return whether there were any."""
        serials = lane.keyed.pop(key, ())
        for serial in serials:
            entry = lane.entries.pop(serial)
            self._count_out(lane, entry)
            _uncount(lane, entry.cost)
            self._drop(entry.item)
        return bool(serials)

    # -- taking out ------------------------------------------------------------------------------------------------

    def _take_next(self) -> ItemT | None:
        if self._own.entries:
            entry = self._pop(self._own)
            self._in_hand.append((None, self._own, entry.cost))
            return entry.item
        ring = self._with_writes
        if not ring or (self._without and self._writes_in_a_row >= _WRITES_IN_A_ROW_BYTES):
            ring = self._without
        if not ring:
            return None
        sender, lane = next(iter(ring.items()))
        entry = self._pop(lane)
        self._in_hand.append((sender, lane, entry.cost))
        self._spend(ring, sender, lane, entry.cost)
        return entry.item

    def _spend(self, ring: _Ring[ItemT], sender: Hashable, lane: _Lane[ItemT], cost: int) -> None:
        """Charge a message to its lane's turn; when the turn is used up, the next lane has one."""
        lane.turn_bytes -= cost
        if lane.turn_bytes <= 0:
            lane.turn_bytes = _TURN_BYTES
            ring.move_to_end(sender)
        if ring is self._with_writes:
            self._writes_in_a_row += cost
        elif lane.turn_bytes == _TURN_BYTES or not lane.entries:
            self._writes_in_a_row = 0
        self._line_up(sender, lane)

    def _line_up(self, sender: Hashable, lane: _Lane[ItemT]) -> None:
        """Put a lane into the ring where it belongs now; a lane that changes rings starts a turn at the end."""
        right = self._with_writes if lane.urgent else self._without
        for ring in (self._with_writes, self._without):
            if ring is not right or not lane.entries:
                ring.pop(sender, None)
        if lane.entries and sender not in right:
            right[sender] = lane
            lane.turn_bytes = _TURN_BYTES
        if not lane.cost:
            self._lanes.pop(sender, None)

    def _pop(self, lane: _Lane[ItemT]) -> _Entry[ItemT]:
        serial, entry = lane.entries.popitem(last=False)
        if entry.key is not None:
            serials = lane.keyed[entry.key]
            serials.remove(serial)  # the first
            if not serials:
                del lane.keyed[entry.key]
        self._count_out(lane, entry)
        return entry

    def _count_out(self, lane: _Lane[ItemT], entry: _Entry[ItemT]) -> None:
        lane.urgent -= entry.urgent
        self._waiting -= 1
        self.waiting_bytes -= entry.cost


def _uncount(lane: _Lane[ItemT], cost: int) -> None:
    lane.cost -= cost
    if cost > _LARGE_BYTES:
        lane.large -= cost
