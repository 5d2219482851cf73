"""Servers of ours and indiserver behind each other, three deep, each a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from indianyio.protocol import (
    DefBLOBVector,
    DefNumberVector,
    DelProperty,
    Message,
    NewBLOBVector,
    NewNumberVector,
    OneBLOB,
    OneNumber,
    SetBLOBVector,
    SetLightVector,
    SetNumberVector,
    WireMessage,
)
from tests.libindi.libindi_harness import (
    Client,
    IndiServer,
    free_port,
    indiserver,
    installed,
    make_driver,
    tcp_client,
    wait_until,
)
from tests.server.interop_drivers import OTHER, SORTS, THIRD
from tests.server.processes import ROOT, content, cpu_seconds, fence, ours, remote, set_policy, until

needs_indiserver = [
    pytest.mark.libindi,
    pytest.mark.skipif(not installed("indiserver"), reason="no indiserver (Debian: apt-get install indi-bin)"),
]

DRIVERS = "tests.server.interop_drivers"
DEVICES = SORTS, OTHER, THIRD
SECONDS = 60.0

T = TypeVar("T")

OURS, THEIRS = "ours", "indiserver"
CHAINS = [
    pytest.param((OURS, THEIRS, OURS), marks=needs_indiserver, id="ours, indiserver, ours"),
    pytest.param((THEIRS, OURS, THEIRS), marks=needs_indiserver, id="indiserver, ours, indiserver"),
    pytest.param((OURS, OURS, OURS), id="ours, ours, ours"),
]
# An indiserver in front ends when the server behind it does, and lets one client decide about the BLOBs of all
# others (protocol.md 2.9).
CHAINS_OF_OURS = [CHAINS[0], pytest.param((OURS, OURS, OURS), marks=pytest.mark.long, id="ours, ours, ours")]


class Chain:
    """Three servers: the first serves clients, the last one has the driver."""

    def __init__(self, home: Path, kinds: tuple[str, ...], backend: str) -> None:
        self._home = home
        self._kinds = kinds
        self._backend = backend
        self._middle = ExitStack()

    @contextmanager
    def run(self) -> Iterator[IndiServer]:
        """Run all three for the block; give the first."""
        first, _, last = self._kinds
        with self._have_driver(last) as self.last, self._middle:
            self.start_middle()
            # What is in front has a device of its own, too, where that is simple.
            more = (f"{DRIVERS}:Other",) if first == OURS else ()
            with self._in_front_of(first, self.middle, more) as server:
                yield server

    def start_middle(self, port: int = 0) -> None:
        self.middle = self._middle.enter_context(self._in_front_of(self._kinds[1], self.last, port=port))

    def kill_middle(self) -> None:
        self.middle.process.kill()
        self.middle.process.wait()

    @contextmanager
    def _have_driver(self, kind: str) -> Iterator[IndiServer]:
        if kind == OURS:
            with ours(self._home, f"{DRIVERS}:Sorts", backend=self._backend) as server:
                yield server
        else:
            driver = make_driver(self._home / "sorts", f"{DRIVERS}:Sorts", self._backend, ROOT)
            with self._theirs(str(driver)) as server:
                yield server

    @contextmanager
    def _in_front_of(
        self, kind: str, behind: IndiServer, more: tuple[str, ...] = (), port: int = 0
    ) -> Iterator[IndiServer]:
        if kind == OURS:
            with ours(self._home, *more, *remote(behind), backend=self._backend, port=port) as server:
                yield server
        else:
            with self._theirs(f"@localhost:{behind.port}", port=port) as server:
                yield server

    @contextmanager
    def _theirs(self, driver: str, port: int = 0) -> Iterator[IndiServer]:
        folder = self._home / f"theirs {len(list(self._home.iterdir()))}"
        folder.mkdir()
        with indiserver(folder, driver, port=port) as server:
            yield server


@pytest.fixture(params=["asyncio", "trio"])
def make_chain(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[tuple[str, ...]], Chain]:
    return lambda kinds: Chain(tmp_path, kinds, request.param)


MakeChain = Callable[[tuple[str, ...]], Chain]


# -- what a client does ----------------------------------------------------------------------------------------


def greeted(client: Client, *devices: str) -> Client:
    """Ask for everything, and return when these devices are defined to the last."""
    client.ask()
    missing = set(devices)
    while missing:
        missing.discard(client.expect(DefBLOBVector).device)
    return client


def write_number(client: Client, value: int, device: str = SORTS) -> None:
    members = (OneNumber(name="plain", value=f"{value}"),)
    client.send(NewNumberVector(device=device, name="number", members=members))


def assert_obeyed(client: Client, value: int, device: str = SORTS) -> None:
    """Write a number, and get the answer and what the driver sends after it."""
    write_number(client, value, device)
    until(client, SetNumberVector, device, lambda answer: shown(answer) == value and answer.state == "Ok")


def shown(message: SetNumberVector) -> float:
    return {member.name: float(member.value) for member in message.members}.get("plain", -1.0)


def write_blob(client: Client, data: bytes) -> None:
    blob = OneBLOB(name="file", size=str(len(data)), format=".bin", data=data)
    client.send(NewBLOBVector(device=SORTS, name="blob", members=(blob,)))


def seen_until_light(client: Client, name: str) -> list[WireMessage]:
    """Return what comes until the driver shows that this vector was written, that included."""
    seen: list[WireMessage] = []
    while True:
        seen.append(client.receive())
        last = seen[-1]
        if isinstance(last, SetLightVector) and {m.name for m in last.members if m.value == "Ok"} == {name}:
            return seen


def blobs(messages: list[WireMessage]) -> list[bytes]:
    return [content(message) for message in messages if isinstance(message, SetBLOBVector)]


# -- chains ----------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("kinds", CHAINS)
def test_three_deep_writes_go_all_the_way_and_answers_and_blobs_come_back(
    make_chain: MakeChain, kinds: tuple[str, ...]
) -> None:
    data = os.urandom(3_000_000)
    with make_chain(kinds).run() as first, tcp_client(first) as client:
        greeted(client, SORTS)
        for value in range(20):
            assert_obeyed(client, value)
        set_policy(client, SORTS, "Also", "blob")
        assert_obeyed(client, 20)  # by now the last server knows the policy
        write_blob(client, data)
        assert blobs(seen_until_light(client, "blob")) == [data]


@pytest.mark.long
@pytest.mark.parametrize("kinds", CHAINS_OF_OURS)
def test_three_deep_each_client_gets_the_blobs_that_it_asked_for(
    make_chain: MakeChain, kinds: tuple[str, ...]
) -> None:
    data = os.urandom(1_000_000)
    with make_chain(kinds).run() as first, ExitStack() as clients:
        never, also, only = (greeted(clients.enter_context(tcp_client(first)), SORTS) for _ in range(3))
        for client, policy in ((also, "Also"), (only, "Only"), (never, "Never")):
            set_policy(client, SORTS, policy)
        assert_obeyed(never, 1)
        fence(only)
        write_blob(never, data)
        seen = seen_until_light(also, "blob")
        assert blobs(seen) == [data]
        assert blobs(seen_until_light(never, "blob")) == []
        assert_obeyed(also, 2)
        assert [message.tag for message in fence(only)] == ["setBLOBVector"]
        write_blob(never, data[::-1])
        assert content(only.expect(SetBLOBVector)) == data[::-1]
        # When nobody wants them any more they do not even come to the first server.
        for client in (also, only):
            set_policy(client, SORTS, "Never")
        assert_obeyed(never, 3)
        write_blob(never, data)
        for client in (never, also, only):
            assert blobs(seen_until_light(client, "blob")[-1:]) == []


@pytest.mark.parametrize("kinds", CHAINS_OF_OURS)
def test_three_deep_the_middle_is_killed_and_comes_back(make_chain: MakeChain, kinds: tuple[str, ...]) -> None:
    chain = make_chain(kinds)
    with chain.run() as first, tcp_client(first) as client, tcp_client(first) as healthy:
        greeted(client, SORTS, OTHER)
        greeted(healthy, SORTS, OTHER)
        chain.kill_middle()
        why = until(client, Message, SORTS)
        assert "was lost" in (why.message or "")
        assert until(client, DelProperty, SORTS).name is None
        assert_obeyed(healthy, 5, OTHER)
        write_number(healthy, 6)  # to nobody
        assert_obeyed(healthy, 7, OTHER)
        chain.start_middle(chain.middle.port)
        for vector in (DefNumberVector, DefBLOBVector):
            until(client, vector, SORTS)
        assert_obeyed(client, 8)
        gone = [message for message in fence(healthy) if isinstance(message, DelProperty)]
        assert {message.device for message in gone} <= {SORTS}


@pytest.mark.parametrize("kinds", CHAINS_OF_OURS)
def test_three_deep_blobs_come_again_after_the_middle_was_restarted(
    make_chain: MakeChain, kinds: tuple[str, ...]
) -> None:
    """The client has said only once that it wants them."""
    chain = make_chain(kinds)
    with chain.run() as first, tcp_client(first) as client:
        greeted(client, SORTS)
        set_policy(client, SORTS, "Also")
        chain.kill_middle()
        until(client, DelProperty, SORTS)
        chain.start_middle(chain.middle.port)
        until(client, DefBLOBVector, SORTS)
        assert_obeyed(client, 1)
        write_blob(client, b"here again")
        assert b"here again" in blobs(seen_until_light(client, "blob"))


# -- circles ---------------------------------------------------------------------------------------------------


@contextmanager
def ring(home: Path, backend: str) -> Iterator[list[IndiServer]]:
    """Run three servers, each with a device of its own and the next one behind it, the first behind the last."""
    ports = [free_port() for _ in DEVICES]
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                ours(home, f"{DRIVERS}:{device}", "--remote", f"127.0.0.1:{behind}", backend=backend, port=port)
            )
            for device, port, behind in zip(DEVICES, ports, turned(ports), strict=True)
        ]


def turned(items: Sequence[T]) -> Sequence[T]:
    return [*items[1:], items[0]]


@pytest.mark.long
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_three_servers_in_a_circle_come_to_rest_and_use_no_time(tmp_path: Path, backend: str) -> None:
    with ring(tmp_path, backend) as servers, ExitStack() as stack:
        clients = [stack.enter_context(tcp_client(server)) for server in servers]
        for client, own, behind in zip(clients, DEVICES, turned(DEVICES), strict=True):
            greeted(client, own, behind)
            assert_obeyed(client, 1, own)
            assert_obeyed(client, 2, behind)
        assert wait_until(lambda: not any(fence(client) for client in clients), SECONDS)
        before = sum(cpu_seconds(server.process.pid) for server in servers)
        time.sleep(2)  # this is what is measured
        assert sum(cpu_seconds(server.process.pid) for server in servers) - before < 0.1
        assert not any(fence(client) for client in clients)
        assert_obeyed(clients[0], 3, OTHER)
