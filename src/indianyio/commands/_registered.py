"""List the drivers that were registered with indianyio register, and say which of them are broken.

A driver is broken if its environment was moved or removed, its package uninstalled, or its module cannot be read or
compiled. No driver is imported.

Exit status: 0 all of them can be started, 1 some are broken.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from indianyio.commands._catalogue import programs_in
from indianyio.commands._output import complain, json_line, say
from indianyio.commands._places import is_root, trusted_users, unsafe_part
from indianyio.commands._register import add_prefix, places_of
from indianyio.commands._registration import Registration, registrations
from indianyio.run._installed import GROUP

__all__ = ["add_arguments", "run"]

_PROBE_SECONDS = 30.0

# Run by the interpreter that the executable names, which may no longer have indianyio. Nothing is imported: a
# module and the packages around it are read and compiled, and that is all.
_PROBE = f"""
import importlib.metadata, sys
from importlib.machinery import PathFinder
from importlib.util import find_spec

def inspect(module):
    names = module.split(".")
    spec = find_spec(names[0])
    for end in range(1, len(names) + 1):
        if end > 1:
            path = spec.submodule_search_locations
            spec = path and PathFinder.find_spec(".".join(names[:end]), path)
        if not spec:
            sys.exit("the module " + module + " no longer exists")
        if hasattr(spec.loader, "get_code"):
            spec.loader.get_code(spec.name)

sys.dont_write_bytecode = True
target, folder = sys.argv[1:]
if folder:
    sys.path.insert(0, folder)
if ":" not in target:
    found = [point.value for point in importlib.metadata.entry_points(group={GROUP!r}) if point.name == target]
    if not found:
        sys.exit("no installed package declares " + target)
    target = found[0]
for module in "indianyio.run", target.partition(":")[0]:
    try:
        inspect(module)
    except Exception as error:
        sys.exit("the module " + module + " cannot be read: " + type(error).__name__ + ": " + str(error))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add_prefix(parser)
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each driver")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises OSError: the places cannot be read.
    """
    places = places_of(options, changes=False)
    found = registrations(places)
    broken = False
    for registration in found:
        faults = list(_faults(registration))
        broken = broken or bool(faults)
        target = _command(registration.executable)[-1:]
        if options.json:
            json_line(name=registration.name, driver="".join(target), faults=faults)
        else:
            state = f"BROKEN: {'; '.join(faults)}" if faults else "ok"
            say("  ".join([registration.name, *target, state]))
    if not found and not options.json:
        complain(f"no driver is registered in {places.catalogues} and {places.programs}")
    return 1 if broken else 0


def _faults(registration: Registration) -> Iterator[str]:
    """Yield what keeps a driver from being seen or started."""
    there = registration.paths()
    for path in (registration.executable, registration.link, registration.catalogue):
        if path not in there:
            yield f"{path} is missing"
        elif not there[path]:
            yield f"{path} was replaced by something else, or cannot be read"
    if there.get(registration.catalogue) and registration.name not in programs_in(registration.catalogue):
        yield f"{registration.catalogue} was damaged, and names no driver {registration.name} any more"
    if there.get(registration.executable):
        yield from _faults_of_command(registration.executable)


def _command(executable: Path) -> list[str]:
    """Return the command in an executable: interpreter and arguments, the driver last; empty if there is none."""
    try:
        text = os.fsdecode(executable.read_bytes())
        words = shlex.split(text.partition("\nexec ")[2])
    except (OSError, ValueError):
        return []
    return words[:-1]


def _faults_of_command(executable: Path) -> Iterator[str]:
    command = _command(executable)
    if not command:
        yield "its executable has been changed"
        return
    interpreter, target = Path(command[0]), command[-1]
    folder = command[command.index("--folder") + 1] if "--folder" in command else ""
    if not interpreter.exists():
        yield f"{interpreter} no longer exists: the environment was moved or removed"
    elif folder and not Path(folder).is_dir():
        yield f"the folder {folder} no longer exists"
    elif part := _unsafe_part(executable, interpreter, Path(folder or "/")):
        yield f"users other than root can change {part}, so it is not inspected"
    else:
        yield from _missing_modules(interpreter, target, folder)


def _unsafe_part(*paths: Path) -> Path | None:
    """If this is root, return a place where somebody could make root run his code; ``None`` if there is none."""
    if not is_root():
        return None
    trusted = trusted_users(os.environ)
    return next(filter(None, (unsafe_part(path, trusted) for path in paths)), None)


def _missing_modules(interpreter: Path, target: str, folder: str) -> Iterator[str]:
    command = [str(interpreter), "-P", "-c", _PROBE, target, folder]
    try:
        probe = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_PROBE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield f"{interpreter} does not run: {error}"
        return
    if probe.returncode:
        told = probe.stderr.decode(errors="backslashreplace").strip().splitlines()
        yield told[-1] if told else f"{interpreter} fails with status {probe.returncode}"
