"""The server of the command: made of its arguments, and what is done beside its run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeAlias

from indianyio._binding import EarlyListening
from indianyio.driver import IPyDriver
from indianyio.run._ending import GRACE_PERIODS, seconds_to_be_gone, seconds_to_end
from indianyio.run._service_manager import Service, ServiceManager, describe_server
from indianyio.server import Access, IPyServer, access_table

__all__ = ["Attendant", "attendants", "longest_grace", "make_server", "served_names", "server_end_seconds"]

STATISTICS_SECONDS = 60.0

Attendant: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""What is done beside a run, until it is cancelled."""


def make_server(
    drivers: Sequence[IPyDriver], arguments: argparse.Namespace, early: EarlyListening | None = None
) -> IPyServer:
    """Return the server that was asked for.

    :param early: what listens for it already.
    :raises ValueError: two drivers have a device of one name, or an entry of ``--read-only`` is not a network.
    """
    rules = [(entry, Access.READ_ONLY) for entry in arguments.read_only]
    server = IPyServer(
        *drivers,
        host=arguments.host if arguments.port is not None else None,
        port=arguments.port or 0,
        maxconnections=arguments.max_clients,
        unix=arguments.unix,
        access=access_table(rules, Access.FULL) if rules else None,
        statistics_interval=STATISTICS_SECONDS if arguments.statistics else None,
    )
    if early is not None:
        server._take_over(early)  # noqa: SLF001 - the command is part of the package
    server.grace = arguments.grace or server.grace
    for program in arguments.exec:
        server.add_exdriver(program, debug_enable=arguments.debug, grace=arguments.exec_grace)
    for host, port in arguments.remote:
        server.add_remote(host, port, debug_enable=arguments.debug)
    return server


def longest_grace(server: IPyServer) -> float:
    """Return the longest grace of those in this process, in seconds."""
    return max([server.grace, *(driver.grace for driver in server.drivers)])


def server_end_seconds(server: IPyServer) -> float:
    """Return how long the end of a server's run may take in all, as :func:`~._ending.seconds_to_end` does.

    Its drivers leave, then its clients are let go.
    """
    local = GRACE_PERIODS * longest_grace(server)
    longest = max([local, *(exdriver.end_seconds for exdriver in server.exdrivers)]) + max(server.grace, 1.0)
    return seconds_to_end(longest / GRACE_PERIODS)


def attendants(server: IPyServer, arguments: argparse.Namespace, manager: ServiceManager | None) -> list[Attendant]:
    """Return what is to be done beside the run of a server.

    :param manager: who waits for it to be ready.
    :raises ValueError: it cannot be announced, for want of a package or because no other machine can connect.
    """
    beside: list[Attendant] = []
    if manager is not None:
        beside.append(partial(manager.attend, _service(server)))
    if arguments.announce:
        beside.append(_announcing(server, arguments.host))
    return beside


def _announcing(server: IPyServer, host: str) -> Attendant:
    from indianyio.run._announcing import announce, require_announceable  # few need it

    require_announceable(host, server.port)
    up, ending = server._up, server.shutdownrequested  # noqa: SLF001 - as above
    return partial(announce, lambda: server.addresses, up, ending)


def _service(server: IPyServer) -> Service:
    return Service(
        up=server._up,  # noqa: SLF001 - as above
        ending=server.shutdownrequested,
        describe=lambda: describe_server(served_names(server), server.addresses),
        end_seconds=lambda: seconds_to_be_gone(server_end_seconds(server)),
    )


def served_names(server: IPyServer) -> list[str]:
    """Return what a server has: its devices, programs and other servers, by their names for people."""
    programs = [exdriver.name for exdriver in server.exdrivers]
    return [*server.devices, *programs, *(remote.name for remote in server.remotes)]
