"""Message objects: frozen, compared by value, copied with changes, matched by keywords, and written as JSON."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import reduce
from operator import or_

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from indianyio._vocabulary import PROTOCOL_VERSION, State
from indianyio.protocol import (
    GetProperties,
    OneBLOB,
    OneNumber,
    SetBLOBVector,
    SetNumberVector,
    WireMessage,
)
from indianyio.protocol._elements import attributes_of, required_of
from indianyio.protocol._messages import MEMBERS, MESSAGES
from tests.protocol.test_decoder import full_message

ANY_MESSAGE = reduce(or_, MESSAGES.values())

RATE = SetNumberVector(device="D", name="N", state=State.OK, members=(OneNumber(name="a", value="1"),))


def through_json(message: WireMessage) -> WireMessage:
    again: WireMessage = msgspec.json.decode(msgspec.json.encode(message), type=ANY_MESSAGE)
    return again


def bare_message(tag: str) -> WireMessage:
    cls = MESSAGES[tag]
    return cls(**dict.fromkeys(required_of(cls), "x"))


@pytest.mark.parametrize("tag", MESSAGES)
@pytest.mark.parametrize("make", [full_message, bare_message])
def test_json_brings_every_message_back(tag: str, make: Callable[[str], WireMessage]) -> None:
    message = make(tag)
    again = through_json(message)
    assert again == message
    assert type(again) is type(message)
    assert msgspec.json.decode(msgspec.json.encode(message))["tag"] == tag


@given(st.text(), st.sampled_from([None, *State]), st.binary())
def test_json_brings_any_text_and_content_back(text: str, state: State | None, data: bytes) -> None:
    blob = OneBLOB(name="b", size=str(len(data)), format=text, data=data)
    message = SetBLOBVector(device="D", name="N", state=state, message=text, members=(blob,))
    assert through_json(message) == message


def test_json_has_what_the_message_has() -> None:
    assert msgspec.json.encode(RATE) == (
        b'{"tag":"setNumberVector","device":"D","name":"N","state":"Ok","members":[{"name":"a","value":"1"}]}'
    )


def test_json_tells_an_absent_version_from_ours() -> None:
    for version in (None, PROTOCOL_VERSION, "1.6"):
        assert through_json(GetProperties(version=version)) == GetProperties(version=version)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_json_takes_content_of_any_kind(kind: type[bytes | bytearray | memoryview]) -> None:
    blob = OneBLOB(name="b", size="3", data=kind(b"abc"))
    message = SetBLOBVector(device="D", name="N", members=(blob,))
    again = through_json(message)
    assert isinstance(again, SetBLOBVector)
    assert again == message
    assert type(again.members[0].data) is bytes


def test_json_has_no_descriptors() -> None:
    class Memory:
        def read(self, length: int) -> bytes:
            return bytes(length)

        def close(self) -> None:
            """Have nothing to release."""

    blob = OneBLOB(name="b", size="3", len="3", attached="true", attachment=Memory())
    with pytest.raises(TypeError, match="Memory"):
        msgspec.json.encode(SetBLOBVector(device="D", name="N", members=(blob,)))


def test_a_message_cannot_be_changed() -> None:
    for element in (RATE, RATE.members[0]):
        with pytest.raises(AttributeError):
            element.name = "other"  # type: ignore[misc]
        with pytest.raises(AttributeError):
            element.odd = "new"  # type: ignore[union-attr]
    assert RATE.name == "N"


def test_a_changed_copy() -> None:
    changed = replace(RATE, state=State.BUSY)
    assert (changed.state, changed.members) == (State.BUSY, RATE.members)
    assert RATE.state is State.OK
    with pytest.raises(TypeError, match="odd"):
        replace(RATE, odd=1)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda message: pickle.loads(pickle.dumps(message))])
def test_copies_are_equal(copied: Callable[[WireMessage], WireMessage]) -> None:
    assert copied(RATE) == RATE


def test_equal_messages_have_equal_hashes() -> None:
    same = SetNumberVector(device="D", name="N", state=State.OK, members=(OneNumber(name="a", value="1"),))
    other = replace(RATE, state=State.ALERT)
    assert same == RATE != other
    assert {RATE: 1}[same] == 1
    assert OneNumber(name="a") != RATE.members[0]


def test_what_is_shown() -> None:
    assert repr(GetProperties(device="D")) == f"GetProperties(version={PROTOCOL_VERSION!r}, device='D', name=None)"


def test_patterns_match_by_keyword() -> None:
    match RATE:
        case SetNumberVector(device="D", members=(OneNumber(name="a", value=value),)):
            assert value == "1"
        case _:
            pytest.fail("the pattern does not match")
    assert SetNumberVector.__match_args__ == ()


@pytest.mark.parametrize("cls", [*MESSAGES.values(), *MEMBERS.values()])
def test_arguments_are_keywords_and_the_required_ones_required(cls: type[WireMessage]) -> None:
    with pytest.raises(TypeError):
        cls("x")
    for missing in required_of(cls):
        arguments = dict.fromkeys(required_of(cls), "x")
        del arguments[missing]
        with pytest.raises(TypeError, match=missing):
            cls(**arguments)
    assert set(required_of(cls)) <= set(attributes_of(cls))
    with pytest.raises(TypeError, match="odd"):
        cls(**dict.fromkeys([*required_of(cls), "odd"], "x"))
