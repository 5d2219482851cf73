"""Descriptors that are no BLOBs, too many, or not what they seem, from whoever may connect to the unix socket."""

from __future__ import annotations

import array
import os
import resource
import socket
import struct
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from indianyio import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    TextMember,
    TextVector,
    newBLOBVector,
    newTextVector,
)
from indianyio.driver import NewEvent
from indianyio.protocol import DefBLOBVector, NewBLOBVector, SetBLOBVector, SetTextVector
from indianyio.server import IPyServer
from indianyio.streams import SharedMemory, SocketStream, attachments_supported
from tests.driver.gadget import DEVICE, Gadget
from tests.server.doors import Client
from tests.server.network import SECONDS, Network, fence, is_let_go, listening, open_descriptors
from tests.server.watching import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not attachments_supported(), reason="no shared memory on this system"),
]

CONTENT = b"an image of the moon"
# Longer than any of these tests may take: who waits for it has waited in vain.
LINGER_SECONDS = 100


MEMBERS = "abcdefghijklmnop"


class Darkroom(IPyDriver):
    """Keeps the images that it is told, or holds them up."""

    def __init__(self) -> None:
        self.text = TextVector("TEXT", "Text", "Main", "rw", "Idle", [TextMember("word")])
        self.image = BLOBVector("IMAGE", "Image", "Main", "rw", "Idle", [BLOBMember(name) for name in MEMBERS])
        super().__init__(Device(DEVICE, [self.text, self.image]))
        self.images: list[bytes] = []
        self.lets_go = anyio.Event()
        self.lets_go.set()

    async def rxevent(self, event: NewEvent) -> None:
        if isinstance(event, newBLOBVector):
            await self.lets_go.wait()
            self.images.append(event["a"])
            await self.image.send_setVector(state="Ok")
        elif isinstance(event, newTextVector):
            self.text["word"] = event["word"]
            await self.text.send_setVector(state="Ok")


def write(count: int = 1, size: int = len(CONTENT)) -> bytes:
    """Return a write of attached BLOBs."""
    sizes = f'size="{size}" format=".fits" len="{size}" attached="true"'
    blobs = "".join(f'<oneBLOB name="{name}" {sizes}></oneBLOB>' for name in MEMBERS[:count])
    return f'<newBLOBVector device="{DEVICE}" name="IMAGE">{blobs}</newBLOBVector>'.encode()


def pass_on(client: Client, data: bytes, descriptors: list[int]) -> None:
    """Send bytes and descriptors, and close the descriptors: what is left of them is the server's."""
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    assert client.wire._socket.sendmsg([data], control) == len(data)
    for descriptor in set(descriptors):
        os.close(descriptor)


def memory(content: bytes = CONTENT, *, sealed: bool = True) -> int:
    made = SharedMemory.create("image")
    made.write(content)
    if sealed:
        made.seal()
    descriptor = os.dup(made.fileno())
    made.close()
    return descriptor


@asynccontextmanager
async def darkroom(most_clients: int = 100) -> AsyncGenerator[tuple[Network, Darkroom, Client]]:
    """Run a server on TCP and on a unix socket, with a healthy client; nothing may be left open at the end."""
    driver = Darkroom()
    async with nothing_left_soon():
        async with listening(driver, unix=f"@indianyio-{uuid4()}", most_clients=most_clients) as (network, _):
            healthy = await network.greeted()
            yield network, driver, healthy


@asynccontextmanager
async def nothing_left_soon() -> AsyncGenerator[None]:
    """After the block there are no more descriptors than before, once the threads have closed theirs."""
    before = open_descriptors()
    yield
    await until(lambda: open_descriptors() <= before)


async def attacker(network: Network) -> Client:
    client = await network.greeted(network.addresses[-1])
    await client.send("<enableBLOB>Also</enableBLOB>")
    await fence(client)
    client.received.clear()
    return client


async def refused(client: Client) -> str:
    answer = await client.expect(SetBLOBVector, device=DEVICE, name="IMAGE", state="Alert")
    return answer.message or ""


# -- what cannot be closed at once -----------------------------------------------------------------------------


class Lingering:
    """Connections with something unsent, which whoever closes them last waits for."""

    def __init__(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup

    def connection(self) -> int:
        listener = self._cleanup.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        lingering = socket.create_connection(listener.getsockname())
        self._cleanup.enter_context(listener.accept()[0])
        lingering.setblocking(False)
        try:
            while True:
                lingering.send(b"x" * 65536)
        except BlockingIOError:
            pass  # what nobody reads
        lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_SECONDS))
        return lingering.detach()

    def inside(self) -> int:
        """Return a socket in which such a connection travels."""
        near, far = socket.socketpair()
        descriptor = self.connection()
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        near.sendmsg([b"x"], control)
        os.close(descriptor)
        near.close()
        return far.detach()


@pytest.mark.parametrize("kind", [Lingering.connection, Lingering.inside])
async def test_what_takes_long_to_close_holds_nobody_up(kind: Callable[[Lingering], int]) -> None:
    with ExitStack() as cleanup:
        lingering = Lingering(cleanup)
        async with darkroom() as (network, driver, healthy):
            for data, count in ((write(), 1), (b"<", 1), (write(20), 20), (write(), 1)):
                client = await attacker(network)
                pass_on(client, data, [kind(lingering) for _ in range(count)])
                await client.close()
            with anyio.fail_after(SECONDS):
                await fence(healthy)
            assert driver.images == []
            cleanup.close()  # now they can be closed


async def test_what_nobody_has_read_holds_nobody_up() -> None:
    with ExitStack() as cleanup:
        lingering = Lingering(cleanup)
        async with darkroom(most_clients=1) as (network, _, healthy):
            client = network.connect(network.addresses[-1])
            pass_on(client, b"<", [lingering.connection()])
            assert await is_let_go(client)  # there is a client already
            with anyio.fail_after(SECONDS):
                await fence(healthy)
            cleanup.close()


async def test_who_was_never_let_in_does_not_hold_up_the_end() -> None:
    with ExitStack() as cleanup:
        lingering = Lingering(cleanup)
        server = IPyServer(Gadget(), host=None, unix=f"@indianyio-{uuid4()}")
        async with nothing_left_soon():
            with anyio.fail_after(SECONDS):
                async with anyio.create_task_group() as tasks:
                    network = Network(await tasks.start(server.asyncrun))
                    client = network.connect()
                    pass_on(client, b"<", [lingering.connection()])
                    server.shutdown()
            network.tidy()
            cleanup.close()


# -- what is no BLOB -------------------------------------------------------------------------------------------


def reading_end() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


def half_a_pair() -> int:
    one, two = socket.socketpair()
    two.close()
    return one.detach()


def terminal() -> int:
    ours, theirs = os.openpty()
    os.close(ours)
    return theirs


STRANGERS: dict[str, tuple[Callable[[], int], str]] = {
    "pipe": (reading_end, "not a file"),
    "socket": (half_a_pair, "not a file"),
    "device": (lambda: os.open("/dev/zero", os.O_RDONLY), "not a file"),
    "terminal": (terminal, "not a file"),
    "folder": (lambda: os.open("/", os.O_RDONLY), "not a file"),
    "a name only": (lambda: os.open("/etc/passwd", os.O_PATH), "Bad file descriptor"),
    "process": (lambda: os.pidfd_open(os.getpid()), "not a file"),
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_what_is_no_file_costs_the_message(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    make, reason = STRANGERS[kind]
    async with darkroom() as (network, driver, _):
        client = await attacker(network)
        pass_on(client, write() + write(), [make(), memory()])
        assert reason in await refused(client)
        await client.expect(SetBLOBVector, state="Ok")
        assert driver.images == [CONTENT]
        assert reason in caplog.text
        await client.close()


async def test_a_file_outside_memory_is_taken_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(CONTENT)
    async with darkroom() as (network, driver, _):
        driver.lets_go = anyio.Event()
        client = await attacker(network)
        pass_on(client, write(), [os.open(path, os.O_RDONLY)])
        await fence(client)
        os.truncate(path, 0)
        driver.lets_go.set()
        await client.expect(SetBLOBVector, state="Ok")
        assert driver.images == [CONTENT]
        await client.close()


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY])
async def test_a_file_outside_memory_that_cannot_be_had(flags: int, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(CONTENT)
    os.truncate(path, 1 << 40)  # a hole of a terabyte
    async with darkroom() as (network, driver, _):
        client = await attacker(network)
        pass_on(client, write(size=1 << 30), [os.open(path, flags)])
        assert "outside memory" in await refused(client)
        path.write_bytes(CONTENT)
        pass_on(client, write(), [os.open(path, os.O_WRONLY)])
        assert "Bad file descriptor" in await refused(client)
        assert driver.images == []
        await client.close()


# -- what is not as long as it says ----------------------------------------------------------------------------


async def test_a_size_that_is_not_true_costs_the_message() -> None:
    async with darkroom() as (network, driver, _):
        client = await attacker(network)
        pass_on(client, write(size=1000), [memory()])
        assert "1000 bytes are announced, but the attachment has 20" in await refused(client)
        pass_on(client, write(size=5), [memory()])
        await client.expect(SetBLOBVector, state="Ok")
        assert driver.images == [CONTENT[:5]]
        await client.close()


async def test_memory_that_is_cut_before_it_is_read_costs_the_message() -> None:
    async with darkroom() as (network, driver, _):
        driver.lets_go = anyio.Event()
        client = await attacker(network)
        kept = memory(sealed=False)
        pass_on(client, write() + write(), [memory(), os.dup(kept)])
        await fence(client)
        os.ftruncate(kept, 3)
        driver.lets_go.set()
        await client.expect(SetBLOBVector, state="Ok")
        assert "the attachment has 3 bytes, not 20" in await refused(client)
        assert driver.images == [CONTENT]
        os.close(kept)
        await client.close()


@pytest.mark.parametrize("content", [CONTENT, CONTENT * 200_000], ids=["small", "large"])
@pytest.mark.parametrize("sealed", [True, False])
async def test_what_a_client_may_still_cut_no_other_client_can_map(sealed: bool, content: bytes) -> None:
    async with darkroom() as (network, driver, healthy):
        other = await attacker(network)
        client = await attacker(network)
        pass_on(client, write(size=len(content)), [memory(content, sealed=sealed)])
        await client.expect(SetBLOBVector, state="Ok")
        seen = await other.expect(NewBLOBVector)
        assert (seen.members[0].attachment is not None) is sealed
        # Unread, it would keep the server for its whole grace when it ends.
        by_tcp = await healthy.expect(NewBLOBVector)
        assert bytes(by_tcp.members[0].data) == content
        assert driver.images == [content]
        await client.close()
        await other.close()


LARGE = bytes(range(251)) * 40_000


async def test_a_large_image_is_the_same_in_base64() -> None:
    async with darkroom() as (network, driver, remote):
        await remote.send("<enableBLOB>Also</enableBLOB>")
        await fence(remote)
        client = await attacker(network)
        pass_on(client, write(size=len(LARGE)), [memory(LARGE)])
        seen = await remote.expect(NewBLOBVector)
        assert seen.members[0].data == LARGE
        await client.expect(SetBLOBVector, state="Ok")
        assert driver.images == [LARGE]
        await client.close()


async def test_who_leaves_in_the_middle_of_a_large_image_costs_the_others_nothing() -> None:
    async with darkroom() as (network, _, remote):
        await remote.send("<enableBLOB>Also</enableBLOB>")
        await fence(remote)
        leaver = await network.greeted()
        await leaver.send("<enableBLOB>Also</enableBLOB>")
        await fence(leaver)
        client = await attacker(network)
        pass_on(client, write(size=len(LARGE)), [memory(LARGE)])
        await leaver.wire.receive()  # some of the image, as its socket holds less
        await leaver.close()
        assert (await remote.expect(NewBLOBVector)).members[0].data == LARGE
        await client.expect(SetBLOBVector, state="Ok")
        await client.close()


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20])
async def test_all_may_leave_and_the_server_end_in_the_middle_of_a_large_image(turns: int) -> None:
    async with darkroom() as (network, _, remote):
        await remote.send("<enableBLOB>Also</enableBLOB>")
        await fence(remote)
        client = await attacker(network)
        pass_on(client, write(size=len(LARGE)), [memory(LARGE)])
        for _ in range(turns):
            await anyio.sleep(0.002)
        await remote.close()
        await client.close()


# -- too many --------------------------------------------------------------------------------------------------


@contextmanager
def at_most(descriptors: int) -> Iterator[None]:
    """Let this process have so many descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_nobody_can_use_up_the_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    async with darkroom() as (network, driver, healthy):
        driver.lets_go = anyio.Event()
        answers: list[str | None] = []
        with at_most(256):
            clients: list[Client] = []
            for _ in range(3):
                client = await attacker(network)
                clients.append(client)
                for _ in range(33):
                    image = memory()
                    pass_on(client, write(16), [image] * 16)
                    await fence(client)
                answers += [one.message for one in client.received if isinstance(one, SetBLOBVector)]
            # One is with the driver, which has read it, and as many wait for it as each client may have waiting.
            assert answers == ["Error: 16 attachments are being dealt with already"] * (3 * 33 - 4)
            others = [await network.greeted(address) for address in network.addresses * 10]
            for other in (healthy, *others):
                await other.write(DEVICE, "TEXT", word=other.wire.name)
                await other.expect(SetTextVector, state="Ok", word=other.wire.name)
        assert "Too many open files" not in caplog.text
        driver.lets_go.set()
        for client in clients:
            await client.expect(SetBLOBVector, state="Ok")
            pass_on(client, write(), [memory()])  # what was held is given back
        await until(lambda: len(driver.images) == 4 + 3)
        for client in (*clients, *others):
            await client.close()


async def test_who_is_behind_gets_images_that_need_no_descriptor() -> None:
    async with darkroom() as (network, driver, _):
        client = await attacker(network)
        before = open_descriptors()
        fill = "x" * 60_000
        for _ in range(20):
            await driver.text.send_setVector(message=fill)  # more than the socket holds
        for number in range(100):
            driver.image["a"] = b"%d" % number
            await driver.image.send_setVectorMembers(members=["a"])
        assert open_descriptors() - before <= 32
        shown = [await client.expect(SetBLOBVector) for _ in range(100)]
        forms = [one.members[0].attachment is not None for one in shown]
        assert forms[0]
        assert not forms[50]
        assert [_content(one) for one in shown] == [b"%d" % number for number in range(100)]
        await client.close()


def _content(message: SetBLOBVector) -> bytes:
    (blob,) = message.members
    return bytes(blob.data) if blob.attachment is None else blob.attachment.read(int(blob.len or 0))


# -- a driver of its own ---------------------------------------------------------------------------------------


async def test_a_driver_on_a_socket_refuses_what_is_no_file_and_what_is_too_much() -> None:
    driver = Darkroom()
    driver.lets_go = anyio.Event()
    near, far = socket.socketpair()
    client = Client(near)
    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            await tasks.start(driver.asyncrun, SocketStream(far))
            await client.get_properties()
            await client.expect(DefBLOBVector)
            pass_on(client, write(), [reading_end()])
            assert "not a file" in await refused(client)
            for _ in range(6):
                pass_on(client, write(16), [memory()] * 16)
            assert "attachments are being dealt with already" in await refused(client)
            driver.lets_go.set()
            await until(lambda: len(driver.images) >= 4)  # as many as may wait, and one that was read meanwhile
            await client.close()
    assert driver.images in ([CONTENT] * 4, [CONTENT] * 5)
