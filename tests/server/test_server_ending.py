"""The end of a server: who has the last word, how long it may take, and whom somebody should know of."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import anyio
import anyio.abc
import pytest
import trio.testing

from indianyio._routing import PeerOutbox, PeerStatistics
from indianyio.protocol import DefTextVector, DelProperty, Message, SetNumberVector, SetTextVector
from indianyio.server import IPyServer
from indianyio.server._hub import Hub
from tests.driver.gadget import Gadget
from tests.server.doors import serving
from tests.server.network import Network, is_let_go
from tests.server.programs import Programs, write
from tests.server.test_server_run import connected
from tests.server.watching import texts, until

pytestmark = pytest.mark.anyio

PARKING = """
while os.read(0, 65536): define()
time.sleep(0.05)
for step in range(100): show(f"parking {step}")
show("parked")
"""


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_the_last_words_of_a_program_reach_the_clients_of_a_server_that_ends(
    is_cancelled: bool, tmp_path: Path
) -> None:
    server = IPyServer(Gadget(), host="127.0.0.1", port=0)
    server.add_exdriver(Programs(tmp_path).path(PARKING))
    async with anyio.create_task_group() as tasks:
        network = Network(await tasks.start(server.asyncrun))
        client = network.connect()
        await client.get_properties()
        while "Box" not in {device for device, _ in client.definitions}:
            await client.receive()
        if is_cancelled:
            tasks.cancel_scope.cancel("the program ends")
        else:
            server.shutdown()
        with anyio.CancelScope(shield=True):
            steps = [str((await client.expect(SetTextVector)).members[0].value) for _ in range(101)]
            assert steps == [*(f"parking {step}" for step in range(100)), "parked"]
            assert "the server has ended it" in ((await client.expect(Message, device="Box")).message or "")
            await client.expect(DelProperty, device="Box")
            assert await is_let_go(client)
    network.tidy()


async def test_s10_a_program_that_ignores_everything_and_a_client_that_reads_nothing_end_within_twice_the_grace(
    tmp_path: Path,
) -> None:
    body = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
until_written()
for _ in range(2000): show("x" * 10_000)
while True: time.sleep(1)
"""
    server = IPyServer(host="127.0.0.1", port=0)
    server.grace = 0.5
    server.add_exdriver(Programs(tmp_path).path(body))
    async with server:
        network = Network(server.addresses)
        client = network.connect()
        await client.get_properties()
        await client.expect(DefTextVector)
        await client.send(write("go on"))
        await client.expect(SetTextVector)
        await until(lambda: server.statistics()["box"].bytes_in > 20_000_000)
        began = anyio.current_time()
    took = anyio.current_time() - began
    # The program has twice the grace, and a client then a second, or the grace if that is less. Neither would ever
    # end by itself; how late that is on a machine that stalls is not the question.
    assert 3 * 0.5 <= took < 30
    network.tidy()


class Leaving:
    """Brings nothing, and takes its time to go."""

    name = "leaving"

    def __init__(self, seconds: float) -> None:
        self._seconds = self.end_seconds = seconds

    async def run(self, hub: Hub) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self._seconds)

    def statistics(self) -> PeerStatistics:
        return PeerStatistics()


@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="virtual")]
)
@pytest.mark.parametrize(("leaving", "took"), [(0, 5), (4, 9), (8, 10), (9.5, 10.5), (30, 31)])
async def test_who_reads_nothing_has_the_grace_or_what_is_left_of_twice_that(leaving: float, took: float) -> None:
    driver = Gadget()
    async with serving(driver, feeders=[Leaving(leaving)], grace_seconds=5) as (door, run):
        await connected(door)
        for _ in range(1000):
            await driver.text.send_setVector(message="x" * 10_000)
        began = anyio.current_time()
        run.end("now")
    assert anyio.current_time() - began == pytest.approx(took, abs=0.01)


async def test_s2_of_a_client_that_does_not_read_somebody_is_told(caplog: pytest.LogCaptureFixture) -> None:
    driver = Gadget()
    async with serving(driver, make_outbox=lambda: PeerOutbox(100_000)) as (door, run):
        stalled, client = await connected(door), await connected(door)
        assert len(run.clients.ports) == 2
        while len(run.clients.ports) == 2:
            await driver.number.send_setVector(message="x" * 10_000)
            await client.expect(SetNumberVector)
        await client.close()
    (warning,) = texts(caplog, logging.WARNING)
    found = re.fullmatch(r".* \(client 1\): it does not read: (\d+) bytes wait for it, more than 100000", warning)
    assert found is not None, warning
    assert int(found[1]) > 100_000
    assert await is_let_go(stalled)
