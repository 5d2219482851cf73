"""The command ``python -m indianyio.run``: arguments, log, one run of a driver or a server, exit status.

Exit status: 0 the driver was asked to end or its input ended; 1 an error, with a line on standard error for each
cause; 2 the driver cannot be loaded, or the command line is wrong. If the driver's code calls ``sys.exit()`` it is
that one's, and 130 if it raises ``KeyboardInterrupt``.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio

from indianyio._failures import EXITS, Exit, described, exit_in, leaves
from indianyio._tasks import Tasks
from indianyio.driver import Flag, IPyDriver
from indianyio.exceptions import DriverLoadError
from indianyio.run._arguments import is_server, parse_arguments
from indianyio.run._console import Console, console_for_prints, say
from indianyio.run._ending import EndingSignals, ending_signals, seconds_to_end
from indianyio.run._interruption import End
from indianyio.run._loading import build_driver, find_driver
from indianyio.streams import divert_stdio, stdin_duplicate, stdio_is_terminal

if TYPE_CHECKING:
    from indianyio._binding import EarlyListening
    from indianyio.run._service_manager import ServiceManager
    from indianyio.run._serving import Attendant

__all__ = ["main", "run_command"]

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
    return run_command(parse_arguments(argv))


def run_command(
    arguments: argparse.Namespace, early: EarlyListening | None = None, *, for_good: bool = False
) -> int:
    """Run the command with arguments that are read.

    :param early: what listens for a server already; closed if it comes to none.
    :param for_good: whether the process ends after this; then signals that ask for it change nothing any more.
    :return: the exit status.
    """
    with ExitStack() as stack:
        if early is not None:
            stack.callback(early.close)
        console = stack.enter_context(console_for_prints())
        _start_log(console, arguments.log_level, arguments.debug)
        try:
            if not is_server(arguments) and arguments.make_executable is None:
                # Before the driver's module is imported: what that starts or prints has no business on the wire.
                stack.enter_context(divert_stdio())
        except OSError as exc:
            _report(exc, with_traceback=arguments.log_level == "debug")
            return FAILED
        return _carry_out(arguments, early, for_good=for_good)


def _carry_out(arguments: argparse.Namespace, early: EarlyListening | None, *, for_good: bool) -> int:
    manager = _service_manager() if is_server(arguments) else None
    try:
        found = [find_driver(target, arguments.folder) for target in arguments.driver]
        if arguments.make_executable is not None:
            return _write_executable(arguments, found[0])
        drivers = list(map(build_driver, arguments.driver, found))
    except DriverLoadError as exc:
        _report(exc, with_traceback=arguments.log_level == "debug")
        return NOT_LOADED
    for driver in drivers:
        driver.debug_enable = driver.debug_enable or arguments.debug
        driver.grace = arguments.grace or driver.grace
    run = partial(_run, backend=arguments.backend, with_traceback=arguments.log_level == "debug", for_good=for_good)
    if not is_server(arguments):
        return run(drivers[0], drivers[0].grace, lambda: seconds_to_end(drivers[0].grace))
    # Imported here: a driver on standard input and output needs no server, and starts sooner without one.
    from indianyio.run._serving import attendants, longest_grace, make_server, server_end_seconds

    try:
        server = make_server(drivers, arguments, early)
        beside = attendants(server, arguments, manager)
    except ValueError as exc:
        _report(exc, with_traceback=arguments.log_level == "debug")
        return NOT_LOADED
    return run(server, longest_grace(server), lambda: server_end_seconds(server), beside)


def _service_manager() -> ServiceManager | None:
    """Return who waits for this server to be ready; before drivers are imported, which may start programs."""
    if "NOTIFY_SOCKET" not in os.environ:
        return None
    from indianyio.run._service_manager import ServiceManager

    return ServiceManager.taken_from(os.environ)


def _start_log(console: Console, level: str, debug: bool) -> None:
    # Before the driver's module is imported: a basicConfig() in it then changes nothing.
    logging.basicConfig(stream=console, level=level.upper(), format=LOG_FORMAT)
    if debug:
        logging.getLogger(WIRE_LOGGER).setLevel(logging.DEBUG)


def _write_executable(arguments: argparse.Namespace, found: object) -> int:
    from pathlib import Path

    from indianyio.run._executable import make_driver_executable

    try:
        make_driver_executable(Path(arguments.make_executable), arguments.driver[0], found, arguments)
    except ImportError as exc:
        say(str(exc), wait_seconds=REPORT_SECONDS)
        return NOT_LOADED
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


def _run(
    runner: Runner,
    grace_seconds: float,
    end_seconds: Callable[[], float],
    beside: Iterable[Attendant] = (),
    *,
    backend: str,
    with_traceback: bool,
    for_good: bool,
) -> int:
    with closing(End(grace_seconds, end_seconds)) as end:
        wish, failures = None, list[BaseException]()
        try:
            signalling = ending_signals(end.begin, end.interruption.handle, for_good=for_good)
            with signalling as signals, closing(end.interruption):
                if isinstance(runner, IPyDriver):
                    end.interruption.begin_at_hangup(stdin_duplicate())
                    if stdio_is_terminal():
                        say("waiting for INDI messages on standard input; Ctrl-D or Ctrl-C ends")
                wish = anyio.run(_serve, runner, signals, end, beside, backend=backend)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - the one place that turns errors into lines and a status
            # A wish can come this way too: asyncio lets it go past all tasks if one of the driver's own raises it.
            wish = exit_in(error)
            failures.extend(leaf for leaf in leaves(error) if not isinstance(leaf, EXITS))
    for failure in failures:
        _report(failure, with_traceback=with_traceback)
    return _status(wish) or (FAILED if failures else DONE)


async def _serve(runner: Runner, signals: EndingSignals, end: End, beside: Iterable[Attendant]) -> Exit | None:
    """Run to the end, and return the wish of a driver's code to end the process, if it had one."""
    wish: Exit | None = None
    async with Tasks() as tasks:
        tasks.start_soon(_end_when_asked, runner, signals)
        tasks.start_soon(_limit_the_end, runner, end)
        tasks.start_soon(end.interruption.answer)
        for attendant in beside:
            tasks.start_soon(attendant)
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
    line = str(exc) if isinstance(exc, DriverLoadError) else described(exc)
    details = "".join(traceback.format_exception(exc)) if with_traceback else ""
    say(line, details=details, wait_seconds=REPORT_SECONDS)
