"""The command ``python -m indianyio.indiserver``: options, log, one run, exit status.

The exit status is the same as indiserver's (protocol.md 2.1, S2, S4, S10): 1 if something fatal happened, such as a
port that is taken, or if the last driver has ended; 2 if the command line is wrong; otherwise that of a process
killed by the signal that ended this one. After ``--help`` it is 0.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from functools import partial

import anyio

from indianyio._binding import EarlyListening
from indianyio._failures import leaves
from indianyio.indiserver._logs import console_log, say
from indianyio.indiserver._options import USAGE, HelpWanted, Options, UsageError, read_options
from indianyio.indiserver._serving import GRACE_SECONDS, serve
from indianyio.run._announcing import require_announceable
from indianyio.run._console import Console
from indianyio.run._ending import ending_signals, limit_end, seconds_to_end, unlimit_end
from indianyio.run._process import SIGNAL_STATUS
from indianyio.run._service_manager import ServiceManager

__all__ = ["main", "run_command"]

logger = logging.getLogger(__name__)

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Must be called in the main thread, because it handles signals while the server runs.

    :param argv: the arguments after the command, by default those of this process.
    :return: the exit status: 0, 1, 2, or 128 and the number of the signal that ended the run.
    """
    arguments = sys.argv[1:] if argv is None else argv
    return run_command(arguments, read_options(arguments))


def run_command(
    arguments: Sequence[str],
    options: Options | HelpWanted | UsageError,
    early: EarlyListening | None = None,
    *,
    for_good: bool = False,
) -> int:
    """Run the command with parsed arguments.

    :param arguments: the arguments as written, for the log.
    :param options: the parsed options, or what is wrong with them.
    :param early: sockets that listen already where the options say; closed if the server does not run.
    :param for_good: whether the process ends after this; then further signals are ignored at the end.
    :return: the exit status.
    """
    startup = " ".join(["startup: indianyio.indiserver", *arguments])
    if isinstance(options, HelpWanted):
        sys.stdout.write(USAGE)
        return DONE
    if isinstance(options, UsageError):
        with console_log(0):
            say(startup)
        Console().write(f"{options}\n{USAGE}")
        return WRONG_USAGE
    with console_log(options.verbosity), nullcontext() if early is None else closing(early):
        say(startup)
        received = _run(options, early, for_good=for_good)
        if received is None:
            say("good bye")
            return FAILED
    return SIGNAL_STATUS + received


def _run(options: Options, early: EarlyListening | None, *, for_good: bool) -> signal.Signals | None:
    """Return the signal that ended the run in order; if anything else ended it, log that and return ``None``."""
    limit = partial(limit_end, seconds_to_end(GRACE_SECONDS))
    received: signal.Signals | None = None
    # Taken before any driver is started, as none must speak for the server.
    manager = ServiceManager.taken_from(os.environ)
    try:
        with ending_signals(on_first=limit, for_good=for_good) as signals:
            if options.announce:
                require_announceable(options.host, options.port)
            received = anyio.run(serve, options, signals, early, manager, backend=options.backend)
    except* Exception as group:  # noqa: BLE001 - the one place that turns errors into lines and a status
        for failure in leaves(group):
            _report(failure)
    finally:
        unlimit_end()
    return received


def _report(failure: BaseException) -> None:
    """Log what was wrong, with a traceback only if it cannot be the user's mistake."""
    if isinstance(failure, OSError | ValueError):
        say(str(failure))
    else:
        logger.critical("%s: %s", type(failure).__name__, failure, exc_info=failure)
