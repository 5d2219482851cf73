"""What must hold in an observatory. Where a rule asks for less than one would wish, it says why.

The oracle is in the stations: each word says which word it is. So the rules know what must have come, and in which
order, without a model of the server.
"""

from __future__ import annotations

from collections.abc import Mapping

from indianyio import SnoopEvent
from indianyio.testing.simulation import Heard, Known
from tests.simulation.last_writes import LastWritesGetThrough
from tests.simulation.observatory import REPAIR_SECONDS, START_SECONDS, Rule, between
from tests.simulation.server_rules import (
    NothingComesBack,
    NothingIsLeft,
    NothingUnexpectedIsLogged,
    QueuesAreBounded,
    ServersEndInOrder,
    WhoReadsIsKept,
)
from tests.simulation.stations import COUNT, IMAGE, TARGET, Station
from tests.simulation.user_rules import ImagesAreTrue, NothingStaleIsKept, UsersKnowWhatTheyHeard, VerdictsAreTrue
from tests.simulation.write_rules import AbortsAreAnswered, WritesAreHandledInOrder, WritesArrive
from tests.simulation.writers import Session, User

_BEGINNING = b"<setBLOBVector"


class UpdatesAreWhole(Rule):
    """A client gets the updates of a vector in the order in which they were sent, and none is left out or repeated.

    Counted anew with each definition: a device that comes back behind a lost server goes on counting where it
    is by then. What is said of a vector before its definition does not count: a server that has just been
    called tells what changes at once, and its answer comes behind. Across two connections of a client nothing
    is said, as it asks anew in each. Not for BLOBs, which a client that is behind may miss, and not for clients
    that want nothing else, which are told of nothing else.

    An Alert is no update here: no station has one to tell. It is how the library refuses a write, for instance to
    a lane that is full, and it repeats what is: the client that wrote shows what it asked for. So it must say what
    was told last, and does not count.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._last: dict[tuple[Session, str, str], tuple[int, int, bool]] = {}

    def heard(self, session: Session, message: Heard) -> None:
        device, name = message.key
        if message.tag == "delProperty":
            for key in [
                key for key in self._last if key[0] is session and key[1] == device and name in {"", key[2]}
            ]:
                del self._last[key]
        elif name in {COUNT, TARGET} and session.policy != "Only" and "serial" in message.values:
            self._count(session, message)

    def _count(self, session: Session, message: Heard) -> None:
        if "life" not in message.values:
            self.broken(f"{session}: {'.'.join(message.key)}: half of a message: {dict(message.values)}")
            return
        key = (session, *message.key)
        life, serial = (int(float(message.values[name])) for name in ("life", "serial"))
        defines = message.tag.startswith("def")
        before = self._last.get(key)
        if before is None and not defines:
            return
        if message.state == "Alert" and not defines:
            known = session.mirror[message.key].values
            if message.values != known:
                self.broken(f"{session}: {'.'.join(message.key)}: Alert with {message.values}, after {known}")
            return
        self._last[key] = life, serial, defines
        if before is None or life != before[0]:
            return  # the next rule is about that
        # A definition says how it is when it is asked for; the update of the same may be behind it.
        least = before[1] if defines or before[2] else before[1] + 1
        most = 10**9 if defines else before[1] + 1
        if not least <= serial <= most:
            told = "a definition of" if defines else "update"
            self.broken(f"{session}: {'.'.join(message.key)}: {told} {serial} came after {before[1]}")


class LivesAreToldApart(Rule):
    """A device that ends is deleted before it is defined again, and its lives come in their order."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._lives: dict[tuple[Session, str], int] = {}
        self._latest: dict[tuple[Session, str], int] = {}

    def heard(self, session: Session, message: Heard) -> None:
        device, name = message.key
        key = session, device
        if message.tag == "delProperty" and not name:
            self._lives.pop(key, None)
        if "life" not in message.values or session.policy == "Only":
            return
        life = int(float(message.values["life"]))
        if life != self._lives.setdefault(key, life):
            self.broken(f"{session}: life {life} of {device} began without the end of life {self._lives[key]}")
            self._lives[key] = life
        if life < self._latest.get(key, 0):
            self.broken(f"{session}: life {life} of {device} came after life {self._latest[key]}")
        self._latest[key] = max(life, self._latest.get(key, 0))


class ClientsKnowTheTruth(Rule):
    """When everything has been well for a while, a client knows the devices that there are, and how they are.

    Not for clients that want BLOBs only, which are told of nothing else.
    """

    def quiet(self) -> None:
        for session in self.scene.sessions:
            if session.is_open and session.policy != "Only":
                self._compare(session)
        for user in self.scene.users:
            if user.client is not None and not user.is_deaf:
                self._compare(user)

    def _compare(self, session: Session | User) -> None:
        true = {one.name: one for one in self.scene.seen_from(session.server) if session.wants(one.name)}
        mirror = session.mirror
        known = {device for device, name in mirror if name == COUNT}
        for device in sorted(known - set(true)):
            self.broken(f"{session} still knows {device}, which has gone")
        for device in sorted(set(true) - known):
            self.broken(f"{session} does not know {device}")
        for device in sorted(known & set(true)):
            station = true[device]
            for vector in (station.count, station.target, station.panel):
                exists = vector is not station.panel or station.has_panel
                text = self._difference(mirror.get((device, vector.name)), dict(vector) if exists else None)
                if text:
                    self.broken(f"{session}: {device}.{vector.name}{text}")

    def _difference(self, known: Known | None, true: dict[str, str] | None) -> str:
        if true is None:
            return "" if known is None else ": it is known, and has been deleted"
        if known is None:
            return ": it is not known"
        for member, value in true.items():
            if float(known.values[member]) != float(value):
                return f".{member} is {value}, it knows {known.values[member]}"
        return ""


class LeavesOnce(Rule):
    """Each driver that was started has left once, whatever ended it.

    A program that was killed leaves, too, in a simulation; of a real one nothing would be left that could.
    """

    def over(self) -> None:
        for station in self.scene.stations:
            if station.left != 1:
                self.broken(f"life {station.life} of {station.name} has left {station.left} times")


class BLOBsAreWanted(Rule):
    """No client gets BLOBs that it has not asked for, and when it is quiet no server sends what nobody wants."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._ends: dict[str, bytes] = {}

    def heard(self, session: Session, message: Heard) -> None:
        if message.tag == "setBLOBVector" and session.policy == "Never":
            self.broken(f"{session} got a BLOB of {message.key[0]}, and has asked for none")
        if message.tag.startswith(("set", "def")) and message.key[1] != IMAGE and session.policy == "Only":
            self._other(session, message)

    def passed(self, receiver: str, data: bytes) -> None:
        """See a BLOB that one server sends to another.

        Who wants it is looked for among the clients of the last seconds, as it takes a while until a server is
        told, and a while longer after a fault of their line: that of the servers, or the client's own, behind which
        a server does not see that it leaves.
        """
        far, _, near = receiver.partition("#")[0].partition(" for ")
        if near not in self.scene.servers or far not in self.scene.servers or not self._begins(receiver, data):
            return
        now, patience = self.scene.now, self._patience_seconds
        wanting: list[Session | User] = [
            one
            for one in self.scene.sessions
            if one.policy != "Never" and (one.open_since(now - patience) or self._is_cut_off(one, now - patience))
        ]
        wanting += [one for one in self.scene.users if self._looks(one, now - patience)]
        ways = [self.scene.way(one.server, far) for one in wanting]
        if not any(way is not None and between(near, far) in way for way in ways) and not self.scene.is_troubled(
            [between(near, far)], now - patience, now, REPAIR_SECONDS
        ):
            self.broken(f"{far} sends BLOBs to {near}, where nobody wants one")

    _patience_seconds = 3.0

    def _begins(self, receiver: str, data: bytes) -> bool:
        """Whether a BLOB begins in a piece, or was about to at the end of the piece before."""
        data = self._ends.get(receiver, b"") + data
        self._ends[receiver] = data[1 - len(_BEGINNING) :]
        return _BEGINNING in data

    def _looks(self, user: User, since: float) -> bool:
        """Whether a user wants images, or may still do so: one that asks for the next one does now and then."""
        until = user.part.number("until", 0)
        return bool(user.part.text("images")) and (not until or until >= since or self._is_cut_off(user, since))

    def _is_cut_off(self, session: Session | User, since: float) -> bool:
        return self.scene.is_troubled(
            [f"{session.part.name}-{session.server}"], since, self.scene.now, REPAIR_SECONDS
        )

    def _other(self, session: Session, message: Heard) -> None:
        # What was on its way when it asked for BLOBs only still comes.
        if self.scene.now > session.at + 10 and not self._late(session):
            self.broken(f"{session} wants BLOBs only, and got {message.tag} of {'.'.join(message.key)}")

    def _late(self, session: Session) -> bool:
        return self.scene.is_troubled([f"{session.part.name}-{session.server}"], session.at, self.scene.now, 1)


class SnoopersAreTold(Rule):
    """A driver hears the updates of another in their order; and of its end, or how it is, when it is quiet.

    It may miss some: an event that comes when 32 others wait takes the place of the oldest. A device that is on a
    server which calls this one may be heard or not: questions are passed on to whoever calls, answers need not be.
    Where two servers call each other, and one of the two lines was lost, a device is heard over the other one until
    the first is there again, and then for a moment over both; and so it is while both lines are made at the start.
    So just then nothing is said of the order.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._last: dict[tuple[Station, str], tuple[int, int] | None] = {}

    def snooped(self, station: Station, event: SnoopEvent) -> None:
        key = station, event.devicename or ""
        if type(event).__name__ == "delProperty" and event.vectorname in {None, "", COUNT}:
            self._last[key] = None
        if event.vectorname != COUNT or not isinstance(event, Mapping) or "serial" not in event:
            return
        now = int(float(event["life"])), int(float(event["serial"]))
        before = self._last.get(key)
        if before is not None and now < before and not self._has_two_ways(station, key[1]):
            self.broken(f"{station.name} heard {now} of {key[1]}, after {before}")
        self._last[key] = now

    def _has_two_ways(self, station: Station, other: str) -> bool:
        here, there = self.scene.home(station.name), self.scene.home(other)
        both = self.scene.way(here, there) is not None and self.scene.way(there, here) is not None
        now = self.scene.now
        if here == there or not both:
            return False
        is_made = now < START_SECONDS
        return is_made or self.scene.is_troubled([between(here, there)], now, now, REPAIR_SECONDS)

    def quiet(self) -> None:
        alive = {station.name: station for station in self.scene.stations if self.scene.is_alive(station)}
        for station in alive.values():
            seen = {one.name for one in self.scene.seen_from(self.scene.home(station.name))}
            for followed in station.part.names("follows"):
                if followed in alive and followed not in seen:
                    continue
                other = alive.get(followed)
                true = None if other is None else (other.life, int(float(other.count["serial"])))
                heard = self._last.get((station, followed))
                if heard != true:
                    self.broken(f"{station.name} follows {followed}, which is at {true}, and has heard {heard}")


RULES: tuple[type[Rule], ...] = (
    UpdatesAreWhole,
    LivesAreToldApart,
    ClientsKnowTheTruth,
    WritesAreHandledInOrder,
    WritesArrive,
    AbortsAreAnswered,
    LeavesOnce,
    BLOBsAreWanted,
    SnoopersAreTold,
    NothingComesBack,
    ServersEndInOrder,
    NothingUnexpectedIsLogged,
    NothingIsLeft,
    QueuesAreBounded,
    WhoReadsIsKept,
    UsersKnowWhatTheyHeard,
    NothingStaleIsKept,
    VerdictsAreTrue,
    ImagesAreTrue,
    LastWritesGetThrough,
)
