"""The other end of what is measured: a socket, read as cheaply as Python can, the same for every contender.

Nothing is parsed while the clock runs: closing tags are counted, and what came is kept. Whether it was complete and
right is checked afterwards.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pybase64 import b64decode

__all__ = [
    "GET_PROPERTIES",
    "WIRE_SECONDS",
    "Wire",
    "check_echo",
    "check_image",
    "check_readings",
    "command",
    "connected",
]

WIRE_SECONDS = 60.0
"""How long nothing may come when something is expected."""

GET_PROPERTIES = b'<getProperties version="1.7"/>\n'

_RECEIVE_BYTES = 1 << 18
_MOST_DESCRIPTORS = 16

# The content of an IMAGE as driver.cpp makes it; it repeats after so many bytes.
_PATTERN = bytes((i * 31 + (i >> 8)) & 0xFF for i in range(1 << 16))

_READING = re.compile(rb"<oneNumber\s+name=[\"']VALUE[\"']\s*>\s*(\d+)\s*</oneNumber>")
_CONTENT = re.compile(rb"<oneBLOB[^>]*>([^<]*)</oneBLOB>")


def command(vector: str, member: str, value: int) -> bytes:
    """Return the message that gives a number of the device ``Bench`` a value."""
    number = f'<oneNumber name="{member}">{value}</oneNumber>'
    return f'<newNumberVector device="Bench" name="{vector}">{number}</newNumberVector>\n'.encode()


class Wire:
    """A connection to a driver or a server.

    :param reading: the socket to read from, with a time limit set; whoever made it closes it.
    :param writing: the one to write to, if that is another.
    :ivar takes_descriptors: whether descriptors that come are kept, which makes receiving a little slower.
    :ivar descriptors: those that came; see :meth:`close_descriptors`.
    """

    def __init__(self, reading: socket.socket, writing: socket.socket | None = None) -> None:
        self.reading = reading
        self.writing = writing or reading
        self.takes_descriptors = False
        self.descriptors: list[int] = []
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.writing.sendall(data)

    def receive_until(self, mark: bytes, count: int = 1) -> bytes:
        """Receive until ``mark`` has come so often, and return everything up to its end.

        What has come behind it is kept for the next call.

        :raises TimeoutError: nothing has come for too long.
        :raises ConnectionError: the peer has closed the connection.
        """
        pieces: list[bytes] = []
        overlap = len(mark) - 1
        missing, tail = count, b""
        while missing > 0:
            piece = self._next_piece()
            pieces.append(piece)
            # A mark that is cut in two is in neither piece, and lies between them.
            missing -= piece.count(mark) + (tail + piece[:overlap]).count(mark)
            tail = (tail + piece[-overlap:])[-overlap:]
        data = b"".join(pieces)
        end = len(data)
        for _ in range(1 - missing):
            end = data.rfind(mark, 0, end)
        end += len(mark)
        self._rest = data[end:]
        return data[:end]

    def close_descriptors(self) -> None:
        """Close the descriptors that came."""
        while self.descriptors:
            os.close(self.descriptors.pop())

    def _next_piece(self) -> bytes:
        piece, self._rest = self._rest, b""
        if piece:
            return piece
        if self.takes_descriptors:
            piece, descriptors, _, _ = socket.recv_fds(self.reading, _RECEIVE_BYTES, _MOST_DESCRIPTORS)
            self.descriptors += descriptors
        else:
            piece = self.reading.recv(_RECEIVE_BYTES)
        if not piece:
            raise ConnectionError("the peer has closed the connection")
        return piece


@contextmanager
def connected(port: int) -> Iterator[Wire]:
    """Connect to the server at this port of 127.0.0.1."""
    with socket.create_connection(("127.0.0.1", port), timeout=WIRE_SECONDS) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Wire(sock)


def check_readings(data: bytes, count: int) -> None:
    """Check that all the values of a burst came, in order.

    :raises ValueError: they did not.
    """
    values = list(map(int, _READING.findall(data)))
    if values != list(range(1, count + 1)):
        raise ValueError(f"of {count} messages, {len(values)} came, or their order or values are wrong")


def check_echo(data: bytes, value: int) -> None:
    """Check that what came is the answer to a write of this value.

    :raises ValueError: it is not.
    """
    if list(map(int, _READING.findall(data))) != [value] or b"ECHO" not in data:
        raise ValueError(f"the answer to {value} is {data!r}")


def check_image(data: bytes, descriptors: Sequence[int], size: int) -> None:
    """Check the content of an ``IMAGE``.

    :param data: the message.
    :param descriptors: what came with it.
    :raises ValueError: it is another one.
    """
    expected = (_PATTERN * (size // len(_PATTERN) + 1))[:size]
    if descriptors:
        content = os.pread(descriptors[0], size, 0)
    else:
        found = _CONTENT.search(data)
        content = b64decode(found[1].replace(b"\n", b"")) if found else b""
    if content != expected:
        raise ValueError(f"a BLOB of {size} bytes came out as {len(content)} bytes, or with other content")
