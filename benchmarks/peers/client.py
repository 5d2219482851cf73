"""The measuring client: one process for all the connections of a case, the same for every server.

Run as ``python -IS client.py``, with a plan as JSON on standard input; it prints its result as JSON.

One process with epoll serves all connections: on few cores, a process for each client would measure the scheduler,
and how much a client costs is the same for every server. While the clock runs, it counts closing tags; messages are
kept and read afterwards. Only what is too large to keep is compared as it comes, at the speed of memory.

The clock starts when a burst is asked for, and stops when the last client has its last message. Then comes the next
burst, as a driver also waits until one BLOB is through before it sends the next.
"""

from __future__ import annotations

import array
import json
import mmap
import os
import re
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass

Address = str | tuple[str, int]

RECEIVE_BYTES = 1 << 18
DESCRIPTORS = 16
SETTLE_SECONDS = 0.3
POLL_SECONDS = 1.0
ASK_AGAIN_SECONDS = 1.0
START_SECONDS = 20.0
DEFINITION = b"</defNumberVector>"  # the last one that the driver sends
SPACE = b" \r\n\t"

NUMBERS = re.compile(
    rb"<setNumberVector\b([^>]*)>\s*<oneNumber name=[\"']RA[\"']>\s*([^<]*?)\s*</oneNumber>"
    rb"\s*<oneNumber name=[\"']DEC[\"']>\s*([^<]*?)\s*</oneNumber>\s*</setNumberVector>"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    :param address: host and port, or the address of a unix socket.
    :param tag: the closing tag of the updates.
    :param content: what an update is: ``"numbers"``; or ``"descriptors"``; or the beginning of the element whose
        content is the same every time, ``"<oneBLOB"`` or ``"<oneText"``.
    :param expected: the file with that content.
    :param bursts: how many updates each burst has; the first one is burst 0, which warms up, all others burst 1.
    :param readers: how many connections read.
    :param stalled: how many more do not, once they have the definitions.
    :param seconds: how long a burst may take.
    """

    address: Address
    tag: str
    content: str
    expected: str = ""
    bursts: tuple[int, ...] = ()
    readers: int = 1
    stalled: int = 0
    seconds: float = 120.0

    def to_json(self) -> str:
        """Return it as this program reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan that :meth:`to_json` has written."""
        fields = json.loads(text)
        if not isinstance(fields["address"], str):
            fields["address"] = tuple(fields["address"])
        return cls(**fields)


class WrongContentError(Exception):
    """What came is not what the driver has sent."""


class Link:
    """A connection that counts updates.

    :param tag: the closing tag of the updates.
    :ivar count: how many have come.
    """

    def __init__(self, address: Address, tag: bytes) -> None:
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(START_SECONDS)
        self.sock.connect(address)
        self.count = 0
        self.tag = tag
        self._tail = b""

    def take(self) -> None:
        """Receive what there is."""
        data = self.receive()
        if not data:
            raise ConnectionError(f"the server has closed a connection after {self.count} updates")
        self.handle(data)

    def handle(self, data: bytes) -> None:
        """Count the tags in what came."""
        # A tag that is cut in two is in neither piece, and lies between them.
        overlap = len(self.tag) - 1
        self.count += data.count(self.tag) + (self._tail + data[:overlap]).count(self.tag)
        self._tail = (self._tail + data[-overlap:])[-overlap:]
        self.keep(data)

    def receive(self) -> bytes:
        """Receive some bytes."""
        return self.sock.recv(RECEIVE_BYTES)

    def keep(self, data: bytes) -> None:
        """Do with the data what the check needs."""

    def check(self, count: int) -> None:
        """Check the updates that came since the last check: ``count`` of them, as they were sent."""


class NumberLink(Link):
    """A connection for small messages, which are kept and read when the clock has stopped."""

    def __init__(self, address: Address, tag: bytes) -> None:
        super().__init__(address, tag)
        self._kept: list[bytes] = []

    def keep(self, data: bytes) -> None:
        """Keep it."""
        self._kept.append(data)

    def check(self, count: int) -> None:
        """Check that each has the values, the state and the names that it was sent with, in order."""
        found = NUMBERS.findall(b"".join(self._kept))
        self._kept.clear()
        if len(found) != count:
            raise WrongContentError(f"{count} updates were sent, {len(found)} good ones came")
        for number, (head, ra, dec) in enumerate(found):
            if float(ra) != 12.345678 or float(dec) != number or not is_head(head):
                raise WrongContentError(f"update {number} came with {head!r}, {ra!r} and {dec!r}")


def is_head(head: bytes) -> bool:
    """Return whether these are the attributes of an update."""
    text = head.replace(b"'", b'"')
    return all(part in text for part in (b'device="Bench"', b'name="POSITION"', b'state="Ok"', b'timestamp="2026'))


class PayloadLink(Link):
    """A connection for large messages, each with the same content, which is compared as it comes.

    :param marker: the beginning of the element that has the content.
    :param expected: the content, without white space at its ends.
    """

    def __init__(self, address: Address, tag: bytes, marker: bytes, expected: bytes) -> None:
        super().__init__(address, tag)
        self._marker = marker
        self._expected = expected
        self._head = b""
        self._position: int | None = None
        self._complete = 0

    def handle(self, data: bytes) -> None:
        """Compare first: in what is nothing but content there is no tag to be looked for."""
        if self._position is not None and self._expected.startswith(data, self._position):
            self._position += len(data)
        else:
            super().handle(data)

    def keep(self, data: bytes) -> None:
        """Compare what it has of the content."""
        while data:
            data = self._find_content(data) if self._position is None else self._compare(data, self._position)

    def check(self, count: int) -> None:
        """Check that so many have come whole."""
        if self._complete != count:
            raise WrongContentError(f"{count} contents were sent, {self._complete} came")
        self._complete = 0

    def _find_content(self, data: bytes) -> bytes:
        data = self._head + data
        begin = data.find(self._marker)
        end = data.find(b">", begin) if begin >= 0 else -1
        if end < 0:
            self._head = data[begin:] if begin >= 0 else data[1 - len(self._marker) :]
            return b""
        self._head, self._position = b"", 0
        return data[end + 1 :]

    def _compare(self, data: bytes, position: int) -> bytes:
        end = data.find(b"<")
        position += self._fitting(data if end < 0 else data[:end], position)
        if end < 0:
            self._position = position
            return b""
        if position != len(self._expected):
            raise WrongContentError(f"of {len(self._expected)} bytes of a content, {position} came")
        self._position = None
        self._complete += 1
        return data[end:]

    def _fitting(self, piece: bytes, position: int) -> int:
        """Return how much of the expected content this is; servers add and remove white space at its ends."""
        trimmed = piece if position else piece.lstrip(SPACE)
        if position + len(trimmed) > len(self._expected):
            trimmed = trimmed.rstrip(SPACE)
        for form in (trimmed, trimmed.translate(None, SPACE)):
            if self._expected.startswith(form, position):
                return len(form)
        raise WrongContentError(f"a content differs between {position} and {position + len(piece)}")


class DescriptorLink(Link):
    """A connection where contents come in descriptors; they are compared when the clock has stopped."""

    def __init__(self, address: Address, tag: bytes, expected: bytes) -> None:
        super().__init__(address, tag)
        self._expected = expected
        self._descriptors: list[int] = []

    def receive(self) -> bytes:
        """Receive some bytes, and take the descriptors that come with them."""
        item = array.array("i").itemsize
        data, ancillary, _, _ = self.sock.recvmsg(RECEIVE_BYTES, socket.CMSG_SPACE(DESCRIPTORS * item))
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._descriptors += array.array("i", content[: len(content) // item * item])
        return data

    def check(self, count: int) -> None:
        """Look into the memory behind each descriptor."""
        if len(self._descriptors) != count:
            raise WrongContentError(f"{count} descriptors were sent, {len(self._descriptors)} came")
        while self._descriptors:
            descriptor = self._descriptors.pop()
            with mmap.mmap(descriptor, len(self._expected), prot=mmap.PROT_READ) as memory:
                same = memory[:] == self._expected
            os.close(descriptor)
            if not same:
                raise WrongContentError("the content behind a descriptor differs")


class Client:
    """All connections of a case."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tag = plan.tag.encode()
        self._expected = read(plan.expected) if plan.expected else b""
        self._poll = select.epoll()
        self._links: dict[int, Link] = {}

    def open(self) -> None:
        """Connect one after the other; those who shall not read any more after their start are the last."""
        opened = [self._open_link() for _ in range(self._plan.readers + self._plan.stalled)]
        while ready := self._poll.poll(SETTLE_SECONDS):  # what is still on its way, answers to others among it
            for number, _ in ready:
                self._links[number].take()
        for number in opened[self._plan.readers :]:
            self._poll.unregister(number)
        self._readers = {number: self._links[number] for number in opened[: self._plan.readers]}

    def run(self) -> list[float]:
        """Run all bursts, and return how long each took in seconds, without the first, which warms up."""
        return [self._burst(min(number, 1), count) for number, count in enumerate(self._plan.bursts)][1:]

    def _open_link(self) -> int:
        link = self._make_link()
        number = link.sock.fileno()
        self._links[number] = link
        self._poll.register(number, select.EPOLLIN)
        ask(link, b'<getProperties version="1.7"/>\n')
        # The second answer shows that the server knows of the wish for BLOBs.
        ask(link, b'<enableBLOB device="Bench">Also</enableBLOB>\n<getProperties version="1.7" device="Bench"/>\n')
        return number

    def _make_link(self) -> Link:
        address, content = self._plan.address, self._plan.content
        if content == "numbers":
            return NumberLink(address, self._tag)
        if content == "descriptors":
            return DescriptorLink(address, self._tag, self._expected)
        return PayloadLink(address, self._tag, content.encode(), self._expected)

    def _burst(self, which: int, count: int) -> float:
        limit = time.monotonic() + self._plan.seconds
        missing = {number: link.count + count for number, link in self._readers.items()}
        begin = time.perf_counter()
        next(iter(self._readers.values())).sock.sendall(trigger(which))
        while missing:
            for number, _ in self._poll.poll(POLL_SECONDS):
                link = self._links[number]
                link.take()
                if number in missing and link.count >= missing[number]:
                    del missing[number]
            if time.monotonic() > limit:
                lacks = [goal - self._links[number].count for number, goal in missing.items()]
                raise TimeoutError(f"after {self._plan.seconds:.0f} s, clients miss {lacks} of {count} updates")
        end = time.perf_counter()
        for link in self._readers.values():
            link.check(count)
        return end - begin


def trigger(number: int) -> bytes:
    """Return the message that asks for a burst."""
    element = f'<oneNumber name="BURST">{number}</oneNumber>'
    return f'<newNumberVector device="Bench" name="GO">{element}</newNumberVector>\n'.encode()


def ask(link: Link, question: bytes) -> None:
    """Ask, and again from time to time, until the definitions have come: the driver may be about to start."""
    deadline = time.monotonic() + START_SECONDS
    link.sock.settimeout(ASK_AGAIN_SECONDS)
    tail = b""
    link.sock.sendall(question)
    while DEFINITION not in tail:
        try:
            data = link.sock.recv(RECEIVE_BYTES)
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
            link.sock.sendall(question)
            continue
        if not data:
            raise ConnectionError("the server has closed a connection at its start")
        tail += data
    link.sock.settimeout(START_SECONDS)


def read(path: str) -> bytes:
    """Return what is in a file."""
    with open(path, "rb") as file:
        return file.read()


def main() -> None:
    """Do what the plan says, and print how long each burst took."""
    client = Client(Plan.from_json(sys.stdin.read()))
    client.open()
    json.dump(client.run(), sys.stdout)


if __name__ == "__main__":
    main()
