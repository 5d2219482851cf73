"""What is to happen in a run: a plan, made from a seed, which is plain JSON.

The run follows from the plan alone. So a plan can be kept, read, changed by hand and made smaller: what a component
does by chance depends on the plan's seed and on the component's name, and not on what else is in the plan.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TypeAlias

import msgspec

from indianyio.exceptions import INDIError

__all__ = ["Fault", "Part", "Plan", "PlanError", "Setting", "load_plan"]

Setting: TypeAlias = bool | float | str | list[str]
"""What a part is told: a number, a text, a list of names, or true or false."""

_FORMAT, _VERSION = "indianyio simulation", 1


class PlanError(INDIError, ValueError):
    """A plan cannot be read, or asks for something that does not exist."""


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """Something that takes part in a run.

    :ivar kind: ``client``, ``driver``, ``server``; the scene says which it has.
    :ivar name: its own; what it does by chance depends on it.
    :ivar settings: what it does, as its kind says.
    """

    kind: str
    name: str
    settings: dict[str, Setting] = msgspec.field(default_factory=dict)

    def number(self, name: str, default: float) -> float:
        """Return a setting that is a number.

        :raises PlanError: it is not a number.
        """
        return _number(self.settings.get(name, default), f"{self.kind} {self.name}: {name}")

    def names(self, name: str) -> list[str]:
        """Return a setting that is a list of names; an empty one if it is absent."""
        found = self.settings.get(name, [])
        if not isinstance(found, list):
            raise PlanError(f"{self.kind} {self.name}: {name} is {found!r}, not a list of names")
        return found

    def text(self, name: str, default: str = "") -> str:
        """Return a setting as a text."""
        return str(self.settings.get(name, default))


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """Something that goes wrong.

    :ivar at: when, in seconds since the run began.
    :ivar what: what it is: ``stall``, ``cut``, ``garble``; the scene says which it knows.
    :ivar where: the name of the part or line that it strikes.
    :ivar seconds: how long it lasts; 0 for what happens at once.
    :ivar amount: how strong it is, such as the share of bytes that are garbled.
    """

    at: float
    what: str
    where: str = ""
    seconds: float = 0.0
    amount: float = 0.0

    @property
    def until(self) -> float:
        """When it is over."""
        return self.at + self.seconds

    def __str__(self) -> str:
        lasts = f" for {self.seconds:g} s" if self.seconds else ""
        return f"{self.what} {self.where} at {self.at:g} s{lasts}".replace("  ", " ")


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """What is to happen in a run.

    :ivar scene: what the plan is for: ``driver`` for one driver alone.
    :ivar seed: what everything that happens by chance depends on.
    :ivar seconds: how long everything goes on, before it ends in order.
    :ivar knobs: what differs from the usual: sizes, shares, delays; by name.
    :ivar parts: who takes part.
    :ivar faults: what goes wrong.
    :ivar end: how the run ends.
    :ivar subject: what is simulated, as ``module:name``, for replaying it from a file.
    """

    scene: str
    seed: int
    seconds: float
    knobs: dict[str, float] = msgspec.field(default_factory=dict)
    parts: list[Part] = msgspec.field(default_factory=list)
    faults: list[Fault] = msgspec.field(default_factory=list)
    end: str = ""
    subject: str = ""
    format: str = _FORMAT
    version: int = _VERSION

    def of_kind(self, kind: str) -> list[Part]:
        """Return the parts of a kind."""
        return [part for part in self.parts if part.kind == kind]

    def knob(self, name: str, default: float) -> float:
        """Return how something is set; ``default`` if this plan leaves it as it is."""
        return self.knobs.get(name, default)

    def to_json(self) -> str:
        """Return the plan as a text for a file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode() + "\n"

    def save(self, path: Path) -> None:
        """Write the plan to a file, whose folder is made if need be.

        :raises OSError: it cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json(), encoding="utf-8")


def load_plan(source: Path | str | bytes) -> Plan:
    """Return the plan in a file, or in the text of one.

    :raises OSError: the file cannot be read.
    :raises PlanError: it is not a plan, or has another version.
    """
    text = source.read_bytes() if isinstance(source, Path) else source
    try:
        plan = msgspec.json.decode(text, type=Plan)
    except msgspec.MsgspecError as error:
        raise PlanError(f"{source if isinstance(source, Path) else 'this'} is not a plan: {error}") from error
    if (plan.format, plan.version) != (_FORMAT, _VERSION):
        raise PlanError(
            f"the plan is in the format {plan.format} {plan.version}; only {_FORMAT} {_VERSION} can be read"
        )
    return plan


def often(generator: random.Random, share: float = 0.5) -> bool:
    """Return, by chance, whether a run has something at all.

    Runs which each leave out half of what can happen find more than runs in which everything happens a little.
    """
    return generator.random() < share


def _number(value: Setting, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PlanError(f"{where} is {value!r}, not a number")
    return float(value)
