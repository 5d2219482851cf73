"""What must become of writes in an observatory; see :mod:`tests.simulation.observatory_rules`."""

from __future__ import annotations

from indianyio.testing.simulation import Heard, Wish
from tests.simulation.observatory import REPAIR_SECONDS, Rule
from tests.simulation.stations import TARGET, Station
from tests.simulation.writers import Session

# What a write takes on a good line, with a station that is slow and others before it in its lane.
_HANDLED_SECONDS = 5.0
_ABORT_SECONDS = 5.0


class WritesAreHandledInOrder(Rule):
    """The writes of one connection to one vector are handled in their order, and none twice.

    A line that garbles may make of a write another one of ours, so what was sent while one does is left out.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._last: dict[tuple[Session, str, str], int] = {}

    def handled(self, station: Station, vector: str, number: int) -> None:
        if number not in self.scene.wishes or _is_garbled(self, number):
            return
        session, wish, _ = self.scene.wishes[number]
        if (station.name, vector) != wish.key:
            self.broken(f"write {number} to {'.'.join(wish.key)} was handled by {station.name}.{vector}")
        last = self._last.get((session, *wish.key), 0)
        if number <= last:
            self.broken(f"{'.'.join(wish.key)}: write {number} of {session} was handled after {last}")
        self._last[session, *wish.key] = number


class WritesArrive(Rule):
    """A write to a device that a client knows is handled within 5 s, if nothing goes wrong on its way.

    A target is only moved one after the other. So those of a slow station must be handled by the time when all has
    been well for long, or have been refused: only so many may wait in a lane. A refusal does not say which write it
    is for, so it may be for any of its client's that wait. Clients that want BLOBs ``Only`` do not hear of it. A
    fault of a server's line counts until it must have been mended.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._waiting: dict[int, float] = {}
        self._in_lanes: dict[int, Session] = {}

    def wrote(self, session: Session, wish: Wish) -> None:
        slow = any(part.number("slow", 0) for part in self.scene.plan.of_kind("driver") if part.name == wish.device)
        if not (slow and wish.name == TARGET):
            self._waiting[wish.number] = self.scene.now + _HANDLED_SECONDS
        elif session.policy != "Only":
            self._in_lanes[wish.number] = session

    def heard(self, session: Session, message: Heard) -> None:
        if message.state == "Alert" and message.key[1] == TARGET:
            for number, writer in list(self._in_lanes.items()):
                if writer is session and self.scene.wishes[number][1].key == message.key:
                    del self._in_lanes[number]

    def handled(self, station: Station, vector: str, number: int) -> None:
        self._waiting.pop(number, None)
        self._in_lanes.pop(number, None)

    def quiet(self) -> None:
        for number, session in self._in_lanes.items():
            _, wish, at = self.scene.wishes[number]
            places = self.scene.places(session, wish.device)
            if session.is_open and not self.scene.is_troubled(places, at - 1, self.scene.now, REPAIR_SECONDS):
                self.broken(f"write {number} of {session} to {'.'.join(wish.key)} was neither handled nor refused")

    def second(self) -> None:
        for number, due in list(self._waiting.items()):
            if self.scene.now <= due:
                continue
            del self._waiting[number]
            session, wish, at = self.scene.wishes[number]
            left = session.part.number("until", 0)
            places = self.scene.places(session, wish.device)
            if (not left or left > due) and not self.scene.is_troubled(places, at - 1, due, REPAIR_SECONDS):
                self.broken(f"write {number} of {session} to {'.'.join(wish.key)} was not handled")


class AbortsAreAnswered(Rule):
    """Who stops something hears of it within 5 s, if nothing goes wrong on the way."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._waiting: dict[tuple[Session, str, str], float] = {}

    def wrote(self, session: Session, wish: Wish) -> None:
        if wish.kind == "Switch" and session.policy != "Only":
            self._waiting.setdefault((session, *wish.key), self.scene.now)

    def heard(self, session: Session, message: Heard) -> None:
        if message.tag.startswith("set"):
            self._waiting.pop((session, *message.key), None)

    def second(self) -> None:
        for (session, device, name), at in list(self._waiting.items()):
            if self.scene.now <= at + _ABORT_SECONDS:
                continue
            del self._waiting[session, device, name]
            places = self.scene.places(session, device)
            if session.is_open and not self.scene.is_troubled(places, at - 1, self.scene.now, REPAIR_SECONDS):
                self.broken(f"{session} heard nothing of {device}.{name} within {_ABORT_SECONDS:g} s")


def _is_garbled(rule: Rule, number: int) -> bool:
    """Return whether a write may have been changed on its way: any is, that was sent while its line garbles."""
    session, _, at = rule.scene.wishes[number]
    line = f"{session.part.name}-{session.server}"
    return any(
        fault.what == "garble" and fault.where == line and fault.at - 2 <= at <= fault.until + 2
        for fault in rule.scene.plan.faults
    )
