"""Whom access rules leave fully open, in words, for each address family that a server listens in.

A rule for IPv4 does not apply to the same machines when they connect over IPv6. So a server logs at its start what
its rules amount to in each family, before somebody relies on a rule that does not hold.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import TypeVar

from indianyio.server._access import Access, AccessRule, AccessTable, Connection, is_reachable, warn_if_open

__all__ = ["tell_openness"]

logger = logging.getLogger(__name__)

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
