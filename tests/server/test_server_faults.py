"""Faults that other servers have, as far as they show themselves on a server's sockets only."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from indianyio._vocabulary import Limits
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import DefBLOBVector, DefTextVector, EnableBLOB, SetBLOBVector, SetTextVector
from indianyio.server import IPyServer
from indianyio.streams import Received, SocketStream
from tests.driver.gadget import DEVICE, Gadget, new_number
from tests.server.doors import Client
from tests.server.network import SECONDS, Echo, at_work, fence, listening, talk
from tests.server.programs import Programs, write
from tests.server.watching import texts, until

pytestmark = pytest.mark.anyio

UNUSABLE = {
    "a stray end tag": "</oops>",
    "a declaration": '<?xml version="1.0" encoding="UTF-8"?>\n<?xml version=\'1.0\'?>',
    "bytes that are no UTF-8": b"\xff\xfe<newTextVector device='Gadget' name='TEXT'>\xff<oops</newTextVector>",
    "a bare ampersand": '<newTextVector device="Gadget"><oneText name="word">&</oneText></newTextVector>',
    "an unknown tag": "<whatever><else/></whatever>",
    "a document type": '<newTextVector device="Gadget" name="TEXT"><!DOCTYPE b></newTextVector>',
    "a control character": '<newTextVector device="Gadget" \x07 name="TEXT"></newTextVector>',
    "no device": '<newNumberVector name="NUMBER"><oneNumber name="position">1</oneNumber></newNumberVector>',
}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_s4_malformed_input_costs_itself_only(data: str | bytes) -> None:
    driver = Gadget()
    async with listening(driver) as (network, _):
        client, other = await network.greeted(), await network.greeted()
        await client.send(data)
        await client.send(new_number(5))
        await fence(client)
        before = len(other.received)
        await fence(other)
        assert [message.tag for message in other.received[before:-1]] == ["newNumberVector"]
        await anyio.wait_all_tasks_blocked()
    assert [event.vectorname for event in driver.events] == ["NUMBER"]


@pytest.mark.parametrize(
    "command", [f'<enableBLOB device="{DEVICE}"/>', f'<enableBLOB device="{DEVICE}">x</enableBLOB>']
)
async def test_s5_a_blob_policy_without_a_word_changes_nothing(command: str) -> None:
    driver = Gadget()
    driver.image["a"] = b"an image"
    async with listening(driver) as (network, _):
        client = await network.greeted()
        await client.send(EnableBLOB(device=DEVICE, value="Also"))
        await client.send(command)
        await fence(client)
        await driver.image.send_setVectorMembers(members=["a"])
        assert bytes((await client.expect(SetBLOBVector)).members[0].data or b"") == b"an image"


OPEN = f'<newTextVector device="{DEVICE}" name="TEXT">'
EXCESSIVE = {
    "no end": (OPEN, "x" * 65536, "longer than"),
    "nested": ("", f"{OPEN}{'<a>' * 10_000}{'</a>' * 10_000}</newTextVector>", "deep"),
    "nested, no end": (OPEN, "<a>" * 20_000, "longer than"),
    "attributes": ("<newTextVector ", 'a="b" ' * 10000, "start tag"),
    "garbage": ("", "garbage " * 8000, "bytes"),
}


async def flood(client: Client, beginning: str, more: str) -> None:
    await client.send(beginning)
    for _ in range(200_000_000 // len(more)):
        await client.send(more)


@pytest.mark.parametrize(("beginning", "more", "reason"), EXCESSIVE.values(), ids=EXCESSIVE.keys())
async def test_s7_whoever_exceeds_a_limit_is_let_go_and_costs_no_memory(
    beginning: str, more: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with listening(Echo()) as (network, _):
        healthy, attacker = await network.greeted(), network.connect()
        enough = anyio.Event()
        tracemalloc.start()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk, healthy, enough)
                with pytest.raises(ConnectionLostError):
                    await flood(attacker, beginning, more)
                enough.set()
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()
        assert [text for text in caplog.messages if "(client 2): " in text and reason in text]


async def drain(client: Client, wanted: int) -> None:
    """Receive so many bytes, and keep none."""
    seen = 0
    while seen < wanted:
        data = (await client.wire.receive()).data
        assert data, "the server let it go"
        seen += len(data)


@pytest.mark.long
@pytest.mark.alone
async def test_s15_a_blob_for_four_clients_is_encoded_once_and_holds_up_nobody() -> None:
    driver, size = Gadget(), 50_000_000
    driver.image["a"] = bytes(size)
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        last = anyio.current_time()
        while True:
            await anyio.sleep(0.001)  # how late it wakes is what is measured
            now = anyio.current_time()
            longest, last = max(longest, now - last), now

    async with listening(driver) as (network, _):
        clients = [await network.greeted() for _ in range(4)]
        for client in clients:
            await client.send(EnableBLOB(device=DEVICE, value="Also"))
            await fence(client)
        tracemalloc.start()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                async with anyio.create_task_group() as drains:
                    for client in clients:
                        drains.start_soon(drain, client, size * 4 // 3)
                    await driver.image.send_setVectorMembers(members=["a"])
                tasks.cancel_scope.cancel("all have it")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 3 * size, "its base64 twice, while it is put together"
    assert longest < 0.5


async def test_s16_a_large_blob_of_a_program_is_read_in_large_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = 0
    receive = SocketStream.receive

    async def counted(self: SocketStream) -> Received:
        nonlocal pieces
        pieces += self.name == "box"
        return await receive(self)

    monkeypatch.setattr(SocketStream, "receive", counted)
    size, count = 10_500_000, 3_500_000
    body = (
        "\nwhile True:\n"
        "    hear()\n"
        f'    say(\'<setBLOBVector device="Box" name="B" state="Ok"><oneBLOB name="b" size="{size}" \'\n'
        f"        'format=\".fits\">' + 'QUJD' * {count} + '</oneBLOB></setBLOBVector>')\n"
    )
    server = IPyServer(host="127.0.0.1", port=0)
    server.exdrivers.append(Programs(tmp_path).driver(body))
    async with at_work(server) as network:
        client = network.connect()
        await client.send('<getProperties version="1.7"/><enableBLOB>Also</enableBLOB>')
        with anyio.fail_after(SECONDS):
            while not isinstance(message := await client.receive(), SetBLOBVector):
                if isinstance(message, DefTextVector):
                    await client.send(write("go"))
        assert bytes(message.members[0].data or b"") == b"ABC" * count
        assert pieces * 8192 < size
        client.wire.close()


async def test_s17_a_blob_vector_without_members_tells_its_state() -> None:
    driver = Gadget()
    async with listening(driver) as (network, _):
        client, without = await network.greeted(), await network.greeted()
        await client.send(EnableBLOB(device=DEVICE, value="Also"))
        await fence(client)
        await driver.image.send_setVectorMembers(members=[], state="Busy")
        await driver.text.send_setVector()
        told = await client.expect(SetBLOBVector, state="Busy")
        assert told.members == ()
        for one in (client, without):
            await one.expect(SetTextVector)
        assert isinstance(client.definitions[DEVICE, "IMAGE"], DefBLOBVector)
        await fence(without)
        assert not [one for one in without.received if isinstance(one, SetBLOBVector)]


class Narrow(Gadget):
    """Takes no more than one member."""

    wire_limits = Limits(members=1)


async def test_limits_below_a_drivers_own_messages_cost_the_message_only(caplog: pytest.LogCaptureFixture) -> None:
    driver = Narrow()
    async with listening(driver) as (network, server):
        client = await network.greeted()
        too_much = "".join(f'<oneText name="{name}">x</oneText>' for name in ("word", "other"))
        await client.send(f'<newTextVector device="{DEVICE}" name="TEXT">{too_much}</newTextVector>')
        answer = await client.expect(SetTextVector, state="Alert")
        assert "the request cannot be read: more than 1 members in a newTextVector" in str(answer.message)
        await client.send(new_number(5))
        await fence(client)
        await until(lambda: bool(driver.events))
        assert not server.stop
    assert [event.vectorname for event in driver.events] == ["NUMBER"]
    assert any("more than 1 members in a newTextVector" in text for text in texts(caplog, logging.WARNING))
