"""What other servers cannot do to a driver that is being started again, nor to their own connection."""

from __future__ import annotations

import pytest

from indianyio._routing._from_drivers import MAX_BLOB_VECTORS, MAX_DEVICES
from indianyio._routing._subscriptions import Subscription
from indianyio._vocabulary import BLOBHandling
from tests.routing.routing import World


def test_the_devices_of_a_driver_that_returns_are_not_had_by_a_server() -> None:
    world = World()
    world.drivers(a="Mount")
    world.clients("c")
    world.remote("r")
    world.say("c", "get")
    world.forget()
    world.deliver(world.router.remove("a", "it has crashed", returns=True))
    world.forget()
    said = world.say("r", "num Mount.P")
    assert said.dropped == (
        "server name of r has a device 'Mount', which is kept for driver name of a: "
        "what it sends about it is dropped"
    )
    world.say("c", "new Mount.P")
    assert world.all_got() == {}
    assert world.router.add_driver("a2", "name of a", ["Mount"]).refuse is None
    world.say("c", "new Mount.P")
    assert world.all_got() == {"a2": ["new Mount.P"]}


def test_a_driver_that_will_not_return_leaves_its_devices_to_others() -> None:
    world = World()
    world.drivers(a="Mount", b="Other")
    world.remote("r")
    world.deliver(world.router.remove("a", "it has crashed", returns=True))
    world.deliver(world.router.remove("b", "it has crashed", returns=True))
    world.router.will_not_return("name of a")
    assert world.say("r", "def Mount.P").dropped is None
    assert world.router.owner("Mount") == "r"
    assert world.say("r", "def Other.P").dropped is not None


def test_another_driver_of_ours_has_to_wait_for_what_is_kept() -> None:
    world = World()
    world.drivers(a="Mount", b="")
    world.clients("c")
    world.say("c", "get")
    world.deliver(world.router.remove("a", "it has crashed", returns=True))
    world.forget()
    for said in ("num Mount.P", "blob Mount.C", "del Mount.P", "del Mount", "new Mount.P"):
        assert world.say("b", said).refuse is None
    assert world.all_got() == {}
    refused = "driver name of b has a device 'Mount', which is kept for driver name of a"
    assert world.say("b", "def Mount.P").refuse == refused
    world.router.will_not_return("name of a")
    assert world.say("b", "def Mount.P").refuse is None
    assert world.router.owner("Mount") == "b"


def test_what_a_driver_had_deleted_before_it_ended_is_not_kept() -> None:
    world = World()
    world.drivers(a="Mount Focuser", b="")
    world.say("a", "del Mount")
    world.deliver(world.router.remove("a", "it has crashed", returns=True))
    assert world.say("b", "def Mount.P").refuse is None
    assert world.say("b", "def Focuser.P").refuse is not None


def test_in_its_next_life_a_driver_can_let_go_of_what_is_kept() -> None:
    world = World()
    world.drivers(a="Mount", b="")
    world.deliver(world.router.remove("a", "it has crashed", returns=True))
    world.router.add_driver("a2", "name of a")
    world.say("a2", "num Mount.P", "del Mount.P")
    assert world.say("b", "num Mount.P").dropped is not None
    world.say("a2", "del Mount")
    assert world.say("b", "def Mount.P").refuse is None


def test_two_cameras_of_one_make_keep_their_devices_apart() -> None:
    """They run the same program, so both are called the same."""
    world = World()
    one, two = object(), object()
    for peer, device, lineage in (("a", "Left", one), ("b", "Right", two)):
        assert world.router.add_driver(peer, "Driver camera", [device], lineage=lineage).refuse is None
        world.deliver(world.router.remove(peer, "it has crashed", returns=True))
    world.router.will_not_return(one)
    assert world.router.add_driver("c", "Driver camera", ["Left"], lineage=one).refuse is None
    refused = world.router.add_driver("d", "Driver camera", ["Right"], lineage=one).refuse
    assert refused == "Driver camera has a device 'Right', which is kept for Driver camera"
    assert world.router.add_driver("e", "Driver camera", ["Right"], lineage=two).refuse is None


def test_a_driver_that_snoops_itself_is_not_told_of_its_own_end() -> None:
    world = World()
    world.drivers(a="A", b="B")
    world.say("a", "get A.P")
    world.say("b", "get A.P")
    world.say("a", "msg A", "num A.P")
    world.forget()
    world.remove("a")
    assert world.all_got() == {"b": ["msg A", "del A"]}


@pytest.mark.long
def test_a_server_with_too_much_keeps_what_it_has() -> None:
    world = World()
    world.remote("r")
    for number in range(MAX_DEVICES):
        assert world.say("r", f"def D{number}.P").refuse is None
    said = world.say("r", "def More.P")
    assert said.refuse is None
    assert said.dropped == f"it has more than {MAX_DEVICES} devices"
    for number in range(MAX_BLOB_VECTORS):
        world.say("r", f"defblob D0.B{number}")
    assert world.say("r", "defblob D0.More").dropped == f"it has more than {MAX_BLOB_VECTORS} BLOB vectors"


def test_blob_vectors_that_were_deleted_are_forgotten() -> None:
    world = World()
    world.remote("r", "far:1", "defblob D.A", "defblob D.B", "defblob E.A")
    world.say("r", "del D.A")
    assert [(one.device, one.name) for one in world.router.blob_policies("r")] == [("D", "B"), ("E", "A")]
    world.say("r", "del D")
    assert [(one.device, one.name) for one in world.router.blob_policies("r")] == [("E", "A")]


def test_what_a_server_was_told_outlives_the_device() -> None:
    """It does over there, so the image of a camera that is back is had, or called off, as the last word was."""
    world = World()
    world.remote("r", "far:1", "defblob D.A", "defblob D.B")
    world.clients("c", "d")
    world.say("d", "get")
    world.forget()
    world.say("c", "Also D.A")
    assert world.got("r") == ["Also D.A"]
    world.say("r", "del D", "defblob D.A")
    assert world.got("r") == []
    world.say("r", "blob D.A")
    assert "blob D.A" in world.got("c")
    world.say("r", "del D.A")
    world.remove("c")
    assert world.got("r") == ["Never D.A"]
    world.say("r", "defblob D.A")
    assert world.got("r") == []
    assert [(one.name, one.value) for one in world.router.blob_policies("r")] == [("A", BLOBHandling.NEVER)]


@pytest.mark.long
def test_a_server_that_makes_up_blob_vectors_is_not_remembered_for_ever() -> None:
    world = World()
    world.remote("r")
    world.clients("c")
    world.say("c", "get", "Also")
    for number in range(MAX_BLOB_VECTORS + 3):
        assert world.say("r", f"defblob D.{number}", f"del D.{number}").dropped is None
    assert len(world.router.blob_policies("r")) == MAX_BLOB_VECTORS
    called_off = [said for said in world.got("r") if said.startswith("Never")]
    assert called_off == [f"Never D.{number}" for number in range(3)]


def test_of_a_device_that_is_another_ones_by_now_no_blobs_are_wanted() -> None:
    world = World()
    world.remote("r", "far:1", "defblob D.A")
    world.drivers(a="")
    world.clients("c")
    world.say("c", "Also D.A")
    world.say("r", "del D")
    world.forget()
    world.say("a", "defblob D.A")
    assert world.got("r") == ["Never D.A"]


def test_a_subscription_to_one_device_asks_about_no_other() -> None:
    world = World()
    world.remote("r", "far:1", "defblob D.A", "defblob E.A")
    world.clients("c")
    world.say("c", "get")
    world.forget()
    world.say("c", "Also D")
    assert world.all_got() == {"r": ["Also D.A"]}
    assert {one.device: one.value for one in world.router.blob_policies("r")} == {
        "D": BLOBHandling.ALSO,
        "E": BLOBHandling.NEVER,
    }


def test_a_subscription_costs_nothing_for_the_blobs_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a thousand BLOB vectors, and thirty clients that may want them, were gone through for each request."""
    world = World()
    world.remote("r", "far:1", *(f"defblob D.B{number}" for number in range(10)))
    world.clients("a", "b", "c")
    world.say("a", "get")
    world.say("b", "get")
    looks: list[str] = []
    wants = Subscription.wants

    def counted(self: Subscription, device: str, name: str, *, blob: bool) -> bool:
        looks.append(device)
        return wants(self, device, name, blob=blob)

    monkeypatch.setattr(Subscription, "wants", counted)
    world.say("c", "get Other.P")
    assert "D" not in looks
    world.say("c", "Also D")
    assert looks.count("D") >= 30


def test_a_server_that_comes_from_above_is_asked_for_what_is_snooped() -> None:
    """protocol.md S28: whoever asked before the server was there is not forgotten."""
    world = World()
    world.drivers(a="A", b="B")
    world.say("b", "get Far.P", "get Far.Q", "get A.P", "get")
    world.clients("up", "plain")
    world.forget()
    world.say("plain", "get")
    assert world.got("plain") == []
    world.say("up", "get *")
    assert world.got("up") == ["get Far.P", "get Far.Q"]
