"""What clients get and what becomes of what they send: protocol.md S13 to S23."""

from __future__ import annotations

from unittest.mock import ANY

import pytest

from indianyio._routing import Delivery, Routed
from indianyio._routing._from_clients import MAX_SUBSCRIPTIONS
from tests.routing.routing import TITLES, World, frame, frame_of, line

TRAFFIC = ("def A.P", "num A.P", "num A.Q", "msg A", "del A", "del A.P", "num B.P", "msg B", "msg")


def traffic(world: World) -> list[str]:
    """Let two drivers say all there is, and return what client c got of it."""
    world.forget()
    for said in TRAFFIC:
        world.say("b" if " B" in said else "a", said)
    return world.got("c")


def served() -> World:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c")
    return world


ALL_OF_A = [said for said in TRAFFIC if " B" not in said]
OF_A_P = ["def A.P", "num A.P", "msg A", "del A", "del A.P", "msg"]


@pytest.mark.parametrize(
    ("said", "gets"),
    [
        pytest.param((), ["msg"], id="S13-nothing-but-messages-to-everybody"),
        pytest.param(("get",), [*TRAFFIC], id="S15-everything"),
        pytest.param(("get *",), [*TRAFFIC], id="S16-a-server"),
        pytest.param(("get A",), ALL_OF_A, id="S17-a-device"),
        pytest.param(("get A.P",), OF_A_P, id="S17-differs-a-vector-and-what-names-none"),
        pytest.param(("new A.P",), OF_A_P, id="S14-a-write-subscribes"),
        pytest.param(("num A.P",), OF_A_P, id="S14-even-what-is-dropped-subscribes"),
        pytest.param(("Never A.P",), OF_A_P, id="S14-a-policy-subscribes"),
        pytest.param(("Also A",), ALL_OF_A, id="S14-a-policy-for-a-device-subscribes"),
        pytest.param(("maybe A",), ALL_OF_A, id="S14-even-an-illegal-word"),
        pytest.param(("get A.P", "get A"), ALL_OF_A, id="S14-a-device-after-its-vector"),
        pytest.param(("get A", "get A.P"), ALL_OF_A, id="S14-covered-already"),
        pytest.param(("get A.P", "get"), OF_A_P, id="S15-everything-comes-too-late"),
        pytest.param(("new A.P", "get *"), OF_A_P, id="S16-star-comes-too-late"),
        pytest.param(("Also", "get"), [*TRAFFIC], id="S15-a-policy-without-a-device-names-nothing"),
        pytest.param(("Also", "get A.P"), OF_A_P, id="S14-a-policy-for-all-is-no-subscription"),
        pytest.param(("get", "get A.P"), [*TRAFFIC], id="S14-not-narrowed"),
        pytest.param(("get X",), ["msg"], id="unknown-device"),
        pytest.param(("ping", "pong"), ["msg"], id="pings-subscribe-to-nothing"),
        pytest.param(("Only",), [], id="S13-only-blobs"),
        pytest.param(("get", "Only A"), ["num B.P", "msg B", "msg"], id="only-blobs-of-a-device"),
    ],
)
def test_s14_to_s17_what_a_client_has_said_decides_what_it_gets(said: tuple[str, ...], gets: list[str]) -> None:
    world = served()
    world.say("c", *said)
    assert traffic(world) == gets


@pytest.mark.parametrize(
    ("said", "served_by"),
    [
        ("new A.P", ["a"]),
        ("new B.P", ["b"]),
        ("newblob A.P", ["a"]),
        ("new X.P", []),
        ("get", ["a", "b", "r"]),
        ("get *", ["a", "b", "r"]),
        ("get A", ["a"]),
        ("get A.P", ["a"]),
        ("get R.P", ["r"]),
        ("new R.P", ["r"]),
        ("get X", []),
        ("Also A", []),
        ("Also", []),
        ("pong", ["a", "b"]),
    ],
)
def test_s18_s19_s22_what_reaches_drivers(said: str, served_by: list[str]) -> None:
    world = served()
    world.remote("r", "far:1", "def R.P")
    world.say("c", said)
    assert sorted(set(world.all_got()) - {"c"}) == served_by


def test_s18_a_ping_is_answered_by_the_server_with_all_attributes() -> None:
    world = served()
    for peer in ("c", "a"):
        world.send(peer, frame_of(b"<pingRequest uid='7' x='&lt;\"&amp;'>\n</pingRequest>"))
        [reply] = world.frames(peer)
        assert reply.data == b'<pingReply uid="7" x="&lt;&quot;&amp;"/>'
    assert world.all_got() == {}


@pytest.mark.parametrize("peer", ["a", "c"])
@pytest.mark.parametrize("data", [b"<pingRequest uid='7'><a></pingRequest>", b"<pingRequest uid=7/>"])
def test_a_broken_ping_is_dropped(peer: str, data: bytes) -> None:
    assert served().send(peer, frame_of(data)) == Routed(dropped="a broken pingRequest")


@pytest.mark.parametrize("peer", ["a", "c"])
@pytest.mark.parametrize("tag", ["pingRequest", "enableBLOB"])
def test_beyond_a_limit_the_peer_is_refused(peer: str, tag: str) -> None:
    routed = served().send(peer, frame_of(f"<{tag}><a><a><a></a></a></a></{tag}>".encode()))
    assert routed.refuse == f"elements more than 3 deep in a {tag}"


@pytest.mark.parametrize("version", ["", "version='2.0'", "version=''", "version='x'", "via='him.1'"])
@pytest.mark.parametrize(
    ("address", "passed"),
    [
        ("", b'<getProperties version="1.7"/>'),
        ("device='*' name='P'", b'<getProperties version="1.7"/>'),
        ("device='A'", b'<getProperties version="1.7" device="A"/>'),
        ("device='A' name='P'", b'<getProperties version="1.7" device="A" name="P"/>'),
    ],
)
def test_s20_no_request_kills_a_driver(version: str, address: str, passed: bytes) -> None:
    world = served()
    world.send("c", frame_of(f"<getProperties {version} {address}/>".encode()))
    [sent] = world.frames("a")
    assert sent.data == passed


def test_s20_a_good_request_is_passed_on_as_it_is() -> None:
    world = served()
    sent = frame_of(b"<getProperties   version='1.7'  device='A' />")
    world.send("c", sent)
    assert world.frames("a")[0] is sent


def test_s21_other_interested_clients_see_a_write_as_it_is() -> None:
    world = served()
    world.clients("all", "vector", "device", "other", "blobs", "nothing")
    world.say("all", "get")
    world.say("vector", "get A.P")
    world.say("device", "get A")
    world.say("other", "get A.Q")
    world.say("blobs", "get", "Only A")
    world.say("c", "get")
    world.forget()
    written = frame("new A.P")
    world.send("c", written)
    got = {peer: world.frames(peer) for peer in ("a", "all", "vector", "device")}
    assert all(frames == [written] and frames[0] is written for frames in got.values())
    assert world.all_got() == {}


def test_s21_a_blob_that_is_written_is_shown_like_any_write() -> None:
    world = served()
    world.clients("all")
    world.say("all", "get")
    world.forget()
    world.say("c", "newblob A.P")
    assert world.all_got() == {"a": ["newblob A.P"], "all": ["newblob A.P"]}


def test_s19_s21_a_write_to_an_unknown_device_is_shown_and_reported() -> None:
    world = served()
    world.clients("all")
    world.say("all", "get")
    world.forget()
    routed = world.say("c", "new X.P")
    assert routed.dropped == "a newNumberVector for X.P: no driver has this device"
    assert world.all_got() == {"all": ["new X.P"]}


@pytest.mark.parametrize(
    "tag", sorted(tag for tag in TITLES if tag not in {"get", "ping", "pong", "new", "newblob"})
)
@pytest.mark.parametrize("address", [" A.P", " A"])
def test_s3_s22_a_client_cannot_speak_for_a_device_that_is_served(tag: str, address: str) -> None:
    world = served()
    world.clients("all")
    world.say("all", "get", "Also")
    world.drivers(snooper="")
    world.say("snooper", "get A", "Also A")
    world.forget()
    routed = world.say("c", tag + address)
    assert routed.deliveries == []
    assert routed.dropped
    assert world.all_got() == {}


@pytest.mark.parametrize("said", ["def A.P", "num A.P", "blob A.P", "msg A", "del A.P", "del A"])
def test_a_client_cannot_speak_for_a_device_whose_driver_is_being_started_again(said: str) -> None:
    world = served()
    world.say("b", "get A", "Also A")
    world.deliver(world.router.remove("a", "it has crashed", returns=True))
    world.forget()
    tag = TITLES[said.split()[0]]
    assert world.say("c", said).dropped == (
        f"a {tag} for 'A', which is kept for driver name of a: a client cannot speak for it"
    )
    assert world.all_got() == {}
    world.router.will_not_return("name of a")
    world.say("c", said)
    assert world.all_got() == {"b": [said]}


def test_of_a_device_that_was_deleted_a_client_may_speak() -> None:
    world = served()
    world.say("b", "get A")
    world.say("a", "del A")
    world.forget()
    assert world.say("c", "num A.P") == Routed([Delivery(ANY, ("b",))])
    world.say("a", "def A.P")
    assert world.say("c", "num A.P").dropped is not None


def test_s3_a_forgery_is_reported_once_for_each_device() -> None:
    world = served()
    assert world.say("c", "num A.P").dropped == (
        "a setNumberVector for 'A', which driver name of a has: a client cannot speak for it"
    )
    assert world.say("c", "num A.Q") == Routed()
    assert world.say("c", "msg B").dropped is not None


@pytest.mark.parametrize("said", ["def X.P", "num X.P", "del X.P", "blob X.P"])
def test_s22_what_a_client_knows_of_other_devices_goes_to_snoopers_only(said: str) -> None:
    world = served()
    world.clients("all")
    world.say("all", "get", "Also")
    world.say("a", "get X.P", "Also X.P")
    world.say("b", "get X.Q", "Also X.Q")
    world.forget()
    assert world.say("c", said).dropped is None
    assert world.all_got() == {"a": [said]}
    assert world.router.owner("X") is None


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ("new A.P", ["msg A"]),
        ("newblob A.P", ["msg A"]),
        ("new X.P", ["msg X"]),
        ("num X.P", []),
        ("del X", []),
        ("msg", []),
        ("pong", []),
    ],
)
def test_who_may_only_read_changes_nothing(said: str, answered: list[str]) -> None:
    world = served()
    world.clients("all")
    world.say("all", "get")
    world.say("a", "get X", "Also X")
    world.forget()
    world.router.add_client("reader", "reader", may_write=False)
    routed = world.say("reader", said)
    assert bool(routed.dropped) == (said != "pong")
    assert world.all_got() == ({"reader": answered} if answered else {})


def test_who_may_only_read_gets_the_reason_and_everything_else() -> None:
    world = served()
    world.router.add_client("c2", "reader", may_write=False)
    world.say("c2", "get")
    world.say("a", "num A.P")
    assert world.got("c2") == ["num A.P"]
    assert world.got("a") == ["get"]
    world.say("c2", "Only", "new A.P")
    [answer] = world.frames("c2")
    assert answer.data == b'<message device="A" message="A.P is not changed: this connection may only read"/>'


@pytest.mark.parametrize("tag", sorted(TITLES))
@pytest.mark.parametrize("peer", ["a", "c"])
def test_what_has_no_destination_is_dropped(peer: str, tag: str) -> None:
    world = served()
    named = tag in {"get", "msg", "ping", "pong"}
    vector = tag not in {"get", "msg", "ping", "pong", "del"}
    for address, routable in (("", named), (" *.P", named), (" A", not vector), (" " + "A" * 256, False)):
        routed = world.say(peer, tag + address)
        problem = routed.dropped or ""
        reasons = ("names no device", "names no vector", "has a name of more than 255 characters")
        assert (not problem.endswith(reasons)) == routable, (tag, address, routed)


def test_s13_names_that_are_too_long_are_not_kept() -> None:
    world = served()
    world.say("c", "get " + "A" * 256, "get")
    assert traffic(world) == [*TRAFFIC]


def test_an_unknown_tag_is_dropped() -> None:
    world = served()
    odd = frame("get")
    odd.tag = "newLightVector"
    for peer in ("a", "c"):
        assert world.send(peer, odd) == Routed(dropped="a newLightVector is not an INDI message")


@pytest.mark.long
@pytest.mark.parametrize("before", [(), ("get",)])
def test_a_client_may_name_only_so_many(before: tuple[str, ...]) -> None:
    world = served()
    world.say("c", *before)
    for number in range(MAX_SUBSCRIPTIONS - 1):
        assert world.say("c", f"Also X.{number}").refuse is None
    assert (
        world.say("c", "Also X.one-too-many").refuse == "it has subscribed to more than 10000 vectors and devices"
    )


def test_s23_who_comes_and_goes_is_no_news() -> None:
    world = served()
    assert world.router.greeting("c") == Routed()
    world.say("c", "get")
    world.forget()
    assert world.remove("c") == Routed()
    assert world.say("a", "num A.P") == Routed()


def test_peers_are_known_once() -> None:
    world = served()
    with pytest.raises(ValueError, match="'c' is there already"):
        world.router.add_client("c", "again")
    with pytest.raises(ValueError, match="'c' is there already"):
        world.router.add_driver("c", "again")
    with pytest.raises(ValueError, match="'a' is there already"):
        world.router.add_remote("a", "again", host="far:1")
    with pytest.raises(KeyError):
        world.router.receive("x", frame("get"))
    with pytest.raises(KeyError):
        world.router.remove("x", "never there")


def test_the_lines_of_these_tests_say_what_they_mean() -> None:
    for said in ("get", "get A", "Also A.P", "num A.P", "msg", "ping", "Never"):
        assert line(frame(said)) == said
