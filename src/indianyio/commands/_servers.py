"""List the servers that are announced on this network.

A server is announced by "indianyio run --announce", by "indianyio-indiserver --announce", and by other programs
that know _indi._tcp. The list shows what servers say about themselves: anybody on the network can announce
anything.

Exit status: 0 there are some, 1 there are none, 2 there is no network, or the package zeroconf is not installed.
"""

from __future__ import annotations

import argparse

from indianyio.commands._arguments import seconds
from indianyio.commands._output import complain, json_line, say
from indianyio.run._announcing import FoundServer, find_servers, require_zeroconf

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    timeout = "how long to wait for answers (default: %(default)g)"
    parser.add_argument("-t", "--timeout", type=seconds, default=3.0, metavar="SECONDS", help=timeout)
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each server")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the package zeroconf is not installed.
    :raises OSError: there is no network.
    """
    require_zeroconf()
    servers = find_servers(options.timeout)
    for server in servers:
        if options.json:
            json_line(name=server.name, host=server.host, port=server.port, addresses=list(server.addresses))
        else:
            say("  ".join([server.name, *_places(server)]))
    if not servers:
        complain("no server is announced on this network")
    return 0 if servers else 1


def _places(server: FoundServer) -> list[str]:
    hosts = server.addresses or (server.host,)
    return [f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}" for host in hosts]
