from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from indianyio import _model as model
from indianyio import driver
from indianyio._model import SnoopEvent, SnoopMessage, snoop_event
from indianyio._vocabulary import Limits, Permission, Rule, State
from indianyio.driver import AnyVector, NewEvent
from indianyio.driver._events import new_event
from indianyio.exceptions import NumberFormatError, UnknownMemberError
from indianyio.protocol._elements import (
    DefBLOB,
    DefLight,
    DefNumber,
    DefSwitch,
    DefText,
    OneBLOB,
    OneLight,
    OneNumber,
    OneSwitch,
    OneText,
)
from indianyio.protocol._encoder import encode
from indianyio.protocol._messages import (
    MESSAGES,
    DefBLOBVector,
    DefLightVector,
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    DelProperty,
    GetProperties,
    Message,
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    SetBLOBVector,
    SetLightVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
)

from .vectors import NOW, STAMP, blobs, numbers, switches, texts


class Shared:
    """An attachment whose file is larger than its content, as libindi's are."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.closed = False

    def read(self, length: int) -> bytes:
        file = self._content + b"\0" * 16
        if length > len(file):
            raise ValueError("there are not so many bytes")
        return file[:length]

    def close(self) -> None:
        self.closed = True


def written(message: NewVector | GetProperties, vector: AnyVector) -> NewEvent:
    return new_event(message, vector, b"", NOW)


def snooped(message: SnoopMessage) -> SnoopEvent:
    return snoop_event(message, b"", NOW)


def one_blob(**fields: object) -> OneBLOB:
    return OneBLOB(name="a", **fields)  # type: ignore[arg-type]


# -- what clients ask for --------------------------------------------------------------------------------------


def test_a_request_for_definitions() -> None:
    vector = texts()
    event = written(GetProperties(), vector)
    assert isinstance(event, driver.getProperties)
    assert (event.devicename, event.vectorname, event.vector) == ("Dome", "tx", vector)
    assert event.timestamp is NOW


def test_new_switches() -> None:
    vector = switches()
    members = (OneSwitch(name="b", value=" On\n"), OneSwitch(name="a", value="Off"))
    event = written(NewSwitchVector(device="Dome", name="sw", timestamp=STAMP, members=members), vector)
    assert isinstance(event, driver.newSwitchVector)
    assert dict(event) == {"b": "On", "a": "Off"}
    assert (event.devicename, event.vectorname) == ("Dome", "sw")
    assert event.vector is vector
    assert event.timestamp == NOW.replace(microsecond=0)
    assert repr(event) == "<newSwitchVector Dome.sw>"


def test_new_texts_keep_their_blanks() -> None:
    members = (OneText(name="a", value=" x "), OneText(name="b"))
    event = written(NewTextVector(device="Dome", name="tx", members=members), texts())
    assert isinstance(event, driver.newTextVector)
    assert dict(event) == {"a": " x ", "b": ""}
    assert event.timestamp is NOW


def test_new_numbers_are_texts_that_can_be_read() -> None:
    members = (OneNumber(name="a", value=" -0:30 "), OneNumber(name="b", value="banana"))
    event = written(NewNumberVector(device="Dome", name="nu", members=members), numbers())
    assert isinstance(event, driver.newNumberVector)
    assert dict(event) == {"a": "-0:30", "b": "banana"}
    assert event.getfloatvalue("a") == -0.5
    assert event.getformattedvalue("a") == " -0:30"
    with pytest.raises(NumberFormatError):
        event.getfloatvalue("b")
    with pytest.raises(UnknownMemberError):
        event.getfloatvalue("z")


def test_new_blobs() -> None:
    blob = one_blob(size="5", format=".fits", data=memoryview(b"image"))
    event = written(NewBLOBVector(device="Dome", name="bl", members=(blob,)), blobs("rw"))
    assert isinstance(event, driver.newBLOBVector)
    assert dict(event) == {"a": b"image"}
    assert type(event["a"]) is bytes
    assert event.sizeformat == {"a": (5, ".fits")}


def test_a_new_blob_of_no_bytes_is_delivered() -> None:
    event = written(
        NewBLOBVector(device="Dome", name="bl", members=(one_blob(size="0", format=".z"),)), blobs("rw")
    )
    assert isinstance(event, driver.newBLOBVector)
    assert dict(event) == {"a": b""}


@pytest.mark.parametrize(("blobformat", "left"), [(".z", ""), (".fits.z", ".fits")])
def test_compressed_blobs_are_inflated(blobformat: str, left: str) -> None:
    blob = one_blob(size="1000", format=blobformat, data=zlib.compress(b"x" * 1000))
    event = written(NewBLOBVector(device="Dome", name="bl", members=(blob,)), blobs("rw"))
    assert isinstance(event, driver.newBLOBVector)
    assert event["a"] == b"x" * 1000
    assert event.sizeformat == {"a": (1000, left)}


@pytest.mark.parametrize(
    "blob",
    [
        one_blob(size="1000", format=".z", data=zlib.compress(b"x" * 1001)),
        one_blob(size="1000", format=".z", data=zlib.compress(b"x" * 999)),
        one_blob(size="10", format=".z", data=b"no zlib"),
        one_blob(size="10", format=".z"),
        one_blob(size="many", format=".fits", data=b"x"),
        one_blob(size="2000", format=".z", data=zlib.compress(b"x" * 2000)),
        one_blob(size="2000", format=".fits", attached="true", attachment=Shared(b"x" * 2000)),
        one_blob(size="1000", format=".fits", attached="true", attachment=Shared(b"x")),
    ],
)
def test_blobs_that_cannot_be_used_are_value_errors(blob: OneBLOB) -> None:
    limits = Limits(blob_bytes=1500)
    message = NewBLOBVector(device="Dome", name="bl", members=(blob,))
    with pytest.raises(ValueError, match=r"\w"):
        new_event(message, blobs("rw"), b"", NOW, limits)


def test_a_snooped_blob_that_is_damaged_is_a_value_error() -> None:
    blob = one_blob(size="10", format=".z", data=b"no zlib")
    with pytest.raises(ValueError, match="damaged"):
        snooped(SetBLOBVector(device="D", name="v", members=(blob,)))


@pytest.mark.parametrize(("size", "length"), [("5", None), ("99", "5")])
def test_attached_blobs_are_read_and_left_open(size: str, length: str | None) -> None:
    shared = Shared(b"image")
    blob = one_blob(size=size, format=".fits", len=length, attached="true", attachment=shared)
    event = snooped(SetBLOBVector(device="Dome", name="bl", members=(blob,)))
    assert isinstance(event, model.setBLOBVector)
    assert event["a"] == b"image"
    assert event.sizeformat == {"a": (int(size), ".fits")}
    assert not shared.closed


# -- all events ------------------------------------------------------------------------------------------------


def test_d28_an_event_refuses_assignment_with_a_key_error() -> None:
    message = NewTextVector(device="Dome", name="tx", members=(OneText(name="a", value="x"),))
    event = written(message, texts())
    assert isinstance(event, driver.newTextVector)
    with pytest.raises(KeyError):
        event["a"] = "y"
    assert event["a"] == "x"
    with pytest.raises(UnknownMemberError, match=r"Dome.tx has no member 'z'"):
        event["z"]
    assert "z" not in event
    assert len(event) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, NOW),
        ("2024-01-01T10:00:00Z", datetime(2024, 1, 1, 10, tzinfo=UTC)),
        ("2024-01-01T10:00:00+02:00", datetime(2024, 1, 1, 8, tzinfo=UTC)),
        ("yesterday", None),
    ],
)
def test_d23_timestamps_of_events_are_aware_utc(text: str | None, expected: datetime | None) -> None:
    event = snooped(Message(device="Dome", timestamp=text, message="hello"))
    assert event.timestamp == expected


def test_the_root_is_parsed_when_it_is_asked_for() -> None:
    message = SetTextVector(device="Dome", name="tx", state=State.OK, members=(OneText(name="a", value="x & y"),))
    event = snoop_event(message, encode(message), NOW)
    assert event.root.tag == "setTextVector"
    assert event.root.attrib["state"] == "Ok"
    assert event.root[0].text == "x & y"
    assert event.root is event.root
    snoop_event(message, b"<not XML", NOW)


def test_d2_every_message_a_driver_may_get_has_an_event() -> None:
    from indianyio._model import _snoop_events
    from indianyio.driver import _events

    tags = {*_events._EVENTS, *_snoop_events._EVENTS}
    assert set(MESSAGES) - tags == {"enableBLOB", "pingRequest", "pingReply"}
    assert _snoop_events._EVENTS["message"] is model.Message
    assert _snoop_events._EVENTS["setBLOBVector"] is model.setBLOBVector


# -- what other devices say ------------------------------------------------------------------------------------


def test_d2_a_message() -> None:
    event = snooped(Message(device="Dome", timestamp=STAMP, message="hello"))
    assert isinstance(event, model.Message)
    assert (event.devicename, event.vectorname, event.message) == ("Dome", None, "hello")
    event = snooped(Message())
    assert isinstance(event, model.Message)
    assert (event.devicename, event.message) == (None, "")


@pytest.mark.parametrize("name", ["tx", None])
def test_a_deletion(name: str | None) -> None:
    event = snooped(DelProperty(device="Dome", name=name, message="bye"))
    assert isinstance(event, model.delProperty)
    assert (event.devicename, event.vectorname, event.message) == ("Dome", name, "bye")


def test_a_definition_of_switches() -> None:
    event = snooped(
        DefSwitchVector(
            device="Dome",
            name="sw",
            label="Switches",
            group="Main",
            state=State.OK,
            perm=Permission.RW,
            rule=Rule.ONE_OF_MANY,
            timeout="5",
            message="m",
            members=(DefSwitch(name="a", label="A", value=" On "),),
        )
    )
    assert isinstance(event, model.defSwitchVector)
    assert (event.label, event.group, event.state, event.message) == ("Switches", "Main", "Ok", "m")
    assert (event.perm, event.rule, event.timeout) == ("rw", "OneOfMany", "5")
    assert dict(event) == {"a": "On"}
    assert event.memberlabels == {"a": "A"}


EMPTY: list[tuple[SnoopMessage, dict[str, str], Mapping[str, object]]] = [
    (DefSwitchVector(device="D", name="v", members=(DefSwitch(name="a"),)), {"a": ""}, {"a": "a"}),
    (DefTextVector(device="D", name="v", members=(DefText(name="a"),)), {"a": ""}, {"a": "a"}),
    (DefLightVector(device="D", name="v", members=(DefLight(name="a"),)), {"a": ""}, {"a": "a"}),
    (
        DefNumberVector(device="D", name="v", members=(DefNumber(name="a"),)),
        {"a": ""},
        {"a": ("a", "%g", "0", "0", "0")},
    ),
    (DefBLOBVector(device="D", name="v", members=(DefBLOB(name="a"),)), {}, {"a": "a"}),
    (DefSwitchVector(device="D", name="v"), {}, {}),
    (DefNumberVector(device="D", name="v"), {}, {}),
]


@pytest.mark.parametrize(("message", "values", "labels"), EMPTY)
def test_d19_d22_a_bare_definition_is_an_event(
    message: SnoopMessage, values: dict[str, str], labels: Mapping[str, object]
) -> None:
    event = snooped(message)
    assert isinstance(
        event,
        model.defSwitchVector
        | model.defTextVector
        | model.defLightVector
        | model.defNumberVector
        | model.defBLOBVector,
    )
    assert dict(event) == values
    assert event.memberlabels == labels
    assert (event.label, event.group, event.state, event.message) == ("v", "", None, "")
    assert getattr(event, "perm", None) is None
    assert getattr(event, "timeout", "0") == "0"
    assert getattr(event, "rule", None) is None


def test_a_definition_of_numbers() -> None:
    member = DefNumber(name="a", label="A", format="%9.6m", min="0", max="24", step="1", value=" 12:30 ")
    event = snooped(DefNumberVector(device="D", name="v", members=(member, DefNumber(name="b"))))
    assert isinstance(event, model.defNumberVector)
    assert event["a"] == "12:30"
    assert event.getfloatvalue("a") == 12.5
    assert event.memberlabels["a"] == ("A", "%9.6m", "0", "24", "1")
    with pytest.raises(NumberFormatError):
        event.getfloatvalue("b")
    with pytest.raises(UnknownMemberError):
        event.getfloatvalue("c")


STATE_ONLY: list[SnoopMessage] = [
    SetSwitchVector(device="D", name="v", state=State.ALERT, message="m"),
    SetTextVector(device="D", name="v", state=State.ALERT, message="m"),
    SetNumberVector(device="D", name="v", state=State.ALERT, message="m"),
    SetLightVector(device="D", name="v", state=State.ALERT, message="m"),
    SetBLOBVector(device="D", name="v", state=State.ALERT, message="m"),
    SetBLOBVector(device="D", name="v", state=State.ALERT, message="m", members=(one_blob(size="0", format=".x"),)),
]


@pytest.mark.parametrize("message", STATE_ONLY)
def test_d20_an_update_without_members_is_an_event(message: SnoopMessage) -> None:
    event = snooped(message)
    assert isinstance(
        event,
        model.setSwitchVector
        | model.setTextVector
        | model.setNumberVector
        | model.setLightVector
        | model.setBLOBVector,
    )
    assert dict(event) == {}
    assert (event.state, event.message) == (State.ALERT, "m")
    assert getattr(event, "timeout", "0") == "0"


def test_updates_of_each_kind() -> None:
    texts_event = snooped(
        SetTextVector(device="D", name="v", timeout="7", members=(OneText(name="a", value=" x "),))
    )
    assert isinstance(texts_event, model.setTextVector)
    assert (dict(texts_event), texts_event.timeout, texts_event.state) == ({"a": " x "}, "7", None)
    switch = OneSwitch(name="a", value=" On ")
    switch_event = snooped(SetSwitchVector(device="D", name="v", members=(switch,)))
    assert isinstance(switch_event, model.setSwitchVector)
    assert dict(switch_event) == {"a": "On"}
    light_event = snooped(SetLightVector(device="D", name="v", members=(OneLight(name="a", value="Ok\n"),)))
    assert isinstance(light_event, model.setLightVector)
    assert dict(light_event) == {"a": "Ok"}
    number = snooped(SetNumberVector(device="D", name="v", members=(OneNumber(name="a", value="3:30"),)))
    assert isinstance(number, model.setNumberVector)
    assert number.getfloatvalue("a") == 3.5


@pytest.mark.parametrize(
    ("blob", "expected"),
    [
        (one_blob(size="5", format=".fits", data=b"image"), (5, ".fits")),
        (one_blob(size="23040", format=".fits.fz", data=b"image"), (23040, ".fits.fz")),
        (one_blob(format=".fits", data=b"image"), (5, ".fits")),
        (one_blob(size="5", data=b"image"), (5, ".bin")),
    ],
)
def test_snooped_blobs_may_leave_out_size_and_format(blob: OneBLOB, expected: tuple[int, str]) -> None:
    event = snooped(SetBLOBVector(device="D", name="v", members=(blob,)))
    assert isinstance(event, model.setBLOBVector)
    assert dict(event) == {"a": b"image"}
    assert event.sizeformat == {"a": expected}
