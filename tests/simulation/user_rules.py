"""What must hold for programs that use the library's own client; see :mod:`tests.simulation.observatory_rules`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from indianyio.exceptions import ConnectionLostError
from indianyio.testing.simulation import Known, Line, Mirror, Reader, Wish
from tests.simulation.observatory import REPAIR_SECONDS, Rule
from tests.simulation.stations import TARGET, Station
from tests.simulation.writers import Session, User

# What was said of an earlier write may be on its way for so long, on a good line.
_UNDER_WAY_SECONDS = 5.0


@dataclass
class _Ear:
    """What comes to a user on one connection, read by somebody else.

    :ivar line: the connection.
    :ivar mirror: what the user must know, up to the first byte that was garbled.
    :ivar received: how many bytes have come.
    :ivar garbled: all that came, if something of it was garbled.
    """

    line: Line
    reader: Reader = field(default_factory=Reader)
    mirror: Mirror = field(default_factory=Mirror)
    received: int = 0
    data: bytearray = field(default_factory=bytearray)
    is_garbled: bool = False


class UsersKnowWhatTheyHeard(Rule):
    """What the library's client has of each vector is what expat reads in the bytes that came, each second.

    From the first message on in which a byte was garbled, INDI has no means to tell what was meant: a digit that
    has become another is a number like any other. So from there on to the end of the connection only this is asked
    for: the client goes on, and it has no device, vector or number that does not stand in what came.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._ears: dict[str, _Ear] = {}
        self._due: set[str] = set()

    def second(self) -> None:
        # A client that waits for more has dealt with all that came, which is not so at any other moment.
        self._due = set(self._ears)

    def passed(self, receiver: str, data: bytes) -> None:
        found = _TO_USER.fullmatch(receiver)
        user = found and next((one for one in self.scene.users if one.part.name == found["user"]), None)
        if not found or user is None:
            return
        ear = self._ear(user, receiver)
        if ear is None:
            return
        garbled_from = ear.line.garbled_from(to="a")
        whole = len(data) if garbled_from is None else max(garbled_from - ear.received, 0)
        if user.part.name in self._due or (whole < len(data) and not ear.is_garbled):
            self._due.discard(user.part.name)
            self._compare(user, ear)
        if self.scene.may_hear_noise(user):
            ear.data += data
        if whole < len(data):
            ear.is_garbled = user.is_deaf = True
        if not ear.is_garbled:
            self._read(ear, data)
        ear.received += len(data)

    def quiet(self) -> None:
        for user in self.scene.users:
            ear = self._ears.get(user.part.name)
            if ear is not None and ear.line.is_open:
                self._compare(user, ear)

    def _ear(self, user: User, receiver: str) -> _Ear | None:
        ear = self._ears.get(user.part.name)
        if ear is not None and ear.line.a.name == receiver:
            return ear
        # A server that has closed the line at once is of no interest.
        lines = self.scene.network.lines(user.part.name, user.server)
        line = next((one for one in lines if one.a.name == receiver), None)
        if line is None:
            return None
        user.is_deaf = False
        self._ears[user.part.name] = _Ear(line)
        return self._ears[user.part.name]

    def _read(self, ear: _Ear, data: bytes) -> None:
        for message in ear.reader.feed(data):
            ear.mirror.apply(message)

    def _compare(self, user: User, ear: _Ear) -> None:
        if user.client is None or not user.client.is_connected:
            return
        if ear.is_garbled:
            for text in sorted(_invented(user.mirror, bytes(ear.data))):
                self.broken(f"{user} knows {text}, which nobody has said")
            return
        known, true = user.mirror, ear.mirror
        for key in sorted(known.keys() ^ true.keys()):
            has = "has" if key in known else "has not"
            self.broken(f"{user} {has} {'.'.join(key)}, unlike who reads the same")
        for key in sorted(known.keys() & true.keys()):
            if not _is_same(known[key], true[key]):
                self.broken(
                    f"{user} has {'.'.join(key)} as {known[key].state} {known[key].values}, "
                    f"and it was told {true[key].state} {true[key].values}"
                )


class NothingStaleIsKept(Rule):
    """When everything has been well for a while, the library's client has nothing left from an earlier connection.

    It keeps what it knew when a connection is lost, and what has not come again some time after the next one was
    made must be forgotten.
    """

    def quiet(self) -> None:
        for user in self.scene.users:
            if user.client is not None and user.client.is_connected and not user.is_deaf:
                for device in user.client.values():
                    for vector in device.values():
                        if vector.stale:
                            self.broken(
                                f"{user} still keeps {vector.device}.{vector.name}, which it has not heard of again"
                            )


_TO_USER = re.compile(r"\w+ for (?P<user>\w+)#\d+")


def _is_same(known: Known, true: Known) -> bool:
    if (known.kind, known.state, known.values.keys()) != (true.kind, true.state, true.values.keys()):
        return False
    if known.kind != "Number":
        return known.values == true.values
    return all(float(known.values[name]) == float(value) for name, value in true.values.items())


def _invented(known: Mirror, data: bytes) -> Iterator[str]:
    """Yield what a client knows and what does not stand in the bytes that it got, however one reads them."""
    text = re.sub("[\x00-\x1f]+", " ", data.decode("utf-8", "replace"))
    numbers = {0.0}
    # Where a value ends is not certain either.
    for found in (*re.findall(">([^<]*)", text), *re.findall(">(.*?)</", text)):
        numbers.update(_readings(found))
    for (device, name), vector in known.items():
        if device not in text or name not in text:
            yield f"{device}.{name}"
        elif vector.kind == "Number":
            for member, value in vector.values.items():
                if float(value) not in numbers:
                    yield f"{device}.{name}.{member} as {value}"


def _readings(text: str) -> Iterator[float]:
    """Yield the numbers as which a text may be read: anything parts its fields, and what follows is ignored."""
    found = _NUMBER.match(text)
    if found:
        sign, value = -1.0 if found[1].count("-") == 1 else 1.0, 0.0
        for place, one in enumerate(one for one in found.groups()[1:] if one):
            value += float(one) / 60**place
            yield sign * value


_FIELD = r"(\d+\.?\d*|\.\d+)"
_NUMBER = re.compile(rf"\s*(-?\s*[-+]?)\s*{_FIELD}(?:\D+{_FIELD})?(?:\D+{_FIELD})?")


class VerdictsAreTrue(Rule):
    """When the client says that a target is reached, the station has reached it; and it says so in time.

    A station that never says Busy tells of each target by its value alone. What one says that does say Busy looks
    the same for all writes: Busy, then Ok. So nothing is asked of those where other writes to the same target are
    on their way or wait, but for one that is under way and known to be. A time-out is wrong if the station has
    reached the target; and if it has not, too, where no other write to it was before in its lane. Nothing is asked
    while something is wrong on the way, and of a write that does not get there until it must have been mended.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._moved: dict[tuple[str, float], float] = {}
        self._pending: dict[tuple[str, float], float] = {}
        self._asked: dict[tuple[User, str, float], tuple[float, set[float], bool]] = {}

    def wrote(self, session: Session, wish: Wish) -> None:
        if wish.name == TARGET:
            self._pending[wish.device, float(wish.values["value"])] = math.inf

    def asked(self, user: User, device: str, value: float) -> None:
        others = self._others(device, value)
        known = user.mirror.get((device, TARGET))
        is_clear = not others or (len(others) == 1 and known is not None and known.state == "Busy")
        self._asked[user, device, value] = self.scene.now, others, is_clear
        self._pending[device, value] = math.inf

    def moved(self, station: Station, value: float) -> None:
        self._moved[station.name, value] = self.scene.now
        if (station.name, value) in self._pending:
            self._pending[station.name, value] = self.scene.now + _UNDER_WAY_SECONDS

    def settled(self, user: User, device: str, value: float, failure: Exception | None) -> None:
        at, before, is_clear = self._asked.pop((user, device, value))
        now, places = self.scene.now, self.scene.places(user, device)
        # Who has lost its server has none until it calls again, and it pauses longer each time that it fails.
        recovery = REPAIR_SECONDS if isinstance(failure, ConnectionLostError) else _UNDER_WAY_SECONDS
        if user.is_deaf or self.scene.is_troubled(places, at, now, recovery):
            return
        if self._says_busy(device) and not (is_clear and self._others(device, value) <= before):
            return
        self.scene.verdicts += 1
        has_moved = (device, value) in self._moved
        if failure is None and not has_moved:
            self.broken(f"{user} was told that {device} has reached {value:.0f}, which is not so")
        is_lost = not before and not self.scene.is_troubled(places, at, now, REPAIR_SECONDS)
        if isinstance(failure, ConnectionLostError) or (
            isinstance(failure, TimeoutError) and (has_moved or is_lost)
        ):
            self.broken(
                f"{user} was told after {now - at:.1f} s that {device} has not reached {value:.0f}: {failure}"
            )

    def _says_busy(self, device: str) -> bool:
        return any(
            bool(part.settings.get("busy")) for part in self.scene.plan.of_kind("driver") if part.name == device
        )

    def _others(self, device: str, value: float) -> set[float]:
        """Return the other writes to a target of which something may come yet."""
        return {
            key[1]
            for key, until in self._pending.items()
            if key[0] == device and key[1] != value and until > self.scene.now
        }


class ImagesAreTrue(Rule):
    """An image that the library's client gives was taken by that station, and none comes after a later one.

    Some may be left out: who watches gets the latest one, and who asks for the next one misses those between. Who
    watches may find the same one twice, as a vector is looked at when its change is told. Nothing is asked from the
    first byte on that was garbled on the line to this client, to the end of that connection.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._last: dict[tuple[User, str], tuple[int, int]] = {}

    def got_image(self, user: User, device: str, content: bytes) -> None:
        if user.is_deaf:
            return
        found = _IMAGE.match(content)
        life, number = (int(found[1]), int(found[2])) if found else (0, 0)
        station = next((one for one in self.scene.stations if (one.name, one.life) == (device, life)), None)
        if station is None or not 1 <= number <= station.images or content != station.image_of(number):
            self.broken(f"{user} got {content[:20]!r} of {device}, which has not taken such an image")
            return
        before = self._last.get((user, device), (0, 0))
        if (life, number) < before or ((life, number) == before and user.part.text("images") == "next"):
            self.broken(f"{user} got image {life, number} of {device} after {before}")
        self._last[user, device] = life, number


_IMAGE = re.compile(rb"(\d+) (\d+) ")
