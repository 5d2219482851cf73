"""A client over TLS: with our own server, and with what is no such server."""

from __future__ import annotations

import ssl
from pathlib import Path

import anyio
import pytest

from indianyio import sync
from indianyio.client import open_client
from indianyio.server import IPyServer
from indianyio.streams import memory_pair
from tests.client.test_client_life import GADGET, port_of
from tests.driver.gadget import Gadget
from tests.server.certificates import Identity, needs_openssl

pytestmark = [pytest.mark.anyio, needs_openssl]


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.make(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.make(tmp_path_factory.mktemp("tls"), "guest")


def served(identity: Identity, trusted: Identity | None = None) -> IPyServer:
    return IPyServer(Gadget(), host="127.0.0.1", port=0, tls=identity.server_context(trusted))


async def test_a_client_and_a_server_that_know_each_other(identity: Identity, guest: Identity) -> None:
    context = identity.client_context(guest)
    with anyio.fail_after(60):
        async with served(identity, guest) as server:
            async with open_client("localhost", port_of(server), tls=context) as indi:
                device = await indi.device(GADGET, timeout=10)
                assert list(device)


async def test_without_an_event_loop(identity: Identity) -> None:
    def read(port: int) -> list[str]:
        with sync.open_client("localhost", port, tls=identity.client_context()) as indi:
            return list(indi.device(GADGET, timeout=10))

    with anyio.fail_after(60):
        async with served(identity) as server:
            assert await anyio.to_thread.run_sync(read, port_of(server))


@pytest.mark.parametrize("case", ["unknown", "name"])
async def test_a_certificate_that_does_not_match_is_one_clear_error(identity: Identity, case: str) -> None:
    # True trusts whom this machine trusts; the certificate is for localhost.
    tls: bool | ssl.SSLContext = True if case == "unknown" else identity.client_context()
    host = "localhost" if case == "unknown" else "127.0.0.1"
    text = {
        "unknown": "TLS handshake failed: certificate verify failed: self-signed certificate",
        "name": "TLS handshake failed: certificate verify failed: IP address mismatch",
    }[case]
    with anyio.fail_after(60):
        async with served(identity) as server:
            port = port_of(server)
            with pytest.raises(OSError, match=f"{host}:{port}: {text}") as raised:
                async with open_client(host, port, tls=tls):
                    pass
    assert not isinstance(raised.value, PermissionError)


async def test_a_server_without_tls(identity: Identity) -> None:
    with anyio.fail_after(60):
        async with IPyServer(Gadget(), host="127.0.0.1", port=0) as server:
            with pytest.raises(OSError, match=r"TLS handshake|no answer within"):
                async with open_client("localhost", port_of(server), tls=identity.client_context(), timeout=1):
                    pass


async def test_what_cannot_be_encrypted(identity: Identity, tmp_path: Path) -> None:
    _, far = memory_pair()
    for way in ({"unix": str(tmp_path / "socket")}, {"stream": far}):
        with pytest.raises(ValueError, match="only a TCP connection can be encrypted"):
            async with open_client(tls=True, **way):
                pass
    with anyio.fail_after(60):
        async with served(identity) as server:
            with pytest.raises(ValueError, match="this SSLContext is for servers"):
                async with open_client("localhost", port_of(server), tls=identity.server_context()):
                    pass
    await far.aclose()
