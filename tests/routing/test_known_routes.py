"""What is known of a message's route is what the router would decide anew, whatever has happened in between."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indianyio._routing import Delivery, Routed, Router
from indianyio._routing._from_clients import MAX_SUBSCRIPTIONS
from indianyio._routing._routes import _KEPT_ROUTES_OF_CLIENT, _KEPT_TARGETS
from indianyio.protocol import Frame
from indianyio.protocol._frames import Head
from tests.routing.routing import TITLES, World, frame, frame_of

CLIENTS = ("c", "d", "reader")
DRIVERS = ("a", "b")
REMOTES = ("r", "s")
PEERS = (*CLIENTS, *DRIVERS, *REMOTES)
HOSTS = {"r": "far:1", "s": "near:1"}

COMES_OR_GOES, CRASHES, IS_GIVEN_UP = "comes or goes", "crashes", "is given up"
# A request that has been through us on its way to the first or the second of the other servers.
LEADS_BACK = ("get * via me.0", "get * via me.1")

ADDRESSES = (" A", " A.P", " A.C", " B", " B.P", " B.C")
SAID = (
    *(word + address for word in ("def", "defblob", "num", "blob", "new", "newblob") for address in ADDRESSES),
    *(word + address for word in ("msg", "del", "get") for address in (*ADDRESSES, "", " *")),
    *(policy + address for policy in ("Never", "Also", "Only") for address in (*ADDRESSES, "")),
    *LEADS_BACK,
)
# Those that are handed on again and again, so that there is something to be known.
OFTEN = ("new A.P", "new B.P", "num A.P", "num B.P", "def A.P", "def B.P", "msg A", "msg B")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(PEERS),
        st.one_of(
            st.sampled_from(OFTEN), st.sampled_from(SAID), st.sampled_from([COMES_OR_GOES, CRASHES, IS_GIVEN_UP])
        ),
    ),
    min_size=10,
    max_size=60,
)


def sent_frame(said: str) -> Frame:
    word, _, via = said.partition(" via ")
    if not via:
        return frame(word)
    return frame_of(f'<getProperties version="1.7" device="*" via="{via}"/>'.encode())


class Forgetful:
    """A router that knows no routes, because somebody comes and goes before each message."""

    def __init__(self) -> None:
        self.router: Router[str] = Router("me")

    def receive(self, peer: str, sent: Frame) -> Routed[str]:
        self.router.add_client("passer-by", "passer-by")
        self.router.remove("passer-by", "it passes by")
        assert not any(self.router.known_routes.values())
        return self.router.receive(peer, sent)


class Compared:
    """Two routers that live through the same; one of them is asked again and again what it knows."""

    def __init__(self) -> None:
        self.router: Router[str] = Router("me")
        self.forgetful = Forgetful()
        self.present: set[str] = set()
        self.known = 0

    def happen(self, peer: str, event: str) -> None:
        if event == IS_GIVEN_UP:
            if peer not in self.present:
                for router in self._routers:
                    router.will_not_return(f"name of {peer}")
        elif peer in self.present:
            self._remove(peer, returns=event == CRASHES and peer in DRIVERS)
        elif event == COMES_OR_GOES:
            self.present.add(peer)
            for router in self._routers:
                _add(router, peer)
        self.compare()

    def say(self, peer: str, said: str) -> None:
        sent = sent_frame(said)
        routed = self.router.receive(peer, sent)
        assert said_of(routed) == said_of(self.forgetful.receive(peer, sent))
        if routed.refuse is not None:
            self._remove(peer)
        self.compare()

    def compare(self) -> None:
        """Ask about all that is known; a message whose route is known changes nothing, so it may be sent again."""
        assert set(self.router.known_routes) == self.present
        for peer, known in self.router.known_routes.items():
            for head, route in known.items():
                self.known += 1
                sent = frame_with(head)
                afresh = self.forgetful.receive(peer, sent)
                assert afresh == Routed([Delivery(sent, targets) for targets in route]), (peer, head)

    def _remove(self, peer: str, *, returns: bool = False) -> None:
        self.present.discard(peer)
        one, other = (router.remove(peer, "gone", returns=returns) for router in self._routers)
        assert said_of(one) == said_of(other)

    @property
    def _routers(self) -> tuple[Router[str], Router[str]]:
        return self.router, self.forgetful.router


def _add(router: Router[str], peer: str) -> None:
    if peer in REMOTES:
        router.add_remote(peer, f"name of {peer}", host=HOSTS[peer])
    elif peer in DRIVERS:
        router.add_driver(peer, f"name of {peer}")
    else:
        router.add_client(peer, f"name of {peer}", may_write=peer != "reader")


def frame_with(head: Head) -> Frame:
    tag, device, name = head
    [short] = [short for short, title in TITLES.items() if title == tag]
    return frame(f"{short} {'.'.join(filter(None, (device, name)))}")


def said_of(routed: Routed[str]) -> list[object]:
    """Return what was decided, whichever frames of its own the router made for that."""
    sent = [(delivery.frame.tag, delivery.frame.data, delivery.targets) for delivery in routed.deliveries]
    return [sent, routed.dropped, routed.refuse]


def live(steps: Sequence[tuple[str, str]]) -> Compared:
    world = Compared()
    for peer in ("r", "s", *CLIENTS, *DRIVERS):
        world.happen(peer, COMES_OR_GOES)
    for peer, said in steps:
        if said in {COMES_OR_GOES, CRASHES, IS_GIVEN_UP}:
            world.happen(peer, said)
        elif peer in world.present:
            world.say(peer, said)
    return world


@pytest.mark.long
@settings(max_examples=300)
@given(STEPS)
def test_what_is_known_is_what_would_be_decided_anew(steps: Sequence[tuple[str, str]]) -> None:
    live(steps)


@pytest.mark.parametrize("seed", range(6))
def test_a_long_life_of_few_devices(seed: int) -> None:
    chance = random.Random(seed)
    happenings = ((COMES_OR_GOES, CRASHES, IS_GIVEN_UP), SAID, OFTEN)
    weights = (1, 3, 16)
    steps = [(chance.choice(PEERS), chance.choice(chance.choices(happenings, weights)[0])) for _ in range(400)]
    assert live(steps).known > 200  # or hardly anything was compared


def test_the_comparison_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that forgets nothing is found out."""
    world = live([("a", "def A.P"), ("c", "get A.P"), ("d", "new A.P")])
    monkeypatch.setattr(world.router._routes, "change", lambda device="": None)
    with pytest.raises(AssertionError):
        world.say("reader", "get A.P")


# -- what is known, and when it is forgotten -------------------------------------------------------------------


def routes(world: World, peer: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return what the router knows of a peer's messages, by tag, device and vector."""
    return {
        f"{tag} {device}.{name}": route for (tag, device, name), route in world.router.known_routes[peer].items()
    }


def test_what_a_driver_says_is_known_from_then_on_if_it_is_simply_handed_on() -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c", "d")
    world.say("c", "get A")
    world.say("a", "def A.P", "num A.P", "num A.Q", "blob A.B", "defblob A.B", "del A.P", "ping", "pong")
    assert routes(world, "a") == {
        "defNumberVector A.P": (("c",),),
        "setNumberVector A.P": (("c",),),
        "setNumberVector A.Q": (("c",),),
    }
    known = world.router.known_routes["a"].values()
    assert len({id(route) for route in known}) == 1
    world.say("d", "get A.P")
    assert routes(world, "a") == {}
    world.say("a", "num A.P", "num A.Q")
    assert routes(world, "a") == {"setNumberVector A.P": (("c", "d"),), "setNumberVector A.Q": (("c",),)}
    assert routes(world, "c") == {}


def test_a_clients_write_goes_to_the_owner_and_then_to_the_others() -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c", "d", "e")
    world.say("d", "get A.P")
    world.say("e", "get A")
    world.say("c", "new A.P", "new B.P", "new A.Q", "newblob A.B", "new C.P", "get A.P", "msg A", "num A.P")
    assert routes(world, "c") == {}  # the last of them has subscribed to something
    world.say("c", "new A.P", "new A.Q", "new B.P", "newblob A.B", "new C.P", "msg A", "num A.P", "num C.P")
    assert routes(world, "c") == {
        "newNumberVector A.P": (("a",), ("d", "e")),
        "newNumberVector A.Q": (("a",), ("e",)),
        "newNumberVector B.P": (("b",),),
        "setNumberVector C.P": (),
    }


def test_nothing_is_known_of_what_is_answered_or_told() -> None:
    world = World()
    world.drivers(a="A")
    world.router.add_client("reader", "reader", may_write=False)
    world.clients("c")
    for _ in range(2):
        assert world.say("reader", "new A.P").dropped is not None
        assert world.say("c", "new C.P").dropped is not None  # nobody has this device
    assert routes(world, "reader") == routes(world, "c") == {}


CHANGES = (
    "client goes",
    "client asks",
    "device deleted",
    "policy",
    "snooper",
    "driver goes",
    "driver comes",
    "device taken over",
    "circle",
)


@pytest.mark.parametrize("event", CHANGES)
def test_known_routes_are_forgotten_when_anything_changes(event: str) -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c", "d")
    world.remote("r", "far:1")
    world.say("c", "get A")
    world.say("d", "new A.P")
    world.say("a", "num A.P")
    assert routes(world, "a")
    assert routes(world, "d")
    match event:
        case "client goes":
            world.remove("c")
        case "client asks":
            world.say("c", "get B.P")
        case "device deleted":
            world.say("a", "del A")
        case "policy":
            world.say("c", "Only A")
        case "snooper":
            world.say("b", "get A.P")
        case "driver comes":
            world.drivers(e="E")
        case "device taken over":
            world.say("b", "def F.P")
        case "circle":
            world.send("c", sent_frame(LEADS_BACK[0]))
        case _:
            world.remove("b")
    assert routes(world, "a") == routes(world, "d") == {}


@pytest.mark.parametrize(("peer", "most"), [("a", _KEPT_TARGETS), ("c", _KEPT_ROUTES_OF_CLIENT)])
def test_not_all_made_up_heads_are_remembered(peer: str, most: int) -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c")
    world.say("c", "get")
    tag = "message" if peer == "a" else "newNumberVector"
    for number in range(most + 10):
        world.router.receive(peer, Frame(tag, b"", known_head=(tag, "A", str(number))))
    assert 0 < len(world.router.known_routes[peer]) <= most


def test_of_a_client_that_is_refused_nothing_is_known() -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c")
    for number in range(MAX_SUBSCRIPTIONS):
        world.router.receive(
            "c", Frame("getProperties", b"<getProperties/>", known_head=("getProperties", "A", str(number)))
        )
    assert world.router.receive("c", frame("new A.Q")).refuse is not None
    assert world.router.known_routes["c"] == {}
    assert world.router.receive("c", frame("new A.Q")).refuse is not None


def test_of_a_peer_that_is_not_there_nothing_is_known() -> None:
    world = World()
    world.clients("c")
    world.remove("c")
    assert world.router.known_routes == {}
