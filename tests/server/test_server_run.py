"""A server with drivers of its own process, and what its clients see."""

from __future__ import annotations

import random

import anyio
import pytest
import trio
import trio.testing

from indianyio._routing import PeerOutbox
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import (
    DefNumberVector,
    DefTextVector,
    DelProperty,
    Message,
    NewNumberVector,
    OneNumber,
    PingReply,
    SetBLOBVector,
    SetNumberVector,
    SetTextVector,
)
from tests.driver.gadget import DEVICE, Gadget, new_number
from tests.driver.test_any_bytes import mutated
from tests.driver.test_life import CancelAtStep
from tests.server.doors import Client, Door, serving
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


async def connected(door: Door) -> Client:
    """Return a client that has asked for everything and has its answers."""
    client = await door.knock()
    await client.get_properties()
    await client.expect(DefTextVector)
    await client.send('<pingRequest uid="ready"/>')
    await client.expect(PingReply)
    return client


async def is_let_go(client: Client) -> bool:
    """Receive whatever there is left, until the server has closed the connection."""
    try:
        while True:
            await client.receive()
    except ConnectionLostError:
        return True


async def test_a_client_gets_definitions_writes_and_sees_the_answer() -> None:
    async def on_write(driver: Gadget, event: object) -> None:
        driver.number["position"] = 5
        await driver.number.send_setVector(state="Ok")

    driver = Gadget(on_write=on_write)
    async with serving(driver) as (door, _):
        client = await connected(door)
        await client.write(DEVICE, "NUMBER", position=5)
        await client.expect(SetNumberVector, state="Ok", position=5)
    assert driver.left == 1


async def test_s8_a_client_that_asked_for_nothing_gets_nothing() -> None:
    driver = Gadget()
    async with serving(driver) as (door, _):
        silent = await door.knock()
        client = await connected(door)
        await driver.text.send_setVector()
        await client.expect(SetTextVector)
        await silent.send('<pingRequest uid="1"/>')
        await silent.expect(PingReply)
        assert len(silent.received) == 1


async def test_others_see_what_one_client_asks_for() -> None:
    async with serving(Gadget()) as (door, _):
        one, other = await connected(door), await connected(door)
        await one.write(DEVICE, "NUMBER", position=1000)
        echo = await other.expect(NewNumberVector)
        assert echo.members == (OneNumber(name="position", value="1000"),)
        await one.expect(SetNumberVector, state="Alert")
        await other.expect(SetNumberVector, state="Alert")
        assert not [message for message in one.received if isinstance(message, NewNumberVector)]


async def test_s3_nobody_speaks_for_a_device_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Gadget()) as (door, _):
        liar, victim = await connected(door), await connected(door)
        await liar.send(f'<setNumberVector device="{DEVICE}" name="NUMBER" state="Ok"/>')
        await liar.send(f'<delProperty device="{DEVICE}"/>')
        await liar.send('<pingRequest uid="1"/>')
        await liar.expect(PingReply)
        await victim.send('<pingRequest uid="1"/>')
        await victim.expect(PingReply)
        assert not [message for message in victim.received if isinstance(message, DelProperty | SetNumberVector)]
    assert DEVICE in caplog.text


async def test_s6_a_driver_that_fails_takes_only_its_own_devices_away() -> None:
    async def work(driver: Gadget) -> None:
        await failing.wait()
        raise OSError("the mount does not answer")

    failing = anyio.Event()
    broken = Gadget(work=work)
    healthy = Gadget(device="Other")
    async with serving(broken, healthy) as (door, _):
        client = await connected(door)
        failing.set()
        reason = await client.expect(Message, device=DEVICE)
        assert "the mount does not answer" in (reason.message or "")
        assert (await client.expect(DelProperty)).device == DEVICE
        await client.write("Other", "NUMBER", position=1000)
        await client.expect(SetNumberVector, device="Other", state="Alert")


async def test_blobs_reach_a_unix_client_as_descriptors_and_are_not_leaked() -> None:
    driver = Gadget()
    driver.image["a"] = bytes(100_000)
    async with serving(driver) as (door, _):
        client, other = await connected(door), await connected(door)
        for one in (client, other):
            await one.send(f'<enableBLOB device="{DEVICE}">Also</enableBLOB><pingRequest uid="1"/>')
            await one.expect(PingReply)
        for _ in range(3):
            await driver.image.send_setVectorMembers(members=["a"])
            for one in (client, other):
                (blob,) = (await one.expect(SetBLOBVector)).members
                content = blob.data if blob.attachment is None else blob.attachment.read(100_000)
                assert bytes(content) == bytes(100_000)


async def test_the_end_is_told_and_what_is_left_is_sent() -> None:
    driver = Gadget()
    async with serving(driver) as (door, run):
        client = await connected(door)
        run.end("now")
        farewell = await client.expect(DelProperty)
        assert farewell.device == DEVICE
        assert await is_let_go(client)
    assert driver.left == 1
    assert door.closed


async def test_s2_a_client_that_does_not_read_is_let_go_and_others_get_everything() -> None:
    driver = Gadget()
    async with serving(driver, make_outbox=lambda: PeerOutbox(1 << 20)) as (door, run):
        stalled, client = await connected(door), await connected(door)
        for number in range(300):
            driver.number["free"] = number
            await driver.number.send_setVector(message="x" * 10_000)
            await client.expect(SetNumberVector, free=number)
        assert await is_let_go(stalled)
        assert len(run.clients.ports) == 1


async def test_s18_as_many_clients_as_are_allowed() -> None:
    async with serving(Gadget(), most_clients=2) as (door, _):
        first, second = await connected(door), await connected(door)
        third = await door.knock()
        with pytest.raises(ConnectionLostError):
            await third.receive()
        await first.close()
        await second.send('<pingRequest uid="1"/>')
        await second.expect(PingReply)
        await anyio.wait_all_tasks_blocked()
        await connected(door)


async def test_s1_clients_come_and_go() -> None:
    async with serving(Gadget()) as (door, run):
        for number in range(100):
            client = await door.knock()
            if number % 3 == 0:
                await client.get_properties()
                await client.expect(DefNumberVector)
            elif number % 3 == 1:
                await client.send(new_number(5)[:-20])
            await client.close()
        await connected(door)
        await anyio.wait_all_tasks_blocked()
        assert len(run.clients.ports) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")], ids=["asyncio", "trio"]
)
async def test_fifty_clients_of_which_ten_do_not_read_are_let_go_in_time() -> None:
    driver = Gadget()
    async with serving(driver, grace_seconds=0.5) as (door, run):
        clients = [await connected(door) for _ in range(50)]
        for _ in range(200):
            await driver.text.send_setVector(message="x" * 10_000)
            for client in clients[10:]:
                await client.expect(SetTextVector)
        start = anyio.current_time()
        run.end("now")
        for client in clients[10:]:
            await client.expect(DelProperty)
    assert anyio.current_time() - start < 2


# -- cancelled at every step -----------------------------------------------------------------------------------


def test_cancel_sweep_over_a_server_with_a_driver_and_a_client() -> None:
    """Whenever it is cancelled: the driver leaves, once, and the end is bounded."""
    for step in range(1, 5000):
        driver = Gadget(work=lambda _: anyio.sleep(1))
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)

        async def main(driver: Gadget = driver, scope: trio.CancelScope = scope) -> float:
            start = trio.current_time()
            with scope:
                async with serving(driver) as (door, _):
                    client = await connected(door)
                    await client.write(DEVICE, "NUMBER", position=1000)
                    await client.expect(SetNumberVector, state="Alert")
                    await client.close()
            return trio.current_time() - start

        took = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[instrument])
        assert took <= 30, f"step {step}"
        assert driver.left == (1 if driver.stopped.is_set() else 0), f"step {step}"
        if instrument.left > 0:
            assert step > 50
            return
    raise AssertionError("the lifetime does not end")


@pytest.mark.long
def test_fuzz_of_clients_leaves_healthy_ones_alone() -> None:
    """Mutations of real streams from several clients at once; a healthy one notices nothing."""

    async def main() -> None:
        chance = random.Random(3)
        driver = Gadget()
        driver.ping_timeout = 0
        async with serving(driver) as (door, run):
            healthy = await connected(door)
            for _ in range(40):
                attackers = [await door.knock() for _ in range(5)]
                async with anyio.create_task_group() as tasks:
                    for attacker in attackers:
                        tasks.start_soon(attack, attacker, [mutated(chance) for _ in range(20)])
                await healthy.write(DEVICE, "TEXT", word="still here")
                await healthy.send('<pingRequest uid="alive"/>')
                while (await healthy.expect(PingReply)).uid != "alive":
                    pass
            with anyio.fail_after(60):
                while len(run.clients.ports) > 1:  # the attackers' places become free, and only theirs  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            (left,) = run.clients.ports
            assert left.statistics().messages_out >= len(healthy.received)
        assert not [message for message in healthy.received if isinstance(message, DelProperty)][:-1]

    async def attack(attacker: Client, inputs: list[bytes]) -> None:
        try:
            for data in inputs:
                await attacker.send(data)
        except ConnectionLostError:
            return  # it was let go, as it may be
        finally:
            attacker.wire.close()

    anyio.run(main, backend="trio")
