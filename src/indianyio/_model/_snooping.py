"""What a driver snoops on, and when to ask for it again.

A server forgets what a driver wanted when either of them, or the snooped driver, is restarted, and does not say so.
So a watch has a timeout: when it has heard nothing for that long, it asks again. The table only says when; it has
no clock, and its times are seconds on any monotonic clock. Whoever runs it sleeps until ``next_deadline`` and sends
what is ``due``; a new watch moves that deadline.

Whatever is heard before the first request does not count: otherwise traffic that happens to pass could keep a watch
from ever being registered at the server.
"""

from __future__ import annotations

import msgspec

from indianyio.protocol._messages import GetProperties
from indianyio.protocol._text import require_xml_text

__all__ = ["AT_ONCE", "SHORTEST_TIMEOUT_SECONDS", "SnoopTable"]

AT_ONCE = float("-inf")
"""A time before all others on any clock."""

SHORTEST_TIMEOUT_SECONDS = 5.0
"""Asking more often would make every snooped driver define all it has, to all clients (docs/protocol.md 2.5)."""


class _Watch(msgspec.Struct):
    """One vector that is asked for again after ``timeout`` seconds of silence."""

    timeout: float
    deadline: float
    asked: bool = False


class SnoopTable:
    """The devices and vectors that a driver listens to."""

    def __init__(self) -> None:
        self._all = False
        self._devices: set[str] = set()
        self._vectors: dict[tuple[str, str], _Watch | None] = {}

    @property
    def snoopall(self) -> bool:
        """Whether the driver listens to everything."""
        return self._all

    @property
    def snoopdevices(self) -> set[str]:
        """The devices that the driver listens to as a whole; a copy."""
        return set(self._devices)

    @property
    def snoopvectors(self) -> dict[tuple[str, str], float | None]:
        """The timeout of each watch in seconds, by device and vector; ``None`` if it never asks again. A copy."""
        return {key: None if watch is None else watch.timeout for key, watch in self._vectors.items()}

    def watch(self, device: str, vector: str, timeout: float, now: float) -> None:
        """Listen to a vector: ask at once, and again after each ``timeout`` seconds of silence.

        If the vector is already watched, it gets the new timeout and is asked for at once.

        :raises TypeError: ``timeout`` is not a number, or a name is not a text.
        :raises ValueError: ``timeout`` is below 5 seconds or not finite, or a name is empty or cannot be carried by
            XML.
        """
        key = _key(device, vector)
        seconds = _checked_timeout(timeout)
        self._vectors[key] = _Watch(seconds, now)

    def watch_vector(self, device: str, vector: str) -> None:
        """Listen to a vector without ever asking again; a watch that does ask again is not changed.

        :raises ValueError: a name is empty or cannot be carried by XML.
        """
        self._vectors.setdefault(_key(device, vector), None)

    def forget(self, device: str, vector: str) -> None:
        """Stop listening to a vector, unless its device or everything is listened to."""
        self._vectors.pop((device, vector), None)

    def watch_device(self, device: str) -> None:
        """Listen to all of a device, without ever asking again.

        :raises ValueError: the name is empty or cannot be carried by XML.
        """
        self._devices.add(_name(device, "device"))

    def watch_all(self) -> None:
        """Listen to everything."""
        self._all = True

    def wants(self, device: str | None, vector: str | None) -> bool:
        """Return whether a message is for the driver.

        Whoever watches any of a device gets what concerns all of it (``message``, its deletion). A message without
        a device is addressed to everybody, so whoever watches anything gets it.

        :param device: the message's device, if it names one.
        :param vector: the message's vector, if it names one.
        """
        if self._all:
            return True
        if not device:
            return bool(self._devices or self._vectors)
        if device in self._devices:
            return True
        if vector:
            return (device, vector) in self._vectors
        return any(watched == device for watched, _ in self._vectors)

    def heard(self, device: str | None, vector: str | None, now: float) -> None:
        """Note a message, which postpones asking for its vector again, or without one for all of its device."""
        for watched, watch in self._vectors.items():
            if watch is not None and watch.asked and watched[0] == device and vector in (None, "", watched[1]):
                watch.deadline = now + watch.timeout

    def due(self, now: float) -> list[GetProperties]:
        """Return what must be sent now; it counts as sent."""
        requests = []
        for (device, vector), watch in self._vectors.items():
            if watch is not None and watch.deadline <= now:
                watch.asked = True
                watch.deadline = now + watch.timeout
                requests.append(GetProperties(device=device, name=vector))
        return requests

    def restart(self) -> None:
        """Treat every watch as one never asked for, because this is another server."""
        for watch in self._vectors.values():
            if watch is not None:
                watch.asked = False
                watch.deadline = AT_ONCE

    def next_deadline(self) -> float | None:
        """Return the time at which something is due, or ``None`` if nothing ever will be."""
        return min((watch.deadline for watch in self._vectors.values() if watch is not None), default=None)


def _key(device: str, vector: str) -> tuple[str, str]:
    return _name(device, "device"), _name(vector, "vector")


def _name(name: str, what: str) -> str:
    # Other people's names may contain more characters than ours.
    if not require_xml_text(name, f"the name of a {what} to snoop"):
        raise ValueError(f"the name of a {what} to snoop must not be empty")
    return name


def _checked_timeout(timeout: object) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"a snoop's timeout must be a number of seconds, not {timeout!r}")
    # It must be finite: for a watch that never asks again there is watch_vector().
    if not SHORTEST_TIMEOUT_SECONDS <= timeout < float("inf"):
        raise ValueError(f"a snoop's timeout must be at least {SHORTEST_TIMEOUT_SECONDS:g} seconds, not {timeout}")
    return float(timeout)
