"""Whatever leaves a driver's code, wherever, on both back ends: one leave() of every driver, and the right end."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import pytest

from indianyio import Device, IPyDriver, NumberMember, NumberVector
from indianyio._model import SnoopEvent
from indianyio.driver import NewEvent
from indianyio.exceptions import ServerFailedError
from indianyio.server import IPyServer
from indianyio.streams import memory_pair
from indianyio.testing import Peer, running
from tests.server.network import SECONDS, at_work

BACKENDS = ("asyncio", "trio")
PLACES = ("rxevent", "hardware", "background", "snoopevent", "leave")
WRITE = '<newNumberVector device="Faulty" name="n"><oneNumber name="x">1</oneNumber></newNumberVector>'
SNOOPED = '<setNumberVector device="Dome" name="n" state="Ok"><oneNumber name="x">1</oneNumber></setNumberVector>'


class Odd(BaseException):
    """Neither an Exception nor a wish that the process end."""


async def exits() -> None:
    sys.exit(3)


async def interrupts() -> None:
    raise KeyboardInterrupt


async def is_odd() -> None:
    raise Odd


async def leaks_a_scope() -> None:
    scope = anyio.CancelScope()
    scope.__enter__()
    scope.cancel()
    await anyio.lowlevel.checkpoint()


async def raises_a_group() -> None:
    raise BaseExceptionGroup("bare", [OSError("the port"), Odd()])


class WordlessError(Exception):
    """An error that cannot say what it is, which happens to classes with a faulty __str__."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


async def says_nothing() -> None:
    raise WordlessError


async def raises_a_group_with_an_exit() -> None:
    raise BaseExceptionGroup("bare", [OSError("the port"), SystemExit(3)])


Fault = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Kind:
    """A way to fail, and what is right then.

    :ivar ends_process: what comes out bare, of all, because the process is to end.
    :ivar leaf: otherwise: what comes out of this driver's run, among others.
    """

    fault: Fault
    ends_process: type[BaseException] | None = None
    leaf: type[BaseException] = BaseException

    def __str__(self) -> str:
        return getattr(self.fault, "__name__", "")


KINDS = (
    Kind(exits, ends_process=SystemExit),
    Kind(interrupts, ends_process=KeyboardInterrupt),
    Kind(raises_a_group_with_an_exit, ends_process=SystemExit),
    Kind(is_odd, leaf=Odd),
    Kind(raises_a_group, leaf=Odd),
    Kind(leaks_a_scope, leaf=RuntimeError),
)

everywhere = pytest.mark.parametrize("backend", BACKENDS)
every_place = pytest.mark.parametrize("place", PLACES)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


class Box(IPyDriver):
    """A driver that counts how often it has left."""

    def __init__(self) -> None:
        self.number = NumberVector("n", "n", "g", "rw", "Ok", [NumberMember("x", format="%g", membervalue=0)])
        super().__init__(Device(type(self).__name__, [self.number]))
        self.left = 0

    async def leave(self) -> None:
        self.left += 1
        await anyio.lowlevel.checkpoint()
        await self.number.send_setVector(state="Idle")


class Dome(Box):
    """The one that does nothing wrong."""


class Faulty(Box):
    """The one that fails in one place."""

    def __init__(self, place: str, fault: Fault) -> None:
        super().__init__()
        self.place = place
        self.fault = fault
        self.snoop("Dome", "n")
        self.add_background(self._fail_in, "background")

    async def _fail_in(self, place: str) -> None:
        if place == self.place:
            await self.fault()

    async def hardware(self) -> None:
        await self._fail_in("hardware")

    async def rxevent(self, event: NewEvent) -> None:
        await self._fail_in("rxevent")

    async def snoopevent(self, event: SnoopEvent) -> None:
        await self._fail_in("snoopevent")

    async def leave(self) -> None:
        await super().leave()
        await self._fail_in("leave")


async def outcome_of(run: Callable[[], Awaitable[None]]) -> BaseException | None:
    """Return what comes out of a run; raised further on it would end asyncio's loop."""
    try:
        await run()
    except BaseException as error:  # noqa: BLE001 - what it is about
        return error
    return None


def leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [] if error is None else [error]


async def alone(driver: Faulty) -> BaseException | None:
    near, far = memory_pair()
    peer = Peer(near)

    async def talk() -> None:
        await peer.send(WRITE)
        await peer.send(SNOOPED)
        if driver.place == "leave":
            driver.shutdown()

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk)
            outcome = await outcome_of(lambda: driver.asyncrun(far))
    await near.aclose()
    return outcome


@everywhere
@every_place
@every_kind
def test_alone(kind: Kind, place: str, backend: str) -> None:
    driver = Faulty(place, kind.fault)
    outcome = anyio.run(alone, driver, backend=backend)
    assert driver.left == 1
    assert driver.stopped.is_set()
    if kind.ends_process is not None:
        assert type(outcome) is kind.ends_process
        assert getattr(outcome, "code", 3) == 3
    else:
        assert isinstance(outcome, BaseExceptionGroup)
        assert any(isinstance(leaf, kind.leaf) for leaf in leaves(outcome))
        assert not any("Cancelled" in type(leaf).__name__ for leaf in leaves(outcome))


class Started:
    """A task status to wait for outside ``TaskGroup.start``, which would hand on what is to be looked at."""

    def __init__(self) -> None:
        self.event = anyio.Event()

    def started(self, value: object = None) -> None:
        self.event.set()


async def in_a_server(driver: Faulty, dome: Dome, ends_process: bool) -> BaseException | None:
    server = IPyServer(driver, dome, host="127.0.0.1", port=0)
    outcomes = []
    started = Started()

    async def run() -> None:
        outcomes.append(await outcome_of(lambda: server.asyncrun(task_status=started)))

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await started.event.wait()
            if driver.place == "rxevent":
                await write_to(server.addresses[0])
            if driver.place == "leave":
                server.shutdown()
            else:
                await driver.stopped.wait()
            if not ends_process:
                assert driver.place == "leave" or (dome.left, server.stop) == (0, False)
                server.shutdown()
    return outcomes[0]


async def write_to(address: str) -> None:
    host, _, port = address.rpartition(":")
    async with await anyio.connect_tcp(host, int(port)) as client:
        await client.send(WRITE.encode())


@everywhere
@every_place
@every_kind
def test_in_a_server(kind: Kind, place: str, backend: str) -> None:
    driver, dome = Faulty(place, kind.fault), Dome()
    outcome = anyio.run(in_a_server, driver, dome, kind.ends_process is not None, backend=backend)
    assert (driver.left, dome.left) == (1, 1)
    if kind.ends_process is None:
        assert outcome is None
    else:
        assert type(outcome) is kind.ends_process
        assert getattr(outcome, "code", 3) == 3


# -- neighbours ------------------------------------------------------------------------------------------------


class Broken(Box):
    """Cannot close its port."""

    async def hardware(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise OSError("the port cannot be closed")


class Tearing(Box):
    """Fails by itself, while something of it takes its time to end."""

    async def hardware(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.linger)
            await anyio.sleep(0.01)
            raise OSError("the mount has gone")

    async def linger(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.1)


@everywhere
@pytest.mark.parametrize(("broken", "text"), [(Broken, "cannot be closed"), (Tearing, "has gone")])
def test_a_driver_that_fails_while_its_server_ends_is_logged_and_no_more(
    broken: type[Box], text: str, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    driver = broken()

    async def main() -> None:
        async with at_work(IPyServer(driver, host="127.0.0.1", port=0)):
            await anyio.sleep(0.05)

    anyio.run(main, backend=backend)
    assert driver.left == 1
    [record] = [record for record in caplog.records if "driver of" in record.getMessage()]
    assert record.getMessage() == f"driver of {broken.__name__} failed"
    assert text in caplog.text


@everywhere
def test_an_error_that_cannot_say_what_it_is_costs_its_own_driver_only(backend: str) -> None:
    driver, dome = Faulty("hardware", says_nothing), Dome()
    assert anyio.run(in_a_server, driver, dome, False, backend=backend) is None
    assert (driver.left, dome.left) == (1, 1)


@everywhere
def test_a_failure_while_the_run_is_cancelled_comes_out_without_cancellations(backend: str) -> None:
    driver = Broken()
    outcomes: list[BaseException | None] = []

    async def main() -> None:
        near, far = memory_pair()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def run() -> None:
                    outcomes.append(await outcome_of(lambda: driver.asyncrun(far)))

                tasks.start_soon(run)
                await anyio.sleep(0.05)
                scope.cancel()
        await near.aclose()

    anyio.run(main, backend=backend)
    assert driver.left == 1
    assert [type(leaf) for leaf in leaves(outcomes[0])] == [OSError]
    assert isinstance(outcomes[0], ExceptionGroup)


@everywhere
def test_an_exit_out_of_a_block_comes_out_bare(backend: str) -> None:
    driver = Faulty("hardware", exits)

    async def main() -> None:
        with pytest.raises(SystemExit):
            async with running(driver):
                await anyio.sleep_forever()
        with pytest.raises(SystemExit):
            async with IPyServer(driver, host="127.0.0.1", port=0):
                await anyio.sleep_forever()

    anyio.run(main, backend=backend)
    assert driver.left == 2


@everywhere
def test_an_exit_out_of_the_access_rule_ends_the_server_in_order(backend: str) -> None:
    dome = Dome()
    server = IPyServer(dome, host="127.0.0.1", port=0, access=lambda connection: sys.exit(3))

    async def main() -> BaseException | None:
        outcome = None
        started = Started()

        async def knock() -> None:
            await started.event.wait()
            await write_to(server.addresses[0])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(knock)
            outcome = await outcome_of(lambda: server.asyncrun(task_status=started))
        return outcome

    assert isinstance(anyio.run(main, backend=backend), SystemExit)
    assert dome.left == 1


@everywhere
def test_the_last_driver_of_a_server_that_is_odd_fails_it(backend: str) -> None:
    async def main() -> BaseException | None:
        return await outcome_of(IPyServer(Faulty("hardware", is_odd), host="127.0.0.1", port=0).asyncrun)

    outcome = anyio.run(main, backend=backend)
    assert isinstance(outcome, ServerFailedError)
    assert isinstance(outcome.__cause__, Odd)
