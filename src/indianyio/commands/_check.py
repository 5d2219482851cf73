"""Find the rules of INDI that a driver breaks.

The driver is run alone, connected, and written to, also with values that are out of range. A driver that does not
refuse these would carry them out: do not check one that moves something unless that may move, or give --no-writes.

Exit status: 0 no rule is broken, 1 some are (a line for each), 2 the driver cannot be loaded.
"""

from __future__ import annotations

import argparse

from indianyio.commands._wire import add_backend, complain, json_line, run_until_interrupted, say
from indianyio.driver import IPyDriver
from indianyio.exceptions import DriverLoadError
from indianyio.testing import check_driver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("driver", metavar="MODULE:NAME|PROGRAM", help="the driver")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="of the program")
    parser.add_argument("--no-writes", action="store_true", help="only look at what the driver says by itself")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each finding")
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
            say(str(finding))
    if not options.json:
        complain(f"{options.driver}: {len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}")
    return 1 if findings else 0


def _driver(options: argparse.Namespace) -> IPyDriver | list[str]:
    """Return the driver of a module, or the command line of a program."""
    # A path may have a colon in it, but hardly after the name of a module.
    if ":" not in options.driver or "/" in options.driver:
        return [options.driver, *options.arguments]
    from indianyio.run import load_driver

    try:
        return load_driver(options.driver)
    except DriverLoadError as error:
        raise ValueError(str(error)) from None
