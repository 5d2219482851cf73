"""The drivers and other servers that were asked for, by the names under which they can be stopped again."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from indianyio.indiserver._commands import Start, Stop
from indianyio.model import PeerStatistics
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._hub import Hub, Port
from indianyio.server._remotes import RemoteServer

__all__ = ["Entry", "Roster", "child_environment"]

DEFAULT_PORT = 7624

# An IPv6 address has colons of its own, so it stands in brackets; indiserver knows none.
_REMOTE = re.compile(r"(?P<device>[^@]*)@(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^@:\[\]\s]+))(?::(?P<port>[0-9]{1,5}))?")

# What libindi's drivers read (protocol.md 3.1), by the option that says it.
_VARIABLES = {"n": "INDIDEV", "c": "INDICONFIG", "s": "INDISKEL", "p": "INDIPREFIX"}
_PREFIX = "p"


class _Program(ExternalDriver):
    @property
    def port(self) -> Port | None:
        return self._port


class _Server(RemoteServer):
    @property
    def port(self) -> Port | None:
        return self._port


class Entry:
    """Something that brings devices, under the name by which it was asked for.

    :ivar target: that name.
    :ivar name: what it is called in log lines.
    :ivar stopping: whether it was told to stop, or has ended; then it is nobody's to find any more.
    """

    def __init__(self, target: str, source: _Program | _Server) -> None:
        self.target = target
        self.name = source.name
        self.stopping = False
        self._source = source

    async def run(self, hub: Hub) -> None:
        """Bring the devices until there are no more to come.

        :raises OSError: the program cannot be started.
        """
        try:
            await self._source.run(hub)
        finally:
            self.stopping = True

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far."""
        return self._source.statistics()

    def has(self, device: str, hub: Hub) -> bool:
        """Tell whether a device is this one's."""
        return self._source.port is not None and hub.router.owner(device) is self._source.port


class Roster:
    """All of them, in the order in which they were asked for.

    :param restarts: how often each program is started again.
    :param with_fifo: whether there is a fifo; then programs get only what was said there of their devices.
    """

    def __init__(self, *, restarts: int, with_fifo: bool) -> None:
        self._restarts = restarts
        self._with_fifo = with_fifo
        self._entries: list[Entry] = []

    def add(self, start: Start) -> Entry:
        """Note a driver or another server that is to be run.

        :raises ValueError: it is meant as another server but written in another way, or cannot be a program.
        """
        entry = Entry(start.target, _server(start.target) if "@" in start.target else self._program(start))
        self._entries = [one for one in self._entries if not one.stopping]
        self._entries.append(entry)
        return entry

    def take(self, stop: Stop, hub: Hub) -> Entry:
        """Return the first entry that is to be stopped, and find it no more.

        :raises LookupError: there is none, or it is not clear which of several is meant.
        """
        found = [one for one in self._entries if one.target == stop.target and not one.stopping]
        if stop.device is not None:
            found = [one for one in found if one.has(stop.device, hub)]
        if not found:
            having = "" if stop.device is None else f" that has {stop.device!r}"
            raise LookupError(f"there is no driver {stop.target!r}{having}")
        # indiserver would stop the first, and that may be the wrong camera.
        if stop.ignored and len(found) > 1:
            raise LookupError(f"{stop.ignored!r} does not say which {stop.target!r} is meant")
        found[0].stopping = True
        return found[0]

    def _program(self, start: Start) -> _Program:
        prefix = start.values.get(_PREFIX)
        program = start.target if prefix is None else f"{prefix}/bin/{start.target}"
        environment = child_environment(os.environ, start.values) if self._with_fifo else None
        return _Program(program, restarts=self._restarts, environment=environment)


def child_environment(inherited: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return what a driver finds in its environment (protocol.md 2.12).

    :param inherited: what this process has.
    :param values: what was said about the driver, by letter; what was not said of its device, it does not inherit.
    """
    unsaid = {variable for letter, variable in _VARIABLES.items() if letter not in values and letter != _PREFIX}
    environment = {name: value for name, value in inherited.items() if name not in unsaid}
    return environment | {_VARIABLES[letter]: value for letter, value in values.items()}


def _server(target: str) -> _Server:
    found = _REMOTE.fullmatch(target)
    if found is None:
        raise ValueError(f"bad remote device syntax: {target!r} is not [device]@host[:port]")
    port = int(found["port"] or DEFAULT_PORT)
    return _Server(found["ipv6"] or found["host"], port, found["device"] or None)
