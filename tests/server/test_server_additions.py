"""What a server is given to serve, before its run and during it, and what the family calls all that."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import anyio
import pytest

from indianyio.protocol import (
    DefBLOBVector,
    DefTextVector,
    EnableBLOB,
    Message,
    NewBLOBVector,
    NewTextVector,
    OneBLOB,
    SetBLOBVector,
    SetTextVector,
)
from indianyio.server import IPyServer
from indianyio.testing import Peer
from tests.driver.gadget import Gadget
from tests.server.doors import Client
from tests.server.network import Network, fence, is_let_go
from tests.server.programs import ANSWERING, Programs, write
from tests.server.test_remotes import DEFINITION, elsewhere
from tests.server.watching import nothing_left, texts, until

pytestmark = pytest.mark.anyio


def served(*, host: str | None = "127.0.0.1") -> IPyServer:
    return IPyServer(Gadget(), host=host, port=0)


async def knowing(network: Network, device: str) -> Client:
    """Return a client that knows a device, whenever that comes."""
    client = network.connect()
    await client.get_properties()
    while device not in {one for one, _ in client.definitions}:
        await client.expect(DefTextVector)
    return client


# -- programs that are not there -------------------------------------------------------------------------------


@pytest.fixture(params=[FileNotFoundError, PermissionError])
def unusable(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, type[OSError]]:
    program = tmp_path / "indi_no_such_driver"
    if request.param is PermissionError:
        program.touch(0o600)
    return str(program), request.param


async def test_before_a_run_it_is_the_run_that_raises_bare_and_nothing_was_started(
    unusable: tuple[str, type[OSError]], tmp_path: Path
) -> None:
    program, error = unusable
    server = served()
    server.add_exdriver(Programs(tmp_path).path("open('started', 'w').close()"))
    server.add_exdriver(program)
    with nothing_left():
        with pytest.raises(error, match=program):
            await server.asyncrun()
        async with anyio.create_task_group() as tasks:
            with pytest.raises(error, match=program):
                await tasks.start(server.asyncrun)
        with pytest.raises(error, match=program):
            async with server:
                pytest.fail("it was entered")
    assert not (tmp_path / "started").exists()
    assert server.stopped.is_set()


async def test_during_a_run_it_is_the_call_that_raises_and_the_run_goes_on(
    unusable: tuple[str, type[OSError]],
) -> None:
    program, error = unusable
    async with served() as server:
        network = Network(server.addresses)
        with pytest.raises(error, match=program):
            server.add_exdriver(program)
        assert server.exdrivers == []
        await network.greeted()
        network.tidy()


async def test_programs_are_looked_for_as_they_are_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden, folder, good = (tmp_path / name for name in ("forbidden", "folder", "good"))
    for place in (forbidden, folder, good):
        place.mkdir()
    (forbidden / "indi_x").touch(0o600)
    (folder / "indi_x").mkdir()
    monkeypatch.setenv("PATH", f"{forbidden}:{folder}:{good}")
    async with served() as server:
        with pytest.raises(PermissionError, match="indi_x"):
            server.add_exdriver("indi_x")
        with pytest.raises(FileNotFoundError, match="indi_y"):
            server.add_exdriver("indi_y")
        Programs(good).path(ANSWERING, "indi_x")
        server.add_exdriver("indi_x")
        network = Network(server.addresses)
        await knowing(network, "Box")
        network.tidy()


async def test_a_program_that_turns_out_to_be_none_is_logged_and_the_others_are_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "indi_x"
    program.write_text("#!/no/such/interpreter\n", encoding="ascii")
    program.chmod(0o700)
    server = served()
    server.add_exdriver(str(program))
    async with server:
        network = Network(server.addresses)
        await network.greeted()
        network.tidy()
    (error,) = texts(caplog, logging.ERROR)
    assert str(program) in error


# -- added during a run ----------------------------------------------------------------------------------------


async def test_a_program_that_is_added_during_a_run_is_served_at_once_and_in_the_next(tmp_path: Path) -> None:
    server = served()
    for run in range(2):
        async with server:
            network = Network(server.addresses)
            client = await network.greeted()
            if run == 0:
                server.add_exdriver(Programs(tmp_path).path(ANSWERING))
            client = await knowing(network, "Box")
            await client.send(write("hello"))
            await client.expect(SetTextVector, device="Box")
            network.tidy()
    assert [driver.name for driver in server.exdrivers] == ["box"]


async def test_a_server_that_is_added_during_a_run_is_called_at_once() -> None:
    async with elsewhere() as place, served() as server:
        server.add_remote(place.host, place.port)
        peer = await place.accept()
        network = Network(server.addresses)
        client = await network.greeted()
        await peer.send(DEFINITION)
        await client.expect(DefTextVector, device="Box")
        network.tidy()


# -- what passes through another server ------------------------------------------------------------------------

BLOBS = (
    '<defBLOBVector device="Box" name="B" label="B" group="G" state="Ok" perm="rw">'
    '<defBLOB name="b" label="b"/></defBLOBVector>'
)
IMAGE = (
    '<setBLOBVector device="Box" name="B" state="Ok"><oneBLOB name="b" size="3" format=".x">AAAA</oneBLOB>'
    "</setBLOBVector>"
)


async def asked_for_blobs(network: Network, peer: Peer) -> Client:
    """Return a client that wants the BLOBs of the other server, and has told it something since."""
    client = await network.greeted()
    await peer.send(DEFINITION + BLOBS)
    await client.expect(DefBLOBVector, device="Box")
    await client.send(EnableBLOB(device="Box", value="Also"))
    image = OneBLOB(name="b", size="3", format=".x", data=b"\0\0\0")
    await client.send(NewBLOBVector(device="Box", name="B", members=(image,)))
    await client.send(write("behind them"))
    await peer.expect(NewTextVector, device="Box")
    return client


@pytest.mark.parametrize("is_enabled", [True, False])
async def test_blobs_pass_through_another_server_unless_they_are_not_to(
    is_enabled: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with elsewhere() as place, served() as server:
        server.add_remote(place.host, place.port, is_enabled)
        network = Network(server.addresses)
        peer = await place.accept()
        client = await asked_for_blobs(network, peer)
        await peer.send(IMAGE + '<setTextVector device="Box" name="T" state="Ok"/>')
        await client.expect(SetTextVector, device="Box")
        assert any(isinstance(one, EnableBLOB) and one.value == "Also" for one in peer.received) is is_enabled
        assert any(isinstance(one, NewBLOBVector) for one in peer.received) is is_enabled
        assert any(isinstance(one, SetBLOBVector) for one in client.received) is is_enabled
        network.tidy()
    kept_back = [text for text in texts(caplog, logging.WARNING) if "newBLOBVector is kept back" in text]
    assert len(kept_back) == (0 if is_enabled else 1)


@pytest.mark.parametrize("is_enabled", [True, False])
async def test_the_xml_of_one_peer_is_logged_if_that_is_wanted(
    is_enabled: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "indianyio.wire")
    server = served()
    server.add_exdriver(Programs(tmp_path).path(ANSWERING), debug_enable=is_enabled)
    async with elsewhere() as place:
        server.add_remote(place.host, place.port, debug_enable=is_enabled)
        async with server:
            peer = await place.accept()
            network = Network(server.addresses)
            client = await knowing(network, "Box")
            await peer.send(DEFINITION.replace("Box", "Far"))
            await client.expect(DefTextVector, device="Far")
            await client.send(write("hello"))
            await client.expect(SetTextVector, device="Box")
            await client.send(write("hello", "Far"))
            await peer.expect(NewTextVector)
            network.tidy()
    logged = [record.getMessage() for record in caplog.records if record.name == "indianyio.wire"]
    for way in ("box -> <defTextVector", "box <- <newTextVector", f"{place.port} -> <def", f"{place.port} <- <new"):
        assert any(way in line for line in logged) is is_enabled, way


# -- names of the family ---------------------------------------------------------------------------------------


async def test_a_message_holds_when_its_sender_says() -> None:
    async with served() as server:
        network = Network(server.addresses)
        client = await network.greeted()
        summer = timezone(timedelta(hours=2))
        await server.send_message("rain", datetime(2030, 1, 2, 3, 4, 5, tzinfo=summer))
        told = await client.expect(Message)
        assert (told.message, told.timestamp) == ("rain", "2030-01-02T01:04:05")
        before = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
        await server.send_message("more rain")
        told = await client.expect(Message)
        assert before <= datetime.fromisoformat(str(told.timestamp)) <= before + timedelta(seconds=60)
        network.tidy()


async def test_mistakes_of_a_message_are_raised_also_when_nobody_hears_it() -> None:
    server = served()
    with pytest.raises(ValueError, match="XML"):
        await server.send_message("\x07")
    with pytest.raises(TypeError, match="must be a str"):
        await server.send_message(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a datetime"):
        await server.send_message("rain", "yesterday")  # type: ignore[arg-type]


async def test_no_text_prevents_a_shutdown() -> None:
    async with served() as server:
        network = Network(server.addresses)
        client = await network.greeted()
        server.shutdown("the \x07 rings")
        assert "rings" in ((await client.expect(Message)).message or "")
        assert await is_let_go(client)
        await server.stopped.wait()
        network.tidy()


@pytest.mark.parametrize(
    ("add", "error"),
    [
        (lambda server: server.add_exdriver(""), ValueError),
        (lambda server: server.add_exdriver("x\0"), ValueError),
        (lambda server: server.add_exdriver(7), TypeError),
        (lambda server: server.add_exdriver("x", 7), TypeError),
        (lambda server: server.add_remote(""), ValueError),
        (lambda server: server.add_remote(None), TypeError),
        (lambda server: server.add_remote("x", 0), ValueError),
        (lambda server: server.add_remote("x", "7624"), TypeError),
        (lambda server: server.add_remote("x", True), TypeError),
        (lambda server: server.add_remote("x", device=""), ValueError),
        (lambda server: server.add_remote("x", device=True), TypeError),
    ],
)
def test_mistakes_are_raised_at_the_call(add: Callable[[IPyServer], None], error: type[Exception]) -> None:
    server = served()
    with pytest.raises(error):
        add(server)
    assert not server.exdrivers
    assert not server.remotes


async def test_the_connection_pool_names_the_clients() -> None:
    async with served() as server:
        network = Network(server.addresses)
        client = await network.greeted()
        await network.greeted()
        assert len(server.connectionpool) == len(set(server.connectionpool)) == 2
        assert set(server.connectionpool) < set(server.statistics())
        await client.close()
        await until(lambda: len(server.connectionpool) == 1)
        network.tidy()


@pytest.mark.parametrize("seconds", [0, 7, 60])
async def test_silent_clients_are_asked_after_by_the_system(seconds: int) -> None:
    server = served()
    server.keepalive = seconds
    async with server:
        network = Network(server.addresses)
        client = await network.greeted()
        (sock,) = (port._link._stream._socket for port in server._run.clients.ports)  # type: ignore[union-attr]
        assert bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is (seconds > 0)
        if seconds:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == seconds
        await fence(client)
        assert not [one for one in client.received if isinstance(one, Message)]
        network.tidy()


async def test_a_silence_is_one_that_the_system_can_count() -> None:
    server = served()
    server.keepalive = 40_000
    with nothing_left():
        with pytest.raises(ValueError, match="40000"):
            await server.asyncrun()
