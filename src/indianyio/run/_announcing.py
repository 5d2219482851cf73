"""Servers are announced on the local network, and found there, by multicast DNS as ``_indi._tcp``.

That is the name for which clients look. The package zeroconf does the work, an extra (decision 32), which is
imported only here, when somebody asks. It has an event loop of its own in a thread, and its calls wait for that. So
they are made in worker threads, which works on both back ends.

A server that ends takes its announcement back, in a bounded time: whoever has found it would offer for an hour what
is not there.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from indianyio._binding import find_addresses
from indianyio._tasks import Tasks
from indianyio.driver import Flag
from indianyio.server._access import is_reachable

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, Zeroconf

__all__ = [
    "SERVICE_TYPE",
    "Announcement",
    "FoundServer",
    "announce",
    "find_servers",
    "require_announceable",
    "require_zeroconf",
]

logger = logging.getLogger(__name__)

SERVICE_TYPE = "_indi._tcp.local."

# To take it back, zeroconf says so three times, an eighth of a second apart. The end of a run has more time than
# this in any case.
_WITHDRAW_SECONDS = 2.0
_RESOLVE_SECONDS = 1.0

# RFC 1035: a label of a name.
_LABEL_BYTES = 63


def require_zeroconf() -> None:
    """Make sure that the package is there, without importing it.

    :raises ValueError: it is not.
    """
    if find_spec("zeroconf") is None:
        raise ValueError("announcing and finding servers needs zeroconf: pip install 'indianyio[announce]'")


def require_announceable(host: str, port: int) -> None:
    """Make sure that a server can be announced; a name server may have to be asked, for which this waits.

    :param host: where it is to listen.
    :raises ValueError: the package zeroconf is not there, or no other machine can connect.
    """
    require_zeroconf()
    # At what cannot be found nobody can listen, and whoever tries to says so.
    with suppress(OSError):
        _reachable([f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in find_addresses(host)])


def _reachable(listening: Sequence[str]) -> list[str]:
    reachable = [address for address in listening if is_reachable(address)]
    if not reachable:
        raise ValueError(
            f"--announce: no other machine can connect to {', '.join(listening)}; listen at an address of the "
            "network with --host, or at all of them with --host 0.0.0.0 or --host ::"
        )
    return reachable


class Announcement:
    """A server's place in the network's list; its methods may be called in any thread, and wait for each other.

    :param listening: where the server listens, as ``host:port``.
    :raises ValueError: no other machine can connect there.
    """

    def __init__(self, listening: Sequence[str]) -> None:
        reachable = _reachable(listening)
        self.port = int(reachable[0].rpartition(":")[2])
        self._hosts = [address.rpartition(":")[0].strip("[]") for address in reachable]
        self._lock = threading.Lock()
        self._zeroconf: Zeroconf | None = None
        self._is_withdrawn = False

    def publish(self) -> str:
        """Announce the server, which takes a second; return the name under which it is found.

        :raises OSError: there is no network.
        :raises Exception: whatever else zeroconf raises.
        """
        with self._lock:
            if self._is_withdrawn:
                return ""
            from zeroconf import Zeroconf

            addresses = _addresses(self._hosts)
            if not addresses:
                raise OSError("this machine has no address in a network")
            # In the networks by which clients can connect, and in no other.
            self._zeroconf = Zeroconf(interfaces=addresses)
            info = _info(self.port, addresses)
            # Another machine may have this name already; then the library finds another one.
            self._zeroconf.register_service(info, allow_name_change=True)
            return info.name.removesuffix(f".{SERVICE_TYPE}")

    def withdraw(self) -> None:
        """Take it back; nothing is announced after this."""
        with self._lock:
            self._is_withdrawn = True
            if self._zeroconf is not None:
                self._zeroconf.close()
                self._zeroconf = None


def _addresses(hosts: Sequence[str]) -> list[str]:
    """Return the addresses by which clients can connect to a server that listens at these."""
    found: dict[str, None] = {}
    for host in hosts:
        address = ipaddress.ip_address(host)
        found |= dict.fromkeys(_interface_addresses(address.version) if address.is_unspecified else [host])
    return list(found)


def _interface_addresses(version: int) -> list[str]:
    """Return the addresses of this machine's interfaces, those aside that mean something on one link only."""
    import ifaddr

    texts = [
        ip.ip if isinstance(ip.ip, str) else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips
    ]
    found = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
    return [str(one) for one in found if one.version == version and not (one.is_loopback or one.is_link_local)]


def _info(port: int, addresses: Sequence[str]) -> ServiceInfo:
    from zeroconf import ServiceInfo

    host = socket.gethostname().partition(".")[0] or "indi"
    name = _label(f"INDI on {host}" if port == 7624 else f"INDI on {host}, port {port}")
    # Not the name of the machine, which may have a responder of its own that answers for it.
    server = _label(f"indi-{port}-{host}")
    return ServiceInfo(
        SERVICE_TYPE,
        f"{name}.{SERVICE_TYPE}",
        port=port,
        server=f"{server}.local.",
        parsed_addresses=list(addresses),
    )


def _label(text: str) -> str:
    return text.encode()[:_LABEL_BYTES].decode(errors="ignore")


async def announce(listening: Callable[[], Sequence[str]], up: Flag, ending: Flag) -> None:
    """Announce a server while it serves, until this is cancelled or the server is about to end.

    That it cannot be announced is logged, and keeps nobody from being served.

    :param listening: returns where it listens, as ``host:port``, once it does.
    :param up: set when clients can connect.
    :param ending: set when the server is about to end.
    :raises ValueError: no other machine can connect there.
    """
    await up.wait()
    announcement = Announcement(listening())
    try:
        async with Tasks() as tasks:
            tasks.start_soon(_publish, announcement)
            await ending.wait()
            tasks.cancel_scope.cancel("the server ends")
    finally:
        with anyio.move_on_after(_WITHDRAW_SECONDS, shield=True):
            await anyio.to_thread.run_sync(announcement.withdraw, abandon_on_cancel=True)


async def _publish(announcement: Announcement) -> None:
    try:
        name = await anyio.to_thread.run_sync(announcement.publish, abandon_on_cancel=True)
    except Exception as error:  # noqa: BLE001 - it has many of its own, and none of them matters to an instrument
        logger.error("the server is not announced: %s", str(error) or type(error).__name__)
    else:
        logger.info("announced on the network as %r", name)


@dataclass(frozen=True)
class FoundServer:
    """A server that is announced.

    :ivar name: what it calls itself.
    :ivar host: the name of its machine, of which not every system knows the address.
    :ivar port: its TCP port.
    :ivar addresses: of its machine.
    """

    name: str
    host: str
    port: int
    addresses: tuple[str, ...]


def find_servers(seconds: float, interfaces: Sequence[str] | None = None) -> list[FoundServer]:
    """Return the servers that are announced on this network, by name.

    :param seconds: how long to listen for answers.
    :param interfaces: the addresses of those to ask; all of this machine if absent.
    :raises OSError: there is no network.
    """
    from zeroconf import DNSQuestionType, InterfaceChoice, ServiceBrowser, ServiceStateChange, Zeroconf

    names: set[str] = set()
    # An answer to us alone could be lost if the server is on this machine: it reaches one of those who listen at
    # the port of multicast DNS, and the server does so, too.
    to_all = DNSQuestionType.QM

    def note(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        (names.discard if state_change is ServiceStateChange.Removed else names.add)(name)

    with closing(Zeroconf(InterfaceChoice.All if interfaces is None else list(interfaces))) as network:
        browser = ServiceBrowser(network, SERVICE_TYPE, handlers=[note], question_type=to_all)
        time.sleep(seconds)
        browser.cancel()
        infos = [
            network.get_service_info(SERVICE_TYPE, name, int(_RESOLVE_SECONDS * 1000), to_all)
            for name in sorted(names)
        ]
    return [_found(info) for info in infos if info is not None and info.port]


def _found(info: ServiceInfo) -> FoundServer:
    name = info.name.removesuffix(f".{SERVICE_TYPE}")
    host = (info.server or "").removesuffix(".")
    return FoundServer(name, host, info.port or 0, tuple(info.parsed_scoped_addresses()))
