"""What other servers cannot do to a driver that is being started again, nor to their own connection."""

from __future__ import annotations

import pytest

from indianyio._vocabulary import BLOBHandling
from indianyio.model._from_drivers import MAX_BLOB_VECTORS, MAX_DEVICES
from indianyio.model._subscriptions import Subscription
from tests.model.routing import World


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
        "server name of r has a device 'Mount', which is kept for driver name of a: what it sends of it is dropped"
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


def test_another_driver_of_ours_may_have_what_is_kept() -> None:
    world = World()
    world.drivers(a="Mount", b="")
    world.deliver(world.router.remove("a", "it has crashed", returns=True))
    assert world.say("b", "def Mount.P").refuse is None
    assert world.router.owner("Mount") == "b"


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
