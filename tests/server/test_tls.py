"""TLS: against another implementation's client, and against what is none."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace

import anyio
import anyio.abc
import anyio.lowlevel
import pytest
import trio.testing
from anyio.streams.tls import TLSStream as Client

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import Received
from indianyio.streams._base import Accepted, Connection
from indianyio.streams._listening import open_listeners
from indianyio.streams._tls import TLSStream, accept_tls, check_server_context
from tests.transports.socket_pairs import BIG, memory, receive_bytes

from .certificates import Identity, needs_openssl

pytestmark = [pytest.mark.anyio, needs_openssl]

virtual_time = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="mock-trio")],
)

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.make(tmp_path_factory.mktemp("server"), "server")


@pytest.fixture(scope="session")
def dome(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity.make(tmp_path_factory.mktemp("dome"), "dome")


async def raw_pair() -> tuple[socket.socket, anyio.abc.SocketStream]:
    """Return the two ends of a TCP connection: a server's socket and a client's stream."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = await anyio.connect_tcp(*listening.getsockname())
        return listening.accept()[0], client


@asynccontextmanager
async def tls_pair(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> AsyncGenerator[tuple[TLSStream, Client]]:
    sock, raw = await raw_pair()
    streams: list[TLSStream] = []

    async def accept() -> None:
        streams.append(await accept_tls(sock, server_context))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accept)
            client = await Client.wrap(raw, server_side=False, hostname="localhost", ssl_context=client_context)
    try:
        yield streams[0], client
    finally:
        streams[0].close()
        await anyio.aclose_forcefully(client)


@pytest.fixture(params=VERSIONS, ids=["1.2", "1.3"])
async def pair(request: pytest.FixtureRequest, server: Identity) -> AsyncGenerator[tuple[TLSStream, Client]]:
    context = server.client_context()
    context.maximum_version = context.minimum_version = request.param
    async with tls_pair(server.server_context(), context) as made:
        yield made


async def receive_as_client(client: Client, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        data += await client.receive()
    return bytes(data)


async def send_for_ever(stream: TLSStream) -> None:
    while True:
        await stream.send(BIG)


async def fill(stream: TLSStream) -> None:
    """Send until nothing more is taken, and give up."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send_for_ever, stream)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


# -- a connection ----------------------------------------------------------------------------------------------


async def test_both_directions_at_once(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    received = dict[str, bytes]()

    async def collect_at_server() -> None:
        received["server"] = await receive_bytes(stream, len(BIG))

    async def collect_at_client() -> None:
        received["client"] = await receive_as_client(client, len(BIG))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect_at_server)
        tasks.start_soon(collect_at_client)
        tasks.start_soon(stream.send, memoryview(BIG))
        tasks.start_soon(client.send, BIG)
    assert received == {"server": BIG, "client": BIG}


async def test_what_is_said_is_not_seen_on_the_wire(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    await stream.send(b"<getProperties version='1.7'/>")
    seen = await client.transport_stream.receive()
    assert seen
    assert b"getProperties" not in seen


async def test_a_stream_says_who_the_peer_is(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    port = client.extra(anyio.abc.SocketAttribute.local_port)
    await anyio.lowlevel.checkpoint()
    assert stream.name == f"127.0.0.1:{port}"
    assert not stream.carries_attachments
    assert stream.certificate is None


async def test_attachments_would_pass_beside_the_encryption(pair: tuple[TLSStream, Client]) -> None:
    attachment = memory(b"image")
    with pytest.raises(ValueError, match="carries no attachments"):
        await pair[0].send(b"x", [attachment])
    attachment.close()


async def test_nothing_is_sent_for_nothing(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    await stream.send(b"")
    await stream.send(b"x")
    assert await client.receive() == b"x"


async def test_a_receive_that_is_cancelled_takes_nothing(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    await client.send(b"one")
    await client.send(b"two")
    await anyio.wait_all_tasks_blocked()
    received = (await stream.receive()).data
    with anyio.CancelScope() as scope:
        scope.cancel()
        received += (await stream.receive()).data
    assert received == b"one"
    assert (await stream.receive()).data == b"two"


async def test_received_in_any_pieces(pair: tuple[TLSStream, Client]) -> None:
    """A reader that is cancelled at every piece of a record misses nothing."""
    stream, client = pair
    received = bytearray()
    message = bytes(range(256))
    stolen = ssl.MemoryBIO()
    client._write_bio, own = stolen, client._write_bio
    for piece in record_pieces(client, message, own):
        await client.transport_stream.send(piece)
        with anyio.move_on_after(0.001):
            while True:
                received += (await stream.receive()).data
    assert received == message


def record_pieces(client: Client, message: bytes, bio: ssl.MemoryBIO) -> list[bytes]:
    client._ssl_object.write(message)
    encrypted = bio.read()
    return [encrypted[at : at + 7] for at in range(0, len(encrypted), 7)]


# -- who it is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_clients_certificate(version: ssl.TLSVersion, server: Identity, dome: Identity) -> None:
    context = server.server_context(trusted=dome)
    context.maximum_version = version
    async with tls_pair(context, server.client_context(dome)) as (stream, _):
        connection = replace(Connection("tcp", "127.0.0.1", 50000), certificate=stream.certificate)
        assert connection.common_name == "dome"


async def refused(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> tuple[str, str]:
    """Return what either side says of a handshake that must fail."""
    sock, raw = await raw_pair()
    at_client = ""

    async def connect() -> None:
        nonlocal at_client
        try:
            client = await Client.wrap(raw, server_side=False, hostname="localhost", ssl_context=client_context)
            await client.receive()  # by TLS 1.3, the client learns only now that it was refused
        except (ssl.SSLError, anyio.BrokenResourceError) as exc:
            at_client = str(exc) + str(exc.__cause__)
        await anyio.aclose_forcefully(raw)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connect)
            with pytest.raises(ConnectionLostError) as caught:
                await accept_tls(sock, server_context)
            sock.close()
    return str(caught.value), at_client


async def test_a_client_without_the_certificate_that_is_required(server: Identity, dome: Identity) -> None:
    at_server, at_client = await refused(server.server_context(trusted=dome), server.client_context())
    assert at_server.startswith("127.0.0.1:")
    assert at_server.endswith(": TLS handshake failed: peer did not return a certificate")
    assert "CERTIFICATE_REQUIRED" in at_client.upper().replace(" ", "_")


async def test_a_client_with_somebody_elses_certificate(server: Identity, dome: Identity) -> None:
    at_server, at_client = await refused(server.server_context(trusted=dome), server.client_context(server))
    assert at_server.endswith(": TLS handshake failed: certificate verify failed: self-signed certificate")
    assert "UNKNOWN_CA" in at_client.upper().replace(" ", "_")


async def test_a_client_that_does_not_trust_the_server(server: Identity, dome: Identity) -> None:
    at_server, at_client = await refused(server.server_context(), dome.client_context())
    assert at_server.endswith(": the peer left during the TLS handshake")
    assert "CERTIFICATE_VERIFY_FAILED" in at_client


def test_a_context_for_clients_is_refused_at_once(server: Identity) -> None:
    with pytest.raises(ValueError, match=r"for clients.*CLIENT_AUTH"):
        check_server_context(server.client_context())
    check_server_context(server.server_context())


# -- what is no handshake --------------------------------------------------------------------------------------


async def test_a_client_that_speaks_no_tls(server: Identity) -> None:
    sock, client = await raw_pair()
    await client.send(b"<getProperties version='1.7'/>\n")
    with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1:\d+: TLS handshake failed: "):
        await accept_tls(sock, server.server_context())
    sock.close()
    await client.aclose()


async def test_a_client_that_leaves_during_the_handshake(server: Identity) -> None:
    sock, client = await raw_pair()
    await client.aclose()
    with pytest.raises(ConnectionLostError, match="the peer left during the TLS handshake"):
        await accept_tls(sock, server.server_context())
    sock.close()


async def test_a_client_that_cannot_be_told_what_is_wrong(server: Identity) -> None:
    """That the alert does not reach it hides nothing."""
    sock, client = await raw_pair()
    await client.send(b"\x16\x03\x01\x00\x05hello")  # the frame of a handshake, and nothing of the sort in it
    sock.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionLostError, match="TLS handshake failed: "):
        await accept_tls(sock, server.server_context())
    sock.close()
    await client.aclose()


@virtual_time
async def test_a_client_that_says_nothing_has_ten_seconds(server: Identity) -> None:
    sock, client = socket.socketpair()
    start = anyio.current_time()
    with pytest.raises(ConnectionLostError, match="somebody: no TLS handshake within 10 s"):
        await accept_tls(sock, server.server_context(), name="somebody")
    assert anyio.current_time() - start == pytest.approx(10)
    sock.close()
    client.close()


async def test_a_silent_client_holds_up_nobody_who_arrives(server: Identity) -> None:
    (listener,) = await open_listeners("127.0.0.1", 0, None, tls=server.server_context())
    names: list[str] = []

    async def serve(accepted: Accepted) -> None:
        stream = await accepted.open()
        assert stream is not None
        names.append(stream.name)

    address = listener._socket.getsockname()
    with socket.create_connection(address), anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.accept_forever, serve, tasks)
            raw = await anyio.connect_tcp(*address)
            client = await Client.wrap(
                raw, server_side=False, hostname="localhost", ssl_context=server.client_context()
            )
            with pytest.raises(anyio.EndOfStream):
                await client.receive()
            tasks.cancel_scope.cancel()
    assert len(names) == 1
    listener.close()
    await anyio.aclose_forcefully(client)


# -- how it ends -----------------------------------------------------------------------------------------------


async def test_the_client_is_told_of_the_end(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    await stream.send(b"last")
    await stream.aclose()
    await stream.aclose()
    assert await client.receive() == b"last"
    with pytest.raises(anyio.EndOfStream):  # a connection that just ends is a BrokenResourceError there
        await client.receive()


async def test_closed_at_this_end(pair: tuple[TLSStream, Client]) -> None:
    stream, _ = pair
    async with anyio.create_task_group() as tasks:

        async def receive() -> None:
            with pytest.raises(ConnectionLostError, match="closed at this end"):
                await stream.receive()

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        stream.close()
    with pytest.raises(ConnectionLostError):
        await stream.send(b"x")


@pytest.mark.parametrize("politely", [True, False])
async def test_the_end_of_the_stream(pair: tuple[TLSStream, Client], politely: bool) -> None:
    stream, client = pair
    raw = client.transport_stream
    assert isinstance(raw, anyio.abc.SocketStream)
    await client.send(b"last")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.aclose if politely else raw.send_eof)
        assert await receive_bytes(stream, 4) == b"last"
        assert await stream.receive() == Received(b"")
        assert await stream.receive() == Received(b"")
        stream.close()


async def test_after_a_send_that_was_cut_off_nothing_follows(
    pair: tuple[TLSStream, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be taken for the rest of the record."""
    stream, client = pair
    await fill(stream)
    farewells: list[bytes] = []
    monkeypatch.setattr(stream, "_socket", SimpleNamespace(send=lambda data, _: farewells.append(data)))
    stream.close()
    assert farewells == []
    with pytest.raises(anyio.BrokenResourceError):
        await receive_as_client(client, 1 << 40)


async def test_a_full_socket_does_not_hold_up_the_close(pair: tuple[TLSStream, Client]) -> None:
    stream, _ = pair
    raw = stream._socket
    await anyio.lowlevel.checkpoint()
    with suppress(BlockingIOError):
        while True:
            raw.send(BIG, socket.MSG_DONTWAIT)
    stream.close()
    assert raw.fileno() < 0


async def test_garbage_after_the_handshake(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    await client.transport_stream.send(b"<newSwitchVector device='Mount' name='ABORT'>")
    with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1:\d+: TLS failed: "):
        await stream.receive()


async def test_a_peer_cannot_pile_up_answers(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    stream._outgoing.write(bytes(20 << 10))
    await client.send(b"x")
    with pytest.raises(ConnectionLostError, match="TLS failed: too many requests"):
        await stream.receive()


async def test_a_lost_peer_is_a_lost_connection(pair: tuple[TLSStream, Client]) -> None:
    stream, client = pair
    await anyio.aclose_forcefully(client)
    with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1"):
        await send_for_ever(stream)
