"""Who may do what: one decision for each connection, made once, before its first message is read.

INDI has no users and no passwords. A server can only judge where a client comes from: its address, its user on this
machine, its TLS certificate. A rule is a function of these; :func:`access_table` makes one from a few lines. In
case of doubt the answer is "refused": a rule that fails must not open the dome.

A rule for IPv4 does not apply to the same machines when they connect over IPv6. So a server logs at its start whom
its rules leave fully open, in words and for each address family, before somebody relies on a rule that does not
hold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import Any, TypeAlias, TypeVar

from indianyio._failures import EXITS
from indianyio._rated_log import RatedLog
from indianyio.streams._base import Connection

__all__ = [
    "Access",
    "AccessRule",
    "AccessTable",
    "Connection",
    "access_table",
    "decide",
    "decide_without_certificate",
    "default_access",
    "is_reachable",
    "tell_openness",
    "warn_if_open",
]

logger = logging.getLogger(__name__)

_Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network

# ::ffff:0:0/96, where IPv6 keeps the IPv4 addresses.
_MAPPED_PREFIX_BITS = 96

_UNIX = "unix"
_NAMED: dict[str, tuple[_Network, ...]] = {
    _UNIX: (),
    "loopback": (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
}

_REMEDY = "listen on localhost or a unix socket only, or decide with access= who may do what"


class Access(StrEnum):
    """What a connection may do."""

    FULL = "full"
    """Everything an INDI client can do."""

    READ_ONLY = "read-only"
    """Observe everything, change nothing: what it writes is answered with a message and dropped."""

    REFUSED = "refused"
    """Nothing; the connection is closed."""


AccessRule: TypeAlias = Callable[[Connection], Access]
"""Decides what a connection may do; called in the event loop, so it must not take long.

It is called once for each connection. Over TLS that is before the handshake, so that refusing an address costs
nothing. If the rule reads the certificate, which is not known yet, its answer is ignored, and it is called again
after the handshake.
"""


def default_access(connection: Connection) -> Access:
    """Allow everything, as every INDI server does; :func:`warn_if_open` logs that where it matters."""
    return Access.FULL


class AccessTable:
    """A rule that goes by where a client comes from; made by :func:`access_table`.

    :ivar default: what clients may do that match no entry.
    """

    def __init__(self, rules: Sequence[tuple[str, Access]], default: Access) -> None:
        self._rows = tuple((entry, _networks(entry), _allowed(entry, access)) for entry, access in rules)
        self.default = _allowed("default", default)

    def __call__(self, connection: Connection) -> Access:
        """Return what a connection may do."""
        address = _address(connection)
        for entry, networks, access in self._rows:
            if address is not None and any(address in network for network in networks):
                return access
            if entry == _UNIX and connection.kind == "unix":
                return access
        return self.default

    @property
    def networks(self) -> list[tuple[_Network, Access]]:
        """The networks of its entries and what these allow; the first that matches decides."""
        return [(network, access) for _, networks, access in self._rows for network in networks]

    @property
    def restricts(self) -> bool:
        """Whether anybody is allowed less than everything."""
        return any(access is not Access.FULL for access in (self.default, *(access for *_, access in self._rows)))


def access_table(rules: Sequence[tuple[str, Access]], default: Access) -> AccessRule:
    """Return a rule that goes by where a client comes from; the first entry that matches decides.

    An entry is an IP network (``"192.168.1.0/24"``, ``"fd00::/8"``), an address (``"192.168.1.7"``), ``"loopback"``
    (this machine, over TCP), or ``"unix"`` (this machine, over a unix socket). IPv4 addresses match in whatever
    form they arrive, also as ``::ffff:192.168.1.7``. An IPv6 network, even ``"::/0"``, contains no IPv4 address,
    and an IPv4 network no IPv6 address. A server logs at its start, for IPv4 and for IPv6, who may do everything.

    :param rules: pairs of an entry and what it allows.
    :param default: what clients may do that match no entry.
    :raises TypeError: an entry is not a string.
    :raises ValueError: an entry is not one of these, or its value is not an :class:`Access`; the text names it.
    """
    return AccessTable(rules, default)


def decide(rule: AccessRule, connection: Connection, log: RatedLog) -> Access:
    """Return what a connection may do; if the rule fails, log the error and refuse the connection.

    :param log: where that goes. The rule fails for every connection, as a rule, and anybody can connect.
    """
    try:
        return Access(rule(connection))
    except EXITS:
        raise
    except BaseException as error:  # noqa: ASYNC103, BLE001 - nothing is awaited here, and it is logged
        _log_failure(log, connection, error)
        return Access.REFUSED  # noqa: ASYNC104


def decide_without_certificate(rule: AccessRule, connection: Connection, log: RatedLog) -> Access | None:
    """Return what a connection may do whatever its certificate; ``None`` if the rule reads the certificate.

    :param log: as for :func:`decide`.
    """
    unverified = _Unverified(connection.kind, connection.address, connection.port)
    try:
        access = Access(rule(unverified))
    except Exception as error:  # noqa: BLE001 - it is logged
        if not unverified.is_certificate_wanted:
            _log_failure(log, connection, error)
        access = Access.REFUSED
    return None if unverified.is_certificate_wanted else access


def _log_failure(log: RatedLog, connection: Connection, error: BaseException) -> None:
    text = "%s: refused, because the access rule failed"
    log.log((connection.origin, "rule failed"), logging.ERROR, text, connection.name, error=error)


class _Unverified(Connection):
    """A connection before its handshake; notes whether its certificate is asked for."""

    is_certificate_wanted = False

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - as the attributes are
        if name == "certificate":
            object.__setattr__(self, "is_certificate_wanted", True)
        return super().__getattribute__(name)


def warn_if_open(addresses: Iterable[str], has_rule: bool, remedy: str = _REMEDY) -> None:
    """Log one warning if machines elsewhere can connect and nothing decides what they may do.

    :param addresses: where the server listens, as in :attr:`Listener.address <._listeners.Listener.address>`.
    :param has_rule: whether an access rule was given.
    :param remedy: what to do about it, in words.
    """
    reachable = list(filter(is_reachable, addresses))
    if reachable and not has_rule:
        logger.warning(
            "INDI has no authentication: whoever can reach %s can command the instruments. To restrict that, %s.",
            " or ".join(reachable),
            remedy,
        )


def is_reachable(listening: str) -> bool:
    """Return whether other machines can connect to where a server listens."""
    host = listening.rpartition(":")[0].strip("[]")
    try:
        return not _unmapped(ip_address(host)).is_loopback
    except ValueError:
        return False  # the path or the name of a unix socket


def _allowed(entry: str, access: Access) -> Access:
    try:
        return Access(access)
    except ValueError as exc:
        choices = ", ".join(repr(str(one)) for one in Access)
        raise ValueError(f"access rule {entry!r}: {access!r} is not one of {choices}") from exc


def _networks(entry: str) -> tuple[_Network, ...]:
    """Return the networks of an entry; a unix socket belongs to none."""
    if not isinstance(entry, str):
        raise TypeError(f"access rule {entry!r}: an entry is a text, such as '192.168.1.0/24'")
    if entry in _NAMED:
        return _NAMED[entry]
    try:
        return (_unmapped_network(ip_network(entry)),)
    except ValueError as exc:
        raise ValueError(
            f"access rule {entry!r}: neither a network, an address, 'loopback' nor 'unix': {exc}"
        ) from exc


def _address(connection: Connection) -> _Address | None:
    return None if connection.address is None else _unmapped(ip_address(connection.address))


def _unmapped(address: _Address) -> _Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _unmapped_network(network: _Network) -> _Network:
    # Mapped addresses are compared as IPv4, so a network written as ::ffff:... would never match. If it was meant
    # to refuse clients, that would be a hole.
    first = _unmapped(network.network_address)
    if network.prefixlen >= _MAPPED_PREFIX_BITS and isinstance(first, IPv4Address):
        return IPv4Network((first, network.prefixlen - _MAPPED_PREFIX_BITS))
    return network


# -- whom the rules leave open, in words -----------------------------------------------------------------------


_NetworkT = TypeVar("_NetworkT", IPv4Network, IPv6Network)

_IPV4, _IPV6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")

# More networks than this are counted, not named.
_MOST_NAMED = 6


def tell_openness(addresses: Sequence[str], rule: AccessRule | None) -> None:
    """Log, for each address family, who may do everything under a rule.

    The level is INFO; it is WARNING where a whole family is left open to other machines although the rule restricts
    another family.

    :param addresses: where the server listens, as in :attr:`Listener.address <._listeners.Listener.address>`.
    :param rule: the access rule. If it is a function of the user's, only its name is logged. Without a rule there
        is only a warning, if other machines can connect.
    """
    warn_if_open(addresses, rule is not None)
    if rule is None:
        return
    families: dict[str, list[str]] = {}
    for address in addresses:
        families.setdefault(_family(address), []).append(address)
    for family, listening in families.items():
        where = f"{family} ({', '.join(listening)})"
        if not isinstance(rule, AccessTable):
            logger.info("%s: what a client may do is decided by %s", where, getattr(rule, "__qualname__", rule))
            continue
        open_to, is_all = _openness(rule, family)
        surprises = is_all and rule.restricts and any(map(is_reachable, listening))
        text = "%s: %s may command the instruments" + (", as no access rule restricts that" if surprises else "")
        logger.log(logging.WARNING if surprises else logging.INFO, text, where, open_to)


def _family(address: str) -> str:
    if address.startswith("["):
        return "IPv6"
    host, colon, port = address.rpartition(":")
    return "IPv4" if colon and port.isdigit() and _is_dotted(host) else "unix socket"


def _is_dotted(host: str) -> bool:
    try:
        IPv4Network(host)
    except ValueError:
        return False
    return True


def _openness(table: AccessTable, family: str) -> tuple[str, bool]:
    """Return who may do everything, in words, and whether that is everybody."""
    if family == "unix socket":
        is_open = table(Connection("unix")) is Access.FULL
        return ("every process of this machine" if is_open else "nobody"), is_open
    if family == "IPv4":
        return _in_words(*_split(table, _IPV4))
    return _in_words(*_split(table, _IPV6))


def _split(table: AccessTable, everything: _NetworkT) -> tuple[list[_NetworkT], list[_NetworkT]]:
    """Return the networks of a family that may do everything, and those that may not."""
    kind = type(everything)
    left, full, rest = [everything], list[_NetworkT](), list[_NetworkT]()
    for network, access in table.networks:
        if isinstance(network, kind):
            (full if access is Access.FULL else rest).extend(_common(left, network))
            left = _without(left, network)
    (full if table.default is Access.FULL else rest).extend(left)
    return list(collapse_addresses(full)), list(collapse_addresses(rest))


def _common(networks: Iterable[_NetworkT], other: _NetworkT) -> list[_NetworkT]:
    return [other if other.subnet_of(one) else one for one in networks if one.overlaps(other)]


def _without(networks: Iterable[_NetworkT], other: _NetworkT) -> list[_NetworkT]:
    left: list[_NetworkT] = []
    for one in networks:
        if not one.overlaps(other):
            left.append(one)
        elif not one.subnet_of(other):
            left.extend(one.address_exclude(other))
    return left


def _in_words(full: Sequence[_NetworkT], rest: Sequence[_NetworkT]) -> tuple[str, bool]:
    """Return who may do everything: whichever is shorter, who they are, or who is left out."""
    if not full:
        return "nobody", False
    if not rest:
        return "everybody", True
    if len(rest) < len(full):
        return f"everybody but {_listed(rest)}", False
    return f"only {_listed(full)}", False


def _listed(networks: Sequence[_NetworkT]) -> str:
    named = ", ".join(map(str, networks[:_MOST_NAMED]))
    more = len(networks) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named
