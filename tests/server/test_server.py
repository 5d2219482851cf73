"""IPyServer as its users have it: what it is made of, where it listens, whom it lets in and how it ends."""

from __future__ import annotations

import logging
import socket
import ssl
import uuid
from pathlib import Path

import anyio
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import DelProperty, EnableBLOB, Message, SetBLOBVector, SetNumberVector
from indianyio.server import Access, Connection, IPyServer, access_table
from tests.driver.gadget import DEVICE, Gadget, new_number
from tests.server.certificates import Identity, needs_openssl
from tests.server.network import Network, at_work, fence, is_let_go, listening
from tests.server.watching import until

pytestmark = pytest.mark.anyio


async def follow(driver: Gadget, event: object) -> None:
    """Do at once what is asked for."""
    driver.number["position"] = 5
    await driver.number.send_setVector(state="Ok")


# -- what it is made of ----------------------------------------------------------------------------------------


def test_drivers_are_drivers() -> None:
    with pytest.raises(TypeError, match="a server takes drivers"):
        IPyServer(Gadget)  # type: ignore[arg-type]


def test_s13_two_drivers_of_one_device_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        IPyServer(Gadget(), Gadget())


def test_at_least_one_client_may_come() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        IPyServer(Gadget(), maxconnections=0)


def test_a_clients_tls_context_is_refused() -> None:
    with pytest.raises(ValueError, match="is for clients"):
        IPyServer(Gadget(), tls=ssl.create_default_context())


def test_devices_of_all_drivers_by_name() -> None:
    server = IPyServer(Gadget(), Gadget(device="Other"))
    assert set(server.devices) == {DEVICE, "Other"}


# -- where it listens ------------------------------------------------------------------------------------------


async def test_port_0_is_one_port_for_ipv4_and_ipv6() -> None:
    async with listening(Gadget(on_write=follow), host="localhost") as (network, _):
        ports = {address.rpartition(":")[2] for address in network.addresses}
        assert len(ports) == 1
        assert "0" not in ports
        assert network.addresses[0].startswith("127.0.0.1:")
        for address in network.addresses:
            client = await network.greeted(address)
            await client.write(DEVICE, "NUMBER", position=5)
            await client.expect(SetNumberVector, state="Ok", position=5)


@pytest.mark.parametrize("is_abstract", [False, True])
async def test_a_unix_socket_and_no_tcp(is_abstract: bool, tmp_path: Path) -> None:
    name = f"@indianyio-{uuid.uuid4().hex}" if is_abstract else str(tmp_path / "indi")
    async with listening(Gadget(on_write=follow), host=None, unix=name) as (network, _):
        assert network.addresses == [name]
        client = await network.greeted(name)
        await client.write(DEVICE, "NUMBER", position=5)
        await client.expect(SetNumberVector, state="Ok", position=5)
    assert not (tmp_path / "indi").exists()


async def test_a_blob_is_a_descriptor_on_a_unix_socket_and_base64_over_tcp(tmp_path: Path) -> None:
    driver, content = Gadget(), bytes(range(256)) * 400
    driver.image["a"] = content
    async with listening(driver, unix=str(tmp_path / "indi")) as (network, _):
        tcp, unix = [await network.greeted(address) for address in network.addresses]
        for client in (tcp, unix):
            await client.send(EnableBLOB(device=DEVICE, value="Also"))
            await fence(client)
        await driver.image.send_setVectorMembers(members=["a"])
        (inline,) = (await tcp.expect(SetBLOBVector)).members
        (attached,) = (await unix.expect(SetBLOBVector)).members
        assert inline.attachment is None
        assert bytes(inline.data or b"") == content
        assert attached.attachment is not None
        assert bytes(attached.attachment.read(len(content))) == content
        await unix.close()


async def test_s6_a_port_that_is_taken_is_a_bare_error_that_names_the_address() -> None:
    driver = Gadget()
    with socket.create_server(("127.0.0.1", 0)) as rival:
        port = rival.getsockname()[1]
        server = IPyServer(driver, host="127.0.0.1", port=port)
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            await server.asyncrun()
    assert driver.left == 0, "no driver is started for nothing"
    assert server.stopped.is_set()
    async with at_work(server) as network:
        await network.greeted()


@pytest.mark.parametrize(("access", "warnings"), [(None, 1), (access_table([], Access.FULL), 0)])
async def test_one_warning_that_everybody_may_connect(
    access: object, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = IPyServer(Gadget(), host="0.0.0.0", port=0, access=access)  # type: ignore[arg-type]
    async with at_work(server) as network:
        await network.greeted(network.addresses[0].replace("0.0.0.0", "127.0.0.1"))
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(texts) == warnings
    assert all("no authentication" in text and "access=" in text for text in texts)


# -- whom it lets in -------------------------------------------------------------------------------------------


async def test_s18_more_than_ten_clients_and_not_one_more_than_allowed() -> None:
    async with listening(Gadget(), most_clients=12) as (network, server):
        clients = [await network.greeted() for _ in range(12)]
        assert await is_let_go(network.connect())
        await clients.pop().close()
        await until(lambda: len(server.statistics()) == 12)  # eleven clients and the driver
        await network.greeted()


async def test_who_may_only_read_observes_everything_and_is_answered() -> None:
    driver = Gadget()
    rule = access_table([("loopback", Access.READ_ONLY)], Access.FULL)
    server = IPyServer(driver, host="127.0.0.1", port=0, unix=f"@{uuid.uuid4().hex}", access=rule)
    async with at_work(server) as network:
        visitor, owner = [await network.greeted(address) for address in network.addresses]
        await visitor.write(DEVICE, "NUMBER", position=50)
        answer = await visitor.expect(Message, device=DEVICE)
        assert "may only read" in (answer.message or "")
        await owner.write(DEVICE, "NUMBER", position=1000)
        await visitor.expect(SetNumberVector, state="Alert")
        assert driver.events == []


async def test_who_is_refused_hears_nothing(caplog: pytest.LogCaptureFixture) -> None:
    server = IPyServer(Gadget(), host="127.0.0.1", port=0, access=access_table([], Access.REFUSED))
    async with at_work(server) as network:
        client = network.connect()
        with pytest.raises(ConnectionLostError):
            await client.receive()
    assert client.received == []
    assert "refused by the access rule" in caplog.text


async def test_a_rule_that_fails_refuses(caplog: pytest.LogCaptureFixture) -> None:
    def rule(connection: Connection) -> Access:
        raise KeyError(connection.address)

    async with at_work(IPyServer(Gadget(), host="127.0.0.1", port=0, access=rule)) as network:
        with pytest.raises(ConnectionLostError):
            await network.connect().receive()
    assert "the access rule failed" in caplog.text


@needs_openssl
async def test_tls_round_trip_with_a_certificate_that_decides(tmp_path: Path) -> None:
    dome, observer = Identity.make(tmp_path, "dome"), Identity.make(tmp_path, "observer")
    driver = Gadget(on_write=follow)
    seen: list[str | None] = []

    def rule(connection: Connection) -> Access:
        seen.append(connection.common_name)
        return Access.FULL if connection.common_name == "observer" else Access.REFUSED

    context = dome.server_context(trusted=observer)
    async with at_work(IPyServer(driver, host="127.0.0.1", port=0, tls=context, access=rule)) as network:
        port = int(network.addresses[0].rpartition(":")[2])
        stream = await anyio.connect_tcp(
            "127.0.0.1",
            port,
            ssl_context=dome.client_context(observer),
            tls_hostname="localhost",
            tls_standard_compatible=False,
        )
        async with stream:
            await stream.send(f'<getProperties version="1.7"/>{new_number(5)}'.encode())
            answer = b""
            while b"<setNumberVector" not in answer:
                answer += await stream.receive()
        assert b"<defNumberVector" in answer
        plain = network.connect()
        await plain.get_properties()
        assert await is_let_go(plain)
    assert seen == [None, "observer", None], "first for the address only: who does not speak TLS has no more"


# -- how it ends -----------------------------------------------------------------------------------------------


async def test_it_runs_once_at_a_time_and_again_afterwards() -> None:
    driver = Gadget()
    async with listening(driver) as (network, server):
        with pytest.raises(RuntimeError, match="running already"):
            await server.asyncrun()
        await network.greeted()
    assert server.stopped.is_set()
    async with at_work(server) as network:
        assert not server.stopped.is_set()
        assert not server.stop
        await network.greeted()
    assert driver.left == 2


async def test_shutdown_before_the_run_ends_the_next_one_only() -> None:
    server = IPyServer(Gadget(), host="127.0.0.1", port=0)
    server.shutdown()
    with anyio.fail_after(60):
        await server.asyncrun()
    assert server.stopped.is_set()
    async with at_work(server) as network:
        await network.greeted()


async def test_s14_stopped_is_set_at_the_real_end_only() -> None:
    leaving, may_leave = anyio.Event(), anyio.Event()

    class Parking(Gadget):
        async def leave(self) -> None:
            leaving.set()
            await may_leave.wait()

    async with listening(Parking()) as (network, server):
        client = await network.greeted()
        server.shutdown("the night is over")
        server.shutdown()
        await leaving.wait()
        assert server.stop
        assert server.shutdownrequested.is_set()
        assert not server.stopped.is_set()
        may_leave.set()
        assert (await client.expect(Message)).message == "the night is over"
        assert (await client.expect(DelProperty)).device == DEVICE
        assert await is_let_go(client)
        await server.stopped.wait()


async def test_cancelled_from_outside_it_ends_in_the_same_order() -> None:
    driver = Gadget()
    server = IPyServer(driver, host="127.0.0.1", port=0)
    async with anyio.create_task_group() as tasks:
        network = Network(await tasks.start(server.asyncrun))
        client = await network.greeted()
        tasks.cancel_scope.cancel("the program ends")
        with anyio.CancelScope(shield=True):
            assert (await client.expect(DelProperty)).device == DEVICE
            assert await is_let_go(client)
    network.tidy()
    assert driver.left == 1
    assert server.stopped.is_set()


# -- what it tells ---------------------------------------------------------------------------------------------


async def test_a_message_is_for_everybody() -> None:
    async with listening(Gadget()) as (network, server):
        silent, client = network.connect(), await network.greeted()
        await fence(silent)
        await server.send_message("clouds at 3 o'clock & rain")
        for one in (silent, client):
            assert (await one.expect(Message)).message == "clouds at 3 o'clock & rain"
        with pytest.raises(ValueError, match="XML"):
            await server.send_message("\x07")
    await server.send_message("nobody is there, and that is no error")


async def test_statistics_tell_what_has_passed() -> None:
    async with listening(Gadget()) as (network, server):
        client = await network.greeted()
        await fence(client)
        statistics = server.statistics()
        (name,) = (name for name in statistics if name.startswith("127.0.0.1:"))
        counted = statistics[name]
        assert counted.messages_in == 3  # getProperties and two pings
        assert counted.messages_out == len(client.received)
        assert counted.bytes_in > 0
        assert counted.bytes_out > 0
        assert counted.queued_bytes == 0
        (driver_name,) = statistics.keys() - {name}
        assert DEVICE in driver_name
        assert statistics[driver_name].messages_in == 2 * len(client.definitions), "the server asked too"
    assert server.statistics() == {}
