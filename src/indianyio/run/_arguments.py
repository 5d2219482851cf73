"""The command line of ``python -m indianyio.run``.

Imports little: a server listens as soon as these are read, and everything else is imported when it listens.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from indianyio._binding import EarlyListening

__all__ = [
    "add_driver_arguments",
    "add_server_arguments",
    "complete_arguments",
    "is_server",
    "listen_early",
    "parse_arguments",
    "positive_seconds",
]

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

_PORT = 7624
_MOST_CLIENTS = 50
_LOCAL = "localhost"

# argparse checks each argument with a formatter that it makes for it. To find out how wide a terminal is, this
# would import modules for archives; the help itself is as wide as the terminal.
_ANY_WIDTH = 80


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments.

    :param argv: those after the command, by default those of this process.
    :raises SystemExit: they are wrong (status 2, after a line on standard error) or ask for help (status 0).
    """
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest:
        # Drivers and options may take turns: a:A --backend trio b:B. Few write so, and this takes longer.
        arguments = parser.parse_intermixed_args(argv)
    complete_arguments(arguments, parser.error)
    return arguments


def complete_arguments(arguments: argparse.Namespace, refuse: Callable[[str], NoReturn]) -> None:
    """Make one target of each name, and refuse what does not go together.

    :param refuse: is told what is wrong, and does not return.
    """
    arguments.driver = [target for given in arguments.driver for target in _targets(given)]
    _check(arguments, refuse)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m indianyio.run",
        description="Run an INDI driver on standard input and output, as indiserver starts drivers; or, with "
        "--port or --unix, serve any number of drivers to INDI clients.",
        epilog="Log and errors go to standard error. SIGTERM, SIGINT, SIGHUP and the end of the input end the "
        "driver in order; Ctrl-C again, a second later or more, ends it at once. Exit status: 0 ended when asked, "
        "1 an error, 2 cannot load the driver; that of sys.exit() if the driver calls it.",
        formatter_class=partial(argparse.HelpFormatter, width=_ANY_WIDTH),
    )
    add = parser.add_argument
    what = (
        "a driver class, a driver, or a function that returns a driver, or the name of an installed driver; "
        "several only with --port or --unix"
    )
    add("driver", metavar="MODULE:NAME[,NAME...]", nargs="*", help=what)
    add_driver_arguments(parser)
    add("--make-executable", metavar="PATH", help="do not run: write a file that runs this driver")
    add_server_arguments(parser)
    parser.formatter_class = argparse.HelpFormatter
    return parser


def add_driver_arguments(parser: argparse._ActionsContainer) -> list[argparse.Action]:
    """Add the options that a driver is run with, wherever it is run; return what was added."""
    add = parser.add_argument
    return [
        add("--backend", choices=("asyncio", "trio"), default="asyncio", help="event loop (default: %(default)s)"),
        add("--grace", type=positive_seconds, metavar="SECONDS", help="time for leave() and for the last messages"),
        add("--log-level", choices=LOG_LEVELS, default="info", help="how much to log (default: %(default)s)"),
        add("--debug", action="store_true", help="log the driver's XML"),
        add("--folder", metavar="PATH", help="import from this folder first (default: the current one)"),
    ]


def _targets(given: str) -> list[str]:
    """Return one MODULE:NAME for each of the names."""
    module, colon, names = given.partition(":")
    return [f"{module}{colon}{name}" for name in names.split(",")]


def positive_seconds(text: str) -> float:
    """Read a time in seconds, for ``type=`` of an argument.

    :raises argparse.ArgumentTypeError: it is anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def add_server_arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Add the options of a server to those of a driver; return what was added."""
    group = parser.add_argument_group("serving clients instead of standard input and output")
    add = group.add_argument
    port = "listen on this TCP port; INDI's is 7624, 0 picks a free one"
    host = "listen on this address; 0.0.0.0 for all of IPv4, :: for all of IPv4 and IPv6 (default: %(default)s)"
    unix = "listen on this unix socket; @NAME for an abstract one"
    execute = "serve this driver too, any INDI driver"
    grace = "time for these to end by themselves (default: the grace)"
    remote = "serve that server too"
    statistics = "log every minute what has passed to and from each peer"
    return [
        add("--port", type=_port, metavar="PORT", help=port),
        add("--host", default=_LOCAL, help=host),
        add("--unix", type=_unix, metavar="PATH", help=unix),
        add("--exec", action="append", default=[], metavar="PROGRAM", help=execute),
        add("--exec-grace", type=positive_seconds, metavar="SECONDS", help=grace),
        add("--remote", action="append", default=[], type=_remote, metavar="HOST[:PORT]", help=remote),
        add("--max-clients", type=_count, default=_MOST_CLIENTS, metavar="N", help="(default: %(default)s)"),
        add("--statistics", action="store_true", help=statistics),
        add("--read-only", action="append", default=[], metavar="CIDR", help="clients from there may only look"),
        add("--announce", action="store_true", help="tell the local network where it is, for clients to find"),
    ]


def is_server(arguments: argparse.Namespace) -> bool:
    """Return whether clients are to be served."""
    return arguments.port is not None or arguments.unix is not None


def listen_early(arguments: argparse.Namespace) -> EarlyListening | None:
    """Listen where clients are to be served; ``None`` if none are."""
    if not is_server(arguments):
        return None
    from indianyio._binding import EarlyListening  # takes time, and a driver alone does not listen

    host = arguments.host if arguments.port is not None else None
    return EarlyListening(host, arguments.port or 0, arguments.unix, tidies=True)


def _check(arguments: argparse.Namespace, refuse: Callable[[str], NoReturn]) -> None:
    """Refuse what does not go together."""
    serving = is_server(arguments)
    if serving and arguments.make_executable is not None:
        refuse("--make-executable is for a driver under indiserver, not for a server")
    if serving and not (arguments.driver or arguments.exec or arguments.remote):
        refuse("nothing to serve: name a driver as MODULE:NAME, --exec PROGRAM or --remote HOST")
    if not serving and len(arguments.driver) != 1:
        refuse("name one driver as MODULE:NAME; several are served with --port or --unix")
    if not serving and (arguments.exec or arguments.remote or arguments.read_only or arguments.statistics):
        refuse("--exec, --remote, --read-only and --statistics are for a server: add --port or --unix")
    if arguments.announce and arguments.port is None:
        refuse("--announce is for a TCP port: add --port")
    if arguments.announce and arguments.host == _LOCAL:
        refuse("--announce: no other machine can connect to localhost; add --host 0.0.0.0, --host :: or an address")
    if arguments.exec_grace is not None and not arguments.exec:
        refuse("--exec-grace is for programs: add --exec PROGRAM")


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 0xFFFF:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 0 to 65535")


def _unix(text: str) -> str:
    if text.removeprefix("@"):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} names no unix socket")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


class Remote(NamedTuple):
    """Another server; as a text, as it is written on the command line."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _remote(text: str) -> Remote:
    host, _, port = text.rpartition(":") if text.count(":") == 1 or "]" in text else (text, "", "")
    if text.endswith("]"):
        host, port = text, ""
    if not host.strip("[]"):
        raise argparse.ArgumentTypeError(f"{text!r} names no host")
    return Remote(host.strip("[]"), _port(port) if port else _PORT)
