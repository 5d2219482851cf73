"""An answer goes at once if nothing else is on its way, and never in the middle of something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import anyio
import pytest

from indianyio._link import Link
from indianyio._model import Outbox, Outgoing
from indianyio._vocabulary import Limits
from indianyio.protocol import Attachment
from indianyio.streams import Received

pytestmark = pytest.mark.anyio

REQUEST = b"<getProperties version='1.7'/>"


class Wire:
    """A stream that shows how each piece was sent: at once, or by the writer."""

    name = "wire"
    carries_attachments = False

    def __init__(self, at_once_bytes: int = 1 << 20) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self._at_once_bytes = at_once_bytes
        self._requests = 0
        self._news = anyio.Event()
        self.sending = anyio.Event()
        self.may_go_on: anyio.Event | None = None

    def request(self) -> None:
        self._requests += 1
        self._news.set()

    async def receive(self) -> Received:
        while not self._requests:
            await self._news.wait()
            self._news = anyio.Event()
        await anyio.lowlevel.checkpoint()
        self._requests -= 1
        return Received(REQUEST)

    async def send(self, data: bytes | memoryview, attachments: Sequence[Attachment] = ()) -> None:
        await anyio.lowlevel.checkpoint()
        self.sending.set()
        if self.may_go_on is not None:
            await self.may_go_on.wait()
        self.sent.append(("writer", bytes(data)))

    def send_now(self, data: bytes) -> int:
        taken = data[: self._at_once_bytes]
        if taken:
            self.sent.append(("at once", taken))
        return len(taken)

    async def aclose(self) -> None:
        """Do nothing."""


def queue(link: Link, outbox: Outbox, data: bytes) -> None:
    outbox.add(Outgoing((data,)))
    link.push()


def answer_at_once(link: Link, outbox: Outbox, data: bytes) -> None:
    if not link.answer(data):
        queue(link, outbox, data)


Put: TypeAlias = Callable[[Link, Outbox, bytes], None]


@pytest.fixture(params=[queue, answer_at_once])
def put(request: pytest.FixtureRequest) -> Put:
    """How a message is given to the link; nobody can tell the difference."""
    chosen: Put = request.param
    return chosen


async def converse(wire: Wire, answers: Sequence[bytes], put: Put) -> list[tuple[str, bytes]]:
    """Answer one request, and return how the answers were sent."""
    outbox = Outbox(1 << 20)
    link = Link(wire, limits=Limits(), outbox=outbox)

    def answer(_: object) -> None:
        for data in answers:
            put(link, outbox, data)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.read, answer)
        tasks.start_soon(link.write)
        await anyio.wait_all_tasks_blocked()
        wire.request()
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    return wire.sent


async def test_an_answer_goes_at_once(put: Put) -> None:
    assert await converse(Wire(), [b"<a/>"], put) == [("at once", b"<a/>")]


async def test_what_comes_behind_it_goes_together_when_the_writer_has_its_turn(put: Put) -> None:
    sent = await converse(Wire(), [b"<a/>", b"<b/>", b"<c/>"], put)
    assert sent == [("at once", b"<a/>"), ("writer", b"<b/><c/>")]


@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_the_writer_begins_with_what_the_kernel_did_not_take(put: Put, taken: int) -> None:
    sent = await converse(Wire(taken), [b"<a/>", b"<b/>"], put)
    assert b"".join(data for _, data in sent) == b"<a/><b/>"
    assert [who for who, _ in sent] == ["at once"] * (taken > 0) + ["writer", "writer"]


async def test_what_is_long_is_left_to_the_writer(put: Put) -> None:
    long = b"x" * ((64 << 10) + 1)
    assert await converse(Wire(), [long], put) == [("writer", long)]


async def test_nothing_goes_at_once_that_is_no_answer(put: Put) -> None:
    wire = Wire()
    outbox = Outbox(1 << 20)
    link = Link(wire, limits=Limits(), outbox=outbox)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.write)
        await anyio.wait_all_tasks_blocked()
        put(link, outbox, b"<a/>")
        assert wire.sent == []
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert wire.sent == [("writer", b"<a/>")]


async def test_nothing_overtakes_what_the_writer_is_sending(put: Put) -> None:
    """The writer is in the middle of a message when an answer comes."""
    wire = Wire()
    wire.may_go_on = anyio.Event()
    outbox = Outbox(1 << 20)
    link = Link(wire, limits=Limits(), outbox=outbox)

    def answer(_: object) -> None:
        for data in (b"<a/>", b"<b/>"):
            put(link, outbox, data)

    async with anyio.create_task_group() as tasks:
        put(link, outbox, b"<first/>")
        tasks.start_soon(link.write)
        await wire.sending.wait()
        tasks.start_soon(link.read, answer)
        wire.request()
        await anyio.wait_all_tasks_blocked()
        wire.may_go_on.set()
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert b"".join(data for _, data in wire.sent) == b"<first/><a/><b/>"
    assert {who for who, _ in wire.sent} == {"writer"}
