"""Find the rules of INDI that a driver breaks.

The driver is run alone, and asked for everything it has. Then it is CONNECTED AND WRITTEN TO: a value out of
range, a member that does not exist, "banana" for a number, and a write to something read-only, all of which it
must refuse. Cameras take an image of 0.1 s. At the end the devices are disconnected.

A driver that does not refuse a write would carry it out, and its hardware would move. So the writes go to
POLLING_PERIOD if there is one, else to a property that seems to move nothing. Only if there is no other do they go
to one that moves something; then each write is followed by the switch that stops it. Check an instrument only if
it may move and expose, or give --no-writes.

Exit status: 0 no rule is broken, 1 some are (each is shown with its bytes), 2 the driver cannot be loaded or
started.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

from indianyio.commands._wire import add_backend, complain, json_line, run_until_interrupted, say
from indianyio.driver import IPyDriver
from indianyio.exceptions import DriverLoadError
from indianyio.testing import check_driver

_OPTIONS_OF_THE_PROGRAM = "options of the program come after --: indianyio check PROGRAM -- -v"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.usage = "%(prog)s [-h] [--no-writes] [--json] MODULE:NAME|PROGRAM [ARGUMENT ...] [-- OPTION ...]"
    parser.epilog = _OPTIONS_OF_THE_PROGRAM
    tell = parser.error

    def error(message: str) -> NoReturn:
        # Unknown options are not passed to the program: with a mistyped --nowrites the check would write.
        hint = f"; {_OPTIONS_OF_THE_PROGRAM}" if message.startswith("unrecognized") else ""
        tell(message + hint)

    parser.error = error  # type: ignore[method-assign]
    parser.add_argument("driver", metavar="MODULE:NAME|PROGRAM", help="the driver")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="arguments of the program")
    parser.add_argument("--no-writes", action="store_true", help="only look at what the driver says by itself")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each finding")
    add_backend(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the driver cannot be loaded.
    """
    return run_until_interrupted(options, _check, options)


async def _check(options: argparse.Namespace) -> int:
    findings = await check_driver(_driver(options), writes=not options.no_writes)
    for finding in findings:
        if options.json:
            json_line(
                rule=finding.rule,
                severity=finding.severity,
                what=finding.what,
                sentence=finding.sentence,
                source=finding.source,
                times=finding.times,
                data=finding.data.decode(errors="backslashreplace"),
            )
        else:
            for line in str(finding).splitlines():
                say(line)
    if not options.json:
        complain(f"{options.driver}: {len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}")
    return 1 if findings else 0


def _driver(options: argparse.Namespace) -> IPyDriver | list[str]:
    """Return the driver of a module, or the command line of a program."""
    # A path may contain a colon too, but the name of a module contains no slash.
    if ":" not in options.driver or "/" in options.driver:
        return [options.driver, *options.arguments]
    if options.arguments:
        raise ValueError(f"{options.driver} takes no arguments, so not {' '.join(options.arguments)}")
    from indianyio.run import load_driver

    try:
        return load_driver(options.driver)
    except DriverLoadError as error:
        raise ValueError(str(error)) from None
