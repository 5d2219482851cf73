"""The clients of an observatory: they come, ask, write, lose their server, come again, and go."""

from __future__ import annotations

import math
import random
from contextlib import suppress

import trio

from indianyio.exceptions import ConnectionLostError
from indianyio.testing.simulation import Finding, Part, Reader, Wish, chance
from tests.simulation.observatory import PORT, Observatory
from tests.simulation.stations import MOST, STOP, TARGET
from tests.simulation.writers import Session


async def keep_connected(part: Part, scene: Observatory) -> None:
    """Be a client as the plan says, from ``at`` until ``until``, or to the end if that is 0."""
    generator = chance(scene.plan.seed, part.name)
    await trio.sleep_until(part.number("at", 0))
    number = 0
    with trio.CancelScope(deadline=part.number("until", 0) or math.inf):
        while True:
            number += 1
            with suppress(OSError):  # there is no server, or no way to it
                await _be_connected(part, number, scene, generator)
            await trio.sleep(generator.uniform(0.2, 2))


async def _be_connected(part: Part, number: int, scene: Observatory, generator: random.Random) -> None:
    stream = await scene.network.connect(part.name, part.text("server"), PORT, 10)
    session = Session(part, number, scene.now, stream)
    scene.sessions.append(session)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_write, session, scene, generator, nursery.cancel_scope)
            await _read(session, scene)
            nursery.cancel_scope.cancel()
    finally:
        session.is_open, session.closed_at = False, scene.now
        stream.close()


async def _read(session: Session, scene: Observatory) -> None:
    reader = Reader()
    with suppress(ConnectionLostError):
        while received := (await session.stream.receive()).data:
            try:
                messages = reader.feed(received)
            except ValueError as error:
                scene.findings.append(Finding("ClientsReadXML", f"{session}: {error}", scene.now))
                return
            for message in messages:
                scene.hear(session, message)


async def _write(
    session: Session, scene: Observatory, generator: random.Random, connection: trio.CancelScope
) -> None:
    part = session.part
    try:
        await session.stream.send(_questions(session))
        left, burst = int(part.number("writes", 0)) if session.number == 1 else 0, int(part.number("burst", 1))
        while left > 0 and scene.now < scene.plan.seconds:
            await trio.sleep(generator.expovariate(1.0) * part.number("pause", 1))
            for _ in range(min(left, burst)):
                await _write_one(session, scene, generator)
            left -= burst
    except ConnectionLostError:
        connection.cancel()


def _questions(session: Session) -> bytes:
    wanted = session.part.names("wants")
    asked = [f"<getProperties version='1.7' device='{name}'/>" for name in wanted] or [
        "<getProperties version='1.7'/>"
    ]
    policy = session.part.text("policy")
    if policy:
        asked += [f"<enableBLOB device='{name}'>{policy}</enableBLOB>" for name in wanted] or [
            f"<enableBLOB>{policy}</enableBLOB>"
        ]
    return "\n".join([*asked, ""]).encode()


async def _write_one(session: Session, scene: Observatory, generator: random.Random) -> None:
    stops = generator.random() < session.part.number("abort", 0)
    only = session.part.text("writes_to")
    known = sorted(key for key in session.mirror if key[1] == (STOP if stops else TARGET) and only in {"", key[0]})
    value = generator.randint(0, MOST)
    if known:
        device, name = generator.choice(known)
        kind, values = ("Switch", {"ABORT": "On"}) if stops else ("Number", {"value": str(value)})
        wish = Wish(scene.next_wish(), device, name, kind, values)
        scene.note(session, wish)
        await session.send(wish)
