"""A bad line between real processes: it delays, splits, stalls, cuts and garbles what passes, from a seed.

It listens where it is told, connects each caller to the target, and ends with its block. At most 64 KiB wait in
each direction, so what is slow is felt at the other end.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.peers.sockets import MOST_CONNECTIONS, Address, connect, listen

__all__ = ["GOOD", "Faults", "Proxy", "proxy"]

Cut = Literal["fin", "rst"]

WAITING_BYTES = 1 << 16
# How soon a connection notices that it is to be cut; nothing else waits for this.
LOOK_SECONDS = 0.02
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to one direction of every connection.

    :param delay: the most seconds before a piece passes.
    :param piece: the most bytes that pass at once.
    :param stall_at: after so many bytes nothing passes for ``stall`` seconds.
    :param cut_at: after so many bytes the connection is cut, in both directions.
    :param how: the end that both sides see: ``"fin"`` in order, ``"rst"`` a reset. Unix sockets know no reset and
        are closed.
    :param garble: of so many bytes one is changed, on average.
    """

    delay: float = 0.0
    piece: int = WAITING_BYTES
    stall_at: int | None = None
    stall: float = 0.0
    cut_at: int | None = None
    how: Cut = "fin"
    garble: int | None = None


GOOD = Faults()


@dataclass(slots=True)
class Seen:
    """How often each fault has happened; ``passed`` counts bytes."""

    delays: int = 0
    pieces: int = 0
    stalls: int = 0
    cuts: int = 0
    garbled: int = 0
    passed: int = 0


@dataclass(slots=True)
class _Way:
    """One direction of one connection."""

    source: socket.socket
    sink: socket.socket
    faults: Faults
    chance: random.Random
    seen: Seen
    waiting: bytes = b""
    not_before: float = 0.0
    passed: int = 0
    stalled: bool = False
    ended: bool = False

    def take(self) -> None:
        data = self.source.recv(WAITING_BYTES)
        if not data:
            self.ended = True
            self.sink.shutdown(socket.SHUT_WR)
            return
        self.waiting = self._garbled(data)
        self._wait()

    def give(self) -> None:
        most = self.chance.randint(1, self.faults.piece) if self.faults.piece < WAITING_BYTES else WAITING_BYTES
        for border in (self.faults.stall_at, self.faults.cut_at):
            if border is not None and self.passed < border:
                most = min(most, border - self.passed)
        sent = self.sink.send(self.waiting[:most])
        self.waiting = self.waiting[sent:]
        self.passed += sent
        self.seen.passed += sent
        self.seen.pieces += 1
        self._wait()

    def must_be_cut(self) -> bool:
        return self.faults.cut_at is not None and self.passed >= self.faults.cut_at

    def _wait(self) -> None:
        pause = 0.0
        if self.faults.delay:
            pause = self.chance.uniform(0.0, self.faults.delay)
            self.seen.delays += 1
        if self.faults.stall_at is not None and not self.stalled and self.passed >= self.faults.stall_at:
            pause, self.stalled = self.faults.stall, True
            self.seen.stalls += 1
        self.not_before = time.monotonic() + pause

    def _garbled(self, data: bytes) -> bytes:
        if self.faults.garble is None:
            return data
        changed = bytearray(data)
        for index in range(len(changed)):
            if self.chance.random() * self.faults.garble < 1:
                changed[index] ^= self.chance.randint(1, 255)
                self.seen.garbled += 1
        return bytes(changed)


@dataclass(slots=True)
class Proxy:
    """The line: where it listens, what it has done, and what it can be told to do.

    :ivar address: where callers connect.
    :ivar up: what has happened on the way to the target.
    :ivar down: what has happened on the way back.
    """

    address: Address
    target: Address
    up: Seen = field(default_factory=Seen)
    down: Seen = field(default_factory=Seen)
    _is_down: bool = False
    _cuts: int = 0
    _how: Cut = "fin"
    _ended: threading.Event = field(default_factory=threading.Event)

    def cut(self, how: Cut = "rst", *, stay_down: bool = False) -> None:
        """Cut all connections now; new ones are closed at once for as long as it stays down."""
        self._is_down, self._how = stay_down, how
        self._cuts += 1

    def mend(self) -> None:
        """Let callers through again."""
        self._is_down = False

    def accept(self, listener: socket.socket, faults: tuple[Faults, Faults], seed: int) -> None:
        """Serve callers until the block ends."""
        threads: list[threading.Thread] = []
        while not self._ended.is_set():
            if not select.select([listener], [], [], LOOK_SECONDS)[0]:
                continue
            caller, _ = listener.accept()
            if self._is_down or sum(thread.is_alive() for thread in threads) >= MOST_CONNECTIONS:
                caller.close()
                continue
            work = threading.Thread(target=self._connection, args=(caller, faults, f"{seed}/{len(threads)}"))
            work.start()
            threads.append(work)
        for thread in threads:
            thread.join()

    def end(self) -> None:
        """Close all connections; their threads end soon after."""
        self._ended.set()

    def _connection(self, caller: socket.socket, faults: tuple[Faults, Faults], seed: str) -> None:
        cuts, how = self._cuts, None
        with caller:
            try:
                target = connect(self.target)
            except OSError:
                return  # the caller sees its connection closed, as with a server that has died
            with target:
                ways = [
                    _Way(caller, target, faults[0], random.Random(f"{seed}/up"), self.up),
                    _Way(target, caller, faults[1], random.Random(f"{seed}/down"), self.down),
                ]
                caller.setblocking(False)
                target.setblocking(False)
                while how is None and not self._ended.is_set() and not all(way.ended for way in ways):
                    how = self._how if self._cuts != cuts else _step(ways)
                if how == "rst":
                    for sock in (caller, target):
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _step(ways: list[_Way]) -> Cut | None:
    """Pass on what can be; return how the connection is to end, if it is."""
    now = time.monotonic()
    late = [way.not_before - now for way in ways if way.waiting]
    readers = [way.source for way in ways if not way.waiting and not way.ended]
    writers = [way.sink for way in ways if way.waiting and way.not_before <= now]
    pause = min([LOOK_SECONDS, *(seconds for seconds in late if seconds > 0)])
    can_read, can_write, _ = select.select(readers, writers, [], pause)
    try:
        for way in ways:
            if way.source in can_read:
                way.take()
            if way.sink in can_write and way.waiting:
                way.give()
            if way.must_be_cut():
                way.seen.cuts += 1
                return way.faults.how
    except BlockingIOError:
        return None
    except OSError:
        return "rst"  # one side has reset its connection, and so the other is told
    return None


@contextmanager
def proxy(
    target: Address, up: Faults = GOOD, down: Faults = GOOD, *, seed: int = 0, at: Address = 0
) -> Iterator[Proxy]:
    """Run a line to ``target`` for the length of the block.

    :param up: the faults of what callers send.
    :param down: the faults of what the target sends.
    :param at: where it listens; 0 picks a free port.
    """
    with listen(at) as listener:
        line = Proxy(at or listener.getsockname()[1], target)
        accepting = threading.Thread(target=line.accept, args=(listener, (up, down), seed))
        accepting.start()
        try:
            yield line
        finally:
            line.end()
            accepting.join()
