"""The options with which ``python -m indianyio.run`` becomes a server."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from indianyio.driver import IPyDriver
from indianyio.server import Access, IPyServer, access_table

__all__ = ["add_server_arguments", "check_arguments", "is_server", "longest_end", "make_server"]

_PORT = 7624
_MOST_CLIENTS = 50
_STATISTICS_SECONDS = 60.0


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server to those of a driver."""
    group = parser.add_argument_group("serving clients instead of standard input and output")
    add = group.add_argument
    add("--port", type=_port, metavar="PORT", help="listen on this TCP port; INDI's is 7624, 0 picks a free one")
    host = "listen on this address; 0.0.0.0 for all of IPv4, :: for all of IPv4 and IPv6 (default: %(default)s)"
    add("--host", default="localhost", help=host)
    add("--unix", type=_unix, metavar="PATH", help="listen on this unix socket; @NAME for an abstract one")
    add("--exec", action="append", default=[], metavar="PROGRAM", help="serve this driver too, any INDI driver")
    add("--remote", action="append", default=[], type=_remote, metavar="HOST[:PORT]", help="serve that server too")
    add("--max-clients", type=_count, default=_MOST_CLIENTS, metavar="N", help="(default: %(default)s)")
    add("--statistics", action="store_true", help="log every minute what has passed to and from each peer")
    add("--read-only", action="append", default=[], metavar="CIDR", help="clients from there may only look")


def is_server(arguments: argparse.Namespace) -> bool:
    """Return whether clients are to be served."""
    return arguments.port is not None or arguments.unix is not None


def check_arguments(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse what does not go together.

    :raises SystemExit: with status 2, after a line on standard error.
    """
    serving = is_server(arguments)
    if serving and arguments.make_executable is not None:
        parser.error("--make-executable is for a driver under indiserver, not for a server")
    if serving and not (arguments.driver or arguments.exec or arguments.remote):
        parser.error("nothing to serve: name a driver as MODULE:NAME, --exec PROGRAM or --remote HOST")
    if not serving and len(arguments.driver) != 1:
        parser.error("name one driver as MODULE:NAME; several are served with --port or --unix")
    if not serving and (arguments.exec or arguments.remote or arguments.read_only or arguments.statistics):
        parser.error("--exec, --remote, --read-only and --statistics are for a server: add --port or --unix")


def make_server(drivers: Sequence[IPyDriver], arguments: argparse.Namespace) -> IPyServer:
    """Return the server that was asked for.

    :raises ValueError: two drivers have a device of one name, or an entry of ``--read-only`` is no network.
    """
    rules = [(entry, Access.READ_ONLY) for entry in arguments.read_only]
    server = IPyServer(
        *drivers,
        host=arguments.host if arguments.port is not None else None,
        port=arguments.port or 0,
        maxconnections=arguments.max_clients,
        unix=arguments.unix,
        access=access_table(rules, Access.FULL) if rules else None,
        statistics_interval=_STATISTICS_SECONDS if arguments.statistics else None,
    )
    server.grace = arguments.grace or server.grace
    for program in arguments.exec:
        server.add_exdriver(program, debug_enable=arguments.debug)
    for host, port in arguments.remote:
        server.add_remote(host, port, debug_enable=arguments.debug)
    return server


def longest_end(server: IPyServer) -> float:
    """Return how long the end of a server may take, in seconds: its drivers leave, then its clients are let go."""
    local = 3 * max([server.grace, *(driver.grace for driver in server.drivers)])
    return max([local, *(exdriver.end_seconds for exdriver in server.exdrivers)]) + max(server.grace, 1.0)


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
