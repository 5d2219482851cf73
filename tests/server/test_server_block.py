"""A server that is at work for as long as a block lasts: what it is then, and what comes out of it."""

from __future__ import annotations

import socket
import uuid
from contextlib import suppress

import anyio
import pytest
import trio
import trio.testing

from indianyio import ServerFailedError
from indianyio.protocol import DelProperty, SetNumberVector
from indianyio.server import IPyServer
from indianyio.streams._listening import Listener
from tests.driver.gadget import DEVICE, Gadget
from tests.driver.test_life import CancelAtStep
from tests.server.network import Network, is_let_go, open_descriptors

pytestmark = pytest.mark.anyio


def served(driver: Gadget | None = None) -> IPyServer:
    return IPyServer(driver or Gadget(), host="127.0.0.1", port=0)


async def test_clients_can_connect_when_the_block_begins_and_are_let_go_when_it_ends() -> None:
    driver = Gadget()
    server = served(driver)
    assert server.addresses == []
    async with server as entered:
        assert entered is server
        network = Network(server.addresses)
        client = await network.greeted()
        await client.write(DEVICE, "NUMBER", position=1000)
        await client.expect(SetNumberVector, state="Alert")
        assert len(server.connectionpool) == 1
        assert not server.stop
    assert driver.left == 1
    assert server.stopped.is_set()
    assert server.statistics() == {}
    assert server.addresses == server.connectionpool == []
    assert (await client.expect(DelProperty)).device == DEVICE
    assert await is_let_go(client)
    network.tidy()


async def test_it_can_be_entered_again_but_not_twice_at_a_time() -> None:
    driver = Gadget()
    server = served(driver)
    for _ in range(2):
        async with server:
            with pytest.raises(RuntimeError, match="already"):
                async with server:
                    pytest.fail("it was entered twice")
            with pytest.raises(RuntimeError, match="running already"):
                await server.asyncrun()
    assert driver.left == 2


# -- what comes out of it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyError("mine"), ExceptionGroup("mine", [ValueError()]), KeyboardInterrupt()])
async def test_what_the_block_raises_comes_out_as_it_was_raised(error: BaseException) -> None:
    async def block() -> None:
        async with served(driver):
            await anyio.wait_all_tasks_blocked()
            raise error

    driver = Gadget()
    with pytest.raises(type(error)) as caught:
        await block()
    assert caught.value is error
    assert not getattr(error, "__notes__", [])
    assert driver.left == 1


async def test_s6_a_port_that_is_taken_is_a_bare_error_and_the_block_is_not_entered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rival:
        port = rival.getsockname()[1]
        server = IPyServer(Gadget(), host="127.0.0.1", port=port)
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            async with server:
                pytest.fail("it was entered")
    assert server.stopped.is_set()
    async with server:
        assert server.addresses == [f"127.0.0.1:{port}"]


class Broken:
    """Lets a server fail, as nothing is known to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = anyio.Event()
        monkeypatch.setattr(Listener, "accept_forever", self._accept_forever)

    async def _accept_forever(self, *_: object) -> None:
        await self.now.wait()
        raise OSError("no sockets any more")


async def test_a_server_that_fails_cancels_the_block_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def block() -> None:
        async with server:
            broken.now.set()
            await anyio.sleep_forever()

    driver, broken = Gadget(), Broken(monkeypatch)
    server = served(driver)
    with pytest.raises(ServerFailedError) as caught:
        await block()
    assert pytest.RaisesGroup(pytest.RaisesExc(OSError, match="no sockets"), flatten_subgroups=True).matches(
        caught.value.__cause__
    )
    assert driver.left == 1
    assert server.stopped.is_set()


async def test_an_error_of_the_block_comes_before_one_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async def block() -> None:
        async with served():
            broken.now.set()
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError("mine")

    broken = Broken(monkeypatch)
    with pytest.raises(KeyError) as caught:
        await block()
    assert ["no sockets" in note for note in caught.value.__notes__] == [True]


async def test_cancelled_from_outside_it_ends_in_order() -> None:
    driver = Gadget()
    with anyio.CancelScope() as scope:
        async with served(driver) as server:
            network = Network(server.addresses)
            client = await network.greeted()
            scope.cancel("the program ends")
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert driver.left == 1
    assert server.stopped.is_set()
    assert (await client.expect(DelProperty)).device == DEVICE
    network.tidy()


# -- shutdown --------------------------------------------------------------------------------------------------


async def test_shut_down_within_the_block_it_lets_the_block_go_on() -> None:
    driver = Gadget()
    async with served(driver) as server:
        server.shutdown()
        assert server.stop
        with anyio.fail_after(60):
            await server.stopped.wait()
        assert driver.left == 1
        await anyio.wait_all_tasks_blocked()
        reached = True
    assert reached


async def test_shut_down_before_the_block_it_has_ended_when_that_begins() -> None:
    driver = Gadget()
    server = served(driver)
    server.shutdown()
    with anyio.fail_after(60):
        async with server:
            assert driver.left == 0
    server.shutdown()
    async with anyio.create_task_group() as tasks:
        assert len(await tasks.start(server.asyncrun)) == 1
    async with server:
        assert not server.stop


# -- cancelled at every step -----------------------------------------------------------------------------------


def test_cancel_sweep_over_a_block() -> None:
    """Whenever it is cancelled: the driver has left, the server has stopped, and nothing is left open."""
    for step in range(1, 5000):
        driver = Gadget(work=lambda _: anyio.sleep(1))
        server = IPyServer(driver, host=None, unix=f"@{uuid.uuid4().hex}")
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)

        async def main(server: IPyServer = server, scope: trio.CancelScope = scope) -> float:
            start = trio.current_time()
            network = Network([])
            # The block is cancelled at its first checkpoint, and may find the server gone before that.
            with scope, suppress(ConnectionRefusedError):
                async with server:
                    client = await network.greeted(server.addresses[0])
                    await client.write(DEVICE, "NUMBER", position=1000)
                    await client.expect(SetNumberVector, state="Alert")
            network.tidy()
            return trio.current_time() - start

        before = open_descriptors()
        took = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[instrument])
        assert took <= 30, f"step {step}"
        assert open_descriptors() == before, f"step {step}"
        assert server.stopped.is_set() or step < 5, f"step {step}"
        assert driver.left == (1 if driver.stopped.is_set() else 0), f"step {step}"
        if instrument.left > 0:
            assert step > 50
            return
    raise AssertionError("the lifetime does not end")
