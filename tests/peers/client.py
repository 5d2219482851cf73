"""A client made of a plain socket and expat, so that no server is asked by a library that is made for it."""

from __future__ import annotations

import re
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Self, cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from tests.peers.sockets import Address, connect

__all__ = ["BrokenRuleError", "Client", "value_of"]

PROLOG = re.compile(rb"<\?xml[^>]*\?>")
READ_BYTES = 1 << 18
# What a slow driver or server may need between two messages.
SEND_SECONDS = 10.0
HEARD_MESSAGES = 20_000


class BrokenRuleError(AssertionError):
    """A server did not keep a rule; the text says what was seen."""


def value_of(element: Element) -> str:
    """Return the value of a vector's only member."""
    return (element[0].text or "").strip() if len(element) else ""


class Client:
    """A client whose every wait ends.

    :param address: where the server, or the line to it, listens.
    :param patience: the most seconds that one answer may take.
    :ivar mirror: the value of each vector that it knows and that has not been deleted, by device and name.
    :ivar heard: every message so far, the last 20 000.
    """

    def __init__(self, address: Address, patience: float) -> None:
        self.patience = patience
        self.mirror: dict[tuple[str, str], str] = {}
        self.heard: deque[Element] = deque(maxlen=HEARD_MESSAGES)
        self._ready: deque[Element] = deque()
        self._depth = 0
        self._held = b""
        self._sock = connect(address)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        self._parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        self._parser.feed("<stream>")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sock.close()

    def send(self, data: str | bytes) -> None:
        """Send it as it is.

        :raises BrokenRuleError: the server does not read.
        :raises OSError: the server has closed the connection.
        """
        self._sock.settimeout(SEND_SECONDS)
        try:
            self._sock.sendall(data.encode() if isinstance(data, str) else data)
        except TimeoutError:
            raise BrokenRuleError(f"the server takes nothing more within {SEND_SECONDS:g} s") from None

    def ask(self, device: str | None = None) -> None:
        """Ask for the properties of this device, or of all."""
        about = f' device="{device}"' if device else ""
        self.send(f'<getProperties version="1.7"{about}/>\n')

    def write(self, device: str, name: str, value: str) -> None:
        """Write to a text vector."""
        head = f'<newTextVector device="{device}" name="{name}">'
        self.send(f'{head}<oneText name="t">{value}</oneText></newTextVector>\n')

    def order(self, device: str, what: str) -> None:
        """Have the driver of a device do something."""
        self.write(device, "DO", what)

    def policy(self, device: str, value: str) -> None:
        """Set the BLOB policy for a device."""
        self.send(f'<enableBLOB device="{device}">{value}</enableBLOB>\n')

    def receive(self, seconds: float) -> Element:
        """Return the next message.

        :raises TimeoutError: there is none in time.
        :raises ConnectionError: the server has closed the connection, or what it sends is not XML.
        """
        deadline = time.monotonic() + seconds
        while not self._ready:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
            data = self._sock.recv(READ_BYTES)
            if not data:
                raise ConnectionError("the server has closed the connection")
            self._feed(data)
        return self._ready.popleft()

    def until(self, fits: Callable[[Element], bool], what: str, seconds: float | None = None) -> Element:
        """Return the next message that fits; ``what`` says in the failure what it should have been.

        :raises BrokenRuleError: it does not come in time, or never will.
        """
        seconds = self.patience if seconds is None else seconds
        deadline = time.monotonic() + seconds
        try:
            while not fits(element := self.receive(deadline - time.monotonic())):
                pass
        except TimeoutError:
            raise BrokenRuleError(f"no {what} within {seconds:g} s") from None
        except ConnectionError as exc:
            raise BrokenRuleError(f"no {what}: {exc}") from None
        return element

    def sees(self, fits: Callable[[Element], bool], what: str, seconds: float | None = None) -> None:
        """Wait until a message that fits has come, unless it has already."""
        if not any(map(fits, self.heard)):
            self.until(fits, what, seconds)

    def listen(self, seconds: float) -> None:
        """Read what comes for so long."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.receive(deadline - time.monotonic())
        except (TimeoutError, ConnectionError):
            return  # who goes on asking sees that the connection is closed

    def knows(self, *devices: str) -> None:
        """Wait until these devices are defined and have answered, so that no definition is still on its way."""

        def all_known() -> bool:
            return all((device, "IMAGE") in self.mirror for device in devices)

        if not all_known():
            self.until(lambda _: all_known(), f"definition of {' and '.join(devices)}")
        for device in devices:
            self.echo(device)

    def defined(self, device: str, seconds: float | None = None) -> None:
        """Wait until a device is defined once more, which its BLOB vector ends."""
        fits = _fits("defBLOBVector", device, "IMAGE")
        self.until(fits, f"definition of {device}", seconds)

    def deleted(self, device: str, seconds: float | None = None) -> None:
        """Wait until everything of a device is deleted."""

        def is_gone(element: Element) -> bool:
            left = any(key[0] == device for key in self.mirror)
            return element.tag == "delProperty" and element.get("device") == device and not left

        self.until(is_gone, f"delProperty of {device}", seconds)

    def shows(self, device: str, name: str, value: str, seconds: float | None = None) -> None:
        """Wait until a vector has this value."""
        fits = _fits("setTextVector", device, name)
        what = f"{name} {value[:40]!r} of {device}"
        self.until(lambda element: fits(element) and value_of(element) == value, what, seconds)

    def echo(self, device: str, seconds: float | None = None) -> float:
        """Write to a device and wait for its answer, behind which everything older has come; return the seconds."""
        word = uuid.uuid4().hex
        began = time.monotonic()
        try:
            self.write(device, "ECHO", word)
        except OSError as exc:
            raise BrokenRuleError(f"no answer of {device}: {exc}") from None
        answers = _fits("setTextVector", device, "ECHO")
        self.until(lambda element: answers(element) and value_of(element) == word, f"answer of {device}", seconds)
        return time.monotonic() - began

    def values(self, device: str, name: str) -> list[str]:
        """Return all values of a vector that have come so far."""
        fits = _fits("setTextVector", device, name)
        return [value_of(element) for element in self.heard if fits(element)]

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed(self._without_prologs(data))
            # From 2.6 on, expat keeps a tag that came in pieces until more follows; older Pythons have no flush().
            if (flush := getattr(self._parser, "flush", None)) is not None:
                flush()
            for event, element in cast("Iterator[tuple[str, Element]]", self._parser.read_events()):
                self._depth += 1 if event == "start" else -1
                if event == "end" and self._depth == 1:
                    self._take(element)
        except ParseError as exc:
            raise ConnectionError(f"what the server sends is not XML: {exc}") from None

    def _without_prologs(self, data: bytes) -> bytes:
        """Leave out what some servers send before every message and most clients skip."""
        data = PROLOG.sub(b"", self._held + data)
        begun = data.rfind(b"<?")
        begun = len(data) - data.endswith(b"<") if begun < 0 else begun
        self._held = data[begun:]
        return data[:begun]

    def _take(self, element: Element) -> None:
        self._ready.append(element)
        self.heard.append(element)
        device, name = element.get("device", ""), element.get("name")
        if element.tag == "delProperty":
            for key in [key for key in self.mirror if key[0] == device and name in {None, key[1]}]:
                del self.mirror[key]
        elif name is not None and element.tag.startswith(("def", "set")):
            self.mirror[device, name] = value_of(element)


def _fits(tag: str, device: str, name: str) -> Callable[[Element], bool]:
    return lambda element: (element.tag, element.get("device"), element.get("name")) == (tag, device, name)
