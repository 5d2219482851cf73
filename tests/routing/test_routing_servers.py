"""Servers behind servers: protocol.md 2.9; chains, lost links, and circles that must not turn."""

from __future__ import annotations

import random
from collections import deque

import pytest

from indianyio._routing import Routed, Router
from tests.routing.routing import World, frame, frame_of, line

STEPS = 5_000


class Network:
    """Servers that are connected, each message on its way until it is taken off, in any order between links."""

    def __init__(self, seed: int = 0, **peers: str) -> None:
        """Set up servers, each with its local peers: clients in small letters, drivers named like their device."""
        self._random = random.Random(seed)
        self._servers: dict[str, Router[str]] = {}
        self._ends: dict[tuple[str, str], tuple[str, str]] = {}
        self._ways: dict[tuple[str, str], deque[bytes]] = {}
        self.inboxes: dict[str, list[str]] = {}
        for server, names in peers.items():
            self._servers[server] = Router(server)
            for name in names.split():
                self.add(server, name)

    def add(self, server: str, name: str) -> None:
        router = self._servers[server]
        self.inboxes[name] = []
        if name.islower():
            router.add_client(name, name)
        else:
            assert router.add_driver(name, name) == Routed()

    def connect(self, below: str, above: str, device: str | None = None) -> None:
        """Make ``below`` a remote of ``above``."""
        here, there = (above, f"to {below}"), (below, f"from {above}")
        self._ends |= {here: there, there: here}
        self._ways |= {here: deque(), there: deque()}
        self._servers[below].add_client(there[1], above)
        router = self._servers[above]
        assert router.add_remote(here[1], below, host=f"{below}:7624", device=device) == Routed()
        self._carry(above, router.greeting(here[1]))

    def cut(self, below: str, above: str) -> None:
        for server, peer in ((above, f"to {below}"), (below, f"from {above}")):
            del self._ways[server, peer]
            self._carry(server, self._servers[server].remove(peer, "the cable was cut"))

    def say(self, server: str, peer: str, *lines: str) -> Routed[str]:
        """Let a local peer send something; what follows waits for :meth:`settle`."""
        routed: Routed[str] = Routed()
        for said in lines:
            routed = self._servers[server].receive(peer, frame(said))
            self._carry(server, routed)
        return routed

    def remove(self, server: str, peer: str) -> None:
        self._carry(server, self._servers[server].remove(peer, "gone"))

    def settle(self) -> dict[str, list[str]]:
        """Let everything arrive; return what local peers have got, and forget it."""
        for _ in range(STEPS):
            busy = [way for way, waiting in self._ways.items() if waiting]
            if not busy:
                got = {name: inbox for name, inbox in self.inboxes.items() if inbox}
                self.inboxes = {name: [] for name in self.inboxes}
                return got
            way = self._random.choice(busy)
            server, peer = self._ends[way]
            arrived = frame_of(self._ways[way].popleft())
            routed = self._servers[server].receive(peer, arrived)
            assert routed.refuse is None
            self._carry(server, routed)
        raise AssertionError("messages run in a circle")

    def circles(self, server: str, client: str) -> set[str]:
        return self._servers[server]._routes.clients[client].circles

    def owner(self, server: str, device: str) -> str | None:
        return self._servers[server].owner(device)

    def _carry(self, server: str, routed: Routed[str]) -> None:
        for delivery in routed.deliveries:
            for target in delivery.targets:
                if target in self.inboxes:
                    self.inboxes[target].append(line(delivery.frame))
                elif (server, target) in self._ways:
                    self._ways[server, target].append(delivery.frame.data)


# -- one link --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "greeting"),
    [
        # Not every driver behind indiserver answers to "*".
        (None, ['version="1.7" via="me.0"', 'version="1.7" device="*" via="me.0"']),
        ("A", ['version="1.7" device="A" via="me.0"']),
    ],
)
def test_another_server_is_greeted_as_servers_do(device: str | None, greeting: list[str]) -> None:
    world = World()
    world.router.add_remote("r", "far", host="far:1", device=device)
    world.deliver(world.router.greeting("r"))
    assert [sent.data for sent in world.frames("r")] == [f"<getProperties {said}/>".encode() for said in greeting]
    assert world.router.owner("A") == ("r" if device else None)


def test_a_server_asked_for_one_device_is_not_asked_for_more() -> None:
    world = World()
    world.clients("c")
    for peer, device in (("r1", "A"), ("r2", "B"), ("r3", "B")):
        world.router.add_remote(peer, peer, host="far:1", device=device)
    world.say("c", "get", "new A.P")
    assert world.all_got() == {"r1": ["get A", "new A.P"], "r2": ["get B"]}


def test_one_host_is_asked_for_everything_once() -> None:
    world = World()
    world.clients("c")
    for peer, host in (("r1", "far:1"), ("r2", "far:1"), ("r3", "far:2")):
        world.remote(peer, host)
    world.say("c", "get")
    assert world.all_got() == {"r1": ["get"], "r3": ["get"]}


@pytest.mark.parametrize("arguments", [{"host": ""}, {"host": "far:1", "device": ""}])
def test_a_server_needs_names(arguments: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="needs a host"):
        Router[str]("me").add_remote("r", "far", **arguments)


@pytest.mark.parametrize("identity", ["", "a b", "a.b", '"', "a" * 65])
def test_an_identity_is_a_plain_word(identity: str) -> None:
    with pytest.raises(ValueError, match="identity"):
        Router[str](identity)


def test_s13_a_far_device_that_is_served_already_is_dropped_and_reported_once() -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c")
    world.remote("r", "far:1", "def R.P")
    world.say("c", "get")
    world.forget()
    assert world.say("r", "def A.P").dropped == (
        "server name of r has a device 'A', as driver name of a has already: what it sends about it is dropped"
    )
    for said in ("num A.P", "del A.P", "del A", "new A.P"):
        assert world.say("r", said) == Routed(), said
    world.say("r", "num R.P", "msg A")
    world.say("c", "new A.P")
    assert world.all_got() == {"a": ["new A.P"], "c": ["num R.P", "msg A"]}


def test_what_was_reported_is_not_remembered_for_ever() -> None:
    """A thousand names later it is reported again, for clients and for servers."""
    world = World()
    names = [f"A{number}" for number in range(1001)]
    world.drivers(a=" ".join(names[:600]), b=" ".join(names[600:]))
    world.clients("c")
    world.remote("r")
    for peer in "cr":
        for name in names:
            assert world.say(peer, f"num {name}.P").dropped is not None
        assert world.say(peer, f"num {names[-1]}.P").dropped is None
        assert world.say(peer, f"num {names[0]}.P").dropped is not None


def test_a_far_device_takes_over_when_the_near_one_has_gone() -> None:
    world = World()
    world.drivers(a="A")
    world.remote("r", "far:1", "def A.P")
    world.remove("a")
    world.say("r", "num A.P")
    assert (world.router.owner("A"), world.got("r")) == (None, ["get A"])
    world.say("r", "num A.P", "def A.P")
    assert (world.router.owner("A"), world.got("r")) == ("r", [])


@pytest.mark.parametrize("asked", ["get R", "get R.P"])
def test_the_end_of_a_far_device_is_told_to_whoever_knows_any_of_it(asked: str) -> None:
    """Also when the other server says it, and to a driver that snoops one vector, as a dome does of the weather."""
    world = World()
    world.drivers(dome="D")
    world.clients("c", "other", "blobs")
    world.remote("r", "far:1", "def R.P", "def R.Q")
    world.say("other", "get R.Q")
    world.say("blobs", "get R", "Only R")
    world.say("c", asked)
    world.say("dome", asked)
    world.forget()
    world.say("r", "msg R", "del R")
    told = ["msg R", "del R"]
    assert world.all_got() == {"c": told, "dome": told, "other": told}


def test_three_deep_the_end_of_a_device_comes_up_to_who_knows_one_vector(chain: Network) -> None:
    chain.add("s1", "one")
    chain.say("s1", "one", "get D3.P")
    chain.say("s1", "D1", "get D3.P")
    chain.settle()
    chain.remove("s3", "D3")
    got = chain.settle()
    assert got["one"] == got["D1"] == ["msg D3", "del D3"]


def test_a_near_driver_cannot_take_a_far_device() -> None:
    world = World()
    world.drivers(a="")
    world.remote("r", "far:1", "def A.P")
    assert world.say("a", "def A.P").refuse == "driver name of a has a device 'A', as server name of r has already"


def test_a_lost_server_takes_only_its_own_devices_with_it() -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c")
    world.remote("r", "far:1", "def R.P", "def R2.P")
    world.remote("s", "far:2", "def S.P")
    world.say("c", "get")
    world.forget()
    world.remove("r", "the connection was lost")
    assert world.got("c") == ["msg R", "del R", "msg R2", "del R2"]
    world.say("a", "num A.P")
    world.say("s", "num S.P")
    world.say("c", "new S.P", "new R.P")
    assert world.all_got() == {"c": ["num A.P", "num S.P"], "s": ["new S.P"]}


def test_nothing_goes_back_to_the_host_it_came_from() -> None:
    world = World()
    world.clients("c")
    for peer, host in (("r1", "far:1"), ("r2", "far:1"), ("r3", "far:2")):
        world.remote(peer, host)
        world.say(peer, "get R", "get X")
    world.say("r1", "def R.P", "num R.P")
    assert "num R.P" in world.got("r3")
    world.forget()
    world.say("r1", "num R.P", "get R", "get Y")
    assert world.all_got() == {"r3": ["num R.P", "get Y"]}
    world.remove("r1")
    assert world.all_got() == {"r3": ["msg R", "del R"]}


def test_s28_a_server_that_asks_for_everything_gets_nothing_by_it() -> None:
    world = World()
    world.drivers(a="A")
    world.remote("r")
    assert world.say("r", "get").dropped == "a getProperties without a device from another server"
    world.say("a", "num A.P")
    assert world.all_got() == {}


def test_the_ping_reply_of_a_server_is_ours() -> None:
    world = World()
    world.clients("c")
    world.remote("r")
    assert world.say("r", "pong") == Routed()


# -- chains ----------------------------------------------------------------------------------------------------


@pytest.fixture
def chain() -> Network:
    """Three servers in a row, each with a client and a driver of its own; everything is asked for and defined."""
    network = Network(s1="c1 D1", s2="c2 D2", s3="c3 D3")
    network.connect("s3", "s2")
    network.connect("s2", "s1")
    network.settle()
    for number in "123":
        network.say(f"s{number}", f"D{number}", f"def D{number}.P", f"defblob D{number}.C")
        network.say(f"s{number}", f"c{number}", "get")
    network.settle()
    return network


def test_three_deep_everything_comes_up(chain: Network) -> None:
    for number in "123":
        chain.say(f"s{number}", f"D{number}", f"num D{number}.P", f"msg D{number}", "msg", f"blob D{number}.C")
    assert {peer: sorted(got) for peer, got in chain.settle().items()} == {
        "c1": sorted([said for n in "123" for said in (f"num D{n}.P", f"msg D{n}", "msg")]),
        "c2": sorted([said for n in "23" for said in (f"num D{n}.P", f"msg D{n}", "msg")]),
        "c3": ["msg", "msg D3", "num D3.P"],
    }


def test_three_deep_a_request_goes_down(chain: Network) -> None:
    chain.say("s1", "c1", "get")
    assert chain.settle() == {"D1": ["get"], "D2": ["get"], "D3": ["get"]}
    chain.say("s1", "c1", "get D3.P")
    assert chain.settle() == {"D3": ["get D3.P"]}


def test_three_deep_a_write_arrives_once_and_is_shown_on_the_way(chain: Network) -> None:
    chain.say("s1", "c1", "new D3.P")
    assert chain.settle() == {"c2": ["new D3.P"], "c3": ["new D3.P"], "D3": ["new D3.P"]}
    chain.say("s3", "c3", "new D3.P")
    assert chain.settle() == {"c1": ["new D3.P"], "c2": ["new D3.P"], "D3": ["new D3.P"]}


def test_three_deep_blobs_come_to_those_who_want_them(chain: Network) -> None:
    chain.say("s1", "c1", "Also D3")
    chain.say("s2", "c2", "Never D3")
    chain.settle()
    chain.say("s3", "D3", "blob D3.C")
    assert chain.settle() == {"c1": ["blob D3.C"]}
    chain.say("s1", "c1", "Never D3")
    chain.say("s2", "c2", "Only D3")
    chain.settle()
    chain.say("s3", "D3", "blob D3.C", "num D3.P")
    assert chain.settle() == {"c1": ["num D3.P"], "c2": ["blob D3.C"], "c3": ["num D3.P"]}


def test_three_deep_drivers_snoop_downwards_and_upwards(chain: Network) -> None:
    chain.say("s1", "D1", "get D3.P")
    assert chain.settle()["D3"] == ["get D3.P"]
    chain.say("s3", "D3", "get D1.P", "num D3.P")
    got = chain.settle()
    assert (got["D1"], got["c1"]) == (["get D1.P", "num D3.P"], ["num D3.P"])
    chain.say("s1", "D1", "num D1.P", "del D1.P")
    assert chain.settle() == {"c1": ["num D1.P", "del D1.P"], "D3": ["num D1.P", "del D1.P"]}


def test_three_deep_a_lost_link_takes_what_is_behind_it(chain: Network) -> None:
    chain.cut("s2", "s1")
    assert chain.settle() == {"c1": ["msg D2", "del D2", "msg D3", "del D3"]}
    chain.connect("s2", "s1")
    assert chain.settle() == {"D2": ["get", "get"], "D3": ["get", "get"]}
    chain.say("s3", "D3", "def D3.P")
    assert chain.settle() == {peer: ["def D3.P"] for peer in ("c1", "c2", "c3")}


# -- circles ---------------------------------------------------------------------------------------------------


def mutual(seed: int) -> Network:
    network = Network(seed, a="ca DA", b="cb DB")
    for server, client, driver in (("a", "ca", "DA"), ("b", "cb", "DB")):
        network.say(server, client, "get", "Also")
        network.say(server, driver, f"def {driver}.P", f"defblob {driver}.C")
    network.settle()
    network.connect("a", "b")
    network.settle()
    network.connect("b", "a")
    network.settle()
    return network


def test_two_servers_that_are_each_others_remote_find_out() -> None:
    network = mutual(0)
    assert network.circles("a", "from b") == {"b:7624"}
    assert network.circles("b", "from a") == {"a:7624"}


@pytest.mark.parametrize("seed", range(20))
def test_two_servers_that_are_each_others_remote_carry_everything_once(seed: int) -> None:
    network = mutual(seed)
    for server, driver in (("a", "DA"), ("b", "DB")):
        network.say(server, driver, f"def {driver}.P", f"defblob {driver}.C")
    network.settle()
    network.say("a", "DA", "num DA.P", "blob DA.C", "msg DA", "msg", "pong")
    assert network.settle() == {
        "ca": ["num DA.P", "blob DA.C", "msg DA", "msg", "pong"],
        "cb": ["num DA.P", "blob DA.C", "msg DA", "msg"],
    }
    network.say("b", "cb", "new DA.P")
    assert network.settle() == {"DA": ["new DA.P"], "ca": ["new DA.P"]}
    network.say("a", "ca", "new DA.P", "new X.P")
    assert network.settle() == {"DA": ["new DA.P"], "cb": ["new DA.P", "new X.P"]}
    network.say("b", "cb", "get", "get DA", "get X")
    assert {peer: sorted(got) for peer, got in network.settle().items()} == {"DA": ["get", "get DA"], "DB": ["get"]}


@pytest.mark.parametrize("seed", range(20))
def test_no_circle_turns_while_it_closes(seed: int) -> None:
    """Drivers talk, snoop and die while two servers connect to each other; all of it comes to rest."""
    network = Network(seed, a="ca DA", b="cb DB")
    network.say("a", "ca", "get", "Also")
    network.say("b", "cb", "get", "Also")
    network.connect("a", "b")
    network.connect("b", "a")
    network.say("a", "DA", "def DA.P", "num DA.P", "msg", "msg DA", "msg DB", "msg X", "get X", "get DB", "get")
    network.say("b", "DB", "def DB.P", "get X", "get DA", "msg", "pong")
    network.say("a", "ca", "get", "new DA.P", "new DB.P", "new X.P", "pong")
    network.say("b", "cb", "get", "new DA.P", "new DB.P", "new X.P", "num X.P")
    network.remove("a", "DA")
    network.settle()
    assert network.owner("a", "DA") in {None, "to b"}
    network.say("b", "cb", "new DA.P")
    network.settle()


@pytest.mark.parametrize("seed", range(20))
def test_a_driver_in_a_circle_can_be_restarted(seed: int) -> None:
    """What the other server has sent back of it does not keep it out."""
    network = mutual(seed)
    for _ in range(5):
        network.say("a", "DA", "def DA.P", "num DA.P", "num DA.P")
        network.remove("a", "DA")
        network.add("a", "DA")
        network.say("a", "DA", "def DA.P")
        assert network.owner("a", "DA") == "DA"
        network.settle()
    network.say("b", "cb", "new DA.P")
    assert network.settle()["DA"] == ["new DA.P"]


def test_an_echo_that_was_taken_for_a_device_gives_way_to_the_driver() -> None:
    world = World()
    world.remote("r", "far:1")
    world.clients("circle")
    world.drivers(a="")
    world.say("r", "def A.P")
    world.send("circle", frame_of(b"<getProperties version='1.7' device='*' via='me.0'/>"))
    assert world.say("a", "def A.P").refuse is None
    assert world.router.owner("A") == "a"


@pytest.mark.parametrize("seed", range(10))
def test_three_servers_in_a_ring_come_to_rest(seed: int) -> None:
    network = Network(seed, a="ca DA", b="cb DB", c="cc DC")
    for server in "abc":
        network.say(server, f"c{server}", "get", "Also")
    for below, above in ("ab", "bc", "ca"):
        network.connect(below, above)
    for server in "abc":
        driver = f"D{server.upper()}"
        network.say(server, driver, f"def {driver}.P", "get X", "msg", "msg DA", "msg X")
        network.say(server, f"c{server}", "get", "new X.P", "new DA.P")
    network.settle()
    for server in "abc":
        network.say(server, f"c{server}", "get")
    assert set(network.settle()) == {"DA", "DB", "DC"}
    network.say("a", "DA", "num DA.P")
    got = network.settle()
    assert got["ca"] == got["cb"] == ["num DA.P"]


@pytest.mark.parametrize("seed", range(10))
def test_one_device_claimed_in_a_circle_by_name_comes_to_rest(seed: int) -> None:
    """Each takes the other for the one that has X."""
    network = Network(seed, a="ca", b="cb")
    network.connect("a", "b", "X")
    network.connect("b", "a", "X")
    network.say("a", "ca", "get X", "new X.P", "get")
    network.say("b", "cb", "get X", "new X.P", "get")
    network.settle()
    network.say("a", "ca", "new X.P")
    assert set(network.settle()) <= {"cb"}


def test_a_request_of_ours_that_comes_back_is_not_passed_on() -> None:
    """As indiserver sends it back: it passes on all attributes."""
    world = World()
    world.drivers(a="A")
    world.clients("c", "circle")
    world.remote("r", "far:1", "def R.P")
    world.say("circle", "get *")
    world.forget()
    world.say("c", "get")
    [sent] = world.frames("r")
    world.forget()
    routed = world.send("circle", frame_of(sent.data))
    assert routed.dropped == "a getProperties of ours came back: this client leads to far:1"
    [again] = world.frames("r")
    assert b'via="me.0 me.0"' in again.data
    assert world.send("circle", frame_of(again.data)) == Routed()
    assert world.got("r") == []
    world.say("r", "num R.P")
    world.say("circle", "new R.P")
    assert world.all_got() == {"c": ["num R.P", "new R.P"]}


def test_what_a_client_knows_does_not_go_back_to_where_it_leads() -> None:
    world = World()
    world.clients("plain", "circle")
    world.remote("r")
    world.say("r", "get X")
    world.send("circle", frame_of(b"<getProperties device='*' via='me.0'/>"))
    world.forget()
    world.say("circle", "num X.P")
    assert world.all_got() == {}
    world.say("plain", "num X.P")
    assert world.all_got() == {"r": ["num X.P"]}


def test_a_path_may_not_grow_for_ever() -> None:
    world = World()
    world.clients("c")
    world.remote("r")
    for length, passed in ((15, True), (16, False)):
        via = " ".join(f"s{number}.0" for number in range(length))
        routed = world.send("c", frame_of(f"<getProperties version='1.7' via='{via}'/>".encode()))
        assert (bool(routed.deliveries), routed.dropped is None) == (passed, passed)


def test_marks_that_are_none_are_not_passed_on() -> None:
    world = World()
    world.clients("c")
    world.remote("r")
    world.send("c", frame_of(b"<getProperties via='a.1 &lt;x b. \"/> me.x a.1.2 c.3' version='1.7'/>"))
    [sent] = world.frames("r")
    assert sent.data == b'<getProperties version="1.7" via="a.1 c.3 me.0"/>'
