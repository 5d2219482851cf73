"""Clients that begin a TLS handshake and do not go on: whose place they take, and that it is nobody else's."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import anyio.to_thread
import pytest

from indianyio.server import Access, IPyServer, access_table
from indianyio.streams._base import Connection
from indianyio.streams._handshakes import Handshakes
from tests.driver.gadget import Gadget
from tests.server.certificates import Identity, needs_openssl
from tests.server.network import SECONDS, Network, at_work
from tests.server.watching import texts, until

pytestmark = [pytest.mark.anyio, needs_openssl]


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.make(tmp_path_factory.mktemp("server"), "server")


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def dial_from(source: str, network: Network) -> socket.socket:
    host, _, port = network.addresses[0].rpartition(":")
    return socket.create_connection((host, int(port)), SECONDS, source_address=(source, 0))


def is_closed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def is_served(network: Network, identity: Identity) -> bool:
    """Whether a client that goes on with its handshake is answered."""
    with (
        dial_from("127.0.0.1", network) as raw,
        identity.client_context().wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        sock.sendall(b'<pingRequest uid="1"/>')
        return sock.recv(1) == b"<"


async def test_who_is_refused_for_its_address_takes_nobodys_place(
    identity: Identity, opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    rule = access_table([("127.0.0.2", Access.REFUSED)], Access.FULL)
    server = IPyServer(Gadget(), host="127.0.0.1", port=0, tls=identity.server_context(), access=rule)
    async with at_work(server) as network:
        silent = [opened.enter_context(dial_from("127.0.0.2", network)) for _ in range(110)]
        assert await anyio.to_thread.run_sync(is_served, network, identity)
        await until(lambda: all(map(is_closed, silent)))
    refusals = [text for text in texts(caplog, logging.WARNING) if "refused by the access rule" in text]
    assert len(refusals) == 11, "ten lines in ten seconds, and the sum"
    assert refusals[-1].endswith("99 such lines before it were left out")


async def test_one_address_shuts_out_nobody_but_itself(
    identity: Identity, opened: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    server = IPyServer(Gadget(), host="127.0.0.1", port=0, tls=identity.server_context())
    async with at_work(server) as network:
        silent = [opened.enter_context(dial_from("127.0.0.2", network)) for _ in range(110)]
        assert await anyio.to_thread.run_sync(is_served, network, identity)
        await until(lambda: sum(map(is_closed, silent)) == 100)
        for sock in silent:
            sock.close()
        await until(lambda: "left during the TLS handshake" in caplog.text)
        late = opened.enter_context(dial_from("127.0.0.2", network))
        assert await anyio.to_thread.run_sync(is_served, network, identity)
        assert not is_closed(late), "its places are free again"
    refusals = [text for text in texts(caplog, logging.WARNING) if "127.0.0.2 has begun 10 TLS handshakes" in text]
    assert len(refusals) == 11, "ten lines in ten seconds, and the sum"
    assert refusals[-1].endswith("89 such lines before it were left out")


@pytest.mark.parametrize(
    ("addresses", "begun"),
    [
        (["192.168.1.7"] * 3, 2),
        (["192.168.1.7", "192.168.1.8", "192.168.1.9"], 3),
        (["2001:db8::1", "2001:db8::2", "2001:db8::3"], 2),
        (["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], 3),
        (["fe80::1%eth0", "fe80::2%eth0", "fe80::3%eth1"], 2),
        (["::ffff:10.0.0.1", "::ffff:10.0.0.2", "10.0.0.3"], 3),
        (["::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"], 2),
        ([f"10.0.0.{number}" for number in range(9)], 5),
    ],
)
async def test_what_counts_as_one_address(
    addresses: list[str], begun: int, identity: Identity, opened: ExitStack
) -> None:
    handshakes = Handshakes(identity.server_context(), most=5, most_of_one=2)
    scopes: list[anyio.CancelScope] = []
    left: list[str] = []

    async def begin(address: str) -> None:
        ours, theirs = socket.socketpair()
        opened.callback(ours.close)
        opened.callback(theirs.close)
        ours.setblocking(False)
        scope = anyio.CancelScope()
        scopes.append(scope)
        with scope:
            await handshakes.accept(ours, Connection("tcp", address, 1))
        left.append(address)

    async with anyio.create_task_group() as tasks:
        for address in addresses:
            tasks.start_soon(begin, address)
        await anyio.wait_all_tasks_blocked()
        assert len(left) == len(addresses) - begun
        for scope in scopes:
            scope.cancel("the test is over")
    assert len(left) == len(addresses)
