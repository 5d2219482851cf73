"""What a rule is: one promise of a server's, asked from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from tests.peers.client import BrokenRuleError, Client
from tests.peers.proxy import Proxy, proxy
from tests.peers.servers import Peer, Server
from tests.peers.sockets import Address

__all__ = ["PATIENCE", "NotAskedError", "Rule", "expect"]

PATIENCE = 20.0
"""Seconds for what takes a server some milliseconds, so that no verdict depends on how busy the machine is."""


class NotAskedError(Exception):
    """A server does not have what the rule is about."""


@dataclass(frozen=True, slots=True)
class Rule(ABC):
    """One promise. The docstring of each says what is done; the page about the servers shows it.

    :cvar says: the promise, in one sentence.
    :cvar why: why it matters.
    :param patience: the most seconds that a server may take for what it has to do at once.
    :param seed: decides what lines and rubbish are like.
    :ivar measured: what was measured on the way, for the page.
    """

    says: ClassVar[str]
    why: ClassVar[str]
    about_programs: ClassVar[bool] = False
    """Whether it is about drivers that are programs, or about servers of servers."""

    patience: float = PATIENCE
    seed: int = 0
    measured: list[str] = field(default_factory=list)

    def check(self, peer: Peer) -> None:
        """Ask this server.

        :raises BrokenRuleError: it does not keep the rule.
        :raises OSError: it does not keep the rule either: the connection, or the server, did not last.
        :raises NotAskedError: it cannot be asked.
        """
        if self.about_programs and not peer.has_programs:
            raise NotAskedError("its devices are in its own process, and it serves no other server")
        self.ask(peer)

    @abstractmethod
    def ask(self, peer: Peer) -> None:
        """Ask this server; :meth:`check` has looked whether it can be asked."""

    def client(self, address: Address) -> Client:
        return Client(address, self.patience)

    @contextmanager
    def knowing(self, address: Address, *devices: str) -> Iterator[Client]:
        """Give a client that has asked for everything and has the definitions of these devices."""
        with self.client(address) as client:
            client.ask()
            client.knows(*devices)
            yield client

    @contextmanager
    def chain(self, peer: Peer) -> Iterator[tuple[Server, Proxy]]:
        """Run two servers of which the first serves the second, over a line, and so its Box."""
        with peer.serving("Box") as inner, proxy(inner.port) as line:
            assert isinstance(line.address, int)
            with peer.serving("Near", remotes=[line.address]) as outer:
                yield outer, line


def expect(kept: bool, seen: str) -> None:
    """Fail with what was seen."""
    if not kept:
        raise BrokenRuleError(seen)
