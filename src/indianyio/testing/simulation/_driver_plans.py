"""Plans for one driver alone: which clients write what to it, and what happens to its line."""

from __future__ import annotations

import random

from indianyio.testing.simulation._chance import chance
from indianyio.testing.simulation._plan import Fault, Part, Plan, Setting, often

__all__ = ["DRIVER_SCENE", "ENDS", "LINE", "plan_for_driver"]

DRIVER_SCENE = "driver"
LINE = "line"

ENDS = ("shutdown", "close", "cut", "cancel", "stall")
"""How a driver's run ends: it is shut down; its peer closes the stream; its peer is lost; it is cancelled; or it is
shut down while its peer reads nothing."""


_DELAYS = (0.01, 0.2, 1.5)
_LEAST_BYTES_A_SECOND = 40_000


def plan_for_driver(seed: int, *, seconds: float = 60.0, subject: str = "") -> Plan:
    """Return the plan that a seed stands for.

    :param seconds: how long clients write, in virtual time.
    :param subject: the driver, as ``module:name``, so that the plan can be replayed from a file.
    """
    generator = chance(seed, "plan")
    return Plan(
        DRIVER_SCENE,
        seed,
        seconds,
        knobs=_knobs(generator),
        parts=[_client(f"c{number}", seconds, generator) for number in range(1, generator.randint(2, 4))],
        faults=_faults(seconds, generator),
        end=generator.choice(ENDS),
        subject=subject,
    )


def _knobs(generator: random.Random) -> dict[str, float]:
    """Return how the line and the machine differ from good ones; about half of what may differ does not."""
    choices: dict[str, float] = {
        "split": generator.choice((1, 7, 7, 100, 100)),
        "partial": 1,
        # Small buffers find more than more seeds do, because things go wrong where something has to wait.
        "capacity_bytes": generator.choice((200, 700, 5000)),
        "outbox_bytes": generator.choice((300, 3000)),
        "tick": generator.choice((1e-4, 1e-3)),
        "delay": generator.choice(_DELAYS),
    }
    knobs = {name: value for name, value in choices.items() if often(generator)}
    if "delay" in knobs and "capacity_bytes" in knobs:
        # In each delay a line carries what fits on it: a camera's definitions must not take minutes.
        knobs["delay"] = min(knobs["delay"], knobs["capacity_bytes"] / _LEAST_BYTES_A_SECOND)
    return knobs


def _client(name: str, seconds: float, generator: random.Random) -> Part:
    settings: dict[str, Setting] = {
        "at": round(generator.uniform(0, seconds / 4), 3),
        "writes": generator.randint(1, 25),
        "pause": generator.choice((0.05, 0.5, 3.0)),
        "burst": generator.choice((1, 1, 3, 40)),
    }
    shares = {"bad": 0.3, "abort": 0.3, "connection": 0.05}
    settings.update({name: share for name, share in shares.items() if often(generator)})
    return Part("client", name, settings)


def _faults(seconds: float, generator: random.Random) -> list[Fault]:
    faults = []
    for _ in range(generator.randint(0, 3)):
        at = round(generator.uniform(0, seconds), 3)
        if often(generator, 0.7):
            faults.append(Fault(at, "stall", LINE, seconds=generator.choice((0.3, 4.0, 20.0))))
        else:
            faults.append(Fault(at, "garble", LINE, seconds=generator.choice((0.5, 5.0)), amount=0.01))
    return sorted(faults, key=lambda fault: fault.at)
