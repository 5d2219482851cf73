"""The last writes of a night: when all has been well for long, whoever is there writes to all that it knows.

During the night a write may get lost for many a reason, so little can be asked. Now nothing can excuse it.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from indianyio.exceptions import ConnectionLostError
from indianyio.testing.simulation import Heard, Wish
from tests.simulation.observatory import Observatory, Rule, Session, User
from tests.simulation.stations import TARGET, Station

# What a write and its answer take on the slowest of lines.
_ON_THE_WAY_SECONDS = 5.0


@dataclass
class _Last:
    """A last write, and what has come of it.

    :ivar writer: whose it is.
    :ivar has_moved: whether the station has reached the target.
    :ivar is_answered: whether the writer has heard that it is reached.
    :ivar failure: what the library's client has said instead.
    """

    writer: Session | User
    has_moved: bool = False
    is_answered: bool = False
    failure: Exception | None = None


class LastWritesGetThrough(Rule):
    """When all has been well for 80 s, each write of each client to each device is done, and its writer hears so.

    Each has a value of its own, which nobody else has written in that night. Of clients that want BLOBs ``Only`` it
    is not asked that they hear of it: they are told of nothing else, so most know no device to write to. Nothing is
    asked of who is given up because it was still behind. A device whose driver has ended for good is known to
    nobody by then, which is another rule.
    """

    def __init__(self, scene: Observatory) -> None:
        super().__init__(scene)
        self._last: dict[tuple[str, float], _Last] = {}

    def wrote_last(self, writer: Session | User, device: str, value: float) -> None:
        self._last[device, value] = _Last(writer)

    def moved(self, station: Station, value: float) -> None:
        if (station.name, value) in self._last:
            self._last[station.name, value].has_moved = True

    def heard(self, session: Session, message: Heard) -> None:
        if message.key[1] != TARGET or message.state != "Ok" or "value" not in message.values:
            return
        last = self._last.get((message.key[0], float(message.values["value"])))
        if last is not None and last.writer is session:
            last.is_answered = True

    def settled(self, user: User, device: str, value: float, failure: Exception | None) -> None:
        last = self._last.get((device, value))
        if last is not None:
            last.is_answered, last.failure = failure is None, failure

    def over(self) -> None:
        for (device, _), last in self._last.items():
            is_deaf = isinstance(last.writer, Session) and last.writer.policy == "Only"
            is_behind = any(one.where in self.scene.places(last.writer, device) for one in self.scene.given_up_late)
            if is_behind or (last.has_moved and (last.is_answered or is_deaf)):
                continue
            text = "the station has not moved" if not last.has_moved else "it was not told so"
            failure = f": {last.failure!r}" if last.failure is not None else ""
            self.broken(f"the last write of {last.writer}, to {device}.{TARGET}: {text}{failure}")


async def write_last(scene: Observatory) -> None:
    """Let each client and each user write once to each target that it knows; return when all must be done.

    First the clients, all at once; then the users, one after the other, so that Busy and Ok can only mean
    their own.
    """
    slowest = max((part.number("slow", 0) for part in scene.plan.of_kind("driver")), default=0.0)
    sessions = [session for session in scene.sessions if session.is_open]
    with trio.move_on_after(_ON_THE_WAY_SECONDS):
        async with trio.open_nursery() as nursery:
            for session in sessions:
                nursery.start_soon(_write, scene, session)
    await trio.sleep(_ON_THE_WAY_SECONDS + slowest * len(sessions))
    for user in scene.users:
        client = user.client
        if client is None:
            continue
        async with trio.open_nursery() as nursery:
            for name in sorted(client):
                if TARGET in client[name] and client[name][TARGET].exists:
                    nursery.start_soon(_set, scene, user, name, _ON_THE_WAY_SECONDS + slowest)


async def _write(scene: Observatory, session: Session) -> None:
    """Send the writes of one client, one after the other, as pieces of two would get mixed."""
    for device, name in sorted(session.mirror):
        if name == TARGET:
            value = _begin(scene, session, device)
            wish = Wish(scene.next_wish(), device, TARGET, "Number", {"value": f"{value:.0f}"})
            scene.note(session, wish)
            try:
                await session.send(wish)
            except ConnectionLostError:
                return  # so the write does not get there, which the rule reports


async def _set(scene: Observatory, user: User, device: str, patience_seconds: float) -> None:
    assert user.client is not None
    value = _begin(scene, user, device)
    failure: Exception | None = None
    scene.ask(user, device, value)
    try:
        await user.client[device][TARGET].set(value=value, timeout=patience_seconds, start_timeout=patience_seconds)
    except Exception as error:  # noqa: BLE001 - whatever it is, the rule reports it
        failure = error
    scene.settle(user, device, value, failure)


def _begin(scene: Observatory, writer: Session | User, device: str) -> float:
    """Return a value that nobody has written in this night, see :meth:`Observatory.next_last_value`."""
    value = scene.next_last_value()
    for rule in scene.rules:
        rule.wrote_last(writer, device, value)
    return value
