"""The last writes of a night: when all has been well for long, whoever is there writes to all that it knows.

During the night a write may get lost for many a reason, so little can be asked. Now nothing can excuse it.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from indianyio.client import AnyVector
from indianyio.exceptions import ConnectionLostError
from indianyio.testing.simulation import Heard, Wish
from indianyio.testing.simulation._wishes import stamp_of_wish
from tests.simulation.observatory import Observatory, Rule
from tests.simulation.stations import STOP, TARGET, Station
from tests.simulation.writers import LastWrite, Session, User

# What a write and its answer take on the slowest of lines.
_ON_THE_WAY_SECONDS = 5.0


class LastWritesGetThrough(Rule):
    """When all has been well for 80 s, each target and Abort of each client to each device is done and answered.

    Each target has a value of its own, which nobody else has written in that night. An Abort has none, so its
    timestamp says whose it is, and that of the answer, which is the same. A user's Aborts have the timestamp that
    the library gives them; but users write one after the other, when all that the clients have written is done.

    Of clients that want BLOBs ``Only`` it is not asked that they hear of it: they are told of nothing else, so most
    know no device to write to. A device whose driver has ended for good is known to nobody by then, which is
    another rule.

    A server may still give up who is behind. Then what is on that line is lost, in both directions: a write, also
    one that was sent before its writer heard of the end, and the answer. So that excuses a write if it happens from
    a moment before the write on. If it happened earlier, the writer has a new line by then, or has heard that the
    device is gone and does not write to it.
    """

    def __init__(self, scene: Observatory) -> None:
        super().__init__(scene)
        self._all: list[LastWrite] = []

    def wrote_last(self, last: LastWrite) -> None:
        self._all.append(last)

    def moved(self, station: Station, value: float) -> None:
        for last in self._to(station.name, TARGET):
            if last.value == value:
                last.is_done = True

    def handled(self, station: Station, vector: str, number: int) -> None:
        if vector != STOP:
            return
        # Of a user's Aborts it can only be the latest one: they write one after the other.
        for last in reversed([*self._to(station.name, STOP)]):
            if last.number == number and not last.is_done:
                last.is_done = True
                return

    def heard(self, session: Session, message: Heard) -> None:
        if message.state != "Ok" or not message.tag.startswith("set"):
            return
        for last in self._to(*message.key):
            if last.writer is session and _answers(message, last):
                last.is_answered = True

    def settled_last(self, last: LastWrite, failure: Exception | None) -> None:
        last.is_answered, last.failure = failure is None, failure

    def over(self) -> None:
        for last in self._all:
            is_deaf = isinstance(last.writer, Session) and last.writer.policy == "Only"
            if (last.is_done and (last.is_answered or is_deaf)) or self._is_excused(last):
                continue
            text = "it was not told so" if last.is_done else "it was not done"
            failure = f": {last.failure!r}" if last.failure is not None else ""
            self.broken(f"the last write of {last.writer}, to {last.device}.{last.name}: {text}{failure}")

    def _is_excused(self, last: LastWrite) -> bool:
        places = self.scene.places(last.writer, last.device)
        return any(one.where in places and one.at >= last.at - _ON_THE_WAY_SECONDS for one in self.scene.given_up)

    def _to(self, device: str, name: str) -> Iterator[LastWrite]:
        return (last for last in self._all if (last.device, last.name) == (device, name))


def _answers(message: Heard, last: LastWrite) -> bool:
    if last.name == STOP:
        return message.attributes.get("timestamp") == stamp_of_wish(last.number)
    return "value" in message.values and float(message.values["value"]) == last.value


async def write_last(scene: Observatory) -> None:
    """Let each client and each user write once to each target, and abort each device, that it knows.

    First the clients, all at once; then the users, one after the other, so that Busy and Ok can only mean
    their own. Return when all must be done.
    """
    slowest = max((part.number("slow", 0) for part in scene.plan.of_kind("driver")), default=0.0)
    sessions = [session for session in scene.sessions if session.is_open]
    with trio.move_on_after(_ON_THE_WAY_SECONDS):
        async with trio.open_nursery() as nursery:
            for session in sessions:
                nursery.start_soon(_write, scene, session)
    await trio.sleep(_ON_THE_WAY_SECONDS + slowest * len(sessions))
    for user in scene.users:
        if user.client is None or not user.client.is_connected:
            continue
        known = [one for device in user.client.values() for one in device.values() if one.exists and not one.stale]
        async with trio.open_nursery() as nursery:
            for vector in sorted(known, key=lambda vector: (vector.device, vector.name)):
                if vector.name in {STOP, TARGET}:
                    nursery.start_soon(_set, scene, user, vector, _ON_THE_WAY_SECONDS + slowest)


async def _write(scene: Observatory, session: Session) -> None:
    """Send the writes of one client, one after the other, as pieces of two would get mixed."""
    for device, name in sorted(session.mirror):
        if name not in {STOP, TARGET}:
            continue
        last = LastWrite(session, device, name, scene.now, number=scene.next_wish())
        if name == STOP:
            wish = Wish(last.number, device, name, "Switch", {"ABORT": "On"})
        else:
            last.value = scene.next_last_value()
            wish = Wish(last.number, device, name, "Number", {"value": f"{last.value:.0f}"})
        _begin(scene, last)
        scene.note(session, wish)
        try:
            await session.send(wish)
        except ConnectionLostError:
            return  # so the write does not get there, which the rule reports


async def _set(scene: Observatory, user: User, vector: AnyVector, patience_seconds: float) -> None:
    last = LastWrite(user, vector.device, vector.name, scene.now)
    values: dict[str, float] = {"ABORT": True}
    if vector.name == TARGET:
        last.value = scene.next_last_value()
        values = {"value": last.value}
        scene.ask(user, last.device, last.value)
    _begin(scene, last)
    failure: Exception | None = None
    try:
        await vector.set(values, timeout=patience_seconds, start_timeout=patience_seconds)
    except Exception as error:  # noqa: BLE001 - whatever it is, the rule reports it
        failure = error
    if vector.name == TARGET:
        scene.settle(user, last.device, last.value, failure)
    for rule in scene.rules:
        rule.settled_last(last, failure)


def _begin(scene: Observatory, last: LastWrite) -> None:
    for rule in scene.rules:
        rule.wrote_last(last)
