"""List the drivers of installed packages.

A package declares its drivers in its pyproject.toml:

  [project.entry-points."indianyio.drivers"]
  indi_my_focuser = "myfocuser:Focuser"

Each can then be run and registered by its name. Listing them imports nothing.

Exit status: 0 there are some, 1 there are none.
"""

from __future__ import annotations

import argparse

from indianyio.commands._output import complain, json_line, say
from indianyio.run._installed import GROUP, installed_drivers

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each driver")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    drivers = installed_drivers().values()
    for driver in drivers:
        if options.json:
            json_line(name=driver.name, place=driver.place, package=driver.package)
        else:
            say(f"{driver.name}  {driver.place}  {driver.package}".rstrip())
    if not drivers:
        complain(f"no package in this environment declares a driver, as an entry point of the group {GROUP}")
    return 0 if drivers else 1
