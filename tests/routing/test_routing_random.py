"""Whatever peers send, in whatever order: nothing is raised, and each gets what a simpler model says."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indianyio._routing import Routed, Router
from indianyio.protocol import Frame
from indianyio.protocol._messages import MESSAGES
from tests.routing.routing import POLICIES, World, frame, line

CLIENTS = ("c", "d", "e")
DRIVERS = ("a", "b")
REMOTES = ("r", "s")
PEERS = (*CLIENTS, *DRIVERS, *REMOTES)

WORDS = ("get", "def", "defblob", "num", "blob", "msg", "del", "new", "newblob", "ping", "pong", *POLICIES, "also")
ADDRESSES = ("", " *", " A", " A.P", " A.C", " B", " B.P", " B.C")

SAYINGS = st.tuples(st.sampled_from(PEERS), st.sampled_from(WORDS), st.sampled_from(ADDRESSES)).map(
    lambda said: (said[0], said[1] + said[2])
)
# A peer that goes, or that comes if it is not there; a driver that ends and is to be started again, or never again.
COMES_OR_GOES, CRASHES, IS_GIVEN_UP = "comes or goes", "crashes", "is given up"
EVENTS = st.one_of(
    st.tuples(st.sampled_from(PEERS), st.just(COMES_OR_GOES)),
    st.tuples(st.sampled_from(DRIVERS), st.sampled_from([CRASHES, IS_GIVEN_UP])),
)
STEPS = st.lists(st.one_of(SAYINGS, EVENTS), min_size=5, max_size=80)

# What makes owners and what depends on them, for long runs without anything that hypothesis could shorten.
_DENSE = (
    *(
        f"{word} {address}"
        for word in ("def", "defblob", "num", "blob", "del")
        for address in ("A.P", "A.C", "B.C")
    ),
    *(f"{word} {device}" for word in ("msg", "del", "get", *POLICIES) for device in "AB"),
    *("get", "get A.P", "get B.C", "Also A.C", "new A.P", "new B.C", "Also", "Never"),
)


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
        if not name:
            return bool(breadth) or not device or device in {device for device, _ in named}
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
        if device and not name:
            return any(entry[0] == device or not (entry[0] or own) for entry in entries)
        entry = self._first(entries, device, name)
        if entry is None and not own:
            entry = self._first(entries, "", "")
        return bool(device) and entry is not None and entry[2] != ("Never" if blob else "Only")

    @staticmethod
    def _first(entries: list[list[str]], device: str, name: str) -> list[str] | None:
        return next((entry for entry in entries if entry[0] == device and entry[1] in {"", name}), None)


class OwnerModel:
    """Whose a device is: only definitions say so."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.kept: dict[str, str] = {}

    def holder(self, device: str) -> str | None:
        """Return who has a device now."""
        return None if device in self.deleted else self.owners.get(device)

    def others(self, peer: str, device: str) -> bool:
        """Tell whether it is not for this driver or server to speak for a device."""
        return bool({self.holder(device), self.kept.get(device)} - {None, peer})

    def hear(self, peer: str, word: str, device: str, name: str) -> None:
        """Take what a driver or server says that may say it."""
        if word in {"def", "defblob"}:
            self.owners[device] = peer
            self.deleted.discard(device)
            self.kept.pop(device, None)
        elif word == "del" and not name:
            self.kept.pop(device, None)
            if device in self.owners:
                self.deleted.add(device)

    def end(self, peer: str, *, returns: bool) -> set[str]:
        """Forget a peer; return what it had."""
        had = {device for device, owner in self.owners.items() if owner == peer}
        for device in had:
            del self.owners[device]
            if returns and device not in self.deleted:
                self.kept[device] = peer
        self.deleted -= had
        return had

    def give_up(self, peer: str) -> None:
        self.kept = {device: keeper for device, keeper in self.kept.items() if keeper != peer}


class ModelWorld(World):
    """A world that compares what is delivered with what the models say."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, ClientModel | SnoopModel] = {}
        self.devices = OwnerModel()
        # Of each other server: the BLOB vectors that it has, and what it was told last about any.
        self.cameras: dict[str, set[str]] = {}
        self.told: dict[str, dict[str, str]] = {}

    def deliver(self, routed: Routed[str]) -> Routed[str]:
        for delivery in routed.deliveries:
            word, _, address = (
                line(delivery.frame).partition(" ") if delivery.frame.tag == "enableBLOB" else ("",) * 3
            )
            for target in delivery.targets:
                if word:
                    self.told[target][address] = word
        return super().deliver(routed)

    def happen(self, peer: str, event: str) -> None:
        if event == IS_GIVEN_UP:
            # Whoever supervises a driver says that when it has ended.
            if peer not in self.models:
                self.devices.give_up(peer)
                self.router.will_not_return(f"name of {peer}")
        elif peer in self.models:
            self._end(peer, returns=event == CRASHES)
        elif event == COMES_OR_GOES:
            self._come(peer)
        # Nothing may have gone to a peer that is not there.
        assert set(self.all_got()) <= set(self.models)
        self._check_owners()
        self._check_policies()

    def _come(self, peer: str) -> None:
        if peer in CLIENTS:
            self.models[peer] = ClientModel()
            self.clients(peer)
            return
        self.models[peer] = SnoopModel()
        if peer in DRIVERS:
            self.drivers(**{peer: ""})
        else:
            self.cameras[peer], self.told[peer] = set(), {}
            self.remote(peer, f"{peer}:1")

    def _end(self, peer: str, *, returns: bool = False) -> None:
        """Let a peer go; whoever knows anything of its devices is told, and why."""
        del self.models[peer]
        had = self.devices.end(peer, returns=returns)
        self.forget()
        self.deliver(self.router.remove(peer, "gone", returns=returns))
        got = {
            peer: [said for said in map(line, self.frames(peer)) if said[:3] in {"msg", "del"}] for peer in PEERS
        }
        for device in had:
            told = {peer for peer, said in got.items() if f"del {device}" in said}
            assert told == self._listeners(peer, "del", device, "") | self._snoopers(peer, "del", device, "")
            assert told == {peer for peer, said in got.items() if f"msg {device}" in said}
        assert sum(map(len, got.values())) == sum(
            2 * (f"del {one}" in said) for one in had for said in got.values()
        )

    def hear(self, peer: str, said: str) -> None:
        word, _, address = said.partition(" ")
        device, _, name = address.partition(".")
        routable = self._routable(word, device, name)
        speaks = peer not in CLIENTS and word in {"def", "defblob", "num", "blob", "del", "new", "newblob"}
        is_dropped = speaks and self.devices.others(peer, device)
        if routable:
            self._note(peer, word, device, name)
            if speaks and not is_dropped:
                self._note_device(peer, word, device, name)
        sent = frame(said)
        routed = self.send(peer, sent)
        got = {peer: [f for f in self.frames(peer) if f is sent] for peer in PEERS}
        assert set(self.all_got()) <= set(self.models)
        # A driver is refused for one thing only: it defines a device that is another's.
        refused = routable and is_dropped and peer in DRIVERS and word in {"def", "defblob"}
        assert (routed.refuse is not None) == refused
        if refused:
            self._end(peer)
        elif not routable:
            assert routed.deliveries == []
        else:
            expected = set() if is_dropped else self._expected(peer, word, device, name)
            assert {peer for peer, frames in got.items() if frames} == expected, (peer, said)
            assert all(len(frames) <= 1 for frames in got.values())
        self._check_owners()
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

    def _note_device(self, peer: str, word: str, device: str, name: str) -> None:
        self.devices.hear(peer, word, device, name)
        if peer in REMOTES and word in {"defblob", "blob"}:
            self.cameras[peer].add(f"{device}.{name}")
        elif peer in REMOTES and word == "del":
            gone = {f"{device}.{name}"} if name else {one for one in self.cameras[peer] if one[0] == device}
            self.cameras[peer] -= gone

    def _listeners(self, source: str, word: str, device: str, name: str) -> set[str]:
        return {
            peer
            for peer, model in self.models.items()
            if peer != source and isinstance(model, ClientModel) and model.wants(device, name, blob=word == "blob")
        }

    def _snoopers(self, source: str, word: str, device: str, name: str) -> set[str]:
        return {
            peer
            for peer, model in self.models.items()
            if isinstance(model, SnoopModel)
            and not (peer == source and peer in REMOTES)
            and model.wants(device, name, blob=word == "blob", own=peer == source)
        }

    def _expected(self, source: str, word: str, device: str, name: str) -> set[str]:
        """Return who gets the very frame that was sent, after what it has changed."""
        owner = self.devices.owners.get(device)
        listeners = self._listeners(source, word, device, name)
        snoopers = self._snoopers(source, word, device, name)
        local = {peer for peer in self.models if peer in DRIVERS}
        if word in {"get", "pong"}:
            return self._asked(source, word, device, owner, local)
        if word in {"ping", "also", *POLICIES}:
            return set()
        if source in CLIENTS:
            if word in {"new", "newblob"}:
                return listeners | ({owner} if owner is not None else set())
            return snoopers if device and not self.devices.others(source, device) else set()
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

    def _check_owners(self) -> None:
        for device in "AB":
            assert self.router.owner(device) == self.devices.owners.get(device)

    def _check_policies(self) -> None:
        """Another server sends a BLOB if and only if somebody gets it, whatever has come and gone meanwhile."""
        for remote in set(REMOTES) & set(self.models):
            told = self.told[remote]
            for camera in self.cameras[remote] | set(told):
                device, _, name = camera.partition(".")
                wanted = self.devices.holder(device) in {None, remote} and (
                    self._listeners(remote, "blob", device, name) | self._snoopers(remote, "blob", device, name)
                )
                if camera in self.cameras[remote]:
                    assert (told.get(camera) == "Also") == bool(wanted)
                else:
                    assert told[camera] == "Never" or wanted
            believed = {f"{one.device}.{one.name}": str(one.value) for one in self.router.blob_policies(remote)}
            assert {**dict.fromkeys(self.cameras[remote], "Never"), **told} == {**told, **believed}


def hear_all(world: ModelWorld, peer: str, lines: Sequence[str]) -> None:
    for said in lines:
        world.hear(peer, said)


@pytest.mark.long
@settings(max_examples=400)
@given(STEPS)
def test_everybody_gets_what_the_models_say(steps: Sequence[tuple[str, str]]) -> None:
    world = ModelWorld()
    for peer in PEERS:
        world.happen(peer, COMES_OR_GOES)
    for peer, said in steps:
        if said in {COMES_OR_GOES, CRASHES, IS_GIVEN_UP}:
            world.happen(peer, said)
        elif peer in world.models:
            world.hear(peer, said)


@pytest.mark.parametrize("seed", range(30))
def test_a_long_life_of_few_devices(seed: int) -> None:
    """Owners change, drivers crash, other servers come back: what is rare in short runs happens here often."""
    chance = random.Random(seed)
    world = ModelWorld()
    for peer in PEERS:
        world.happen(peer, COMES_OR_GOES)
    for _ in range(300):
        peer = chance.choice(PEERS)
        if chance.random() < 0.1:
            event = chance.choice([COMES_OR_GOES, CRASHES, IS_GIVEN_UP] if peer in DRIVERS else [COMES_OR_GOES])
            world.happen(peer, event)
        elif peer in world.models:
            world.hear(peer, chance.choice(_DENSE))


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
        world.happen(peer, COMES_OR_GOES)
    world.send("c", frame(said))
    with pytest.raises(AssertionError):
        hear_all(world, "a", ("num A.P", "blob A.C"))
