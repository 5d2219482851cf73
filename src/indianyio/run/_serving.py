"""The server that the options of ``python -m indianyio.run`` ask for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from indianyio._binding import EarlyListening
from indianyio.driver import IPyDriver
from indianyio.server import Access, IPyServer, access_table

__all__ = ["longest_end", "make_server"]

_STATISTICS_SECONDS = 60.0


def make_server(
    drivers: Sequence[IPyDriver], arguments: argparse.Namespace, early: EarlyListening | None = None
) -> IPyServer:
    """Return the server that was asked for.

    :param early: what listens for it already.

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
    if early is not None:
        server._take_over(early)  # noqa: SLF001 - the command is part of the package
    server.grace = arguments.grace or server.grace
    for program in arguments.exec:
        server.add_exdriver(program, debug_enable=arguments.debug, grace=arguments.exec_grace)
    for host, port in arguments.remote:
        server.add_remote(host, port, debug_enable=arguments.debug)
    return server


def longest_end(server: IPyServer) -> float:
    """Return how long the end of a server may take, in seconds: its drivers leave, then its clients are let go."""
    local = 3 * max([server.grace, *(driver.grace for driver in server.drivers)])
    return max([local, *(exdriver.end_seconds for exdriver in server.exdrivers)]) + max(server.grace, 1.0)
