"""What becomes of what drivers send: ownership, death and snooping; protocol.md S8, S9 and S24 to S28."""

from __future__ import annotations

import pytest

from indianyio._routing import PeerKind, Routed
from indianyio._routing._from_drivers import MAX_BLOB_VECTORS, MAX_DEVICES, MAX_SNOOPS
from indianyio.protocol import Frame
from tests.routing.routing import World, frame, frame_of

# -- ownership -------------------------------------------------------------------------------------------------


def test_s7_a_driver_is_greeted_with_a_request_for_everything() -> None:
    world = World()
    world.drivers(a="")
    world.deliver(world.router.greeting("a"))
    [greeting] = world.frames("a")
    assert greeting.data == b'<getProperties version="1.7"/>'


@pytest.mark.parametrize(
    ("said", "owner"),
    [
        ("def A.P", "a"),
        ("defblob A.P", "a"),
        pytest.param("num A.P", None, id="S8-differs-an-update-claims-nothing"),
        pytest.param("blob A.P", None, id="S8-differs-an-image-claims-nothing"),
        pytest.param("msg A", None, id="S8-differs-a-message-claims-nothing"),
        ("get A.P", None),
        ("Also A.P", None),
        pytest.param("new A.P", None, id="a-write-is-shown-also-where-nobody-has-the-device"),
        pytest.param("del A", None, id="what-is-deleted-may-turn-up-elsewhere"),
    ],
)
def test_s8_a_device_is_learnt_from_what_is_defined_of_it(said: str, owner: str | None) -> None:
    world = World()
    world.drivers(a="")
    assert world.say("a", said).refuse is None
    assert world.router.owner("A") == owner
    assert world.router.devices("a") == (("A",) if owner else ())


def test_s8_a_driver_keeps_a_device_that_it_has_deleted() -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c")
    world.say("a", "del A")
    world.say("c", "get A.P", "new A.P")
    assert world.got("a") == ["get A.P", "new A.P"]
    assert world.say("a", "def A.P").refuse is None


def test_a_device_that_was_deleted_can_be_taken_over() -> None:
    world = World()
    world.drivers(a="A", b="")
    world.clients("c")
    world.say("a", "del A")
    assert world.say("b", "def A.P").refuse is None
    world.say("c", "new A.P")
    assert world.all_got() == {"b": ["new A.P"]}
    assert world.say("a", "def A.P").refuse == "driver name of a has a device 'A', as driver name of b has already"


def test_nothing_is_remembered_of_a_driver_that_has_gone() -> None:
    world = World()
    world.drivers(a="A")
    world.say("a", "del A")
    world.remove("a")
    owners = world.router._routes.owners
    assert (owners._owners, owners._given_up, owners._kept) == ({}, set(), {})


def test_one_vector_less_is_not_a_device_less() -> None:
    world = World()
    world.drivers(a="A", b="")
    world.say("a", "del A.P")
    assert world.say("b", "def A.P").refuse is not None


@pytest.mark.parametrize("said", ["def A.P", "defblob A.P"])
def test_s13_a_second_driver_with_the_same_device_is_refused_and_all_goes_on(said: str) -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c")
    world.say("c", "get")
    world.forget()
    routed = world.say("b", said)
    assert routed == Routed(refuse="driver name of b has a device 'A', as driver name of a has already")
    world.remove("b", "it was refused")
    assert world.got("c") == ["msg B", "del B"]
    world.say("a", "num A.P")
    world.say("c", "new A.P")
    assert world.all_got() == {"a": ["new A.P"], "c": ["num A.P"]}


@pytest.mark.parametrize("said", ["num A.P", "blob A.P", "del A.P", "del A"])
def test_what_would_change_another_drivers_device_costs_only_itself(said: str) -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c")
    world.say("c", "get", "Also")
    world.forget()
    problem = (
        "driver name of b speaks for a device 'A', which driver name of a has: what it sends about it is dropped"
    )
    assert world.say("b", said) == Routed(dropped=problem)
    assert world.say("b", said) == Routed()
    world.say("b", "num B.P")
    world.say("a", "num A.P")
    world.say("c", "new A.P")
    assert world.all_got() == {"a": ["new A.P"], "c": ["num B.P", "num A.P"]}


@pytest.mark.parametrize("peer", ["b", "r"])
def test_a_message_passes_whosever_device_it_is_about(peer: str) -> None:
    world = World()
    world.drivers(a="A", b="B", d="D")
    world.clients("c")
    world.remote("r")
    world.say("c", "get A")
    world.say("d", "get A.P")
    world.forget()
    assert world.say(peer, "msg A", "msg A").dropped is None
    assert world.router.owner("A") == "a"
    world.deliver(world.router.remove("a", "it has crashed", returns=True))
    world.forget()
    world.say(peer, "msg A")
    assert world.all_got() == {"c": ["msg A"], "d": ["msg A"]}
    assert world.router.owner("A") is None


@pytest.mark.parametrize("said", ["num A.P", "blob A.P", "del A.P", "del A"])
def test_of_a_device_that_nobody_has_everything_passes_and_claims_nothing(said: str) -> None:
    world = World()
    world.drivers(a="", b="", d="D")
    world.clients("c")
    world.say("c", "get A", "Also A")
    world.say("d", "get A", "Also A")
    world.forget()
    assert world.say("b", said).dropped is None
    assert world.all_got() == {"c": [said], "d": [said]}
    assert world.say("a", "def A.P").refuse is None
    assert world.router.owner("A") == "a"
    world.forget()
    assert world.say("b", said).dropped is not None
    assert world.all_got() == {}


def test_a_driver_that_has_deleted_its_device_takes_it_back_only_by_defining_it() -> None:
    world = World()
    world.drivers(a="A", b="")
    world.say("a", "del A", "num A.P", "msg A")
    assert world.say("b", "def A.P").refuse is None
    assert world.say("a", "num A.P").dropped is not None
    world.say("b", "del A")
    assert world.say("a", "def A.P").refuse is None
    assert world.router.owner("A") == "a"


def test_s13_a_driver_that_declares_a_device_of_another_is_not_taken_in() -> None:
    world = World()
    world.drivers(a="A")
    routed = world.router.add_driver("b", "B", ["N", "A", "M"])
    assert routed == Routed(refuse="driver B has a device 'A', as driver name of a has already")
    world.drivers(b="N M")
    assert world.router.devices("b") == ("N", "M")


def test_a_driver_does_not_write_to_another_ones_device() -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c")
    world.say("c", "get")
    world.forget()
    assert world.say("b", "new A.P").dropped is not None
    assert world.all_got() == {}
    world.say("b", "new B.P")
    assert world.all_got() == {"c": ["new B.P"]}


def test_a_driver_may_have_only_so_many_devices() -> None:
    world = World()
    world.drivers(a="A")
    for number in range(MAX_DEVICES - 1):
        assert world.say("a", f"def A{number}.P").refuse is None
    assert world.say("a", "msg one too many", "num one too many.P").refuse is None
    assert world.say("a", "def one too many.P").refuse == "it has more than 1000 devices"
    assert world.say("a", "def A.P").refuse is None
    too_many = [f"N{number}" for number in range(MAX_DEVICES + 1)]
    assert world.router.add_driver("b", "B", too_many).refuse == "it has more than 1000 devices"
    assert world.router.add_driver("b", "B", too_many[1:]) == Routed()


def test_kinds() -> None:
    world = World()
    world.clients("c")
    world.drivers(a="A")
    world.remote("r")
    assert [world.router.kind(peer) for peer in "car"] == [PeerKind.CLIENT, PeerKind.DRIVER, PeerKind.REMOTE]


# -- death -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("get",), True),
        (("get A",), True),
        pytest.param(("get A.P",), True, id="S9-widened-to-those-who-know-a-vector"),
        (("get", "Only A"), False),
        (("get", "Only"), False),
        (("get", "Only B"), True),
        (("get B",), False),
        ((), False),
    ],
)
def test_s9_the_end_of_a_driver_is_told_to_those_who_know_its_devices(said: tuple[str, ...], told: bool) -> None:
    world = World()
    world.drivers(a="A A2", b="B")
    world.clients("c")
    world.say("c", *said)
    world.forget()
    world.remove("a", "killed by signal 9")
    got = [sent for sent in world.frames("c") if sent.device == "A"]
    assert [sent.data for sent in got] == (
        [b'<message device="A" message="driver name of a: killed by signal 9"/>', b'<delProperty device="A"/>']
        if told
        else []
    )
    assert world.router.owner("A") is None
    assert world.say("b", "def A.P").refuse is None


@pytest.mark.parametrize("snooped", ["get A", "get A.P", "get"])
def test_s9_snooping_drivers_are_told_too(snooped: str) -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.say("b", snooped)
    world.forget()
    world.remove("a")
    assert world.all_got() == {"b": ["msg A", "del A"]}


def test_s9_a_restarted_driver_starts_empty() -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.say("a", "get B")
    world.remove("a")
    world.drivers(a="")
    world.forget()
    world.say("b", "num B.P")
    assert world.all_got() == {}


def test_names_that_xml_cannot_carry_do_no_harm() -> None:
    world = World()
    world.router.add_driver("a", "bad \x00", ["A\x01"])
    world.clients("c")
    world.say("c", "get")
    world.forget()
    world.remove("a", "\ud800 <&\"'>")
    message, deletion = world.frames("c")
    assert message.data == (
        '<message device="A\ufffd" message="driver bad \ufffd: \ufffd &lt;&amp;&quot;\'&gt;"/>'.encode()
    )
    assert deletion.data == '<delProperty device="A\ufffd"/>'.encode()


# -- snooping --------------------------------------------------------------------------------------------------

# What names no vector is told to whoever snoops any of the device, and be it BLOBs only.
OF_NO_VECTOR = ["msg B", "del B"]
SNOOPED = ("def B.P", "num B.P", "num B.Q", "blob B.C", "msg B", "del B.P", "del B", "new B.P", "msg", "num D.P")
OF_B_P = ["def B.P", "num B.P", "msg B", "del B.P", "del B"]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ((), []),
        pytest.param(("get B",), [s for s in SNOOPED[:7] if s != "blob B.C"], id="S26-a-device"),
        pytest.param(("get B.P",), OF_B_P, id="S26-a-vector"),
        pytest.param(("get B.C",), OF_NO_VECTOR, id="S25-no-blobs-at-first"),
        pytest.param(("get B.C", "Also B.C"), ["blob B.C", *OF_NO_VECTOR], id="S27-also"),
        pytest.param(("get B.C", "Also B.C", "Never B.C"), OF_NO_VECTOR, id="S27-never"),
        pytest.param(("get B", "Also B"), [*SNOOPED[:7]], id="S27-also-of-a-device"),
        pytest.param(("get B", "Only B"), ["blob B.C", *OF_NO_VECTOR], id="S27-only-blobs"),
        pytest.param(("get B.P", "Only B.P"), OF_NO_VECTOR, id="S27-only-blobs-of-a-number"),
        pytest.param(("Also B",), [], id="S27-a-policy-is-no-snoop"),
        pytest.param(("get B.P", "Also B"), OF_B_P, id="S27-no-such-entry"),
        pytest.param(("get B.C", "Also B.C", "get B.C"), ["blob B.C", *OF_NO_VECTOR], id="S25-no-duplicates"),
        pytest.param(
            ("get B.C", "get B", "Also B.C", "Only B"),
            ["blob B.C", *OF_NO_VECTOR],
            id="S26-the-first-entry-decides",
        ),
        pytest.param(
            ("get B", "get B.P", "Only B.P"), ["blob B.C", *OF_NO_VECTOR], id="S26-the-first-entry-is-the-device"
        ),
        pytest.param(
            ("get",), [s for s in (*SNOOPED[:7], "num D.P") if s != "blob B.C"], id="S28-differs-everything"
        ),
        pytest.param(("get", "Also"), [*SNOOPED[:7], "num D.P"], id="S28-differs-everything-with-blobs"),
        pytest.param(("Also",), [], id="S27-no-entry-for-everything"),
        pytest.param(("get", "Also B"), [s for s in (*SNOOPED[:7], "num D.P") if s != "blob B.C"], id="S27-others"),
    ],
)
def test_s24_to_s27_what_a_snooping_driver_hears(said: tuple[str, ...], heard: list[str]) -> None:
    world = World()
    world.drivers(a="A", b="B", d="D")
    world.say("a", *said)
    world.forget()
    for sent in SNOOPED:
        world.say("d" if " D" in sent else "b", sent)
    assert world.got("a") == heard


def test_s26_a_write_never_reaches_a_snooper() -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c")
    world.say("a", "get B", "Also B")
    world.forget()
    world.say("c", "new B.P", "newblob B.P")
    assert world.all_got() == {"b": ["new B.P", "newblob B.P"]}


@pytest.mark.parametrize(("snooped", "heard"), [("get A", ["num A.P"]), ("get A.P", ["num A.P"]), ("get", [])])
def test_s26_a_driver_may_snoop_itself_by_name(snooped: str, heard: list[str]) -> None:
    world = World()
    world.drivers(a="A")
    world.say("a", snooped)
    world.forget()
    world.say("a", "num A.P")
    assert world.got("a") == heard


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        pytest.param("get B.P", {"b": ["get B.P"]}, id="S25-its-owner"),
        pytest.param("get A", {"a": ["get A"]}, id="S25-itself"),
        pytest.param("get X", {"above": ["get X"], "r": ["get X"]}, id="S25-nobody-here-so-other-servers"),
        pytest.param("get R.P", {"r": ["get R.P"]}, id="S25-the-server-that-has-it"),
        pytest.param("get", {"a": ["get"], "b": ["get"], "r": ["get"]}, id="S28-all-drivers-itself-included"),
    ],
)
def test_s8_s25_s28_plain_clients_are_never_asked(said: str, asked: dict[str, list[str]]) -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("all", "of_a", "above")
    world.remote("r", "far:1", "def R.P")
    world.say("all", "get", "Also")
    world.say("of_a", "get A")
    world.say("above", "get *")
    world.forget()
    world.say("a", said)
    assert world.all_got() == asked


def test_s25_what_is_not_there_yet_is_heard_later() -> None:
    world = World()
    world.drivers(a="A", b="")
    world.say("a", "get B.P")
    assert world.all_got() == {}
    world.say("b", "def B.P")
    assert world.all_got() == {"a": ["def B.P"]}


def test_a_driver_may_snoop_only_so_much() -> None:
    world = World()
    world.drivers(a="A")
    for number in range(MAX_SNOOPS):
        assert world.say("a", f"get X.{number}").refuse is None
    assert world.say("a", "get X.9").refuse is None
    assert world.say("a", "get one too many").refuse == "it snoops more than 10000 vectors and devices"


@pytest.mark.parametrize("peer", ["a", "c"])
def test_a_policy_that_is_no_word_is_dropped(peer: str) -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c")
    for word in (b"", b"also", b"ALSO", b"Also Also", b"<x/>", b"&bad;"):
        dropped = world.send(peer, frame_of(b"<enableBLOB device='A'>" + word + b"</enableBLOB>")).dropped
        assert dropped == "an enableBLOB with an unknown word"


# -- clients ---------------------------------------------------------------------------------------------------


def test_s22_a_drivers_ping_reply_goes_to_all_clients() -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c", "blobs")
    world.say("blobs", "Only")
    world.say("a", "pong")
    assert world.all_got() == {"blobs": ["pong"], "c": ["pong"]}


def test_one_frame_is_shared_by_all() -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c", "d")
    for peer in "cdb":
        world.say(peer, "get A")
    world.forget()
    said = frame("num A.P")
    routed = world.send("a", said)
    [delivery] = routed.deliveries
    assert delivery.frame is said
    assert sorted(delivery.targets) == ["b", "c", "d"]


def test_who_gets_a_vector_is_found_once() -> None:
    """Not even a tuple is made for a message like the last one; every change is seen all the same."""
    world = World()
    world.drivers(a="A")
    world.clients("c", "d")
    world.say("c", "get")

    def targets(said: Frame) -> tuple[str, ...]:
        return world.send("a", said).deliveries[0].targets

    first = targets(frame("num A.P"))
    assert targets(frame("num A.P")) is first == ("c",)
    world.say("d", "get A.P")
    assert targets(frame("num A.P")) == ("c", "d")
    world.say("c", "Only A")
    assert targets(frame("num A.P")) == ("d",)
    world.say("a", "get A.P")
    assert targets(frame("num A.P")) == ("d", "a")
    world.remove("d")
    assert targets(frame("num A.P")) == ("a",)


@pytest.mark.long
def test_a_driver_that_makes_up_names_costs_no_memory() -> None:
    world = World()
    world.drivers(a="A")
    for number in range(20_010):
        world.say("a", f"num A.{number}")
    assert len(world.router._routes._targets) == 10


@pytest.mark.long
def test_a_server_may_have_only_so_many_blob_vectors() -> None:
    world = World()
    world.remote("r")
    for number in range(MAX_BLOB_VECTORS):
        assert world.say("r", f"defblob R.{number}").refuse is None
    assert world.say("r", "blob R.9").refuse is None
    assert world.say("r", "blob R.x").dropped == "it has more than 1000 BLOB vectors"
