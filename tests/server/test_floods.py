"""What one peer sends costs the others nothing: shares, refusals, overtaking, and drivers that hang."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
import trio.testing

from indianyio import _link as link_module
from indianyio._routing import DriverOutbox, PeerStatistics
from indianyio._vocabulary import Limits
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import (
    DefTextVector,
    Frame,
    Framer,
    Message,
    NewTextVector,
    PingReply,
    SetBLOBVector,
    SetTextVector,
    decode,
)
from indianyio.server._heavy import is_heavy
from indianyio.server._hub import Hub
from indianyio.server._peers import FEEDER, Peer, run_guarded
from indianyio.streams import MemoryStream, memory_pair
from tests.server.doors import Client, Door, serving
from tests.server.network import Teller
from tests.server.watching import texts

pytestmark = pytest.mark.anyio

VIRTUAL = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual")]
)
KIB = 1024
MIB = 1024 * KIB


class Mount(Teller):
    """A driver in the server that answers each write with what was written, and notes what it snoops."""

    def __init__(self) -> None:
        super().__init__("Mount")
        self.heard: list[str] = []
        self._news = anyio.Event()

    async def snoopevent(self, event) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - any event
        self.heard.append(event["t"])
        self._news.set()

    async def until_heard(self, value: str) -> None:
        with anyio.fail_after(60):
            while not self.heard or self.heard[-1] != value:
                self._news = anyio.Event()
                await self._news.wait()


class Program:
    """A driver at the end of a stream, which the test reads and writes by hand."""

    name = "camera"
    end_seconds = 0.0

    def __init__(self, device: str = "Camera", capacity_bytes: int = 64 * KIB) -> None:
        self._device = device
        near, self.far = memory_pair(capacity_bytes=capacity_bytes, names=("camera", "server"))
        self._near: MemoryStream = near
        self.port: Peer | None = None
        self._framer = Framer(Limits())
        self._frames: list[Frame] = []

    async def run(self, hub: Hub) -> None:
        self.port = Peer(hub, self._near, DriverOutbox(), FEEDER, name=self.name)
        assert hub.add_driver(self.port, [self._device]) is None
        try:
            reason = await run_guarded(self.port)
        finally:
            hub.remove(self.port, "it has ended")
        raise AssertionError(reason)

    def statistics(self) -> PeerStatistics:
        assert self.port is not None
        return self.port.statistics()

    async def say(self, text: str) -> None:
        await self.far.send(text.encode())

    async def next(self) -> Frame:
        while not self._frames:
            received = await self.far.receive()
            items = self._framer.feed(received.data)
            assert all(isinstance(item, Frame) for item in items), items
            self._frames += [item for item in items if isinstance(item, Frame)]
        return self._frames.pop(0)


def write(value: object, device: str = "Camera") -> str:
    return f'<newTextVector device="{device}" name="T"><oneText name="t">{value}</oneText></newTextVector>'


def update(value: object, device: str = "Camera", name: str = "T") -> str:
    member = f'<oneText name="t">{value}</oneText>'
    return f'<setTextVector device="{device}" name="{name}" state="Ok">{member}</setTextVector>'


def image(size: int) -> str:
    content = "AAAA" * (size // 3)
    blob = f'<oneBLOB name="b" size="{size // 3 * 3}" format=".fits">{content}</oneBLOB>'
    return f'<newBLOBVector device="Camera" name="B">{blob}</newBLOBVector>'


def value_of(frame: Frame) -> str:
    message = decode(frame)
    assert isinstance(message, (NewTextVector, SetTextVector)), message
    return message.members[0].value


@asynccontextmanager
async def observatory(program: Program) -> AsyncGenerator[tuple[Door, Mount]]:
    mount = Mount()
    async with serving(mount, feeders=[program], grace_seconds=0.1) as (door, _):
        while program.port is None:
            await anyio.lowlevel.checkpoint()
        yield door, mount


async def until_refused(client: Client, text: str, times: int = 100) -> SetTextVector:
    """Send so often as it takes until something is refused."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            async def flood() -> None:
                for _ in range(times):
                    await client.send(text * 1000)

            tasks.start_soon(flood)
            answer = await client.expect(SetTextVector, device="Camera")
            tasks.cancel_scope.cancel()
    return answer


async def alive(client: Client, value: str) -> None:
    """See a write to the mount answered."""
    await client.send(write(value, "Mount"))
    with anyio.fail_after(10):
        await client.expect(SetTextVector, {"t": value}, device="Mount")


async def test_a_client_that_floods_a_driver_that_hangs_is_refused_and_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = Program()
    async with observatory(program) as (door, _):
        flooder, other = await door.knock(), await door.knock()
        answer = await until_refused(flooder, write("x"))
        assert answer.state == "Alert"
        assert answer.members == ()
        assert answer.message == "[ERROR] not done: too much of what you sent waits for camera already"
        await alive(other, "from the other")
        await other.send(write("abort"))
        await anyio.wait_all_tasks_blocked()
        # The driver wakes up: the other's write comes first, behind what was on its way already.
        values = []
        with anyio.fail_after(20):
            while "abort" not in values:
                frame = await program.next()
                if frame.tag == "newTextVector":
                    values.append(value_of(frame))
        assert len(values) < 2000
        assert program.statistics().queued_bytes > MIB
    assert len([text for text in texts(caplog, logging.WARNING) if "is refused" in text]) <= 11, (
        "ten in ten seconds, and the sum"
    )


async def test_the_flooder_s_own_writes_to_another_driver_go_through() -> None:
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        await until_refused(client, write("x"))
        with anyio.move_on_after(20):
            await alive(client, "abort")
            return
    pytest.fail("the mount was not reached")


@pytest.mark.long
async def test_requests_beyond_the_share_are_dropped_without_an_answer() -> None:
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        request = '<getProperties version="1.7" device="Camera" name="T"/>'
        for _ in range(20):
            await client.send(request * 1000)
        await client.send('<pingRequest uid="done"/>')
        with anyio.fail_after(20):
            await client.expect(PingReply)
        assert not [one for one in client.received if isinstance(one, SetTextVector)]
        assert program.statistics().queued_bytes < 5 * MIB


async def test_a_refused_write_is_shown_to_nobody() -> None:
    program = Program()
    async with observatory(program) as (door, _):
        flooder, other = await door.knock(), await door.knock()
        await other.send('<getProperties version="1.7" device="Camera"/>')
        await until_refused(flooder, write("x"))
        shown = program.statistics().messages_out + 10
        await other.send('<pingRequest uid="done"/>')
        with anyio.fail_after(20):
            await other.expect(PingReply)
        assert len([one for one in other.received if isinstance(one, NewTextVector)]) <= shown


async def test_writes_overtake_what_others_sent_and_not_what_their_sender_sent() -> None:
    program = Program(capacity_bytes=1)
    async with observatory(program) as (door, _):
        first, second = await door.knock(), await door.knock()
        for number in range(1000):
            await first.send(f'<getProperties version="1.7" device="Camera" name="first{number}"/>')
        await anyio.wait_all_tasks_blocked()
        await second.send('<getProperties version="1.7" device="Camera" name="before"/>' + write("abort"))
        await anyio.wait_all_tasks_blocked()
        names = []
        with anyio.fail_after(20):
            while "T" not in names:
                names.append((await program.next()).name or "")
    assert names[-2:] == ["before", "T"]
    assert len(names) < 600  # those that were with the writer already


async def go_on(client: Client, seconds: float) -> None:
    """Write every second, whatever the answer is."""
    end = anyio.current_time() + seconds
    while anyio.current_time() < end:
        await client.send(write("x"))
        with anyio.move_on_after(1):
            while True:
                await client.receive()


@VIRTUAL
async def test_a_client_that_goes_on_for_half_a_minute_is_disconnected() -> None:
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        await until_refused(client, write("x"))
        began = anyio.current_time()
        with pytest.raises(ConnectionLostError):
            await go_on(client, 60)
        assert 29 <= anyio.current_time() - began <= 35
        await alive(await door.knock(), "others go on")


@VIRTUAL
@pytest.mark.parametrize("who", ["one that pauses", "another server"])
async def test_who_is_not_disconnected(who: str) -> None:
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        if who == "another server":
            await client.send('<getProperties version="1.7" device="*"/>')
        await until_refused(client, write("x"))
        for _ in range(20):
            await anyio.sleep(6 if who == "one that pauses" else 2)
            await client.send(write("x"))
        await alive(client, "still there")


@VIRTUAL
async def test_a_driver_that_takes_nothing_for_a_minute_is_logged_as_hung_and_lives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        await client.send(write("x") * 1000)
        await anyio.sleep(50)
        assert not [text for text in texts(caplog, logging.ERROR) if "hangs" in text]
        await anyio.sleep(600)
        (line,) = (text for text in texts(caplog, logging.ERROR) if "hangs" in text)
        assert line.startswith("camera: it hangs: nothing taken for 60 s, ")
        for _ in range(1000):
            await program.next()
        await anyio.sleep(120)
        assert [text for text in texts(caplog, logging.WARNING) if "no longer hangs" in text]
        await client.send(write("again"))
        values = [value_of(frame) for frame in [await program.next() for _ in range(2)] if frame.tag[:3] == "new"]
        assert "again" in values


@VIRTUAL
async def test_a_driver_that_stops_taking_after_a_while_is_logged_though_nothing_more_is_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        await client.send(image(6 * MIB))
        await anyio.sleep(30)
        for _ in range(40):
            await program.far.receive()
        await anyio.sleep(200)
        assert [text for text in texts(caplog, logging.ERROR) if "hangs" in text]


async def test_a_large_blob_is_waited_for_while_it_is_taken() -> None:
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        tags: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, (image(6 * MIB) + write("between")) * 3 + write("last"))
            with anyio.fail_after(60):
                while tags.count("newTextVector") < 4:
                    tags.append((await program.next()).tag)
        assert tags == ["getProperties", *["newBLOBVector", "newTextVector"] * 3, "newTextVector"]
        assert not [one for one in client.received if isinstance(one, (SetTextVector, SetBLOBVector))]


async def test_a_large_blob_for_a_driver_that_hangs_delays_nothing_for_another() -> None:
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                client.send, image(9 * MIB) + image(9 * MIB) + write("refused") + write("abort", "Mount")
            )
            with anyio.fail_after(60):
                refused = await client.expect(SetTextVector, device="Camera")
                await client.expect(SetTextVector, {"t": "abort"}, device="Mount")
        assert refused.state == "Alert"


def blobs_with(content: str) -> str:
    return f'<newBLOBVector device="Camera" name="B">{content}</newBLOBVector>'


@pytest.mark.parametrize("piece", ["<a/>", "<!>", "\x07", "&", '<oneBLOB name="b" size="0" format=".x"/>'])
async def test_what_claims_to_be_blobs_and_is_not_holds_up_nobody(piece: str) -> None:
    """Less than a megabyte of it may take a second, so it is for a thread like a long text."""
    (found,) = Framer(Limits()).feed(blobs_with(piece * (900 * KIB // len(piece))).encode())
    assert isinstance(found, Frame)
    assert is_heavy(found, Limits())
    for tidy in (image(600 * KIB), blobs_with(piece)):
        (found,) = Framer(Limits()).feed(tidy.encode())
        assert isinstance(found, Frame)
        assert not is_heavy(found, Limits())
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, blobs_with("<a/>" * 5_000) + write("behind it"))
            with anyio.fail_after(60):
                tags = [(await program.next()).tag for _ in range(3)]
        assert tags == ["getProperties", "newBLOBVector", "newTextVector"]


@pytest.mark.parametrize("tag", ["newBLOBVector", "setBLOBVector"])
async def test_thousands_of_sound_blobs_are_for_a_thread(tag: str) -> None:
    """Each is looked at, and 9000 of three bytes hold the event loop for a tenth of a second and more."""
    blob = '<oneBLOB name="b" size="3" format=".x">AAAA</oneBLOB>'
    for count, is_for_a_thread in ((9000, True), (400, True), (16, False)):
        text = f'<{tag} device="Camera" name="B" state="Ok">{blob * count}</{tag}>'
        (found,) = Framer(Limits()).feed(text.encode())
        assert isinstance(found, Frame)
        assert is_heavy(found, Limits()) == is_for_a_thread


async def test_thousands_of_blobs_arrive_and_what_is_behind_them_too() -> None:
    program = Program()
    blob = '<oneBLOB name="b" size="3" format=".x">AAAA</oneBLOB>'
    async with observatory(program) as (door, _):
        client = await door.knock()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, blobs_with(blob * 5_000) + write("behind it"))
            with anyio.fail_after(60):
                assert (await program.next()).tag == "getProperties"
                assert (await program.next()).data == blobs_with(blob * 5_000).encode()
                assert value_of(await program.next()) == "behind it"


async def test_of_snooped_updates_the_newest_wins_and_clients_get_all() -> None:
    """A driver that hangs and snoops a vector delays nobody, and finds its newest state when it wakes up."""
    program = Program()
    async with observatory(program) as (door, mount):
        await program.say('<getProperties version="1.7" device="Mount" name="T"/>')
        client = await door.knock()
        await client.get_properties("Mount")
        with anyio.fail_after(10):
            await client.expect(DefTextVector, device="Mount")
        for number in range(3000):
            mount.text["t"] = str(number)
            await mount.text.send_setVector(state="Ok")
        with anyio.fail_after(60):
            await client.expect(SetTextVector, {"t": "2999"})
        seen = [one for one in client.received if isinstance(one, SetTextVector)]
        assert len(seen) == 3000
        assert program.statistics().queued_bytes < 300 * KIB
        value = ""
        with anyio.fail_after(20):
            while value != "2999":
                frame = await program.next()
                value = value_of(frame) if frame.tag == "setTextVector" else ""


async def test_a_burst_that_a_driver_of_the_server_snoops_delays_no_write() -> None:
    program = Program("Weather")
    async with observatory(program) as (door, mount):
        mount.snoop("Weather", "T", 60)
        client = await door.knock()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(program.say, "".join(update(number, "Weather") for number in range(20_000)))
            for number in range(20):
                await alive(client, f"abort {number}")
            await mount.until_heard("19999")
        assert [int(value) for value in mount.heard] == sorted(int(value) for value in mount.heard)


async def test_a_driver_of_the_server_that_snoops_a_burst_in_one_chunk_hears_all_of_it() -> None:
    program = Program("Weather")
    async with observatory(program) as (door, mount):
        mount.snoop("Weather", "T", 60)
        await alive(await door.knock(), "ready")
        await program.say("".join(update(number, "Weather") for number in range(200)))
        await mount.until_heard("199")
        assert mount.heard == [str(number) for number in range(200)]


async def test_a_driver_of_the_server_is_not_ended_by_a_flood() -> None:
    program = Program()
    async with observatory(program) as (door, _):
        flooder, other = await door.knock(), await door.knock()
        name = "n" * 250
        async with anyio.create_task_group() as tasks:

            async def flood() -> None:
                while True:
                    await flooder.send(f'<getProperties version="1.7" device="Mount" name="{name}"/>' * 1000)

            tasks.start_soon(flood)
            for number in range(20):
                await alive(other, f"abort {number}")
            tasks.cancel_scope.cancel()
        assert not [one for one in other.received if isinstance(one, Message)]


@pytest.mark.parametrize("turn_seconds", [0.0, 0.002])
async def test_in_whatever_turns_a_chunk_is_dealt_with_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, turn_seconds: float
) -> None:
    monkeypatch.setattr(link_module, "TURN_SECONDS", turn_seconds)
    program = Program()
    async with observatory(program) as (door, _):
        client = await door.knock()
        mixed = [write(number) if number % 3 else f"<!-- {number} -->{write(number)}" for number in range(2000)]
        values: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, "".join(mixed))
            with anyio.fail_after(60):
                while len(values) < 2000:
                    frame = await program.next()
                    values += [value_of(frame)] if frame.tag == "newTextVector" else []
    assert values == [str(number) for number in range(2000)]


async def test_of_blob_policies_in_a_row_another_server_is_told_what_came_of_them() -> None:
    async with serving() as (door, run):
        async with anyio.create_task_group() as tasks:
            remote, there = memory_pair()
            port = Peer(run.hub, remote, DriverOutbox(), FEEDER, name="far")
            assert run.hub.add_remote(port, "far:7624", None) is None
            tasks.start_soon(run_guarded, port)
            await there.send(
                b'<defBLOBVector device="Far" name="b" state="Ok" perm="ro"><defBLOB name="x"/></defBLOBVector>'
            )
            client = await door.knock()
            flip = '<enableBLOB device="Far" name="b">{}</enableBLOB>'
            await client.send('<getProperties version="1.7" device="Far"/>')
            await anyio.wait_all_tasks_blocked()
            await client.send("".join(flip.format(word) for word in ["Also", "Never"] * 500 + ["Also"]))
            got = b""
            with anyio.fail_after(10):
                while b"enableBLOB" not in got:
                    got += (await there.receive()).data
            await anyio.wait_all_tasks_blocked()
            assert got.count(b"<enableBLOB") <= 20
            assert got.rstrip().endswith(b">Also</enableBLOB>")
            tasks.cancel_scope.cancel()
