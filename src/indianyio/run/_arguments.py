"""The command line of ``python -m indianyio.run``.

Imports little: a server listens as soon as these are read, and everything else is imported when it listens.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from indianyio._binding import EarlyListening

__all__ = ["add_server_arguments", "is_server", "listen_early", "parse_arguments"]

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

_PORT = 7624
_MOST_CLIENTS = 50


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments.

    :param argv: those after the command, by default those of this process.
    :raises SystemExit: they are wrong (status 2, after a line on standard error) or ask for help (status 0).
    """
    parser = _parser()
    # Drivers and options may take turns: a:A --backend trio b:B.
    arguments = parser.parse_intermixed_args(argv)
    _check(parser, arguments)
    return arguments


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
    add("--folder", metavar="PATH", help="import from this folder first (default: the current one)")
    add("--make-executable", metavar="PATH", help="do not run: write a file that runs this driver")
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


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server to those of a driver."""
    group = parser.add_argument_group("serving clients instead of standard input and output")
    add = group.add_argument
    add("--port", type=_port, metavar="PORT", help="listen on this TCP port; INDI's is 7624, 0 picks a free one")
    host = "listen on this address; 0.0.0.0 for all of IPv4, :: for all of IPv4 and IPv6 (default: %(default)s)"
    add("--host", default="localhost", help=host)
    add("--unix", type=_unix, metavar="PATH", help="listen on this unix socket; @NAME for an abstract one")
    add("--exec", action="append", default=[], metavar="PROGRAM", help="serve this driver too, any INDI driver")
    add(
        "--exec-grace",
        type=_seconds,
        metavar="SECONDS",
        help="time for these to end by themselves (default: the grace)",
    )
    add("--remote", action="append", default=[], type=_remote, metavar="HOST[:PORT]", help="serve that server too")
    add("--max-clients", type=_count, default=_MOST_CLIENTS, metavar="N", help="(default: %(default)s)")
    add("--statistics", action="store_true", help="log every minute what has passed to and from each peer")
    add("--read-only", action="append", default=[], metavar="CIDR", help="clients from there may only look")


def is_server(arguments: argparse.Namespace) -> bool:
    """Return whether clients are to be served."""
    return arguments.port is not None or arguments.unix is not None


def listen_early(arguments: argparse.Namespace) -> EarlyListening | None:
    """Listen where clients are to be served; ``None`` if none are."""
    if not is_server(arguments):
        return None
    host = arguments.host if arguments.port is not None else None
    return EarlyListening(host, arguments.port or 0, arguments.unix, tidies=True)


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse what does not go together."""
    serving = is_server(arguments)
    if serving and arguments.make_executable is not None:
        parser.error("--make-executable is for a driver under indiserver, not for a server")
    if serving and not (arguments.driver or arguments.exec or arguments.remote):
        parser.error("nothing to serve: name a driver as MODULE:NAME, --exec PROGRAM or --remote HOST")
    if not serving and len(arguments.driver) != 1:
        parser.error("name one driver as MODULE:NAME; several are served with --port or --unix")
    if not serving and (arguments.exec or arguments.remote or arguments.read_only or arguments.statistics):
        parser.error("--exec, --remote, --read-only and --statistics are for a server: add --port or --unix")
    if arguments.exec_grace is not None and not arguments.exec:
        parser.error("--exec-grace is for programs: add --exec PROGRAM")


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 0xFFFF:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port number from 0 to 65535")


def _unix(text: str) -> str:
    if text.removeprefix("@"):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} names no unix socket")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")


def _remote(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if text.count(":") == 1 or "]" in text else (text, "", "")
    if text.endswith("]"):
        host, port = text, ""
    if not host.strip("[]"):
        raise argparse.ArgumentTypeError(f"{text!r} names no host")
    return host.strip("[]"), _port(port) if port else _PORT
