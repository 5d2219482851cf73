"""The INDI server: drivers of this process, other programs and other servers, behind one port."""

from indianyio._routing import PeerStatistics
from indianyio.server._access import Access, AccessRule, Connection, access_table
from indianyio.server._server import IPyServer

__all__ = ["Access", "AccessRule", "Connection", "IPyServer", "PeerStatistics", "access_table"]
