"""What ends a server, what does not, and who is kept waiting by whom."""

from __future__ import annotations

import socket
import threading

import anyio
import anyio.abc
import anyio.to_thread
import pytest

from indianyio import ServerFailedError
from indianyio.protocol import DelProperty
from indianyio.server import IPyServer
from tests.driver.gadget import DEVICE, Gadget
from tests.server.certificates import Identity, needs_openssl
from tests.server.network import SECONDS, Network, at_work, is_let_go
from tests.server.watching import until

pytestmark = pytest.mark.anyio


async def test_another_thread_may_shut_it_down() -> None:
    server = IPyServer(Gadget(), host="127.0.0.1", port=0)
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            network = Network(await tasks.start(server.asyncrun))
            await network.greeted()
            await anyio.to_thread.run_sync(server.shutdown, "a thread says so")
            await server.stopped.wait()
    network.tidy()


async def test_a_driver_that_hangs_keeps_no_client_and_no_port() -> None:
    released = threading.Event()

    async def hang(_: Gadget) -> None:
        await anyio.to_thread.run_sync(released.wait)

    driver = Gadget(work=hang)
    driver.grace = 0.05
    server = IPyServer(driver, Gadget(device="Other"), host="127.0.0.1", port=0)
    server.grace = 2
    server.drivers[1].grace = 2
    async with anyio.create_task_group() as tasks:
        network = Network(await tasks.start(server.asyncrun))
        client = await network.greeted()
        server.shutdown()
        try:
            assert {(await client.expect(DelProperty)).device for _ in range(2)} == {DEVICE, "Other"}
            assert await is_let_go(client)
            with pytest.raises(ConnectionRefusedError):
                network.dial()
            assert not server.stopped.is_set()
        finally:
            released.set()
    assert server.stopped.is_set()
    network.tidy()


async def test_s6_the_failure_of_the_last_driver_ends_the_server() -> None:
    failures = {name: OSError(f"no instrument behind {name}") for name in ("A", "B")}
    broken = {name: anyio.Event() for name in failures}

    def driver(name: str) -> Gadget:
        async def work(_: Gadget) -> None:
            await broken[name].wait()
            raise failures[name]

        return Gadget(device=name, work=work)

    server = IPyServer(driver("A"), driver("B"), host="127.0.0.1", port=0)
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            caught: list[ServerFailedError] = []

            async def run(*, task_status: anyio.abc.TaskStatus[list[str]]) -> None:
                with pytest.raises(ServerFailedError, match="no driver is left") as error:
                    await server.asyncrun(task_status=task_status)
                caught.append(error.value)

            network = Network(await tasks.start(run))
            client = await network.greeted(device="B")
            for name in failures:
                broken[name].set()
                assert (await client.expect(DelProperty)).device == name
    network.tidy()
    assert caught[0].__cause__ is failures["B"]


async def test_a_driver_that_ends_in_order_leaves_the_server_nothing_to_do() -> None:
    driver = Gadget()
    server = IPyServer(driver, host="127.0.0.1", port=0)
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            network = Network(await tasks.start(server.asyncrun))
            await network.greeted()
            driver.shutdown()
    network.tidy()


async def test_a_driver_in_two_servers_is_refused_by_the_second() -> None:
    driver = Gadget()
    async with at_work(IPyServer(driver, host="127.0.0.1", port=0)) as network:
        await network.greeted()
        with pytest.raises(RuntimeError, match="the driver of Gadget is running already"):
            await IPyServer(driver, host="127.0.0.1", port=0).asyncrun()
        await network.greeted()


# -- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.make(tmp_path_factory.mktemp("server"), "server")


def say_hello(address: str, identity: Identity) -> None:
    """Connect with TLS, ask for everything, and receive until the orderly end."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), SECONDS) as raw,
        identity.client_context().wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as sock,
    ):
        sock.sendall(b'<getProperties version="1.7"/>')
        while sock.recv(65536):
            pass  # an end that TLS does not know of is an SSLEOFError


@needs_openssl
async def test_handshakes_take_no_clients_place_and_keep_nobody_waiting_at_the_end(identity: Identity) -> None:
    server = IPyServer(Gadget(), host="127.0.0.1", port=0, maxconnections=1, tls=identity.server_context())
    server.grace = 4 * SECONDS
    with anyio.fail_after(SECONDS):
        async with at_work(server) as network:
            half_open = [network.dial() for _ in range(5)]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, say_hello, network.addresses[0], identity)
                await until(lambda: bool(server.connectionpool))
                server.shutdown()
            assert len(half_open) == 5
