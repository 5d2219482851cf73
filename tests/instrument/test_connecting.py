"""Connecting and disconnecting, with something going wrong at each step: a thousand times, and a byte at a time.

Whatever happens, each definition is followed by its deletion, each ``connect()`` that has succeeded by one
``disconnect()``, no wire stays open, and the next client who connects succeeds.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.instrument import Property, Wired, every
from indianyio.properties import Values, number
from indianyio.protocol import DelProperty, SetSwitchVector, WireMessage
from indianyio.streams import ByteStream
from indianyio.testing import MisbehavingStream, Mischief, Peer, driver_client, member_values, running
from indianyio.wires import FakeWire, Fault, Reply, Wire

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("indi_clock")]

NAME = "Balance"
ANSWER = b"balance 1.0#"
TURNS = 1000
# Beyond the awaits of the way, so that nothing goes wrong now and then.
MOST_STEPS = 9


class Weight(Values, name="WEIGHT", perm="rw"):
    """What lies on it."""

    grams: float = number("G", max=1000)


class Load(Values, name="LOAD", perm="rw"):
    """What shall lie on it."""

    grams: float = number("G", max=1000)


class Balance(Wired):
    """A balance, and what goes wrong with it.

    :ivar fault: called at the step at which something goes wrong.
    :ivar left: how many steps it takes until then.
    :ivar reply: what the instrument answers.
    """

    wire_timeout = 1.0
    grace = 2.0

    weight = Property(Weight)
    load = Property(Load, persist=True)

    def __init__(self) -> None:
        super().__init__(NAME)
        self.fault: Callable[[], Awaitable[object]] | None = None
        self.left = 0
        self.reply: Reply = ANSWER
        self.calls: Counter[str] = Counter()
        self.wires: list[Wire] = []  # type: ignore[assignment, misc]

    def make_wire(self) -> Wire:
        self.wires.append(FakeWire(lambda request: self.reply, timeout=self.wire_timeout))
        return self.wires[-1]

    async def step(self) -> None:
        """Take some time, and let go wrong what shall go wrong here."""
        await anyio.sleep(0.01)
        self.left -= 1
        if self.left == 0 and self.fault is not None:
            await self.fault()

    async def connect(self) -> None:
        await self.step()
        await super().connect()
        try:
            await self.step()
            await self.step()
        except BaseException:
            await super().disconnect()
            raise
        self.calls["connected"] += 1

    async def handshake(self) -> None:
        await self.step()
        await self.wire.query(b"V#", until=b"#")
        await self.step()

    async def disconnect(self) -> None:
        self.calls["disconnected"] += 1
        try:
            await self.step()
        finally:
            await super().disconnect()

    @weight.operation()
    async def _weigh(self, wanted: Weight) -> None:
        await self.step()

    @load.write
    async def _put(self, wanted: Load) -> None:
        await self.step()

    @every(seconds=0.05)
    async def _poll(self) -> None:
        await self.step()
        await self.weight.report(grams=1)


class Books:
    """What a peer hears of an instrument: which properties it has, and whether it is connected."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.defined: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.state = ""
        self.is_on = False

    async def read(self) -> None:
        """Hear everything."""
        while True:
            try:
                self._note(await self.peer.receive())
            except ConnectionLostError:
                return

    def _note(self, message: WireMessage) -> None:
        name = str(getattr(message, "name", ""))
        if isinstance(message, DelProperty):
            assert name in self.defined, f"{name} is deleted, which is not there"
            self.defined.remove(name)
            self.counts["deleted"] += name in ("WEIGHT", "LOAD")
        elif message.tag.startswith("def"):
            assert name not in self.defined, f"{name} is defined twice"
            self.defined.add(name)
            self.counts["defined"] += name in ("WEIGHT", "LOAD")
        elif message.tag.startswith("set"):
            assert name in self.defined, f"{name} is told of, which is not there"
        if isinstance(message, SetSwitchVector) and name == "CONNECTION":
            self.state = str(message.state)
            self.is_on = member_values(message)["CONNECT"] == "On"

    async def settled(self, *, is_on: bool) -> None:
        """Wait until it is connected, or is not; and see that all is as it must be then."""
        with anyio.fail_after(200):
            while self.state == "Busy" or self.is_on is not is_on:  # noqa: ASYNC110 - the clock is virtual
                await anyio.sleep(0.1)
        await anyio.sleep(0.2)
        assert self.state in (("Ok",) if is_on else ("Idle", "Alert"))
        assert {"WEIGHT", "LOAD"} & self.defined == ({"WEIGHT", "LOAD"} if is_on else set())


@asynccontextmanager
async def kept(balance: Balance) -> AsyncGenerator[Books]:
    """Run a balance, and keep the books of it."""
    async with running(balance) as peer:
        books = Books(peer)
        await peer.get_properties(NAME)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(books.read)
            await anyio.sleep(0.5)
            yield books
            tasks.cancel_scope.cancel()


class Trouble:
    """All that can go wrong, in an order that comes from a seed."""

    def __init__(self, balance: Balance, books: Books, seed: int) -> None:
        self.balance = balance
        self.books = books
        self.chance = random.Random(seed)
        self.faults: dict[str, Callable[[], Awaitable[object]]] = {
            "nothing": self.do_nothing,
            "an error": self.fail,
            "a hang": self.hang,
            "a call that cannot be cancelled": self.insist,
            "lost hardware": self.lose,
            "a client who disconnects": self.click_disconnect,
            "a client who connects": self.click_connect,
            "a client who cannot make up his mind": self.click_often,
            "another write": self.write,
        }

    async def do_nothing(self) -> None: ...

    async def fail(self) -> None:
        raise OSError("it does not work")

    async def hang(self) -> None:
        await self.click("DISCONNECT")
        await anyio.sleep(100)

    async def insist(self) -> None:
        await self.click("DISCONNECT")
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.3)

    async def lose(self) -> None:
        self.balance.connection_lost("the cable was pulled")

    async def click_disconnect(self) -> None:
        await self.click("DISCONNECT")

    async def click_connect(self) -> None:
        await self.click("CONNECT")

    async def click_often(self) -> None:
        for _ in range(self.chance.randrange(2, 5)):
            await self.click(self.chance.choice(["CONNECT", "DISCONNECT"]))

    async def write(self) -> None:
        for name in {"WEIGHT", "LOAD"} & self.books.defined:
            await self.books.peer.write(NAME, name, G=5)

    async def click(self, member: str) -> None:
        await self.books.peer.write(NAME, "CONNECTION", {member: "On"})

    async def turn(self) -> str:
        """Connect and disconnect while something goes wrong somewhere; return what."""
        kind = self.chance.choice(list(self.faults))
        self.balance.fault = self.faults[kind]
        self.balance.left = self.chance.randrange(1, MOST_STEPS)
        cut = self.chance.randrange(-3 * len(ANSWER), len(ANSWER))
        if cut >= 0:
            kind += f", and the wire is lost after {cut} bytes"
            self.balance.reply = [ANSWER[:cut], self.chance.choice([Fault.LOST, Fault.UNPLUGGED])]
        await self.click("CONNECT")
        await anyio.sleep(self.chance.choice([0, 0.005, 0.03, 0.1, 0.3]))
        await self.click("DISCONNECT")
        await anyio.sleep(self.chance.choice([0, 0.005, 0.03, 0.1, 0.3]))
        self.balance.fault, self.balance.reply = None, ANSWER
        # Among what went wrong may have been somebody who connects it.
        await self.click("DISCONNECT")
        await self.books.settled(is_on=False)
        return kind

    async def see_that_it_works(self) -> None:
        """Connect and disconnect while nothing goes wrong."""
        await self.click("CONNECT")
        await self.books.settled(is_on=True)
        await self.click("DISCONNECT")
        await self.books.settled(is_on=False)


async def balances(seed: int, turns: int) -> None:
    balance = Balance()
    async with kept(balance) as books:
        trouble = Trouble(balance, books, seed)
        for turn in range(turns):
            kind = await trouble.turn()
            note = f"turn {turn} of seed {seed}: {kind}"
            assert not balance.is_connected, note
            assert balance.calls["connected"] == balance.calls["disconnected"], note
            assert not any(wire.is_open for wire in balance.wires), note
            assert books.counts["defined"] == books.counts["deleted"], note
            if turn % 10 == 0:
                await trouble.see_that_it_works()
        assert balance.calls["connected"] > turns / 5
        await trouble.see_that_it_works()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
async def test_what_is_defined_is_deleted_whatever_goes_wrong_at_whichever_step(seed: int) -> None:
    await balances(seed, TURNS // 4)


@pytest.mark.parametrize("sent", range(60, 1500, 60))
async def test_a_line_to_the_clients_that_is_cut_at_any_byte_leaves_nothing_connected(sent: int) -> None:
    balance = Balance()

    def wrap(stream: ByteStream) -> ByteStream:
        return MisbehavingStream(stream, receiving=Mischief(pieces=50, cut_at=6000 + sent), seed=sent)

    async def connect_again_and_again() -> None:
        async with driver_client(balance, wrap=wrap) as (_, client):
            device = await client.device(NAME, timeout=5)
            while True:
                await device.set("CONNECTION", CONNECT=True)
                await device.set("CONNECTION", DISCONNECT=True)

    with pytest.raises(ConnectionLostError):
        await connect_again_and_again()
    assert balance.calls["connected"] == balance.calls["disconnected"]
    assert not any(wire.is_open for wire in balance.wires)
    async with kept(balance) as books:
        await Trouble(balance, books, 0).see_that_it_works()
