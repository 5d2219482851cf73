"""Reading is a role: who holds it, how it is passed on, and that no interleaving leaves the driver deaf."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from indianyio import _turns, getProperties, newBLOBVector, newNumberVector, newSwitchVector, newTextVector
from indianyio.driver import NewEvent
from indianyio.driver._guard import Watch, until_it_waits
from indianyio.protocol import PingReply, SetNumberVector
from indianyio.streams import MemoryStream, SharedMemory, attachments_supported, memory_pair
from indianyio.testing import Peer, running
from tests.driver.gadget import DEVICE, Gadget, new_abort, new_number
from tests.driver.test_life import CancelAtStep

pytestmark = pytest.mark.anyio

on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
needs_attachments = pytest.mark.skipif(not attachments_supported(), reason="no shared memory on this system")


async def settle(peer: Peer, uid: str = "settled") -> None:
    """Wait until the driver has dealt with everything sent so far."""
    await peer.send(f'<pingRequest uid="{uid}"/>')
    while (await peer.expect(PingReply)).uid != uid:
        pass
    await anyio.wait_all_tasks_blocked()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds that nobody announces."""
    while not condition():  # noqa: ASYNC110 - see above
        await anyio.sleep(0.001)


def new_text(word: str) -> str:
    """Return a client's write to the text vector."""
    return f'<newTextVector device="{DEVICE}" name="TEXT"><oneText name="word">{word}</oneText></newTextVector>'


def new_image(size: int) -> str:
    """Return a write of a BLOB whose content is attached."""
    return (
        f'<newBLOBVector device="{DEVICE}" name="IMAGE">'
        f'<oneBLOB name="a" size="{size}" format=".bin" attached="true"></oneBLOB></newBLOBVector>'
    )


def positions(driver: Gadget) -> list[str]:
    """Return the numbers that were written, in the order in which they were handled."""
    return [event["position"] for event in driver.events if isinstance(event, newNumberVector)]


# -- a step at a time ----------------------------------------------------------------------------------------------


async def test_a_coroutine_that_does_not_wait_hands_nothing_over() -> None:
    calls: list[str] = []

    async def handler() -> None:
        calls.append("handled")

    await until_it_waits(handler(), Watch(), lambda: calls.append("handed over"))
    assert calls == ["handled"]


async def test_a_coroutine_that_waits_hands_over_once_when_it_first_does() -> None:
    calls: list[str] = []

    async def handler() -> None:
        calls.append("begun")
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            calls.append("waited")

    await until_it_waits(handler(), Watch(), lambda: calls.append("handed over"))
    assert calls == ["begun", "handed over", "waited", "waited", "waited"]


@pytest.mark.parametrize("waits", [0, 2])
async def test_what_leaves_the_coroutine_comes_out(waits: int) -> None:
    async def handler() -> None:
        for _ in range(waits):
            await anyio.lowlevel.checkpoint()
        raise LookupError("no gear")

    with pytest.raises(LookupError, match="no gear"):
        await until_it_waits(handler(), Watch(), lambda: None)


async def test_a_cancellation_is_the_coroutine_s_and_its_clean_up_may_wait() -> None:
    cleaned = False

    async def handler() -> None:
        nonlocal cleaned
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.001)
            cleaned = True

    with anyio.CancelScope() as scope:
        await until_it_waits(handler(), Watch(), scope.cancel)
    assert scope.cancelled_caught
    assert cleaned


async def test_a_scope_of_the_coroutine_s_own_ends_in_it() -> None:
    async def handler() -> None:
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught

    await until_it_waits(handler(), Watch(), lambda: None)


# -- what a handler sets is its own --------------------------------------------------------------------------------

current: ContextVar[str] = ContextVar("current", default="nothing")


@pytest.mark.parametrize("waits", [False, True])
async def test_what_a_handler_sets_in_its_context_is_not_seen_by_the_next(waits: bool) -> None:
    seen: list[str] = []

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        seen.append(current.get())
        current.set(event.vectorname)
        if waits:
            await anyio.lowlevel.checkpoint()
            assert current.get() == event.vectorname

    async with running(Gadget(on_write=on_write)) as peer:
        await peer.send(new_number(1) + new_number(2) + new_abort() + new_text("a"))
        await settle(peer)
    assert seen == ["nothing"] * 4


# -- how much, and whose turn it is --------------------------------------------------------------------------------


async def test_writes_in_one_packet_are_all_handled_if_the_handler_does_not_wait() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send("".join(new_number(value) for value in range(50)))
        await settle(peer)
        assert not [message for message in peer.received if isinstance(message, SetNumberVector)]
    assert positions(driver) == [str(value) for value in range(50)]


async def turns_between(driver: Gadget, message: str) -> list[int]:
    """Return how often another task has had its turn when each handler began."""
    turns = 0
    seen: list[int] = []

    async def other() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async def on_write(_: Gadget, event: NewEvent) -> None:
        seen.append(turns)
        if isinstance(event, newTextVector | getProperties):
            time.sleep(0.003)  # noqa: ASYNC251 - a handler that holds up everything is what this is about

    driver.on_write = on_write
    async with running(driver) as peer, anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        await peer.send(message)
        await peer.send('<pingRequest uid="1"/>')
        await peer.expect(PingReply)
        tasks.cancel_scope.cancel()
    return seen


async def test_handlers_that_block_give_way_after_each() -> None:
    seen = await turns_between(Gadget(), "".join(new_text(str(value)) for value in range(10)))
    assert len(seen) == 10
    # trio shuffles what runs next: the other task may have two turns after one handler and none after the next.
    assert all(later > earlier for earlier, later in zip(seen, seen[2:], strict=False))


async def test_the_handlers_of_one_request_give_way_after_each() -> None:
    """A request for all definitions begins a lane for each vector, if the driver answers it."""
    driver = Gadget()
    driver.auto_send_def = False
    seen = await turns_between(driver, f'<getProperties version="1.7" device="{DEVICE}"/>')
    assert len(seen) == 5
    assert all(later > earlier for earlier, later in zip(seen, seen[2:], strict=False))


@pytest.fixture
def busy_clock() -> Iterator[None]:
    """Let each look at the clock find it a tenth of a millisecond later, on however fast a machine."""
    looks = itertools.count()
    with _turns.measured_by(lambda: next(looks) / 10_000):
        yield


@pytest.mark.usefixtures("busy_clock")
async def test_many_quick_handlers_give_way_now_and_then() -> None:
    """A packet of 64 KiB is several turns."""
    writes = "".join(new_number(value % 100) for value in range(500))
    seen = await turns_between(Gadget(), writes[: 60 << 10].rpartition("<newNumberVector")[0])
    assert len(seen) > 400
    assert len(set(seen)) >= 3


@pytest.mark.usefixtures("busy_clock")
async def test_requests_that_are_answered_in_place_give_way_as_well() -> None:
    driver = Gadget()
    requests = f'<getProperties version="1.7" device="{DEVICE}" name="NOSUCH"/>' * 800
    seen = await turns_between(driver, new_number(1) + requests + new_number(2))
    assert seen[1] - seen[0] >= 2


async def test_nothing_of_a_packet_is_handled_after_a_shutdown() -> None:
    async def on_write(driver: Gadget, event: NewEvent) -> None:
        driver.shutdown()

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        await peer.send(new_number(1) + new_number(2) + new_abort())
        await driver.stopped.wait()
    assert positions(driver) == ["1"]
    assert len(driver.events) == 1


@needs_attachments
async def test_descriptors_of_what_was_not_read_any_more_are_closed() -> None:
    before = len(os.listdir("/proc/self/fd"))
    near, far = memory_pair(carries_attachments=True)

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        if isinstance(event, newNumberVector):
            driver.shutdown()

    driver = Gadget(on_write=on_write)
    async with anyio.create_task_group() as tasks:
        await tasks.start(driver.asyncrun, far)
        contents = [SharedMemory.create("content") for _ in range(5)]
        for memory in contents:
            memory.write(b"abc")
        await near.send((new_number(1) + 5 * new_image(3)).encode(), contents)
        for memory in contents:
            memory.close()
        await driver.stopped.wait()
        await near.aclose()
    assert len(driver.events) == 1
    assert len(os.listdir("/proc/self/fd")) <= before


# -- a holder that is cancelled alone ------------------------------------------------------------------------------


@on_asyncio
async def test_a_reader_that_is_cancelled_alone_passes_the_role_on(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that does not wait runs in the reader's task, and code may have noted that task."""
    noted: list[asyncio.Task[object] | None] = []

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        noted.append(asyncio.current_task())

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        for value in range(3):
            await peer.send(new_number(value))
            await settle(peer, str(value))
            task = noted[-1]
            assert task is not None
            task.cancel()
            await anyio.wait_all_tasks_blocked()
            assert task.done()
        await peer.send(new_number(7))
        await settle(peer, "last")
        assert not driver.stop
    assert positions(driver) == ["0", "1", "2", "7"]
    assert "another one goes on" in caplog.text


@on_asyncio
async def test_a_handler_that_cancels_its_own_task_and_ends_costs_nothing() -> None:
    async def on_write(driver: Gadget, event: NewEvent) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        await peer.send(new_number(1) + new_number(2) + new_number(3))
        await settle(peer)
        assert not driver.stop
    assert positions(driver) == ["1", "2", "3"]


@on_asyncio
async def test_a_late_cancellation_of_a_handler_that_waited_hits_nobody_else() -> None:
    """An Abort that cancels the task of a slew which has ended by then is handled all the same."""
    slewing: list[asyncio.Task[object] | None] = []
    aborted = 0

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        nonlocal aborted
        if isinstance(event, newSwitchVector):
            for task in slewing:
                assert task is not None
                task.cancel()
            await anyio.sleep(0.001)
            aborted += 1
        else:
            slewing.append(asyncio.current_task())
            await anyio.lowlevel.checkpoint()

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        for number in range(10):
            await peer.send(new_number(number))
            await settle(peer, f"slew {number}")
        await peer.send(new_abort())
        await settle(peer, "abort")
        await until(lambda: aborted == 1)
    assert aborted == 1


# -- cancelled at every step ---------------------------------------------------------------------------------------


async def busy_session(near: MemoryStream) -> None:
    """Write to several vectors in one packet, with descriptors, and leave while some of it is being handled."""
    contents = [SharedMemory.create("content") for _ in range(3)]
    try:
        for memory in contents:
            memory.write(b"abc")
        text = new_number(1) + new_image(3) + new_text("wait") + 2 * new_image(3) + new_number(2) + new_abort()
        await near.send(text.encode(), contents)
    finally:
        for memory in contents:
            memory.close()
    peer = Peer(near)
    await peer.send('<pingRequest uid="1"/>')
    await peer.expect(PingReply)
    await peer.send(new_text("wait") + new_number(3))
    await trio.sleep(1)
    await peer.close()


@needs_attachments
def test_cancel_sweep_over_reading() -> None:
    """Whenever a run is cancelled: it ends, leave() runs once, no descriptor and no coroutine is left over."""

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        if isinstance(event, newTextVector):
            await anyio.sleep(0.5)
        elif isinstance(event, newNumberVector):
            await driver.number.send_setVector(state="Ok")
        else:
            await anyio.lowlevel.checkpoint()

    before = len(os.listdir("/proc/self/fd"))
    for step in range(1, 10_000):
        driver = Gadget(on_write=on_write)
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)

        async def main(driver: Gadget = driver, scope: trio.CancelScope = scope) -> float:
            near, far = memory_pair(carries_attachments=True)
            start = trio.current_time()
            with scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(busy_session, near)
                    await driver.asyncrun(far)
            await near.aclose()
            await far.aclose()
            return trio.current_time() - start

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            took = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[instrument])
        assert took <= 3 * driver.grace + 2, f"step {step}"
        assert driver.left == (1 if driver.stopped.is_set() else 0), f"step {step}"
        assert len(os.listdir("/proc/self/fd")) <= before, f"step {step}"
        if instrument.left > 0:
            assert step > 30
            return
    raise AssertionError("the lifetime does not end")


# -- any interleaving ----------------------------------------------------------------------------------------------


class Chaos:
    """A driver whose handlers wait at random, its peer's messages, and what must hold of them."""

    def __init__(self, seed: int, *, cancels: bool) -> None:
        self.random = random.Random(seed)
        self.cancels = cancels
        self.driver = Gadget(on_write=self.on_write)
        self.at_work: Counter[str] = Counter()
        self.begun: dict[str, list[str]] = {"NUMBER": [], "TEXT": [], "ABORT": [], "IMAGE": []}
        self.sent: dict[str, list[str]] = {"NUMBER": [], "TEXT": [], "ABORT": [], "IMAGE": []}
        self.noted: list[asyncio.Task[object]] = []
        self.refused = 0
        self.driver.image.note_refusal = self.note_refusal  # type: ignore[method-assign]

    def note_refusal(self) -> None:
        """Count a BLOB whose reading was cancelled, and which is therefore refused."""
        self.refused += 1

    def is_done(self) -> bool:
        """Return whether every write was handled, or refused, and those of each vector in their order."""
        if sum(map(len, self.begun.values())) + self.refused < sum(map(len, self.sent.values())):
            return False
        images = iter(self.sent["IMAGE"])
        assert all(image in images for image in self.begun["IMAGE"])  # a subsequence
        assert {**self.begun, "IMAGE": []} == {**self.sent, "IMAGE": []}
        assert self.cancels or not self.refused
        return True

    async def on_write(self, driver: Gadget, event: NewEvent) -> None:
        name = event.vectorname
        assert not self.at_work[name], "two writes to one vector are handled at the same time"
        self.at_work[name] += 1
        try:
            self.begun[name].append(self.value(event))
            if self.cancels and (task := asyncio.current_task()) is not None:
                self.noted.append(task)
            await self.random.choice(self.behaviours)(self)
        finally:
            self.at_work[name] -= 1

    def value(self, event: NewEvent) -> str:
        if isinstance(event, newNumberVector):
            return event["position"]
        if isinstance(event, newTextVector):
            return event["word"]
        if isinstance(event, newBLOBVector):
            return event["a"].decode()
        return "On"

    # what a handler does

    async def end_at_once(self) -> None:
        """Do nothing."""

    async def wait_a_little(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            await anyio.lowlevel.checkpoint()

    async def sleep(self) -> None:
        await anyio.sleep(self.random.choice([0, 0.001, 0.003]))

    async def run_out_of_time(self) -> None:
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()

    async def report(self) -> None:
        await self.driver.number.send_setVector(state="Ok")

    async def report_much(self) -> None:
        for _ in range(100):
            await self.driver.number.send_setVector(message="x" * 200)

    async def fail(self) -> None:
        await anyio.lowlevel.checkpoint()
        raise RuntimeError("at random")

    async def have_helpers(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 0.001)
            tasks.start_soon(anyio.lowlevel.checkpoint)

    behaviours: tuple[Callable[[Chaos], Awaitable[None]], ...] = (
        end_at_once,
        end_at_once,
        end_at_once,
        wait_a_little,
        sleep,
        run_out_of_time,
        report,
        report_much,
        fail,
        have_helpers,
    )

    # what the peer does

    def next_message(self, number: int) -> tuple[str, SharedMemory | None]:
        name = self.random.choice(["NUMBER", "NUMBER", "TEXT", "ABORT", "IMAGE"])
        if name == "IMAGE":
            content = f"image{number}"
            self.sent[name].append(content)
            memory = SharedMemory.create("content")
            memory.write(content.encode())
            return new_image(len(content)), memory
        if name == "ABORT":
            self.sent[name].append("On")
            return new_abort(), None
        self.sent[name].append(str(number))
        return (new_number(number) if name == "NUMBER" else new_text(str(number))), None

    async def send(self, near: MemoryStream) -> None:
        """Send up to 30 writes in packets of any size."""
        messages = [self.next_message(number) for number in range(self.random.randint(5, 30))]
        while messages:
            count = self.random.randint(1, 8)
            packet, messages = messages[:count], messages[count:]
            attached = [memory for _, memory in packet if memory is not None]
            await near.send("".join(text for text, _ in packet).encode(), attached)
            for memory in attached:
                memory.close()
            for _ in range(self.random.randint(0, 3)):
                await anyio.lowlevel.checkpoint()
            if self.noted and self.random.random() < 0.5:
                self.random.choice(self.noted).cancel()


async def check_interleaving(seed: int, *, cancels: bool) -> None:
    chaos = Chaos(seed, cancels=cancels)
    before = len(os.listdir("/proc/self/fd"))
    near, far = memory_pair(carries_attachments=True)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            await tasks.start(chaos.driver.asyncrun, far)
            peer = Peer(near)
            async with anyio.create_task_group() as talk:

                async def listen() -> None:
                    while True:
                        reply = await peer.expect(PingReply)
                        if reply.uid == "last":
                            return

                talk.start_soon(listen)
                await chaos.send(near)
                await until(chaos.is_done)
                # Whatever has happened, what comes now is handled.
                for text, name, value in ((new_number(99), "NUMBER", "99"), (new_abort(), "ABORT", "On")):
                    chaos.sent[name].append(value)
                    await near.send(text.encode())
                await near.send(b'<pingRequest uid="last"/>')
            await until(chaos.is_done)
            assert not chaos.driver.stop
            await near.aclose()
    assert chaos.driver.left == 1
    assert len(os.listdir("/proc/self/fd")) <= before


@needs_attachments
@pytest.mark.parametrize("seed", range(40))
async def test_any_interleaving_keeps_the_order_and_leaves_nobody_deaf(seed: int) -> None:
    await check_interleaving(seed, cancels=False)


@needs_attachments
@on_asyncio
@pytest.mark.parametrize("seed", range(40))
async def test_so_does_any_in_which_tasks_are_cancelled_alone(seed: int) -> None:
    await check_interleaving(seed, cancels=True)
