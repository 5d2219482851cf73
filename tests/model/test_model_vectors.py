from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from indianyio._model import (
    AnyVector,
    BLOBMember,
    LightVectorModel,
    NumberVectorModel,
    SwitchMember,
    SwitchVectorModel,
    TextMember,
    TextVectorModel,
)
from indianyio._vocabulary import Permission, Rule, State
from indianyio.exceptions import LocalProtocolError, UnknownMemberError
from indianyio.protocol._elements import (
    DefBLOB,
    DefLight,
    DefNumber,
    DefSwitch,
    DefText,
    OneLight,
    OneNumber,
    OneSwitch,
    OneText,
)
from indianyio.protocol._encoder import encode
from indianyio.protocol._messages import (
    DefBLOBVector,
    DefLightVector,
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    DelProperty,
    SetBLOBVector,
    SetLightVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
)

from .vectors import NOW, STAMP, blobs, lights, numbers, switches, texts

MAKERS: list[Callable[[], AnyVector]] = [switches, lights, texts, numbers, blobs]
WORD_MAKERS = [switches, lights, texts, numbers]

# -- construction ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "vectortype"),
    list(zip(MAKERS, ["SwitchVector", "LightVector", "TextVector", "NumberVector", "BLOBVector"], strict=True)),
)
def test_a_new_vector(make: Callable[[], AnyVector], vectortype: str) -> None:
    vector = make()
    assert vector.vectortype == vectortype
    assert (vector.enable, vector.validate, vector.changed) == (True, True, True)
    assert (vector.timeout, vector.message) == ("0", "")


def test_the_words_of_the_standard_are_taken_as_strings_and_enumerations() -> None:
    vector = SwitchVectorModel("v", "", "", Permission.WO, Rule.ANY_OF_MANY, State.BUSY, [SwitchMember("m")])
    assert (vector.perm, vector.rule, vector.state) == ("wo", "AnyOfMany", "Busy")
    vector = switches("ro", "AtMostOne", "Alert")
    assert (vector.perm, vector.rule, vector.state) == (Permission.RO, Rule.AT_MOST_ONE, State.ALERT)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("", "l", "g", "rw", "OneOfMany", "Idle"), "name of a vector"),
        (("v\n", "l", "g", "rw", "OneOfMany", "Idle"), "name of a vector"),
        (("v", "l\x00", "g", "rw", "OneOfMany", "Idle"), "label of vector 'v'"),
        (("v", "l", "g\x00", "rw", "OneOfMany", "Idle"), "group of vector 'v'"),
        (("v", "l", "g", "r", "OneOfMany", "Idle"), "perm of vector 'v'"),
        (("v", "l", "g", "rw", "oneofmany", "Idle"), "rule of vector 'v'"),
        (("v", "l", "g", "rw", "OneOfMany", "idle"), "state of vector 'v'"),
        (("v", "l", "g", "rw", "OneOfMany", None), "state of vector 'v'"),
    ],
)
def test_bad_arguments_are_raised_at_construction(arguments: tuple[str, ...], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        SwitchVectorModel(*arguments, [SwitchMember("m")])  # type: ignore[call-arg, arg-type]


def test_a_label_that_is_none_is_raised_at_construction() -> None:
    with pytest.raises(TypeError, match="label of vector 'v'"):
        TextVectorModel("v", None, "g", "rw", "Idle", [TextMember("m")])  # type: ignore[arg-type]


def test_members_must_be_of_the_kind() -> None:
    with pytest.raises(TypeError, match="SwitchVector 'v' is made of SwitchMember"):
        SwitchVectorModel("v", "", "", "rw", "OneOfMany", "Idle", [TextMember("m")])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="made of NumberMember"):
        NumberVectorModel("v", "", "", "rw", "Idle", ["m"])  # type: ignore[list-item]


def test_d28_two_members_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two members with the name 'm'"):
        TextVectorModel("v", "", "", "rw", "Idle", [TextMember("m"), TextMember("m")])


def test_a_vector_needs_members() -> None:
    with pytest.raises(ValueError, match="at least one member"):
        LightVectorModel("v", "", "", "Idle", [])


# -- the mapping -----------------------------------------------------------------------------------------------


def test_a_vector_maps_names_to_values_and_gives_out_its_members() -> None:
    vector = switches()
    assert dict(vector) == {"a": "On", "b": "Off", "c": "Off"}
    assert len(vector) == 3
    assert "b" in vector
    assert "d" not in vector
    assert vector.get("d") is None
    assert [member.name for member in vector.members()] == ["a", "b", "c"]
    assert vector.member("a") is vector.data["a"] is vector.members()[0]


def test_unknown_members_are_key_errors() -> None:
    vector = switches()
    with pytest.raises(UnknownMemberError, match=r"Dome.sw has no member 'd'; it has 'a', 'b', 'c'"):
        vector["d"]
    with pytest.raises(KeyError):
        vector["d"] = "On"
    with pytest.raises(UnknownMemberError):
        vector.member("d")


def test_assignment_is_validated() -> None:
    vector = numbers()
    vector["b"] = 5
    assert vector["b"] == "5"
    with pytest.raises(ValueError, match="value of member 'b'"):
        vector["b"] = "banana"
    assert vector["b"] == "5"
    assert vector.getfloatvalue("a") == 1.5
    assert vector.getformattedvalue("a") == "  1:30"


def test_update_assigns_all_or_nothing() -> None:
    vector = switches(rule="AnyOfMany")
    vector.update({"a": "Off"}, b="On")
    vector.update([("c", "On")])
    assert dict(vector) == {"a": "Off", "b": "On", "c": "On"}
    with pytest.raises(ValueError, match="value of member 'b'"):
        vector.update(a="On", b="maybe")
    with pytest.raises(UnknownMemberError):
        vector.update(a="On", d="On")
    assert dict(vector) == {"a": "Off", "b": "On", "c": "On"}


def test_vectors_are_equal_by_identity() -> None:
    first, second = switches(), switches()
    assert first == first
    assert first != second
    assert len({first, second, first}) == 2
    assert repr(first) == "<SwitchVector Dome.sw Idle>"


# -- attributes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "value", "error"),
    [
        ("state", "ok", ValueError),
        ("state", None, ValueError),
        ("perm", "x", ValueError),
        ("rule", "Any", ValueError),
        ("timeout", -1, ValueError),
        ("timeout", "soon", ValueError),
        ("timeout", float("nan"), ValueError),
        ("timeout", None, TypeError),
        ("message", "\x00", ValueError),
        ("message", None, TypeError),
        ("label", "\x00", ValueError),
        ("group", 5, TypeError),
    ],
)
def test_bad_assignments_are_raised_and_change_nothing(
    attribute: str, value: object, error: type[Exception]
) -> None:
    vector = switches()
    before = getattr(vector, attribute)
    with pytest.raises(error, match=f"{attribute} of vector 'sw'"):
        setattr(vector, attribute, value)
    assert getattr(vector, attribute) == before


def test_good_assignments() -> None:
    vector = switches()
    vector.perm, vector.rule, vector.label, vector.group = "ro", "AnyOfMany", "L", "G"
    assert (vector.perm, vector.rule, vector.label, vector.group) == (Permission.RO, Rule.ANY_OF_MANY, "L", "G")


def test_the_permission_of_lights_is_read_only() -> None:
    vector = lights()
    assert vector.perm == "ro"
    with pytest.raises(AttributeError, match="perm of vector 'li'"):
        vector.perm = "rw"


@pytest.mark.parametrize(("value", "text"), [(5, "5"), (0.5, "0.5"), ("30", "30"), ("0", "0")])
def test_timeouts_are_kept_as_text(value: str | float, text: str) -> None:
    vector = texts()
    vector.timeout = value
    assert vector.timeout == text


@pytest.mark.parametrize(
    ("attribute", "value", "changed"),
    [
        ("state", "Busy", True),
        ("state", "Idle", False),
        ("timeout", "5", True),
        ("timeout", 0, False),
        ("message", "hello", True),
        ("message", "", False),
    ],
)
def test_what_counts_as_a_change(attribute: str, value: object, changed: bool) -> None:
    vector = texts()
    vector.changed = False
    setattr(vector, attribute, value)
    assert vector.changed is changed


# -- definitions -----------------------------------------------------------------------------------------------


def test_definition_of_switches_in_their_order() -> None:
    assert switches().define(timestamp=NOW, message="m", timeout=5, state="Busy") == DefSwitchVector(
        device="Dome",
        name="sw",
        label="Switches",
        group="Main",
        state=State.BUSY,
        perm=Permission.RW,
        rule=Rule.ONE_OF_MANY,
        timeout="5",
        timestamp=STAMP,
        message="m",
        members=(
            DefSwitch(name="a", label="A", value="On"),
            DefSwitch(name="b", label="B", value="Off"),
            DefSwitch(name="c", label="C", value="Off"),
        ),
    )


def test_definition_of_lights_has_neither_permission_nor_timeout() -> None:
    definition = lights().define(timestamp=NOW, timeout=5)
    assert definition == DefLightVector(
        device="Dome",
        name="li",
        label="Lights",
        group="Main",
        state=State.OK,
        timestamp=STAMP,
        members=(DefLight(name="a", label="a", value="Idle"), DefLight(name="b", label="b", value="Idle")),
    )


def test_definitions_of_the_other_kinds() -> None:
    common = {"device": "Dome", "group": "Main", "state": State.IDLE, "timestamp": STAMP}
    assert texts().define(timestamp=NOW) == DefTextVector(
        name="tx",
        label="Texts",
        perm=Permission.RW,
        timeout="0",
        members=(DefText(name="a", label="a"), DefText(name="b", label="b")),
        **common,  # type: ignore[arg-type]
    )
    members = numbers("wo").define(timestamp=NOW).members
    assert members[0] == DefNumber(name="a", label="a", format="%6.3m", min="0", max="0", step="0", value="1.5")
    assert blobs().define(timestamp=NOW) == DefBLOBVector(
        name="bl",
        label="Images",
        perm=Permission.RO,
        members=(DefBLOB(name="a", label="a"), DefBLOB(name="b", label="b")),
        **common,  # type: ignore[arg-type]
    )
    assert isinstance(numbers().define(timestamp=NOW), DefNumberVector)


def test_an_empty_label_is_sent_as_the_name() -> None:
    vector = texts()
    vector.label = ""
    assert vector.define(timestamp=NOW).label == "tx"


def test_a_definition_for_one_client_does_not_cost_the_others_their_update() -> None:
    vector = texts()
    vector.set_all(timestamp=NOW, state="Busy")
    vector.state, vector["a"] = State.OK, "new"
    vector.define(timestamp=NOW)
    update = vector.set_changed(timestamp=NOW)
    assert update is not None
    assert update.state is State.OK
    assert [member.name for member in update.members] == ["a"]


# -- updates ---------------------------------------------------------------------------------------------------


def test_switches_go_off_before_others_go_on() -> None:
    assert switches().set_all(timestamp=NOW) == SetSwitchVector(
        device="Dome",
        name="sw",
        state=State.IDLE,
        timeout="0",
        timestamp=STAMP,
        members=(
            OneSwitch(name="b", value="Off"),
            OneSwitch(name="c", value="Off"),
            OneSwitch(name="a", value="On"),
        ),
    )


def test_updates_of_the_other_kinds() -> None:
    assert lights().set_all(timestamp=NOW, message="m") == SetLightVector(
        device="Dome",
        name="li",
        state=State.OK,
        timestamp=STAMP,
        message="m",
        members=(OneLight(name="a", value="Idle"), OneLight(name="b", value="Idle")),
    )
    assert texts("ro").set_members(["b"], timestamp=NOW) == SetTextVector(
        device="Dome", name="tx", state=State.IDLE, timestamp=STAMP, members=(OneText(name="b"),)
    )
    assert numbers().set_members(["a"], timestamp=NOW, timeout=3) == SetNumberVector(
        device="Dome",
        name="nu",
        state=State.IDLE,
        timeout="3",
        timestamp=STAMP,
        members=(OneNumber(name="a", value="1.5"),),
    )


@pytest.mark.parametrize("make", WORD_MAKERS)
def test_a_set_without_names_carries_only_the_state(
    make: Callable[[], SwitchVectorModel | LightVectorModel | TextVectorModel | NumberVectorModel],
) -> None:
    vector = make()
    update = vector.set_members([], timestamp=NOW, state="Alert")
    assert (update.state, update.members) == (State.ALERT, ())
    assert vector.state is State.ALERT
    assert all(member.changed for member in vector.members())


def test_unknown_names_raise_before_anything_changes() -> None:
    vector = texts()
    with pytest.raises(UnknownMemberError):
        vector.set_members(["a", "x"], timestamp=NOW, state="Alert")
    assert vector.state is State.IDLE
    assert vector.member("a").changed


def test_a_name_given_twice_is_sent_once() -> None:
    assert len(texts().set_members(["a", "a"], timestamp=NOW).members) == 1


@pytest.mark.parametrize("arguments", [{"state": "ok"}, {"timeout": -1}, {"message": "\x00"}])
@pytest.mark.parametrize("maker", ["define", "set_all", "set_changed"])
def test_bad_arguments_raise_before_anything_changes(maker: str, arguments: dict[str, object]) -> None:
    vector = texts()
    vector.message = "waiting"
    with pytest.raises(ValueError, match="of vector 'tx'"):
        getattr(vector, maker)(timestamp=NOW, **({"state": "Busy", "timeout": 7} | arguments))
    assert (vector.state, vector.timeout, vector.message, vector.changed) == ("Idle", "0", "waiting", True)
    assert vector.member("a").changed


@pytest.mark.parametrize("make", MAKERS)
def test_a_vector_without_device_sends_nothing(make: Callable[[], AnyVector]) -> None:
    vector = make()
    vector.devicename = ""
    with pytest.raises(LocalProtocolError, match="belongs to no device"):
        vector.define(timestamp=NOW, state="Busy")
    with pytest.raises(LocalProtocolError, match="belongs to no device"):
        vector.refusal("no", timestamp=NOW)
    assert vector.state != "Busy"


def test_d24_nothing_changed_sends_nothing_whatever_the_state() -> None:
    for state in State:
        vector = texts()
        vector.set_all(timestamp=NOW, state=state)
        assert [vector.set_changed(timestamp=NOW, state=state) for _ in range(5)] == [None] * 5


def test_set_changed_sends_what_has_changed() -> None:
    vector = texts()
    first = vector.set_changed(timestamp=NOW)
    assert first is not None
    assert len(first.members) == 2
    vector["b"] = "new"
    second = vector.set_changed(timestamp=NOW)
    assert second is not None
    assert second.members == (OneText(name="b", value="new"),)
    assert vector.set_changed(timestamp=NOW) is None
    third = vector.set_changed(timestamp=NOW, state="Ok")
    assert third is not None
    assert (third.state, third.members) == (State.OK, ())


@pytest.mark.parametrize("arguments", [{"message": "m"}, {"timeout": 9}, {"state": "Busy"}])
def test_each_thing_to_say_is_reason_enough(arguments: dict[str, object]) -> None:
    vector = texts()
    vector.set_all(timestamp=NOW)
    assert vector.set_changed(timestamp=NOW, **arguments) is not None  # type: ignore[arg-type]
    assert vector.set_changed(timestamp=NOW) is None


def test_only_what_was_sent_stops_being_changed() -> None:
    vector = texts()
    vector.set_members(["a"], timestamp=NOW)
    assert not vector.changed
    assert [member.changed for member in vector.members()] == [False, True]


def test_d6_a_message_travels_once() -> None:
    vector = texts()
    vector.message = "Calibration failed"
    sent = [vector.set_all(timestamp=NOW, state="Ok").message for _ in range(3)]
    assert sent == ["Calibration failed", None, None]
    assert vector.set_all(timestamp=NOW, message="now").message == "now"
    assert vector.set_all(timestamp=NOW).message is None


def test_a_message_given_takes_the_place_of_the_one_waiting() -> None:
    vector = texts()
    vector.message = "old"
    assert vector.set_all(timestamp=NOW, message="new").message == "new"
    assert vector.message == ""


@pytest.mark.parametrize(
    "moment",
    [
        NOW,
        NOW.replace(tzinfo=None),
        NOW.astimezone(ZoneInfo("UTC")),
        NOW.astimezone(ZoneInfo("Europe/Berlin")),
        NOW.astimezone(timezone(timedelta(hours=-5))),
    ],
)
def test_d23_any_moment_is_sent_as_utc(moment: datetime) -> None:
    assert texts().set_all(timestamp=moment).timestamp == STAMP


def test_deletion_disables_and_everything_is_new_again() -> None:
    vector = texts()
    vector.set_all(timestamp=NOW)
    assert vector.delete(timestamp=NOW, message="gone") == DelProperty(
        device="Dome", name="tx", timestamp=STAMP, message="gone"
    )
    assert not vector.enable
    assert vector.changed
    assert all(member.changed for member in vector.members())


# -- BLOBs -----------------------------------------------------------------------------------------------------


def test_d7_content_is_sent_once_with_its_own_size() -> None:
    vector = blobs()
    vector.set_blobsize("a", 99)
    sizes = []
    for length in (10, 20, 3000):
        content = vector.member("a").content(length, data=b"x" * length)
        sizes.append(vector.set_content([content], timestamp=NOW, state="Ok").members[0].size)
    assert sizes == ["99", "20", "3000"]
    assert [member.changed for member in vector.members()] == [False, True]


def test_an_update_of_blobs() -> None:
    vector = blobs()
    content = vector.member("b").content(1, data=b"x")
    assert vector.set_content([content], timestamp=NOW, message="m") == SetBLOBVector(
        device="Dome", name="bl", state=State.IDLE, timestamp=STAMP, message="m", members=(content,)
    )
    assert vector.set_members([], timestamp=NOW, state="Busy").members == ()


def test_blobs_need_content() -> None:
    vector = blobs()
    with pytest.raises(ValueError, match="use set_content"):
        vector.set_members(["a"], timestamp=NOW, state="Busy")
    with pytest.raises(UnknownMemberError):
        vector.set_members(["x"], timestamp=NOW)
    with pytest.raises(UnknownMemberError):
        vector.set_content([BLOBMember("x").content(1)], timestamp=NOW, state="Busy")
    content = vector.member("a").content(1)
    with pytest.raises(ValueError, match="one BLOB for each member"):
        vector.set_content([content, content], timestamp=NOW, state="Busy")
    assert vector.state is State.IDLE


def test_blob_sizes_are_raised_not_logged() -> None:
    vector = blobs()
    with pytest.raises(UnknownMemberError):
        vector.set_blobsize("x", 5)
    with pytest.raises(TypeError, match="blobsize"):
        vector.set_blobsize("a", "5")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="blobsize"):
        vector.set_blobsize("a", -5)


# -- refusing a write ------------------------------------------------------------------------------------------


def test_the_answer_to_a_refused_write_repeats_all_values() -> None:
    vector = texts()
    vector.set_all(timestamp=NOW)
    vector["a"] = "hardware"
    vector.note_refusal()
    assert vector.refusal("no", timestamp=NOW) == SetTextVector(
        device="Dome",
        name="tx",
        state=State.ALERT,
        timeout="0",
        timestamp=STAMP,
        message="no",
        members=(OneText(name="a", value="hardware"), OneText(name="b")),
    )
    assert vector.state is State.ALERT
    update = vector.set_changed(timestamp=NOW, state="Ok")
    assert update is not None
    assert update.members == (OneText(name="a", value="hardware"),)


def test_a_refused_write_does_not_disturb_a_running_operation() -> None:
    vector = texts()
    vector.set_all(timestamp=NOW, state="Busy")
    vector.note_refusal()
    assert vector.refusal("no", timestamp=NOW).state is State.ALERT
    assert vector.state is State.BUSY
    update = vector.set_changed(timestamp=NOW)
    assert update is not None
    assert (update.state, update.members) == (State.BUSY, ())


def test_an_update_after_a_late_refusal_goes_out() -> None:
    """The refusal is sent when there is room; an update sent in between must be told again."""
    vector = texts()
    vector.note_refusal()
    vector.set_all(timestamp=NOW, state="Ok")
    vector.refusal("no", timestamp=NOW)
    update = vector.set_changed(timestamp=NOW)
    assert update is not None
    assert update.state is State.OK


def test_an_update_that_was_not_sent_is_sent_again() -> None:
    vector = texts()
    vector.set_all(timestamp=NOW)
    vector["a"] = "new"
    update = vector.set_changed(timestamp=NOW, message="once", state="Ok")
    assert update is not None
    assert vector.set_changed(timestamp=NOW) is None
    vector.unsent(update)
    assert vector.set_changed(timestamp=NOW) == update


def test_a_refusal_leaves_a_waiting_message_alone() -> None:
    vector = texts()
    vector.message = "later"
    assert vector.refusal("no", timestamp=NOW).message == "no"
    assert vector.set_all(timestamp=NOW).message == "later"


def test_a_refusal_of_blobs_has_none() -> None:
    assert blobs("rw").refusal("no", timestamp=NOW).members == ()


def test_a_reason_can_always_be_sent() -> None:
    assert (
        texts().refusal("broken \x1b[31mred\x00\ud800", timestamp=NOW).message == "broken \ufffd[31mred\ufffd\ufffd"
    )


@pytest.mark.parametrize("make", MAKERS)
def test_whatever_a_vector_makes_can_be_encoded(make: Callable[[], AnyVector]) -> None:
    vector = make()
    made = [
        vector.define(timestamp=NOW),
        vector.set_members([], timestamp=NOW),
        vector.refusal("no", timestamp=NOW),
        vector.delete(timestamp=NOW),
    ]
    assert all(encode(message).startswith(f"<{message.tag} ".encode()) for message in made)


@pytest.mark.parametrize(
    ("rule", "left_on"),
    [(Rule.ONE_OF_MANY, ["b"]), (Rule.AT_MOST_ONE, ["b"]), (Rule.ANY_OF_MANY, ["a", "b"])],
)
def test_one_switch_on_switches_the_others_off_where_the_rule_says_so(rule: Rule, left_on: list[str]) -> None:
    vector = switches(rule=rule)
    vector.set_all(timestamp=NOW)
    vector["b"] = "On"
    assert [name for name, value in vector.items() if value == "On"] == left_on
    update = vector.set_changed(timestamp=NOW)
    assert isinstance(update, SetSwitchVector)
    assert [(one.name, one.value) for one in update.members] == (
        [("b", "On")] if rule is Rule.ANY_OF_MANY else [("a", "Off"), ("b", "On")]
    )
    vector.update(b="Off", a="On")
    assert [name for name, value in vector.items() if value == "On"] == ["a"]
