"""Where a server listens: on sockets that its environment opens, or that were opened when its process started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from indianyio._environment import Environment, Listener
from indianyio.streams._listening import open_listeners

if TYPE_CHECKING:
    from ssl import SSLContext

    from indianyio._binding import EarlyListening

__all__ = ["listen"]


async def listen(
    environment: Environment,
    host: str | None,
    port: int,
    unix: str | None,
    early: EarlyListening | None,
    *,
    tls: SSLContext | None = None,
    keepalive_seconds: int = 60,
) -> Sequence[Listener]:
    """Listen at all of these addresses, or fail and listen at none; see :meth:`Environment.listen`.

    :param early: sockets that listen there already and are taken over; they belong to this machine, whatever the
        environment.
    """
    if early is not None:
        return await open_listeners(host, port, unix, early, tls=tls, keepalive_seconds=keepalive_seconds)
    return await environment.listen(host, port, unix, tls=tls, keepalive_seconds=keepalive_seconds)
