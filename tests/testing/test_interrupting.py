"""Interrupting what a driver does at each of its awaits: what is counted, what is found, and how it ends."""

from __future__ import annotations

import anyio
import pytest
import trio.testing

from indianyio import NewEvent
from indianyio.client import Client
from indianyio.instrument import Aborted, Instrument, Property
from indianyio.properties import Values, number, switch
from indianyio.testing import interrupt_everywhere
from tests.testing.slider import Slider, move

pytestmark = pytest.mark.anyio

virtual = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})]
)

NAME = "Crane"
STEPS = 3


class Height(Values, name="HEIGHT", perm="rw"):
    """How high the hook is."""

    metres: float = number("M", max=50)


class Halt(Values, name="HALT", rule="AtMostOne"):
    """Stops it."""

    abort: bool = switch("ABORT")


class Crane(Instrument):
    """A crane that takes some steps, and stops if it is told to."""

    stops = True

    height = Property(Height, when="always")
    halt = Property(Halt, when="always")

    def __init__(self) -> None:
        super().__init__(NAME)
        self.is_moving = False

    @height.check
    async def _may_lift(self, wanted: Height) -> None:
        """Have nothing against it."""

    @height.operation(abort=halt)
    async def _lift(self, wanted: Height) -> None:
        self.is_moving = True
        try:
            for _ in range(STEPS):
                await anyio.sleep(0.01)
            self.is_moving = False
        except Aborted:
            self.is_moving = not self.stops
            raise


async def lift(driver: Crane, client: Client) -> None:
    device = await client.device(NAME, timeout=5)
    await device.set(Height(metres=20))


async def abort(driver: Crane, client: Client) -> None:
    assert driver.is_moving
    await client[NAME].set(Halt(abort=True))


async def is_still(driver: Crane, client: Client) -> None:
    assert not driver.is_moving


async def test_an_abort_comes_at_each_await_of_the_author_s_method() -> None:
    assert await interrupt_everywhere(lift, Crane, by=abort, check=is_still) == STEPS


async def test_an_operation_that_does_not_stop_is_found_with_the_await() -> None:
    class Unstoppable(Crane):
        stops = False

    with pytest.raises(AssertionError) as caught:
        await interrupt_everywhere(lift, Unstoppable, by=abort, check=is_still)
    assert caught.value.__notes__ == ["the driver was interrupted at its await number 1"]


async def test_only_each_second_await() -> None:
    assert await interrupt_everywhere(lift, Crane, by=abort, check=is_still, each=2) == 2
    with pytest.raises(ValueError, match="each is 0"):
        await interrupt_everywhere(lift, Crane, by=abort, each=0)


async def test_the_run_is_cancelled_at_each_await_and_leaves_once() -> None:
    cranes: list[Crane] = []

    def make() -> Crane:
        cranes.append(Crane())
        return cranes[-1]

    assert await interrupt_everywhere(lift, make, by="cancel", check=is_still) == STEPS
    assert len(cranes) == STEPS + 1
    assert [str(crane.height.state) for crane in cranes] == ["Idle"] * STEPS + ["Ok"]


async def test_the_run_is_asked_to_end_at_each_await() -> None:
    async def end(driver: Crane, client: Client) -> None:
        driver.shutdown()

    assert await interrupt_everywhere(lift, Crane, by=end) == STEPS


async def test_the_handlers_of_a_plain_driver_are_seen() -> None:
    async def nothing(driver: Slider, client: Client) -> None:
        """Interrupt nothing."""

    assert await interrupt_everywhere(move, lambda: Slider(seconds=0.002), by=nothing) >= 1


@virtual
async def test_an_operation_that_goes_on_for_ever_is_found() -> None:
    class Stuck(Crane):
        async def _may_lift(self, wanted: Height) -> None:
            await anyio.sleep(1000)

    async def only_send(driver: Crane, client: Client) -> None:
        device = await client.device(NAME, timeout=5)
        await (await device.vector("HEIGHT", timeout=5)).set(M=20, wait=False)
        await anyio.sleep(1)

    async def nothing(driver: Crane, client: Client) -> None:
        """Interrupt nothing."""

    told = r"the write\(newNumberVector for Crane\.HEIGHT\), which has not ended"
    with pytest.raises(AssertionError, match=told):
        await interrupt_everywhere(only_send, Stuck, by=nothing, settle_seconds=10)


async def test_what_the_operation_or_the_interruption_raises_comes_out_bare() -> None:
    async def wrong(driver: Crane, client: Client) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await interrupt_everywhere(wrong, Crane, by=abort)
    with pytest.raises(LookupError, match="mine"):
        await interrupt_everywhere(lift, Crane, by=wrong)


async def test_an_error_of_the_driver_before_it_is_interrupted_is_one() -> None:
    class Refusing(Slider):
        async def rxevent(self, event: NewEvent) -> None:
            raise ValueError("not me")

    with pytest.raises(Exception, match="not me"):
        await interrupt_everywhere(move, Refusing, by="cancel")
