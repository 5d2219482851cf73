"""An instrument saves its settings, and the power fails: what is on the disk then must be one of what was saved.

A disk keeps what it was told to keep. What a program has only written may be there as a whole, in part, or not at
all. So of each file whose contents were not synchronised half is left here, which no program may find.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from indianyio import _whole_files
from indianyio.instrument._framework._settings_file import DamagedSettingsError, SettingsFile
from indianyio.protocol import NewNumberVector, NewVector, OneNumber
from indianyio.testing.simulation import Finding, Outcome, Plan, chance
from indianyio.testing.simulation._reality import replaced

SCENE = "saving"

# The calls by which a file gets onto the disk; before each of them the power may fail.
_CALLS = ("open", "fsync", "close", "replace", "link")
_MOST_CALLS = 30


class PowerFailure(BaseException):
    """The program ends here, wherever it is."""


class _Disk:
    """Takes the place of :mod:`os` where files are written.

    :param folder: where they are.
    :param fails_at: before which call the power fails.
    """

    def __init__(self, folder: Path, fails_at: int) -> None:
        self._folder = folder
        self._left = fails_at
        self._kept: dict[int, bytes] = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what the module has
        found = getattr(os, name)
        return self._watched(name, found) if name in _CALLS else found

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the call takes
            self._left -= 1
            if not self._left:
                self.fail()
                raise PowerFailure
            result = call(*args, **kwargs)
            if name == "fsync":
                self._keep(args[0])
            return result

        return watched

    def _keep(self, descriptor: int) -> None:
        number = os.fstat(descriptor).st_ino
        for path in self._files():
            if path.stat().st_ino == number:
                self._kept[number] = path.read_bytes()

    def fail(self) -> None:
        """Leave half of each file that was written and not synchronised."""
        for path in self._files():
            data = path.read_bytes()
            if self._kept.get(path.stat().st_ino) != data:
                path.write_bytes(data[: len(data) // 2])

    def _files(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.is_file()]


def plan_for_saving(seed: int) -> Plan:
    """Return the plan that a seed stands for."""
    generator = chance(seed, "plan")
    knobs = {"saves": float(generator.randint(1, 4)), "fails_at": float(generator.randint(1, _MOST_CALLS))}
    return Plan(SCENE, seed, 0.0, knobs=knobs)


def play_saving(plan: Plan) -> Outcome:
    """Save settings as a plan says until the power fails, and load them again."""
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "settings.xml")
        with mock.patch.dict(os.environ, {"INDICONFIG": str(path)}):
            asked, saved = _save_until_it_fails(plan, Path(folder))
            found = _loaded(findings)
            if not findings and found not in {asked, saved}:
                findings.append(Finding("SavesWholly", f"{saved} was saved, then {asked}, and {found} is there"))
            SettingsFile("Focuser").save(_settings(0))
            if _loaded(findings) != 0:
                findings.append(Finding("SavesWholly", "nothing can be saved any more"))
    digest = hashlib.sha256(f"{saved} {asked} {found}".encode()).hexdigest()
    return Outcome(plan, findings, digest, {"saved": saved or 0})


def _save_until_it_fails(plan: Plan, folder: Path) -> tuple[int | None, int | None]:
    """Save; return what was to be saved last, and what has been."""
    disk, asked, saved = _Disk(folder, int(plan.knob("fails_at", _MOST_CALLS))), None, None
    with replaced(_whole_files, "os", disk), suppress(PowerFailure):
        for asked in range(1, 1 + int(plan.knob("saves", 1))):
            SettingsFile("Focuser").save(_settings(asked))
            saved = asked
        disk.fail()
    return asked, saved


def _settings(number: int) -> list[NewVector]:
    one = OneNumber(name="FOCUS_BACKLASH_VALUE", value=str(number))
    return [NewNumberVector(device="Focuser", name="FOCUS_BACKLASH_STEPS", members=(one,))]


def _loaded(findings: list[Finding]) -> int | None:
    try:
        loaded = SettingsFile("Focuser").load()
    except DamagedSettingsError as error:
        findings.append(Finding("SavesWholly", str(error).replace(f"{SettingsFile('Focuser').path.parent}/", "")))
        return None
    return int(float(loaded[0].members[0].value)) if loaded else None  # type: ignore[union-attr]
