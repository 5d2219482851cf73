"""The drivers and other servers that were asked for, by the names under which they can be stopped.

indiserver kills a driver that it stops; here the driver may take its time to park. A ``stop`` followed at once by a
``start`` often means one telescope on one serial port, with the same program or another. So a new driver starts
only when the stopped ones have ended; supervision limits how long that takes.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping

import anyio
import anyio.lowlevel

from indianyio._routing import PeerStatistics
from indianyio.indiserver._fifo import Start, Stop
from indianyio.indiserver._logs import say
from indianyio.server._exdrivers import ExternalDriver
from indianyio.server._hub import Hub
from indianyio.server._remotes import RemoteServer

__all__ = ["Entry", "Roster", "child_environment"]

logger = logging.getLogger(__name__)

DEFAULT_PORT = 7624

# An IPv6 address has colons of its own, so it stands in brackets; indiserver knows none.
_REMOTE = re.compile(r"(?P<device>[^@]*)@(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^@:\[\]\s]+))(?::(?P<port>[0-9]{1,5}))?")

# What libindi's drivers read (protocol.md 3.1), by the option that says it.
_VARIABLES = {"n": "INDIDEV", "c": "INDICONFIG", "s": "INDISKEL", "p": "INDIPREFIX"}
_DEVICE, _PREFIX = "n", "p"

# indiserver puts this before the name of a driver in its log, and KStars looks for it.
_CALLED = "Driver "


class Entry:
    """Something that brings devices, under the name by which it was asked for.

    :param start: what was asked for.
    :param source: the driver or server that brings the devices.
    :param before: entries that must have ended before this one starts.
    :ivar target: that name.
    :ivar name: what it is called in log lines.
    :ivar stopping: whether it was told to stop, or has ended; then commands no longer find it.
    :ivar ended: set when its process and its devices are gone.
    """

    def __init__(self, start: Start, source: ExternalDriver | RemoteServer, before: Iterable[Entry] = ()) -> None:
        self.target = start.target
        self.name = source.name
        self.stopping = False
        self.ended = anyio.Event()
        self._device = start.values.get(_DEVICE)
        self._source = source
        self._before = list(before)

    async def run(self, hub: Hub) -> None:
        """Serve the devices until the driver has ended for good, and log that in indiserver's words."""
        try:
            # An entry that was stopped right after its start is cancelled here, before there is a process.
            await anyio.lowlevel.checkpoint()
            while self._before:
                await self._before.pop().ended.wait()
            await self._source.run(hub)
        except OSError as error:
            logger.error("%s: %s", self.name, error)
        finally:
            self.stopping = True
            self.ended.set()
        # KStars looks for this very line, to ask its user whether to start the driver again.
        say(f"{self.name}: Terminated after #{self.statistics().restarts} restarts.")

    @property
    def end_seconds(self) -> float:
        """How long it may take to end when it is cancelled."""
        return self._source.end_seconds

    def statistics(self) -> PeerStatistics:
        """Return what has passed so far."""
        return self._source.statistics()

    def has(self, device: str, hub: Hub) -> bool:
        """Tell whether this entry has the device."""
        return self._source.port is not None and hub.router.owner(device) is self._source.port

    def was_named(self, device: str) -> bool:
        """Tell whether this entry was started with the device's name; its devices may have other names."""
        return self._device == device


class Roster:
    """All of them, in the order in which they were asked for.

    :param restarts: how often each program may be restarted.
    :param grace_seconds: how long each may take to end before SIGTERM is sent, and again before SIGKILL.
    :param with_fifo: whether there is a fifo; then the variables about devices come only from its commands.
    """

    def __init__(self, *, restarts: int, grace_seconds: float, with_fifo: bool) -> None:
        self._restarts = restarts
        self._grace_seconds = grace_seconds
        self._with_fifo = with_fifo
        self._entries: list[Entry] = []

    def add(self, start: Start) -> Entry:
        """Add a driver or another server to run.

        :raises ValueError: it has an ``@`` but is not ``[device]@host[:port]``, or cannot be a program.
        """
        self._entries = [one for one in self._entries if not one.ended.is_set()]
        before = [one for one in self._entries if one.stopping]
        source = _server(start.target) if "@" in start.target else self._program(start)
        entry = Entry(start, source, before)
        self._entries.append(entry)
        return entry

    def take(self, stop: Stop, hub: Hub) -> Entry:
        """Return the first entry that a command means, and mark it as stopping.

        A driver is also found by the device name with which it was started: clients stop it by that name, and not
        every driver gives that name to its device. indiserver would leave such a driver running.

        :raises LookupError: there is no such entry, or it is not clear which of several is meant.
        """
        found = [one for one in self._entries if one.target == stop.target and not one.stopping]
        # The target of another server includes the device's name already.
        if stop.device is not None and "@" not in stop.target:
            candidates, device = found, stop.device
            found = [one for one in candidates if one.has(device, hub)]
            found = found or [one for one in candidates if one.was_named(device)]
        if not found:
            having = "" if stop.device is None else f" that has {stop.device!r}"
            raise LookupError(f"there is no driver {stop.target!r}{having}")
        # indiserver would stop the first one, which may be the wrong camera.
        if stop.ignored and len(found) > 1:
            raise LookupError(f"{stop.ignored!r} does not say which {stop.target!r} is meant")
        found[0].stopping = True
        return found[0]

    def _program(self, start: Start) -> ExternalDriver:
        prefix = start.values.get(_PREFIX)
        program = start.target if prefix is None else f"{prefix}/bin/{start.target}"
        environment = child_environment(os.environ, start.values) if self._with_fifo else None
        name = f"{_CALLED}{start.target}"
        return ExternalDriver(
            program,
            restarts=self._restarts,
            grace_seconds=self._grace_seconds,
            environment=environment,
            name=name,
        )


def child_environment(inherited: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Return what a driver finds in its environment (protocol.md 2.12).

    :param inherited: what this process has.
    :param values: the options of the driver, by letter. A variable about its device is not inherited if its option
        is missing.
    """
    unsaid = {variable for letter, variable in _VARIABLES.items() if letter not in values and letter != _PREFIX}
    environment = {name: value for name, value in inherited.items() if name not in unsaid}
    return environment | {_VARIABLES[letter]: value for letter, value in values.items()}


def _server(target: str) -> RemoteServer:
    found = _REMOTE.fullmatch(target)
    if found is None:
        raise ValueError(f"bad remote device syntax: {target!r} is not [device]@host[:port]")
    port = int(found["port"] or DEFAULT_PORT)
    return RemoteServer(found["ipv6"] or found["host"], port, found["device"] or None)
