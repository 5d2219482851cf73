"""Whatever peers send, in whatever order: nothing is raised, and each gets what a simpler model says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indianyio.model import Router
from indianyio.protocol import Frame
from indianyio.protocol._messages import MESSAGES
from tests.model.routing import POLICIES, World, frame

CLIENTS = ("c", "d", "e")
DRIVERS = ("a", "b")
REMOTES = ("r", "s")
PEERS = (*CLIENTS, *DRIVERS, *REMOTES)

WORDS = ("get", "def", "defblob", "num", "blob", "msg", "del", "new", "newblob", "ping", "pong", *POLICIES, "also")
ADDRESSES = ("", " *", " A", " A.P", " A.C", " B", " B.P", " B.C")

SAYINGS = st.tuples(st.sampled_from(PEERS), st.sampled_from(WORDS), st.sampled_from(ADDRESSES)).map(
    lambda said: (said[0], said[1] + said[2])
)
# An empty line stands for a peer that goes, or that comes if it is not there.
STEPS = st.lists(st.one_of(SAYINGS, st.tuples(st.sampled_from(PEERS), st.just(""))), min_size=5, max_size=80)


class ClientModel:
    """What a client is to get, found each time anew in all that it has said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def wants(self, device: str, name: str, *, blob: bool) -> bool:
        return self._interested(device, name) and self._allowed(device, name, blob=blob)

    def is_server(self) -> bool:
        return self._breadth()[0] == "server"

    def _interested(self, device: str, name: str) -> bool:
        breadth, named = self._breadth()
        return bool(breadth) or not device or (device, "") in named or (device, name) in named

    def _breadth(self) -> tuple[str, list[tuple[str, str]]]:
        breadth, named = "", list[tuple[str, str]]()
        for word, device, name in self.said:
            if device not in {"", "*"}:
                if not breadth or (word in POLICIES and name):
                    named.append((device, name))
            elif device and not named:
                breadth = "server"
            elif word == "get" and not named and not breadth:
                breadth = "everything"
        return breadth, named

    def _allowed(self, device: str, name: str, *, blob: bool) -> bool:
        """Tell what the last policy that comprises this says; that of a vector says something of its BLOBs only."""
        comprising = {("", ""), ("*", ""), ("*", name), (device, "")} | ({(device, name)} if blob else set())
        said = [word for word, *address in self.said if word in POLICIES and tuple(address) in comprising]
        last = said[-1] if said else "Never"
        return last != "Never" if blob else last != "Only"


class SnoopModel:
    """What a driver is to hear, found each time anew in all that it has said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def wants(self, device: str, name: str, *, blob: bool, own: bool) -> bool:
        entries: list[list[str]] = []
        for word, its_device, its_name in self.said:
            match = self._first(entries, its_device, its_name)
            if word == "get" and match is None:
                entries.append([its_device, its_name, "Never"])
            elif word in POLICIES and match is not None:
                match[2] = word
        entry = self._first(entries, device, name)
        if entry is None and not own:
            entry = self._first(entries, "", "")
        return bool(device) and entry is not None and entry[2] != ("Never" if blob else "Only")

    @staticmethod
    def _first(entries: list[list[str]], device: str, name: str) -> list[str] | None:
        return next((entry for entry in entries if entry[0] == device and entry[1] in {"", name}), None)


class ModelWorld(World):
    """A world that compares what is delivered with what the models say."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, ClientModel | SnoopModel] = {}

    def come_or_go(self, peer: str) -> None:
        if peer in self.models:
            del self.models[peer]
            self.remove(peer)
        elif peer in CLIENTS:
            self.models[peer] = ClientModel()
            self.clients(peer)
        else:
            self.models[peer] = SnoopModel()
            if peer in DRIVERS:
                self.drivers(**{peer: ""})
            else:
                self.remote(peer, f"{peer}:1")
        # Nothing may have gone to a peer that is not there.
        assert set(self.all_got()) <= set(self.models)

    def hear(self, peer: str, said: str) -> None:
        word, _, address = said.partition(" ")
        device, _, name = address.partition(".")
        routable = self._routable(word, device, name)
        if routable:
            self._note(peer, word, device, name)
        rival = self.router.owner(device) not in {None, peer}
        sent = frame(said)
        routed = self.send(peer, sent)
        got = {peer: [f for f in self.frames(peer) if f is sent] for peer in PEERS}
        assert set(self.all_got()) <= set(self.models)
        if routed.refuse is not None:
            assert peer in DRIVERS
            assert rival
            self.come_or_go(peer)
        elif not routable:
            assert routed.deliveries == []
        else:
            expected = self._expected(peer, word, device, name)
            assert {peer for peer, frames in got.items() if frames} == expected, (peer, said)
            assert all(len(frames) <= 1 for frames in got.values())
        self._check_policies()

    @staticmethod
    def _routable(word: str, device: str, name: str) -> bool:
        needs_vector = word in {"def", "defblob", "num", "blob", "new", "newblob"}
        needs_device = needs_vector or word == "del"
        return not (needs_device and device in {"", "*"}) and not (needs_vector and not name)

    def _note(self, peer: str, word: str, device: str, name: str) -> None:
        model = self.models[peer]
        if isinstance(model, ClientModel) or device not in {"", "*"}:
            model.said.append((word, device, name))
        elif peer in DRIVERS:
            model.said.append((word, "", ""))

    def _expected(self, source: str, word: str, device: str, name: str) -> set[str]:
        """Return who gets the very frame that was sent, after what it has changed."""
        owner = self.router.owner(device)
        blob = word == "blob"
        listeners = {
            peer
            for peer, model in self.models.items()
            if peer != source and isinstance(model, ClientModel) and model.wants(device, name, blob=blob)
        }
        snoopers = {
            peer
            for peer, model in self.models.items()
            if isinstance(model, SnoopModel)
            and not (peer == source and peer in REMOTES)
            and model.wants(device, name, blob=blob, own=peer == source)
        }
        local = {peer for peer in self.models if peer in DRIVERS}
        if word in {"get", "pong"}:
            return self._asked(source, word, device, owner, local)
        if word in {"ping", "also", *POLICIES}:
            return set()
        if source in CLIENTS:
            if word in {"new", "newblob"}:
                return listeners | ({owner} if owner is not None else set())
            return snoopers if owner is None and device else set()
        if owner not in {None, source}:
            return set()
        return listeners if word in {"new", "newblob"} else listeners | snoopers

    def _asked(self, source: str, word: str, device: str, owner: str | None, local: set[str]) -> set[str]:
        """Return who gets a request as it was sent; to other servers it goes with its path, so it is another."""
        if word == "pong":
            clients = {peer for peer in self.models if peer in CLIENTS}
            return local if source in CLIENTS else clients if source in DRIVERS else set()
        if device == "*":
            return set()
        if not device:
            return set() if source in REMOTES else local
        if owner is not None:
            return {owner} & local
        if source in CLIENTS:
            return set()
        return {peer for peer, model in self.models.items() if isinstance(model, ClientModel) and model.is_server()}

    def _check_policies(self) -> None:
        """Another server sends a BLOB if and only if somebody wants it."""
        for remote in set(REMOTES) & set(self.models):
            for told in self.router.blob_policies(remote):
                assert told.device is not None
                assert told.name is not None
                wanted = any(
                    model.wants(told.device, told.name, blob=True)
                    if isinstance(model, ClientModel)
                    else peer != remote and model.wants(told.device, told.name, blob=True, own=False)
                    for peer, model in self.models.items()
                )
                assert told.value == ("Also" if wanted else "Never")


def hear_all(world: ModelWorld, peer: str, lines: Sequence[str]) -> None:
    for said in lines:
        world.hear(peer, said)


@settings(max_examples=400)
@given(STEPS)
def test_everybody_gets_what_the_models_say(steps: Sequence[tuple[str, str]]) -> None:
    world = ModelWorld()
    for peer in PEERS:
        world.come_or_go(peer)
    for peer, said in steps:
        if not said:
            world.come_or_go(peer)
        elif peer in world.models:
            world.hear(peer, said)


ATTRIBUTE = st.sampled_from([b"device", b"name", b"version", b"via", b"uid", b"x:y", b"xmlns:x", b"message"])
VALUE = st.one_of(
    st.sampled_from([b"", b"*", b"A", b"P", b"1.7", b"me.0", b"me.0 him.3", b"&#0;", b"&#xd800;", b"&bad;"]),
    st.binary(max_size=8).map(lambda value: value.replace(b"'", b"").replace(b"<", b"")),
)
HEADS = st.lists(st.tuples(ATTRIBUTE, VALUE), max_size=4).map(
    lambda pairs: b"".join(b" " + key + b"='" + value + b"'" for key, value in pairs)
)
CONTENTS = st.sampled_from(
    [b"", b"Also", b"Only", b"Never", b"\xff", b"<oneNumber/>", b"&x;", b"<a><b><c><d>", b"</a>"]
)


@given(
    st.lists(st.tuples(st.sampled_from("carn"), st.sampled_from(sorted(MESSAGES)), HEADS, CONTENTS), max_size=30)
)
def test_whatever_the_bytes_are_nothing_is_raised(said: list[tuple[str, str, bytes, bytes]]) -> None:
    router: Router[str] = Router("me")
    router.add_client("c", "c")
    router.add_client("n", "n", may_write=False)
    router.add_driver("a", "a", ["A"])
    router.add_remote("r", "r", host="far:1")
    gone: set[str] = set()
    for peer, tag, head, content in said:
        if peer in gone:
            continue
        data = b"<" + tag.encode() + head + b">" + content + b"</" + tag.encode() + b">"
        routed = router.receive(peer, Frame(tag, data))
        for delivery in routed.deliveries:
            assert not gone & set(delivery.targets)
            assert delivery.frame.data
        if routed.refuse is not None:
            gone.add(peer)
            router.remove(peer, routed.refuse)


@pytest.mark.parametrize("said", ["get", "new A.P", "Also A.C"])
def test_the_models_can_fail(said: str) -> None:
    """A model that is not told of something does not agree."""
    world = ModelWorld()
    for peer in "ca":
        world.come_or_go(peer)
    world.send("c", frame(said))
    with pytest.raises(AssertionError):
        hear_all(world, "a", ("num A.P", "blob A.C"))
