"""The command ``python -m indianyio.run``: arguments, log, one run of a driver or a server, exit status.

Exit status: 0 the driver was asked to end or its input ended; 1 an error, with a line on standard error for each
cause; 2 the driver cannot be loaded, or the command line is wrong. If the driver's code calls ``sys.exit()`` it is
that one's, and 130 if it raises ``KeyboardInterrupt``.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import traceback
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import anyio

from indianyio._failures import EXITS, Exit, exit_in, leaves
from indianyio.driver import Flag, IPyDriver
from indianyio.exceptions import DriverLoadError
from indianyio.run._console import Console, console_for_prints, say
from indianyio.run._ending import GRACE_PERIODS, EndingSignals, ending_signals, seconds_to_end
from indianyio.run._executable import make_executable
from indianyio.run._interruption import End
from indianyio.run._loading import build_driver, find_driver
from indianyio.run._serving import add_server_arguments, check_arguments, is_server, longest_end, make_server

__all__ = ["main"]

STDIN = 0
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"
WIRE_LOGGER = "indianyio.wire"

# No driver runs when causes are reported, and a slow terminal should show them whole; a full pipe may wait as long.
REPORT_SECONDS = 1.0

DONE, FAILED, NOT_LOADED = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Must be called in the main thread, because it handles signals while the driver runs.

    :param argv: the arguments after the command, by default those of this process.
    :return: the exit status: 0, 1 or 2 as the module tells.
    :raises SystemExit: the arguments are wrong (status 2) or ask for help (status 0).
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    check_arguments(parser, arguments)
    with console_for_prints() as console:
        _start_log(console, arguments.log_level, arguments.debug)
        try:
            found = [find_driver(target, arguments.folder) for target in arguments.driver]
            if arguments.make_executable is not None:
                return _write_executable(arguments)
            drivers = list(map(build_driver, arguments.driver, found))
        except DriverLoadError as exc:
            _report(exc, with_traceback=arguments.log_level == "debug")
            return NOT_LOADED
        for driver in drivers:
            driver.debug_enable = driver.debug_enable or arguments.debug
            driver.grace = arguments.grace or driver.grace
        if not is_server(arguments):
            return _run(drivers[0], arguments, drivers[0].grace, seconds_to_end(drivers[0].grace))
        try:
            server = make_server(drivers, arguments)
        except ValueError as exc:
            _report(exc, with_traceback=arguments.log_level == "debug")
            return NOT_LOADED
        grace = max([server.grace, *(driver.grace for driver in drivers)])
        return _run(server, arguments, grace, seconds_to_end(longest_end(server) / GRACE_PERIODS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m indianyio.run",
        description="Run an INDI driver on standard input and output, as indiserver starts drivers; or, with "
        "--port or --unix, serve any number of drivers to INDI clients.",
        epilog="Log and errors go to standard error. SIGTERM, SIGINT, SIGHUP and the end of the input end the "
        "driver in order; Ctrl-C again, a second later or more, ends it at once. Exit status: 0 ended when asked, "
        "1 an error, 2 cannot load the driver; that of sys.exit() if the driver calls it.",
    )
    add = parser.add_argument
    what = "a driver class, a driver, or a function that returns a driver; several only with --port or --unix"
    add("driver", metavar="MODULE:NAME", nargs="*", help=what)
    add("--backend", choices=("asyncio", "trio"), default="asyncio", help="event loop (default: %(default)s)")
    add("--grace", type=_seconds, metavar="SECONDS", help="time for leave() and for the last messages")
    add("--log-level", choices=LOG_LEVELS, default="info", help="how much to log (default: %(default)s)")
    add("--debug", action="store_true", help="log the driver's XML")
    add("--folder", type=Path, metavar="PATH", help="import from this folder first (default: the current one)")
    add("--make-executable", type=Path, metavar="PATH", help="do not run: write a file that runs this driver")
    add_server_arguments(parser)
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _start_log(console: Console, level: str, debug: bool) -> None:
    # Before the driver's module is imported: a basicConfig() in it then changes nothing.
    logging.basicConfig(stream=console, level=level.upper(), format=LOG_FORMAT)
    if debug:
        logging.getLogger(WIRE_LOGGER).setLevel(logging.DEBUG)


def _write_executable(arguments: argparse.Namespace) -> int:
    folder = Path.cwd() if arguments.folder is None else arguments.folder
    options = ["--folder", str(folder.resolve()), "--backend", arguments.backend]
    if arguments.grace is not None:
        options += ["--grace", str(arguments.grace)]
    options += ["--log-level", arguments.log_level, *(["--debug"] if arguments.debug else [])]
    try:
        make_executable(arguments.make_executable, [*options, *arguments.driver])
    except OSError as exc:
        say(str(exc))
        return FAILED
    return DONE


class Runner(Protocol):
    """What a driver and a server have in common."""

    @property
    def shutdownrequested(self) -> Flag:
        """Set when the run is to end."""

    async def asyncrun(self) -> None:
        """Run until it is asked to end."""

    def shutdown(self, reason: str = "", /) -> None:
        """Ask it to end."""


def _run(runner: Runner, arguments: argparse.Namespace, grace_seconds: float, end_seconds: float) -> int:
    with closing(End(grace_seconds, end_seconds)) as end:
        wish, failures = None, list[BaseException]()
        try:
            with ending_signals(end.begin, end.interruption.handle) as signals, closing(end.interruption):
                if isinstance(runner, IPyDriver) and os.isatty(STDIN):
                    say("waiting for INDI messages on standard input; Ctrl-D or Ctrl-C ends")
                wish = anyio.run(_serve, runner, signals, end, backend=arguments.backend)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - the one place that turns errors into lines and a status
            # A wish can come this way too: asyncio lets it go past all tasks if one of the driver's own raises it.
            wish = exit_in(error)
            failures.extend(leaf for leaf in leaves(error) if not isinstance(leaf, EXITS))
    for failure in failures:
        _report(failure, with_traceback=arguments.log_level == "debug")
    return _status(wish) or (FAILED if failures else DONE)


async def _serve(runner: Runner, signals: EndingSignals, end: End) -> Exit | None:
    """Run to the end, and return the wish of a driver's code to end the process, if it had one."""
    wish: Exit | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_when_asked, runner, signals)
        tasks.start_soon(_limit_the_end, runner, end)
        tasks.start_soon(end.interruption.answer)
        try:
            await runner.asyncrun()
        except EXITS as error:
            wish = error
        tasks.cancel_scope.cancel("the run has ended")
    return wish


async def _end_when_asked(runner: Runner, signals: EndingSignals) -> None:
    number = await signals.wait()
    runner.shutdown(f"{number.name} received")


async def _limit_the_end(runner: Runner, end: End) -> None:
    # Whatever ends the run: after an end of file nobody may be there to send a signal, and when asyncio closes its
    # loop it cancels this.
    try:
        await runner.shutdownrequested.wait()
    finally:
        end.begin()


def _status(wish: Exit | None) -> int:
    """Return the status that Python ends with after such an exception, and say what it would."""
    if wish is None:
        return DONE
    if isinstance(wish, KeyboardInterrupt):
        return INTERRUPTED
    if wish.code is None or isinstance(wish.code, int):
        return wish.code or DONE
    Console().write_within(f"{wish.code}\n", REPORT_SECONDS)
    return FAILED


def _report(exc: BaseException, *, with_traceback: bool) -> None:
    line = str(exc) if isinstance(exc, DriverLoadError) else f"{type(exc).__name__}: {exc}"
    details = "".join(traceback.format_exception(exc)) if with_traceback else ""
    say(line, details=details, wait_seconds=REPORT_SECONDS)
