"""An observatory in virtual time: what there is in a run, and what the rules see of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import trio

from indianyio import SnoopEvent
from indianyio.server import IPyServer
from indianyio.testing.simulation import (
    Fault,
    Finding,
    Heard,
    Network,
    Part,
    Plan,
    Wish,
)
from tests.simulation.stations import MOST, Ears, Station
from tests.simulation.writers import LastWrite, Session, User

PORT = 7624

# A server calls another one again half a minute after it has failed often, and gives an attempt ten seconds.
RECOVERY_SECONDS = 80.0
# Who has lost a server calls it again after half a minute at most, and asks for everything anew.
REPAIR_SECONDS = 60.0
assert RECOVERY_SECONDS > REPAIR_SECONDS
# Within which two servers that call each other have both lines.
START_SECONDS = 2.0
# Twice the grace of a server, and a second, after its drivers have taken theirs.
END_SECONDS = 30.0


class Rule:
    """What must hold in every run; subclasses look at what they need, and say :meth:`broken`."""

    def __init__(self, scene: Observatory) -> None:
        self.scene = scene

    def broken(self, text: str) -> None:
        self.scene.findings.append(Finding(type(self).__name__, text, self.scene.now))

    def heard(self, session: Session, message: Heard) -> None:
        """See what a client hears, before its mirror takes note of it."""

    def wrote(self, session: Session, wish: Wish) -> None:
        """See a write, just before it is sent."""

    def handled(self, station: Station, vector: str, number: int) -> None:
        """See that a station handles a write."""

    def moved(self, station: Station, value: float) -> None:
        """See that a station has reached a target."""

    def asked(self, user: User, device: str, value: float) -> None:
        """See that a user sets a target, just before it is written."""

    def wrote_last(self, last: LastWrite) -> None:
        """See a write of those with which a night ends, just before it is sent."""

    def settled_last(self, last: LastWrite, failure: Exception | None) -> None:
        """See what the library's client says has become of one of these; no failure means that it was done."""

    def settled(self, user: User, device: str, value: float, failure: Exception | None) -> None:
        """See what the library's client says has become of it; no failure means that the target was reached."""

    def got_image(self, user: User, device: str, content: bytes) -> None:
        """See an image that a user has got."""

    def snooped(self, station: Station, event: SnoopEvent) -> None:
        """See what a station hears of another one."""

    def passed(self, receiver: str, data: bytes) -> None:
        """See bytes that were received, and where: ``B for A#1`` is where A hears B on their first line."""

    def second(self) -> None:
        """Look round, each second."""

    def quiet(self) -> None:
        """Look at what everybody knows, when all faults are over and nothing changes any more."""

    def over(self) -> None:
        """Look at what is left, when everything has ended."""


@dataclass
class Observatory:
    """What there is in a run."""

    plan: Plan
    rules: list[Rule] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    servers: dict[str, IPyServer] = field(default_factory=dict)
    stations: list[Station] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    wishes: dict[int, tuple[Session, Wish, float]] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    failures: dict[str, BaseException] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)
    said_to_be_behind: list[str] = field(default_factory=list)
    asked_to_end_at: float | None = None
    tasks_left: int = 0
    messages: int = 0
    last_values: int = 0
    verdicts: int = 0
    images: int = 0
    turns: int = 0
    longest: int = 0
    network: Network = field(init=False)

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()
        self.all_ended = trio.Event()

    @property
    def now(self) -> float:
        return trio.current_time()

    # -- who is where ------------------------------------------------------------------------------------------

    def home(self, device: str) -> str:
        """Return the server that has a device's driver; nothing if noise has made up the device."""
        return next((part.text("server") for part in self.plan.of_kind("driver") if part.name == device), "")

    def way(self, server: str, home: str) -> list[str] | None:
        """Return the lines from a server to another, as ``A-B``; ``None`` if there is no way."""
        if server == home:
            return []
        for part in self.plan.of_kind("server"):
            if part.name == server:
                for far in part.names("remotes"):
                    rest = [] if far == home else self.way(far, home) if far > server else None
                    if rest is not None:
                        return [between(server, far), *rest]
        return None

    def seen_from(self, server: str) -> Iterator[Station]:
        """Yield the stations that a client of a server should know: the latest life of each, if it is alive."""
        latest = {station.name: station for station in self.stations}
        for station in latest.values():
            if self.way(server, self.home(station.name)) is not None and self.is_alive(station):
                yield station

    def is_alive(self, station: Station) -> bool:
        """Whether a station's driver runs."""
        return not station.stopped.is_set() and station._run_state.is_claimed

    def is_troubled(self, way: Sequence[str], since: float, until: float, recovery: float = 0.0) -> bool:
        """Whether something goes wrong on a way or at its end, or did so within ``recovery`` seconds before."""
        return any(
            fault.where in way and fault.at <= until and fault.until + recovery >= since
            for fault in (*self.plan.faults, *self.given_up)
        )

    @property
    def given_up(self) -> list[Fault]:
        """The clients, other servers among them, that a server has disconnected before it was told to end."""
        return [
            Fault(at, "given up", self._place(line.name.partition("#")[0]))
            for at, line in self.network.hung_up
            if self.asked_to_end_at is None or at < self.asked_to_end_at
        ]

    def _place(self, line: str) -> str:
        """Return what faults call a line that one host has made to another."""
        one, _, other = line.partition("-")
        return between(one, other) if one in self.servers else line

    def may_hear_noise(self, user: User) -> bool:
        """Whether the plan garbles what is sent to a user."""
        line = f"{user.part.name}-{user.server}"
        return any(fault.what == "noise" and fault.where == line for fault in self.plan.faults)

    def places(self, session: Session | User, device: str) -> list[str]:
        """Return where faults strike what passes between a client and a device."""
        way = self.way(session.server, self.home(device)) or []
        return [f"{session.part.name}-{session.server}", *way, device]

    # -- what happens ------------------------------------------------------------------------------------------

    def hear(self, session: Session, message: Heard) -> None:
        self.messages += 1
        for rule in self.rules:
            rule.heard(session, message)
        session.mirror.apply(message)

    def tap(self, receiver: str, data: bytes) -> None:
        self.digest.update(f"{self.now!r} {receiver} {len(data)} ".encode() + data)
        for rule in self.rules:
            rule.passed(receiver, data)

    def next_wish(self) -> int:
        return len(self.wishes) + 1

    def next_last_value(self) -> float:
        """Return a target that nobody has written: those before are below a million, and these begin there.

        They are so far from each other that a client takes none for another: to it, values that differ by less than
        a millionth are the same.
        """
        self.last_values += 1
        return MOST + 1000 * self.last_values

    def note(self, session: Session, wish: Wish) -> None:
        self.wishes[wish.number] = (session, wish, self.now)
        for rule in self.rules:
            rule.wrote(session, wish)

    def new_station(self, part: Part) -> Station:
        ears = Ears(self._handled, self._snooped, self._moved)
        life = 1 + sum(station.name == part.name for station in self.stations)
        station = Station(part, self.plan.seed, life, self.plan.seconds, ears)
        self.stations.append(station)
        return station

    def _handled(self, station: Station, vector: str, number: int) -> None:
        for rule in self.rules:
            rule.handled(station, vector, number)

    def ask(self, user: User, device: str, value: float) -> None:
        for rule in self.rules:
            rule.asked(user, device, value)

    def settle(self, user: User, device: str, value: float, failure: Exception | None) -> None:
        for rule in self.rules:
            rule.settled(user, device, value, failure)

    def get_image(self, user: User, device: str, content: bytes) -> None:
        self.images += 1
        for rule in self.rules:
            rule.got_image(user, device, content)

    def _moved(self, station: Station, value: float) -> None:
        for rule in self.rules:
            rule.moved(station, value)

    def _snooped(self, station: Station, event: SnoopEvent) -> None:
        for rule in self.rules:
            rule.snooped(station, event)


def between(one: str, other: str) -> str:
    """Return what a fault calls the lines between two servers, whoever has called."""
    return "-".join(sorted((one, other)))
