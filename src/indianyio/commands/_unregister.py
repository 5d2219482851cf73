"""Undo what indianyio register has done: remove a driver's catalogue, link and executable.

Only files that register has made are removed. Exit status: 0 done, 1 there was nothing to remove, or somebody
else's file is where one of them should be.
"""

from __future__ import annotations

import argparse

from indianyio.commands._catalogue import check_name
from indianyio.commands._output import complain, say
from indianyio.commands._register import add_prefix, places_of
from indianyio.commands._registration import Registration, locked

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("name", metavar="NAME", help="the name of the program, as indianyio registered lists it")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    add_prefix(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the name is not legal.
    :raises OSError: something cannot be removed.
    """
    registration = Registration(check_name(options.name), places_of(options))
    found = registration.paths()
    if any(found.values()) and not options.dry_run:
        with locked(registration.places.executables):
            removed, foreign = registration.remove()
    else:
        removed = [path for path, is_ours in reversed(found.items()) if is_ours]
        foreign = [path for path, is_ours in found.items() if not is_ours]
    for path in removed:
        say(f"{'would remove' if options.dry_run else 'removed'}: {path}")
    for path in foreign:
        complain(f"indianyio unregister: {path} was not made by indianyio register; it is left as it is")
    if not found:
        places = registration.places
        complain(
            f"indianyio unregister: {options.name} is not registered in {places.catalogues} or {places.programs}"
        )
    return 0 if removed and not foreign else 1
