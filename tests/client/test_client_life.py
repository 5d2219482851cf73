"""How a client begins and ends, and what becomes of it when the server is lost."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
import trio
import trio.testing
from anyio.abc import TaskStatus

from indianyio.client import Client, ConnectionLostError, OperationAbortedError, open_client
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import NewNumberVector, PingReply, PingRequest
from indianyio.server import IPyServer
from indianyio.streams import MemoryStream, memory_pair
from indianyio.testing import Peer
from tests.client.scripted import DEVICE, blobs, ends_with, numbers, scripted, set_numbers
from tests.driver.gadget import Gadget
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param, idle_seconds=0.3)


GADGET = "Gadget"


def served(*drivers: Gadget, port: int = 0, unix: str | None = None) -> IPyServer:
    return IPyServer(*(drivers or (Gadget(),)), host="127.0.0.1", port=port, unix=unix)


def port_of(server: IPyServer) -> int:
    return int(next(one for one in server.addresses if one.startswith("127.")).rpartition(":")[2])


# -- the block -----------------------------------------------------------------------------------------------------


async def test_what_the_block_raises_comes_out_bare() -> None:
    class MineError(Exception):
        pass

    with pytest.raises(MineError):
        async with scripted(numbers("N", X=1)):
            raise MineError


async def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(ConnectionRefusedError, match=f"127.0.0.1:{port}.*is an INDI server running there"):
            async with open_client("127.0.0.1", port):
                pytest.fail("there is nobody")


async def test_a_unix_socket_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="/nowhere/at/all"):
        async with open_client(unix="/nowhere/at/all"):
            pytest.fail("there is nobody")


async def test_one_way_to_the_server_only() -> None:
    _, far = memory_pair()
    with pytest.raises(ValueError, match="not both"):
        async with open_client(stream=far, unix="x"):
            pytest.fail("opened")
    with pytest.raises(ValueError, match="cannot be connected again"):
        async with open_client(stream=far, reconnect=True):
            pytest.fail("opened")


async def test_a_lost_server_ends_the_block_at_once_with_one_error() -> None:
    near, far = memory_pair()
    with anyio.fail_after(5), ends_with(ConnectionLostError, "was lost"):
        async with open_client(stream=far):
            await near.aclose()
            await anyio.sleep_forever()


async def test_a_lost_server_in_the_middle_of_a_write() -> None:
    with anyio.fail_after(5), ends_with(ConnectionLostError, "was lost"):
        async with scripted(numbers("N", X=1)) as script, anyio.create_task_group() as tasks:
            tasks.start_soon(script.vector("N").wait_for, lambda vector: vector["X"] == 2)

            async def write() -> None:
                await script.vector("N").set(X=5)

            tasks.start_soon(write)
            await script.written("N")
            await script.say(set_numbers("N", "Busy", X=2))
            await script.peer.close()


async def test_nothing_can_be_done_with_a_client_that_has_ended() -> None:
    async with scripted(numbers("N", X=1)) as script:
        vector, client = script.vector("N"), script.client
        watch = client.watch()
    assert vector["X"] == 1  # what was known can be read
    with pytest.raises(ConnectionLostError, match="ended"):
        await vector.set(X=2)
    with pytest.raises(ConnectionLostError, match="ended"):
        await client.device("other", timeout=5)
    assert (await anext(watch)).kind == "lost"
    with pytest.raises(ConnectionLostError):
        await anext(watch)


async def test_last_words_are_sent() -> None:
    near, far = memory_pair()
    peer = Peer(near, answer_pings=False)
    async with open_client(stream=far) as client:
        await peer.send(numbers("N", X=1))
        vector = await (await client.device(DEVICE)).vector("N")
        await vector.set(X=5, wait=False)
    assert (await peer.expect(NewNumberVector)).name == "N"
    with ends_with(ConnectionLostError):
        while True:
            await peer.receive()


async def test_a_server_that_does_not_read_delays_no_end() -> None:
    near, far = memory_pair(capacity_bytes=100)
    peer = Peer(near)
    with anyio.fail_after(10):
        async with open_client(stream=far) as client:
            with anyio.CancelScope() as sending:
                await peer.send(numbers("N", X=1))
                vector = await (await client.device(DEVICE)).vector("N")
                for _ in range(100):
                    await vector.set(X=5, wait=False)
                sending.cancel()
    await near.aclose()


async def test_the_pings_of_a_server_are_answered() -> None:
    async with scripted() as script:
        await script.peer.send(PingRequest(uid="SetBLOB/7"))
        assert (await script.asked(PingReply)).uid == "SetBLOB/7"


def test_a_server_that_falls_silent_is_lost() -> None:
    """It answered a ping once, so it can."""

    async def main() -> float:
        near, far = memory_pair()
        peer = Peer(near, answer_pings=False)
        began = trio.current_time()
        with ends_with(ConnectionLostError, "silent for 3"):
            async with open_client(stream=far):
                await peer.send(PingReply(uid=(await peer.expect(PingRequest)).uid))
                await anyio.sleep_forever()
        return trio.current_time() - began

    took = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert 25 < took < 60


def test_a_server_that_never_answered_a_ping_may_be_silent() -> None:
    async def main() -> None:
        near, far = memory_pair()
        async with open_client(stream=far):
            await anyio.sleep(3600)
        await near.aclose()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_server_that_answers_is_asked_again_and_again() -> None:
    async def main() -> int:
        near, far = memory_pair()
        peer = Peer(near)
        async with open_client(stream=far):
            with anyio.move_on_after(1000):
                while True:
                    await peer.receive()
        await near.aclose()
        return sum(isinstance(one, PingRequest) for one in peer.received)

    assert 20 < trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) < 60


def test_a_server_that_takes_a_long_upload_may_be_silent() -> None:
    """On a slow line: what it is asked stands behind the upload, and it can only answer what it has."""

    async def main() -> None:
        near, far = memory_pair(capacity_bytes=1 << 16)
        peer = Peer(near, answer_pings=False)
        async with open_client(stream=far) as client, anyio.create_task_group() as tasks:
            await peer.send(PingReply(uid=(await peer.expect(PingRequest)).uid))
            await peer.send(blobs("MAP", "map").replace('"ro"', '"rw"'))
            vector = await (await client.device("Scripted")).vector("MAP")
            tasks.start_soon(partial(vector.set, map=bytes(1_500_000), start_timeout=20))
            size = 0
            while size < 2_000_000:
                await anyio.sleep(5)
                size += len((await near.receive()).data)
            await peer.send('<setBLOBVector device="Scripted" name="MAP" state="Ok"/>')

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_server_that_takes_nothing_of_an_upload_is_lost() -> None:
    async def main() -> float:
        near, far = memory_pair(capacity_bytes=1 << 16)
        peer = Peer(near, answer_pings=False)
        began = trio.current_time()
        with ends_with(ConnectionLostError, "silent for"):
            async with open_client(stream=far) as client:
                await peer.send(PingReply(uid=(await peer.expect(PingRequest)).uid))
                await peer.send(blobs("MAP", "map").replace('"ro"', '"rw"'))
                vector = await (await client.device("Scripted")).vector("MAP")
                await vector.set(map=bytes(1_500_000))
        return trio.current_time() - began

    assert 25 < trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) < 90


# -- hostile servers -----------------------------------------------------------------------------------------------


async def test_garbage_costs_nothing_but_itself(caplog: pytest.LogCaptureFixture) -> None:
    garbage = b"\x00\xff</oops><?xml version='1.0'?><setNumberVector><<<&&&;<defNumberVector device=''/><!DOCTYPE>"
    async with scripted(numbers("N", X=1)) as script:
        for _ in range(50):
            await script.peer.send(garbage)
        await script.say(set_numbers("N", "Ok", X=2))
        assert script.vector("N")["X"] == 2


async def test_odd_definitions_and_updates(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted(numbers("N", X=1)) as script:
        before = script.vector("N")
        await script.say(f'<defNumberVector device="{DEVICE}" name="EMPTY" state="Ok" perm="rw"/>')
        assert len(script.vector("EMPTY")) == 0
        with pytest.raises(KeyError, match="has no member 'X'"):
            await script.vector("EMPTY").set(X=1)
        # Of another kind than before: it is another object, and the old one is no longer there.
        await script.say(
            f'<defTextVector device="{DEVICE}" name="N" state="Ok" perm="rw"><defText name="T"> a </defText>'
            "</defTextVector>"
        )
        assert script.vector("N").kind == "Text"
        assert script.vector("N")["T"] == " a "
        assert not before.exists
        # An update of another kind, of a member or a vector that is not there, without a state, with odd numbers.
        await script.say(
            set_numbers("N", "Busy", X=3),
            set_numbers("NOBODY", "Busy", X=3),
            f'<setTextVector device="{DEVICE}" name="N"><oneText name="Z">z</oneText></setTextVector>',
            '<delProperty device="nobody"/>',
            f'<delProperty device="{DEVICE}" name="nothing"/>',
        )
        assert script.vector("N").state == "Ok"
        assert dict(script.vector("N")) == {"T": " a "}
        await script.say(numbers("M", "Ok", {"X": 1}).replace(">1<", ">banana<"))
        assert script.vector("M")["X"] == 0
        await script.say(blobs().replace('perm="ro"', 'perm="ro" timeout="30"'))
        assert script.vector("CCD1").timeout == 30


async def test_members_that_are_defined_no_more_are_gone() -> None:
    async with scripted(numbers("N", A=1, B=2)) as script:
        vector = script.vector("N")
        await script.say(numbers("N", C=3))
        assert dict(vector) == {"C": 3}
        with pytest.raises(KeyError, match="has no member 'A'; it has 'C'"):
            vector["A"]


@pytest.mark.long
async def test_definitions_without_end_are_one_error() -> None:
    near, far = memory_pair(capacity_bytes=1 << 22)
    text = "x" * 100_000

    async def define() -> None:
        with ends_with(ConnectionLostError):
            for number in range(10_000):
                await near.send(
                    f'<defTextVector device="D" name="V{number}" perm="rw" state="Ok">'
                    f'<defText name="T">{text}</defText></defTextVector>'.encode()
                )

    with ends_with(RemoteProtocolError, "defines more than 67108864 bytes"):
        async with open_client(stream=far), anyio.create_task_group() as tasks:
            tasks.start_soon(define)
            await anyio.sleep(60)
    await near.aclose()


# -- reconnecting --------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """A server in a task of its own, that can be ended and replaced while a client is open."""

    def __init__(self, driver: Gadget, port: int) -> None:
        self._server = served(driver, port=port)
        self._stop = anyio.Event()
        self._ended = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        async with self._server:
            task_status.started()
            await self._stop.wait()
        self._ended.set()

    async def end(self) -> None:
        self._stop.set()
        await self._ended.wait()


async def test_a_client_connects_again_and_what_is_on_its_way_fails(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()

    async def never(driver: Gadget, event: object) -> None:
        await driver.number.send_setVector(state="Busy")

    async def work(driver: Gadget, event: object) -> None:
        driver.number["position"] = 6
        await driver.number.send_setVector(state="Ok")

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            first, second = Served(Gadget(on_write=never), port), Served(Gadget(on_write=work), port)
            await tasks.start(first.run)
            async with open_client("127.0.0.1", port, reconnect=True) as client:
                device = await client.device(GADGET)
                vector = await device.vector("NUMBER")
                watch = client.watch(state="Busy")

                async def end_the_server_when_busy() -> None:
                    await vector.wait_for(lambda v: v.state == "Busy")
                    await first.end()

                tasks.start_soon(end_the_server_when_busy)
                with pytest.raises((ConnectionLostError, OperationAbortedError)):
                    await vector.set(position=5)
                await client.wait_for(lambda c: not c.is_connected)
                with pytest.raises((ConnectionLostError, OperationAbortedError)):
                    await vector.set(position=5)
                await tasks.start(second.run)
                kinds = [(await anext(watch)).kind]
                while kinds[-1] != "back":
                    kinds.append((await anext(watch)).kind)
                assert "updated" in kinds
                assert await client.device(GADGET) is device
                assert await device.vector("NUMBER") is vector
                await vector.set(position=6)
                assert vector["position"] == 6
                assert not vector.stale
            await second.end()


async def test_a_server_that_is_killed_in_the_middle_fails_what_is_on_its_way() -> None:
    """Without a word, unlike our own server, which says that its devices are gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener, anyio.fail_after(20):
        port = listener.getsockname()[1]
        async with open_client("127.0.0.1", port, reconnect=True) as client:
            connection, _ = listener.accept()
            connection.sendall(numbers("N", X=1).encode())
            vector = await (await client.device(DEVICE)).vector("N")
            connection.sendall(set_numbers("N", "Busy", X=1).encode())
            await vector.wait_for(lambda v: v.state == "Busy")

            async def kill() -> None:
                await anyio.sleep(0.05)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.close()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kill)
                with pytest.raises(ConnectionLostError, match="what the device does now is not known"):
                    await vector.set(X=5)
            assert vector.exists
            assert vector.stale
            with pytest.raises(ConnectionLostError, match="no connection"):
                await vector.set(X=5)
            await client.wait_for(lambda c: c.is_connected)
            connection, _ = listener.accept()
            with pytest.raises(TimeoutError, match="has not been reported again"):
                await vector.set(X=5, start_timeout=0.05)
            connection.sendall(numbers("N", X=2).encode())
            await vector.wait_for(lambda v: v["X"] == 2)
            connection.close()


def test_what_does_not_come_back_is_deleted() -> None:
    async def main() -> None:
        servers: list[Peer] = []

        async def dial() -> MemoryStream:
            near, far = memory_pair()
            servers.append(Peer(near))
            return far

        client = Client(dial, name="it", device=None, reconnect=True, validate=True, folder=None)
        async with trio.open_nursery() as nursery:
            ready = trio.Event()
            nursery.start_soon(client._serve, ready.set)
            await ready.wait()
            await servers[0].send(numbers("N", X=1))
            await servers[0].send(numbers("M", X=1))
            await (await client.device(DEVICE)).vector("M")
            vector = client[DEVICE]["N"]
            await servers[0].close()
            await client.wait_for(lambda c: not c.is_connected)
            assert vector.stale
            assert vector.exists
            await client.wait_for(lambda c: c.is_connected)
            await servers[1].send(numbers("M", X=2))
            await trio.sleep(60)
            assert not vector.exists
            assert list(client[DEVICE]) == ["M"]
            assert client[DEVICE]["M"]["X"] == 2
            await client._end()
        for server in servers:
            await server.close()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- against our own server ----------------------------------------------------------------------------------------


@asynccontextmanager
async def client_of(server: IPyServer) -> AsyncGenerator[Client]:
    async with server, open_client("127.0.0.1", port_of(server)) as client:
        yield client


async def test_our_own_server_over_tcp(caplog: pytest.LogCaptureFixture) -> None:
    async def work(driver: Gadget, event: object) -> None:
        if isinstance(event, object):
            await driver.number.send_setVector(state="Busy")
            driver.number["position"] = 7
            await driver.number.send_setVector(state="Ok")

    with anyio.fail_after(20):
        async with client_of(served(Gadget(on_write=work))) as client:
            device = await client.device(GADGET, timeout=5)
            await device.vector("IMAGE", timeout=5)
            assert set(device) == {"TEXT", "NUMBER", "ABORT", "LIGHT", "IMAGE"}
            number = await device.set("NUMBER", position=7)
            assert (number["position"], number.state) == (7, "Ok")
            with pytest.raises(ValueError, match=r"Gadget.NUMBER: position must be from 0 to 100, not 500"):
                await device.set("NUMBER", position=500)
            with pytest.raises(TimeoutError, match="no device 'Nobody' within"):
                await client.device("Nobody", timeout=0.05)
            with pytest.raises(KeyError, match="no vector 'NOPE'; it has 'TEXT', 'NUMBER'"):
                await device.set("NOPE", start_timeout=0.05, X=1)
