"""The clients of one driver alone: they connect its devices, and write what it must take or refuse."""

from __future__ import annotations

import random
from collections.abc import Callable

import trio

from indianyio.exceptions import ConnectionLostError
from indianyio.testing.simulation._chance import chance
from indianyio.testing.simulation._driver_scene import DriverScene
from indianyio.testing.simulation._plan import Part
from indianyio.testing.simulation._reader import Known
from indianyio.testing.simulation._wishes import Wish, bad_wish, good_wish
from indianyio.testing.simulation._write_rules import is_abort

__all__ = ["LEAVE_ALONE", "connect", "write_as_planned", "write_last"]

LEAVE_ALONE = ("CONFIG_PROCESS", "UPLOAD_MODE", "UPLOAD_SETTINGS", "DEVICE_PORT", "CONNECTION_MODE", "SIMULATION")
"""The vectors that clients do not write to, because that would write files or use a real instrument."""

_CONNECTION, _SIMULATION = "CONNECTION", "SIMULATION"

# Virtual time costs little, and a handler may take its time: an exposure, for instance.
_LAST_SECONDS = 3600.0
# One write may set the limits of another, of which clients have to hear first.
_NEWS_SECONDS = 2.0


async def connect(scene: DriverScene) -> None:
    """Have each device simulate its instrument, if it can, and connect to it."""
    try:
        await scene.peer.ask("first")
        for name, member in ((_SIMULATION, "ENABLE"), (_CONNECTION, "CONNECT")):
            for key, known in list(scene.mirror.items()):
                if key[1] == name and member in known.members:
                    await scene.write(Wish(scene.next_number(), *key, "Switch", {member: "On"}))
    except ConnectionLostError:
        pass  # the driver has ended; rules look at that


async def write_as_planned(part: Part, scene: DriverScene) -> None:
    """Write what a part of the plan says: ``writes`` in bursts of ``burst``, ``pause`` seconds between them.

    The pauses are random, and this long on average. Of the writes, the share ``bad`` must be refused, the share
    ``abort`` goes to vectors that stop something, and the share ``connection`` connects or disconnects a device.
    """
    generator = chance(scene.plan.seed, part.name)
    await trio.sleep(part.number("at", 0.0))
    left, burst, pause = int(part.number("writes", 1)), int(part.number("burst", 1)), part.number("pause", 1.0)
    try:
        while left > 0:
            await trio.sleep(generator.expovariate(1.0) * pause)
            for _ in range(min(burst, left)):
                await _write_one(part, scene, generator)
            left -= burst
    except ConnectionLostError:
        pass  # as above


async def write_last(scene: DriverScene) -> None:
    """Write once to each vector that can be written, one after the other, each when the one before is handled.

    During the run a write may get lost because the line garbles. Now nothing can excuse it, except that its vector
    is deleted meanwhile.
    """
    generator = chance(scene.plan.seed, "last writes")
    try:
        for key in sorted(key for key in _writable(scene) if key[1] not in scene.leave_alone):
            if key in scene.mirror:
                wish = good_wish(scene.next_number(), key, scene.mirror[key], generator)
                is_handled = scene.last[wish.number] = trio.Event()
                await scene.write(wish)
                with trio.move_on_after(_LAST_SECONDS):
                    await is_handled.wait()
                await trio.sleep(_NEWS_SECONDS)
    except ConnectionLostError:
        pass  # as above


async def _write_one(part: Part, scene: DriverScene, generator: random.Random) -> None:
    known = scene.mirror
    drawn = generator.random()
    shares = [part.number(name, 0.0) for name in ("bad", "abort", "connection")]
    if drawn < shares[0]:
        candidates, make = [key for key in known if known[key].members and known[key].kind != "Light"], bad_wish
    elif drawn < sum(shares[:2]):
        candidates, make = [key for key in _writable(scene) if is_abort(key[1], scene.aborts)], good_wish
    elif drawn < sum(shares):
        candidates, make = [key for key in known if key[1] == _CONNECTION], good_wish
    else:
        candidates, make = _writable(scene), good_wish
    make_wish: Callable[[int, tuple[str, str], Known, random.Random], Wish] = make
    allowed = sorted(key for key in candidates if key[1] not in scene.leave_alone)
    if allowed:
        key = generator.choice(allowed)
        await scene.write(make_wish(scene.next_number(), key, known[key], generator))


def _writable(scene: DriverScene) -> list[tuple[str, str]]:
    known = scene.mirror
    return [key for key in known if known[key].is_writable and known[key].members and key[1] != _CONNECTION]
