"""How late updates come to many clients of a server that relays them at a steady pace.

Run as ``python -S -m benchmarks.peers.steady_client``, with a plan as JSON on standard input; prints percentiles
of the lateness, in seconds, as JSON. An update is late by the time from the moment at which the driver is to send
it until the client has it: so a server that makes the driver wait does not look better for it.

One process serves all connections (see ``client.py``). All must get the same bytes: of each a checksum is kept,
and of the first everything, which is read when the clock has stopped. What lets the driver go comes from one more
connection, because servers echo it to all others.

Where updates are still coming when the time is up, those that are missing count as if they came then. So a server
that is far too slow gets a value, which is better than it deserves. Where none comes any more, they are lost.
"""

from __future__ import annotations

import array
import json
import re
import select
import socket
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.peers.client import SETTLE_SECONDS, Link, WrongContentError, ask

SILENCE_SECONDS = 10.0  # after which what is missing is lost
LEAD_SECONDS = 1.0
TAG = b"</setNumberVector>"

UPDATE = re.compile(
    rb"<setNumberVector\b[^>]*\bname=[\"']V(\d+)[\"'][^>]*>"
    rb"\s*<oneNumber name=[\"']TICK[\"']>\s*(\d+)\s*</oneNumber>"
    rb"\s*<oneNumber name=[\"']VALUE[\"']>\s*12\.345678901\s*</oneNumber>\s*</setNumberVector>"
)


@dataclass(frozen=True, slots=True)
class SteadyPlan:
    """What to do.

    :param port: where the server is, at 127.0.0.1.
    :param clients: how many connections there are.
    :param vectors: how many vectors the driver updates with each tick.
    :param period: the seconds between two ticks.
    :param ticks: how many there are.
    :param seconds: after how many seconds it is enough.
    """

    port: int
    clients: int
    vectors: int
    period: float
    ticks: int
    seconds: float

    def to_json(self) -> str:
        """Return it as this program reads it."""
        return json.dumps(asdict(self))


class SteadyLink(Link):
    """A connection that notes how late updates come.

    :ivar start: when the first tick is to be sent.
    :ivar late: how late updates were, in seconds, of each piece that came and each tick in it.
    :ivar weight: and how many updates these were.
    :ivar checksum: of all that came since the start.
    :ivar kept: all that came since the start, if that is kept.
    """

    def __init__(self, plan: SteadyPlan) -> None:
        super().__init__(("127.0.0.1", plan.port), TAG)
        self._plan = plan
        self._seen = 0
        self.start = 0.0
        self.late = array.array("d")
        self.weight = array.array("l")
        self.checksum = 0
        self.kept: list[bytes] | None = None

    def keep(self, data: bytes) -> None:
        """Note when it came."""
        if self.start:
            self.note(self.count)
            self.checksum = zlib.crc32(data, self.checksum)
            if self.kept is not None:
                self.kept.append(data)

    def note(self, count: int) -> None:
        """Note that by now so many updates have come."""
        since_start = time.monotonic() - self.start
        vectors, seen = self._plan.vectors, self._seen
        while seen < count:
            tick = seen // vectors
            upto = min(count, (tick + 1) * vectors)
            self.late.append(since_start - tick * self._plan.period)
            self.weight.append(upto - seen)
            seen = upto
        self._seen = seen


def measure(plan: SteadyPlan) -> dict[str, float]:
    """Connect, let the driver go, and return percentiles of the lateness."""
    links = {link.sock.fileno(): link for link in (open_link(plan) for _ in range(plan.clients))}
    poll = select.epoll()
    for number in links:
        poll.register(number, select.EPOLLIN)
    with socket.create_connection(("127.0.0.1", plan.port)) as going:
        take_until_quiet(poll, links)  # definitions that others have asked for
        first = next(iter(links.values()))
        first.kept = []
        start = time.monotonic() + LEAD_SECONDS
        for link in links.values():
            link.start = start
        going.sendall(trigger(start, plan.ticks))
        complete = take_all(plan, poll, links)
        if complete:
            take_until_quiet(poll, links)  # a line feed at the end
        check(plan, list(links.values()), first.kept, complete)
    for link in links.values():
        link.note(plan.ticks * plan.vectors)
    return percentiles(list(links.values()))


def open_link(plan: SteadyPlan) -> SteadyLink:
    """Connect and wait for a definition."""
    link = SteadyLink(plan)
    ask(link, b'<getProperties version="1.7"/>\n')
    return link


def take_until_quiet(poll: select.epoll, links: dict[int, SteadyLink]) -> None:
    """Take what is still on its way."""
    while ready := poll.poll(SETTLE_SECONDS):
        for number, _ in ready:
            links[number].take()


def trigger(start: float, ticks: int) -> bytes:
    """Return the message that lets the driver go."""
    members = f'<oneNumber name="START">{start:.6f}</oneNumber><oneNumber name="TICKS">{ticks}</oneNumber>'
    return f'<newNumberVector device="Bench" name="GO">{members}</newNumberVector>\n'.encode()


def take_all(plan: SteadyPlan, poll: select.epoll, links: dict[int, SteadyLink]) -> bool:
    """Take updates until every client has all; return whether there was time enough."""
    missing = plan.clients
    wanted = plan.vectors * plan.ticks
    limit = time.monotonic() + plan.seconds
    while missing:
        ready = poll.poll(SILENCE_SECONDS)
        if not ready:
            lost = sum(wanted - link.count for link in links.values())
            raise WrongContentError(f"{lost} of {wanted * plan.clients} updates were lost")
        for number, _ in ready:
            link = links[number]
            before = link.count
            link.take()
            missing -= before < wanted <= link.count
        if time.monotonic() > limit:
            return False
    return True


def check(plan: SteadyPlan, links: Sequence[SteadyLink], kept: Sequence[bytes], complete: bool) -> None:
    """Check that the first link got each update once and in order, as far as they came, and all others the same."""
    found = [(int(tick), int(name)) for name, tick in UPDATE.findall(b"".join(kept))]
    expected = [(tick, name) for tick in range(plan.ticks) for name in range(plan.vectors)]
    if found != (expected if complete else expected[: len(found)]):
        raise WrongContentError(f"{len(found)} updates came, or in another order, or others")
    if complete and len({link.checksum for link in links}) > 1:
        raise WrongContentError("clients got different bytes")


def percentiles(links: Sequence[SteadyLink]) -> dict[str, float]:
    """Return how late half of the updates were at most, and 99 %, and all."""
    together = sorted((late, weight) for link in links for late, weight in zip(link.late, link.weight, strict=True))
    total = sum(weight for _, weight in together)
    shares = {"median": 0.5, "99th percentile": 0.99, "latest": 1.0}
    results: dict[str, float] = {}
    passed = 0
    for late, weight in together:
        passed += weight
        for name, share in shares.items():
            if name not in results and passed >= share * total:
                results[name] = late
    return results


def main() -> None:
    """Do what the plan says, and print the result."""
    json.dump(measure(SteadyPlan(**json.loads(sys.stdin.read()))), sys.stdout)


if __name__ == "__main__":
    main()
