from __future__ import annotations

import pytest

from indianyio import NumberVector
from indianyio._model import AnyVector, NumberMember
from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.protocol._elements import OneBLOB, OneNumber, OneSwitch, OneText
from indianyio.protocol._messages import (
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
)

from .vectors import blobs, lights, numbers, of_device, switches, texts


def new_switches(**values: str) -> NewSwitchVector:
    members = tuple(OneSwitch(name=name, value=value) for name, value in values.items())
    return NewSwitchVector(device="Dome", name="sw", members=members)


def new_texts(**values: str) -> NewTextVector:
    members = tuple(OneText(name=name, value=value) for name, value in values.items())
    return NewTextVector(device="Dome", name="tx", members=members)


def new_numbers(**values: str) -> NewNumberVector:
    members = tuple(OneNumber(name=name, value=value) for name, value in values.items())
    return NewNumberVector(device="Dome", name="nu", members=members)


def new_blobs(**sizes: str | None) -> NewBLOBVector:
    members = tuple(OneBLOB(name=name, size=size, format=".fits", data=b"x") for name, size in sizes.items())
    return NewBLOBVector(device="Dome", name="bl", members=members)


def limited(least: str, most: str) -> NumberVector:
    members = [NumberMember("a", min=least, max=most), NumberMember("b")]
    return of_device(NumberVector("nu", "Position", "Main", "rw", "Ok", members))


ACCEPTED: list[tuple[AnyVector, NewVector]] = [
    (switches(), new_switches(b="On")),
    (switches(), new_switches(a="Off", b="On")),
    (switches(), new_switches(a="Off", b=" On\n", c="Off")),
    (switches("wo"), new_switches(b="On")),
    (switches(rule="AtMostOne"), new_switches(a="Off")),
    (switches(rule="AtMostOne"), new_switches(a="Off", b="On")),
    (switches(rule="AnyOfMany"), new_switches(a="On", b="On")),
    (switches(rule="AnyOfMany"), new_switches(a="Off", b="Off", c="Off")),
    (texts(), new_texts(a="anything", b="")),
    (numbers(), new_numbers(a="-12:30:36", b="1e9")),
    (limited("0", "100"), new_numbers(a="0")),
    (limited("0", "100"), new_numbers(a="100", b="-5")),
    (limited("-0:30", "0:30"), new_numbers(a="-0.5")),
    (limited("5", "5"), new_numbers(a="7")),
    (limited("5", "1"), new_numbers(a="7")),
    (blobs("rw"), new_blobs(a="1", b="0")),
]


@pytest.mark.parametrize(("vector", "new"), ACCEPTED)
def test_writes_that_keep_the_rules_pass(vector: AnyVector, new: NewVector) -> None:
    vector.check_write(new)


WRONG_KINDS: list[tuple[AnyVector, NewVector]] = [
    (switches(), new_texts(a="On")),
    (switches(), new_numbers(a="1")),
    (numbers(), new_texts(a="1")),
    (numbers(), new_blobs(a="1")),
    (texts(), new_switches(a="On")),
    (blobs("rw"), new_texts(a="x")),
    (lights(), new_texts(a="Ok")),
]


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize(("vector", "new"), WRONG_KINDS)
def test_d3_a_write_of_another_kind_is_refused(vector: AnyVector, new: NewVector, validate: bool) -> None:
    vector.validate = validate
    with pytest.raises(WriteRefusedError, match=r"cannot write it|nobody can write") as caught:
        vector.check_write(new)
    assert (caught.value.device, caught.value.vector, caught.value.member) == ("Dome", vector.name, None)


NEVER: list[tuple[AnyVector, NewVector, str]] = [
    (texts(), new_texts(), "has no members"),
    (
        texts(),
        NewTextVector(device="Dome", name="tx", members=(OneText(name="a"), OneText(name="b"), OneText(name="a"))),
        "has member 'a' 2 times",
    ),
    (blobs("rw"), new_blobs(a=None), "it is missing"),
    (blobs("rw"), new_blobs(a=""), "whole number of bytes"),
    (blobs("rw"), new_blobs(a="-1"), "whole number of bytes"),
    (blobs("rw"), new_blobs(a="1.5"), "whole number of bytes"),
    (blobs("rw"), new_blobs(a="1_0"), "whole number of bytes"),
    (blobs("rw"), new_blobs(a="٣"), "whole number of bytes"),
]


@pytest.mark.parametrize("validate", [True, False])
@pytest.mark.parametrize(("vector", "new", "reason"), NEVER)
def test_what_no_event_can_be_made_of_is_refused(
    vector: AnyVector, new: NewVector, reason: str, validate: bool
) -> None:
    vector.validate = validate
    with pytest.raises(WriteRefusedError, match=reason):
        vector.check_write(new)


ONLY_VALIDATED: list[tuple[AnyVector, NewVector, str, str | None]] = [
    (texts("ro"), new_texts(a="x"), r"Texts \(tx\) is read-only", None),
    (blobs("ro"), new_blobs(a="1"), "read-only", None),
    (texts(), new_texts(a="x", z="y"), r"'z' is not a member of Texts \(tx\)", "z"),
    (switches(), new_switches(a="on"), "must be On or Off, not 'on'", "a"),
    (switches(), new_switches(b="On", a=""), "must be On or Off", "a"),
    (switches(), new_switches(a="Off"), "No switch is On", None),
    (switches(), new_switches(a="Off", b="Off", c="Off"), "No switch is On", None),
    (switches(), new_switches(a="On", b="On"), "Too many switches are On", None),
    (switches(), new_switches(a="On", b="On", c="Off"), "Too many switches are On", None),
    (switches(rule="AtMostOne"), new_switches(a="On", b="On"), "AtMostOne. Too many switches are On", None),
    (numbers(), new_numbers(a="banana"), r"Numbers \(nu\): a must be a number, not 'banana'", "a"),
    (numbers(), new_numbers(a=""), "must be a number", "a"),
    (numbers(), new_numbers(a="nan"), "must be a number", "a"),
    (numbers(), new_numbers(a="1", b="inf"), "must be a number", "b"),
    (
        limited("0", "100"),
        new_numbers(a="1e9"),
        r"Invalid range for Position \(nu\)\. Valid range of a is from 0 to 100\. Requested value is '1e9'\.",
        "a",
    ),
    (limited("0", "100"), new_numbers(b="1", a="-0.001"), "Requested value is '-0.001'", "a"),
    (limited("-0:30", "0:30"), new_numbers(a="0:30:01"), "from -0:30 to 0:30", "a"),
]


@pytest.mark.parametrize(("vector", "new", "reason", "member"), ONLY_VALIDATED)
def test_d18_permission_members_rule_and_range_are_enforced(
    vector: AnyVector, new: NewVector, reason: str, member: str | None
) -> None:
    vector.validate = True
    before = dict(vector)
    with pytest.raises(WriteRefusedError, match=reason) as caught:
        vector.check_write(new)
    assert caught.value.member == member
    assert dict(vector) == before


@pytest.mark.parametrize(("vector", "new", "reason", "member"), ONLY_VALIDATED)
def test_without_validation_all_that_is_handed_through(
    vector: AnyVector, new: NewVector, reason: str, member: str | None
) -> None:
    vector.validate = False
    vector.check_write(new)


def test_the_reason_does_not_repeat_a_flood() -> None:
    with pytest.raises(WriteRefusedError) as caught:
        numbers().check_write(new_numbers(a="x" * 100_000))
    assert len(str(caught.value)) < 200


def test_the_reason_names_the_vector_even_without_a_label() -> None:
    vector = texts("ro")
    vector.label = ""
    with pytest.raises(WriteRefusedError, match=r"tx \(tx\) is read-only"):
        vector.check_write(new_texts(a="x"))


def test_a_check_changes_nothing() -> None:
    vector = switches()
    vector.changed = False
    vector.check_write(new_switches(b="On"))
    assert dict(vector) == {"a": "On", "b": "Off", "c": "Off"}
    assert (vector.changed, vector.state) == (False, State.IDLE)
