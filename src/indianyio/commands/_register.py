"""Make a driver known to KStars, INDI Web Manager and indiserver, which then start it like one of their own.

Three files are written: an executable, a link to it beside indiserver, and a catalogue file in the folder of
catalogues. As root, you register the driver for all users. As another user, you register it below ~/.local, or
beside indiserver if you may write there. Files that others have made are not replaced. The driver is loaded, to
see what it is, but not run.

Repeating this brings the files up to date. "indianyio unregister NAME" undoes it.

Exit status: 0 done, 1 a file is in the way, 2 the driver cannot be loaded, or something cannot be written.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from indianyio.commands._catalogue import (
    GROUPS,
    Entry,
    check_label,
    check_name,
    describe,
    labels_beside,
    version_number,
)
from indianyio.commands._output import complain, say
from indianyio.commands._places import (
    Places,
    find_places,
    interpreter_paths,
    is_root,
    require_safe,
    trusted_users,
)
from indianyio.commands._registration import Registration, locked
from indianyio.exceptions import DriverLoadError
from indianyio.run._arguments import add_driver_arguments
from indianyio.run._executable import make_driver_executable
from indianyio.run._installed import installed_drivers
from indianyio.run._loading import build_driver, find_driver

__all__ = ["add_arguments", "add_prefix", "places_of", "run"]

_FAILED = 1
_PUBLIC_UMASK = 0o022


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    add = parser.add_argument
    add(
        "driver", nargs="?", metavar="MODULE:NAME", help="a driver as run takes it, or the name of an installed one"
    )
    add("--all", action="store_true", help="register all drivers of installed packages")
    add("--name", help="the name of the program, indi_… (default: from NAME)")
    add("--label", help="what people see (default: the name of its device)")
    add("--group", choices=GROUPS, metavar="GROUP", help=f"{', '.join(GROUPS)} (default: as DRIVER_INFO says)")
    add("--manufacturer", help="the manufacturer (default: Others)")
    add("--version", help="a number (default: as DRIVER_INFO says)")
    add("--dry-run", action="store_true", help="only say what would be done")
    add_prefix(parser)
    add_driver_arguments(parser.add_argument_group("how the driver is run"))


def add_prefix(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where drivers are registered."""
    what = "the folder that has bin and share/indi (default: that of indiserver, or ~/.local)"
    parser.add_argument("--prefix", type=Path, metavar="PATH", help=what)


def places_of(options: argparse.Namespace, *, changes: bool = True) -> Places:
    """Return the places that the options name.

    :param changes: whether something will be written there.
    :raises UnsafeError: this is root, and others can write there.
    """
    places = find_places(options.prefix, os.environ, is_root=is_root())
    if changes and is_root():
        require_safe(places, trusted_users(os.environ))
    return places


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the arguments are wrong, or the driver cannot be loaded.
    :raises OSError: something cannot be written.
    """
    if bool(options.driver) == options.all:
        raise ValueError("name one driver, as MODULE:NAME or by its installed name, or give --all")
    if not options.all:
        return _register(options, options.driver)
    if options.name is not None or options.label is not None:
        raise ValueError("--name and --label are for a single driver, and not for --all")
    drivers = installed_drivers()
    if not drivers:
        raise ValueError("no package with drivers is installed")
    return max(_tried(partial(_register, options, name), name) for name in drivers)


def _tried(register: Callable[[], int], name: str) -> int:
    """Register one of several drivers; if that fails, the others are registered all the same."""
    try:
        return register()
    except (ValueError, OSError, ImportError) as error:
        complain(f"{name}: {error}")
        return _FAILED


def _register(options: argparse.Namespace, target: str) -> int:
    places = places_of(options)
    places.require_folders()
    if is_root():
        _require_safe_code(target, options.folder)
    try:
        found = find_driver(target, None if options.folder is None else Path(options.folder))
        entry = _entry(options, describe(build_driver(target, found)))
    except DriverLoadError as error:
        raise ValueError(str(error)) from None
    registration = Registration(check_name(_or(options.name, _program_name(target))), places)
    try:
        _require_unique(registration, entry)
        registration.require_free()
        if not options.dry_run:
            _write(registration, entry, lambda path: make_driver_executable(path, target, found, options))
    except FileExistsError as error:
        complain(f"indianyio register: {error}")
        return _FAILED
    except ImportError as error:
        raise ValueError(str(error)) from None
    _tell(registration, entry, options)
    return 0


def _program_name(target: str) -> str:
    """Return the default name of a driver's program."""
    module, _, name = target.rpartition(":")
    if not module:
        return target
    words = module.rpartition(".")[2] if name.lower() == "driver" else name
    return "indi_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words).lower().strip("_").removeprefix("indi_")


def _require_safe_code(target: str, folder: str | None) -> None:
    """Refuse a driver whose code users other than root can change; to be called before importing would run it."""
    paths = interpreter_paths()
    place = target
    if ":" in target or folder is not None:
        base = Path(folder or ".").absolute()
        paths.append(base)
        sys.path.insert(0, str(base))
    if ":" not in target and target in installed_drivers():
        place = installed_drivers()[target].place
    trusted = trusted_users(os.environ)
    require_safe(paths, trusted)
    with suppress(ImportError, ValueError):  # this is reported when the driver is loaded
        spec = find_spec(place.partition(":")[0].partition(".")[0])
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            require_safe(origin.parent.rglob("*") if spec.submodule_search_locations else [origin], trusted)


def _entry(options: argparse.Namespace, found: Entry) -> Entry:
    """Return what the catalogue says: what was asked for, and else what the driver says itself."""
    version = _or(options.version, found.version)
    if version_number(version) != version:
        raise ValueError(f"the version {version!r} is not a number such as 1.2; KStars reads nothing else")
    return replace(
        found,
        label=check_label(_or(options.label, found.label), "label"),
        group=options.group or found.group,
        manufacturer=check_label(_or(options.manufacturer, found.manufacturer), "manufacturer"),
        version=version,
    )


def _or(given: str | None, otherwise: str) -> str:
    """Return what was given, be it empty: then it is refused like any other that cannot be."""
    return otherwise if given is None else given


def _require_unique(registration: Registration, entry: Entry) -> None:
    for label, path in labels_beside(registration.catalogue):
        if label == entry.label:
            raise FileExistsError(
                f"{path} has a driver with the label {label!r} already, and KStars would show only one of them; "
                "give another label with --label"
            )


def _write(registration: Registration, entry: Entry, make_executable: Callable[[Path], None]) -> None:
    # What root registers is for all users.
    mask = os.umask(_PUBLIC_UMASK) if is_root() else None
    try:
        with locked(registration.places.executables):
            for folder in registration.places:
                folder.mkdir(parents=True, exist_ok=True)
            if is_root():
                # Checked again, because in a folder such as /tmp others may have made them meanwhile.
                require_safe(registration.places, trusted_users(os.environ))
            registration.write(entry.text(registration.name), make_executable)
    finally:
        if mask is not None:
            os.umask(mask)


def _tell(registration: Registration, entry: Entry, options: argparse.Namespace) -> None:
    say(f"{'would write' if options.dry_run else 'written'}: {registration.executable}")
    say(f"{'would link' if options.dry_run else 'linked'}: {registration.link}")
    say(f"{'would write' if options.dry_run else 'written'}: {registration.catalogue}")
    say(f"{entry.label} is in the group {entry.group}. Programs that are running see it once they are restarted.")
    if entry.unseen:
        word = entry.device.split()[0]
        complain(
            f"KStars leaves out devices whose names do not begin with {word}, as the first one's does: "
            f"{', '.join(entry.unseen)}"
        )
    if not (registration.places.programs / "indiserver").exists():
        say(
            f"There is no indiserver in {registration.places.programs}, so KStars does not find the driver by "
            "itself: docs/register.md says what to set. Web Manager needs --xmldir."
        )
    where = f" --prefix {shlex.quote(str(options.prefix.absolute()))}" if options.prefix else ""
    say(f"to undo this: indianyio unregister {registration.name}{where}")
