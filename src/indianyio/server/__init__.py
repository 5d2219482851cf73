"""The INDI server: drivers of this process, other programs and other servers, behind one port."""

from indianyio._environment import Environment, Listener, Program
from indianyio._routing import PeerStatistics
from indianyio.server._access import Access, AccessRule, Connection, access_table
from indianyio.server._server import IPyServer
from indianyio.streams._base import Accepted

__all__ = [
    "Accepted",
    "Access",
    "AccessRule",
    "Connection",
    "Environment",
    "IPyServer",
    "Listener",
    "PeerStatistics",
    "Program",
    "access_table",
]
