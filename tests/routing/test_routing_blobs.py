"""Who gets BLOBs: the matrix of protocol.md 2.7, and what other servers are told of it (2.9)."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from indianyio._vocabulary import BLOBHandling
from indianyio.protocol import EnableBLOB
from tests.routing.routing import World

ALL = "A.P B.P A.C1 A.C2 B.C1"


class Row(NamedTuple):
    """What a client sends, what indiserver then gives it, what we do, and why that differs."""

    said: str
    indiserver: str
    ours: str
    why: str = ""


A_ALONE = "a policy for A concerns no other device"
MATRIX = (
    Row("get", "A.P B.P", "A.P B.P"),
    Row("get, Also A", ALL, "A.P B.P A.C1 A.C2", A_ALONE),
    Row("get, Only A", "A.C1 A.C2 B.C1", "B.P A.C1 A.C2", A_ALONE),
    Row("get, Also", ALL, ALL),
    Row("get, Also A.C1", "A.P B.P A.C1", "A.P B.P A.C1"),
    Row("get, Only A.C1", "A.P B.P A.C1", "A.P B.P A.C1"),
    Row("get, Also A, Never A.C2", "A.P B.P A.C1 B.C1", "A.P B.P A.C1", A_ALONE),
    Row("get, Never A.C2, Also A", ALL, "A.P B.P A.C1 A.C2", A_ALONE),
    Row("get, Also A, Never B", "A.P B.P", "A.P B.P A.C1 A.C2", "a policy for B switches nothing off in A"),
    Row("get A.C1, Also A", "A.P A.C1 A.C2", "A.P A.C1 A.C2"),
    Row("Also A, get", "A.P A.C1 A.C2", "A.P A.C1 A.C2"),
    Row("Also A.C1, get", "A.C1", "A.C1"),
    Row("get, Only A, Never A.C2", "A.C1 B.C1", "B.P A.C1", A_ALONE),
    Row("get *", "A.P B.P", "A.P B.P"),
    Row("get, also", "A.P B.P", "A.P B.P"),
)
# What indiserver gives here follows from its rules; it was not observed.
MORE = (
    Row("get, Only", "A.C1 A.C2 B.C1", "A.C1 A.C2 B.C1"),
    Row("get, Only, Also", ALL, ALL),
    Row("get, Also, Never", "A.P B.P", "A.P B.P"),
    Row("get, Also A.C1, Never", "A.P B.P", "A.P B.P"),
    Row("get, Never A.C2, Also", ALL, ALL),
    Row("get, Also, Never A.C2", "A.P B.P A.C1 B.C1", "A.P B.P A.C1 B.C1"),
    Row("get, Only, Also A", ALL, "A.P A.C1 A.C2 B.C1", A_ALONE),
    Row("get, Also, Never A", "A.P B.P", "A.P B.P B.C1", A_ALONE),
    Row("get A, Also", "A.P A.C1 A.C2", "A.P A.C1 A.C2"),
)


@pytest.mark.parametrize("row", [*MATRIX, *MORE], ids=lambda row: row.said)
def test_the_matrix_of_2_7(row: Row) -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c")
    for said in row.said.split(", "):
        # Also in between: what was found for one state must not hold in the next.
        world.say("c", said)
        world.forget()
        world.say("a", "num A.P")
        world.say("b", "num B.P")
        world.say("a", "blob A.C1", "blob A.C2")
        world.say("b", "blob B.C1")
    assert [said.partition(" ")[2] for said in world.got("c")] == row.ours.split()
    assert (row.ours != row.indiserver) == bool(row.why)


def test_who_wants_all_blobs_gets_those_of_vectors_named_later() -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c")
    world.say("c", "Also", "get A.C1")
    world.forget()
    world.say("a", "blob A.C1", "blob A.C2", "num A.P")
    assert world.got("c") == ["blob A.C1"]


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("Only", {"A", "B", ""}),
        ("Only A", {"A"}),
        ("Only A.P", set()),
        ("Also", set()),
    ],
)
@pytest.mark.parametrize("word", ["def", "defblob", "num", "msg", "del", "new", "newblob"])
def test_only_hides_everything_else_where_it_holds(word: str, said: str, hidden: set[str]) -> None:
    """Only setBLOBVector is a BLOB; a definition of one, or a write, is not."""
    world = World()
    world.drivers(a="A", b="B")
    world.clients("c", "other")
    world.say("c", "get", said)
    world.forget()
    for device, driver in (("A", "a"), ("B", "b")):
        address = f"{word} {device}" if word == "msg" else f"{word} {device}.P"
        world.say("other" if word.startswith("new") else driver, address)
    assert {sent.device for sent in world.frames("c")} == {"A", "B"} - hidden
    world.say("a", "msg")
    assert bool(world.got("c")) == ("" not in hidden)


def test_one_clients_policy_is_nothing_to_another() -> None:
    world = World()
    world.drivers(a="A")
    world.clients("c", "d", "e")
    world.say("c", "get", "Also A")
    world.say("d", "get", "Only")
    world.say("e", "get", "Never A")
    world.forget()
    world.say("a", "num A.P", "blob A.C")
    assert world.all_got() == {"c": ["num A.P", "blob A.C"], "d": ["blob A.C"], "e": ["num A.P"]}


# -- what other servers are told ---------------------------------------------------------------------------------


def far_camera() -> World:
    """Another server with two BLOB vectors and a number, and three clients that want all but BLOBs."""
    world = World()
    world.drivers(local="L")
    world.clients("c", "d", "e")
    for peer in "cde":
        world.say(peer, "get")
    world.remote("r", "far:1", "defblob A.C1", "defblob A.C2", "def A.P")
    return world


def told(world: World) -> list[str]:
    return [said for said in world.got("r") if said.split()[0] in {"Also", "Never", "Only"}]


def test_a_server_is_told_only_what_changes() -> None:
    world = far_camera()
    steps = [
        ("c", "Also A.C1", ["Also A.C1"]),
        ("d", "Also A", ["Also A.C2"]),
        ("d", "Also A", []),
        ("e", "Only", []),
        ("c", "Never", []),
        ("d", "Never A", []),
        ("e", "Never A.C1", ["Never A.C1"]),
        ("e", "Never", ["Never A.C2"]),
        ("e", "Also L", []),
    ]
    for peer, said, expected in steps:
        world.say(peer, said)
        assert told(world) == expected, said


def test_what_one_client_says_last_takes_nothing_from_another() -> None:
    world = far_camera()
    world.say("c", "Also")
    world.say("d", "Never")
    world.say("e", "Only A")
    assert told(world) == ["Also A.C1", "Also A.C2"]
    world.forget()
    world.say("r", "num A.P", "blob A.C1")
    assert world.all_got() == {"c": ["num A.P", "blob A.C1"], "d": ["num A.P"], "e": ["blob A.C1"]}


def test_a_client_that_leaves_wants_nothing_any_more() -> None:
    world = far_camera()
    world.say("c", "Also A.C1")
    world.say("d", "Also A")
    world.forget()
    world.remove("d")
    assert told(world) == ["Never A.C2"]
    world.remove("c")
    assert told(world) == ["Never A.C1"]


def test_what_is_wanted_is_asked_for_as_soon_as_it_is_defined() -> None:
    world = far_camera()
    world.say("c", "Also")
    world.forget()
    world.say("r", "defblob B.C")
    assert world.got("r") == ["Also B.C"]
    world.say("r", "defblob B.C")
    assert world.got("r") == []


def test_a_server_hears_of_blobs_before_what_makes_one() -> None:
    world = far_camera()
    world.clients("late")
    world.say("late", "Also")
    world.forget()
    world.say("late", "get A")
    assert world.got("r") == ["Also A.C1", "Also A.C2", "get A"]


def test_a_driver_that_snoops_a_far_blob_gets_it() -> None:
    world = far_camera()
    world.say("local", "get A.C1")
    assert world.got("r") == ["get A.C1"]
    world.say("local", "Also A.C1")
    assert told(world) == ["Also A.C1"]
    world.remove("local")
    assert told(world) == ["Never A.C1"]


def test_the_policies_can_be_looked_at() -> None:
    world = far_camera()
    world.say("c", "Only A.C1")
    assert world.router.blob_policies("r") == [
        EnableBLOB(device="A", name="C1", value=BLOBHandling.ALSO),
        EnableBLOB(device="A", name="C2", value=BLOBHandling.NEVER),
    ]
    [sent] = [sent for sent in world.frames("r") if sent.tag == "enableBLOB"]
    assert sent.data == b'<enableBLOB device="A" name="C1">Also</enableBLOB>'


def test_a_new_connection_starts_with_nothing() -> None:
    """The other server has forgotten what it was told, so it is told again when it has defined the vectors."""
    world = far_camera()
    world.say("c", "Also A.C1")
    world.remove("r")
    world.remote("r2", "far:1")
    world.say("r2", "defblob A.C1")
    assert world.got("r2") == ["Also A.C1"]
