"""Instances: what they read as, what they send, what they refuse."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio import State
from indianyio.properties import Values, number
from tests.properties.declared import (
    AbsFocusPosition,
    ActiveDevices,
    Ccd1,
    Connection,
    Coordinates,
    FilterName,
    FocusMotion,
    LogOutput,
    Ports,
    WeatherParameters,
    WeatherStatus,
)


def refused(make: Callable[..., object], error: type[Exception], **members: object) -> str:
    """Return the text of the error with which this is refused."""
    with pytest.raises(error) as caught:
        make(**members)
    return str(caught.value)


# -- reading -------------------------------------------------------------------------------------------------------


def test_what_was_not_given_reads_as_its_default_and_is_not_sent() -> None:
    target = Coordinates(ra=12)
    assert (target.ra, target.dec) == (12.0, 90.0)
    assert type(target.ra) is float
    assert target.given == ("RA",)
    assert target.to_wire() == {"RA": "12.0"}
    assert Coordinates().given == ()
    assert Coordinates().to_wire() == {}


def test_the_class_reads_as_its_defaults() -> None:
    assert Coordinates.dec == 90.0
    assert FilterName.names == {}
    assert WeatherStatus.rain is State.ALERT


@pytest.mark.parametrize(
    ("values", "wire"),
    [
        (Coordinates(dec=-0.1, ra=0.1 + 0.2), {"DEC": "-0.1", "RA": "0.30000000000000004"}),
        (Connection(connect=True), {"CONNECT": "On"}),
        (LogOutput(to_client=False, to_file=False), {"CLIENT_DEBUG": "Off", "FILE_DEBUG": "Off"}),
        (ActiveDevices(telescope="Ærø <1>"), {"ACTIVE_TELESCOPE": "Ærø <1>"}),
        (FilterName(names={"FILTER_SLOT_NAME_1": "Red"}), {"FILTER_SLOT_NAME_1": "Red"}),
        (Ports(none=False, ports={"/dev/ttyUSB0": True}), {"NONE": "Off", "/dev/ttyUSB0": "On"}),
        (WeatherStatus(rain=State.OK, others={"WIND": State.BUSY}), {"WEATHER_RAIN": "Ok", "WIND": "Busy"}),
        (Ccd1(data=b"\0\1"), {"CCD1": b"\0\1"}),
    ],
)
def test_what_goes_on_the_wire_comes_back(values: Values, wire: dict[str, str | bytes]) -> None:
    assert values.to_wire() == wire
    assert values.given == tuple(wire)
    back = type(values).from_wire(values.to_wire())
    assert back == values
    assert hash(back) == hash(values)
    assert back.given == values.given


@given(st.floats(-90, 90))
def test_a_number_comes_back_exactly(dec: float) -> None:
    wire = Coordinates(dec=dec).to_wire()
    assert Coordinates.from_wire(wire).dec == dec


@pytest.mark.parametrize("values", [Connection(connect=True), FocusMotion(outward=True), Ports(ports={"a": True})])
def test_where_one_switch_is_given_as_on_the_others_read_as_off(values: Values) -> None:
    on = [name for name in ("connect", "disconnect", "inward", "outward", "none") if getattr(values, name, False)]
    assert (
        on == {"CONNECTION": ["connect"], "FOCUS_MOTION": ["outward"], "SYSTEM_PORTS": []}[values.declaration.name]
    )
    assert len(values.given) == 1


def test_where_none_is_given_as_on_the_defaults_hold() -> None:
    assert Connection().disconnect
    assert not Connection(connect=True).disconnect
    assert LogOutput(to_file=True).to_client


def test_patterns_match_by_keyword() -> None:
    match AbsFocusPosition(steps=7):
        case Coordinates():
            pytest.fail("it is of another class")
        case AbsFocusPosition(steps=steps):
            assert steps == 7


# -- identity ------------------------------------------------------------------------------------------------------


def test_equal_is_what_reads_alike() -> None:
    assert Coordinates(dec=90) == Coordinates() == Coordinates(ra=6)
    assert len({Coordinates(dec=90), Coordinates(), Coordinates(ra=6), Coordinates(ra=7)}) == 2
    assert Coordinates(ra=7) != Coordinates()
    assert FilterName(names={"a": "b"}) == FilterName(names={"a": "b"}) != FilterName(names={"a": "c"})

    class Same(AbsFocusPosition):
        """The same under another name."""

    assert Same(steps=1) != AbsFocusPosition(steps=1)


@pytest.mark.parametrize("change", ["steps", "anything", "_given"])
def test_an_instance_cannot_be_changed(change: str) -> None:
    position = AbsFocusPosition(steps=1)
    with pytest.raises(AttributeError, match=rf"AbsFocusPosition\.{change} cannot be changed; replace"):
        setattr(position, change, 2.0)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del position.steps
    assert position.steps == 1


def test_a_mapping_cannot_be_changed_from_outside() -> None:
    names = {"a": "b"}
    values = FilterName(names=names)
    names["a"] = "c"
    assert values.names == {"a": "b"}
    with pytest.raises(TypeError):
        values.names["a"] = "c"  # type: ignore[index]


@pytest.mark.parametrize(
    "values", [Connection(connect=True), Ports(none=False, ports={"a": True}), Ccd1(data=b"1")]
)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda values: pickle.loads(pickle.dumps(values))])
def test_a_copy_is_equal(values: Values, duplicate: Callable[[Values], Values]) -> None:
    twin = duplicate(values)
    assert twin == values
    assert twin.given == values.given
    with pytest.raises(AttributeError):
        twin.anything = 1  # type: ignore[attr-defined]


def test_its_text_shows_what_was_given() -> None:
    assert repr(Coordinates(dec=3)) == "Coordinates(dec=3.0)"
    assert repr(FilterName(names={"a": "b"})) == "FilterName(names={'a': 'b'})"
    assert repr(Ccd1(data=bytes(5000))) == "Ccd1(data=<5000 bytes>)"


# -- refusing ------------------------------------------------------------------------------------------------------

STEPS = "AbsFocusPosition (ABS_FOCUS_POSITION): steps (FOCUS_ABSOLUTE_POSITION)"


@pytest.mark.parametrize(
    ("steps", "error", "reason"),
    [
        (100_001, ValueError, "must be from 0 to 100000, not 100001"),
        (-0.5, ValueError, "must be from 0 to 100000, not -0.5"),
        (math.nan, ValueError, "must be finite, not nan"),
        (math.inf, ValueError, "must be finite, not inf"),
        (10**400, ValueError, "must be a number that fits a float; this one is too large"),
        ("3", TypeError, "must be a number, not '3'"),
        (True, TypeError, "must be a number, not True"),
        (np.bool_(True), TypeError, "must be a number, not np.True_"),
        (None, TypeError, "must be a number, not None"),
    ],
)
def test_a_number_is_finite_and_within_its_limits(steps: object, error: type[Exception], reason: str) -> None:
    assert refused(AbsFocusPosition, error, steps=steps) == f"{STEPS} {reason}"


@pytest.mark.parametrize("steps", [0, 100_000, np.float32(2.5), np.int16(7), 3.25])
def test_whatever_is_a_number_is_taken(steps: float) -> None:
    assert AbsFocusPosition(steps=steps).steps == float(steps)


@pytest.mark.parametrize(
    ("make", "members", "error", "reason"),
    [
        (Connection, {"connect": 1}, TypeError, "connect (CONNECT) must be True or False, not 1"),
        (Connection, {"connect": "On"}, TypeError, "connect (CONNECT) must be True or False, not 'On'"),
        (ActiveDevices, {"rotator": 5}, TypeError, "rotator (ACTIVE_ROTATOR) must be a str, not int"),
        (ActiveDevices, {"rotator": "a\x07"}, ValueError, "rotator (ACTIVE_ROTATOR) has U+0007 at position 1"),
        (WeatherStatus, {"rain": "Wet"}, ValueError, "rain (WEATHER_RAIN) must be one of Idle, Ok, Busy, Alert"),
        (WeatherStatus, {"rain": 1}, TypeError, "rain (WEATHER_RAIN) must be a State, not 1"),
        (Ccd1, {"data": "text"}, TypeError, "data (CCD1) must be bytes, not 'text'"),
        (Ccd1, {"data": b""}, ValueError, "data (CCD1) must not be empty"),
        (
            FilterName,
            {"names": ["Red"]},
            TypeError,
            "names must be a mapping of names on the wire to values",
        ),
        (FilterName, {"names": {"a": 1}}, TypeError, "names['a'] must be a str, not int"),
        (FilterName, {"names": {"": "Red"}}, ValueError, "names: a name is empty"),
        (FilterName, {"names": {5: "Red"}}, TypeError, "names: a name must be a str, not int"),
        (WeatherParameters, {"sensors": {"T": 101}}, ValueError, "sensors['T'] must be from -50 to 100, not 101"),
        (Ports, {"ports": {"NONE": True}}, ValueError, "ports cannot have 'NONE', which is the member none"),
    ],
)
def test_an_error_names_class_property_and_member(
    make: type[Values], members: dict[str, object], error: type[Exception], reason: str
) -> None:
    text = refused(make, error, **members)
    assert text.startswith(f"{make.__name__} ({make.declaration.name}): {reason}")


def test_a_member_that_is_not_there() -> None:
    text = refused(Coordinates, TypeError, alt=1)
    assert text == "Coordinates has no member 'alt'; it has ra, dec"
    with pytest.raises(TypeError):
        Coordinates(1.0)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("make", "members", "reason"),
    [
        (
            Connection,
            {"connect": True, "disconnect": True},
            "only one switch may be On (OneOfMany), not CONNECT, DISCONNECT",
        ),
        (Connection, {"connect": False}, "one switch must be On (OneOfMany); say which"),
        (
            FocusMotion,
            {"inward": True, "outward": True},
            "only one switch may be On (AtMostOne), not FOCUS_INWARD",
        ),
        (Ports, {"none": True, "ports": {"a": True}}, "only one switch may be On (AtMostOne), not NONE, a"),
        (Ports, {"ports": {"a": True, "b": True}}, "only one switch may be On (AtMostOne), not a, b"),
    ],
)
def test_the_rule_of_switches_holds(make: type[Values], members: dict[str, object], reason: str) -> None:
    text = refused(make, ValueError, **members)
    assert text.startswith(f"{make.__name__} ({make.declaration.name}): {reason}")


def test_what_the_rule_allows() -> None:
    assert FocusMotion(inward=False, outward=False).to_wire() == {"FOCUS_INWARD": "Off", "FOCUS_OUTWARD": "Off"}
    assert LogOutput(to_client=True, to_file=True).given == ("CLIENT_DEBUG", "FILE_DEBUG")
    assert Connection(connect=True, disconnect=False).given == ("CONNECT", "DISCONNECT")


# -- replace -------------------------------------------------------------------------------------------------------


def test_replace_changes_some_members_and_keeps_the_others() -> None:
    before = Coordinates(ra=1)
    after = before.replace(dec=2)
    assert after.to_wire() == {"RA": "1.0", "DEC": "2.0"}
    assert before.given == ("RA",)
    assert before.replace() == before


def test_replace_turns_off_what_was_on() -> None:
    on = Connection(connect=True)
    assert on.replace(disconnect=True).to_wire() == {"CONNECT": "Off", "DISCONNECT": "On"}
    assert Ports(ports={"a": True}).replace(none=True).to_wire() == {"a": "Off", "NONE": "On"}
    assert LogOutput(to_client=True).replace(to_file=True).to_client


def test_replace_checks_what_it_is_given() -> None:
    assert "must be from 0 to 100000" in refused(AbsFocusPosition(steps=1).replace, ValueError, steps=-1)
    assert "has no member" in refused(AbsFocusPosition(steps=1).replace, TypeError, step=1)
    assert "one switch must be On" in refused(Connection(connect=True).replace, ValueError, connect=False)
    # What the instrument itself has said is no mistake of whoever changes something else.
    beyond = Coordinates.from_wire({"RA": "25", "DEC": "0"})
    assert beyond.replace(dec=1).ra == 25


# -- from the wire -------------------------------------------------------------------------------------------------


def test_reading_is_tolerant() -> None:
    read = Coordinates.from_wire({"RA": " 12:30:36 ", "DEC": "-0:30", "ALT": "5"})
    assert (read.ra, read.dec) == (12.51, -0.5)
    assert read.given == ("RA", "DEC")
    assert Coordinates.from_wire({"RA": "30"}).ra == 30  # beyond the limits, but the driver knows better
    assert Coordinates.from_wire({}) == Coordinates()
    assert Connection.from_wire({"CONNECT": "\nOn\n"}).connect
    assert WeatherStatus.from_wire({"WEATHER_RAIN": " Ok"}).rain is State.OK


def test_what_has_been_read_already_is_taken() -> None:
    assert Coordinates.from_wire({"RA": 3, "DEC": 4.5}) == Coordinates(ra=3, dec=4.5)
    assert Connection.from_wire({"CONNECT": True, "DISCONNECT": False}).connect
    assert WeatherStatus.from_wire({"WIND": State.OK}).others == {"WIND": State.OK}
    assert Ccd1.from_wire({"CCD1": memoryview(b"abc")}).data == b"abc"
    assert Ccd1.from_wire({"CCD1": None}).given == ()


def test_switches_that_break_their_rule_are_read_as_they_are() -> None:
    assert not Connection.from_wire({"CONNECT": "Off", "DISCONNECT": "Off"}).disconnect
    both = Connection.from_wire({"CONNECT": "On", "DISCONNECT": "On"})
    assert both.connect
    assert both.disconnect


@pytest.mark.parametrize(
    ("make", "wire", "error", "reason"),
    [
        (Coordinates, {"RA": "twelve"}, ValueError, "ra (RA) must be a number: 'twelve' is not a number"),
        (Coordinates, {"RA": True}, TypeError, "ra (RA) must be a number or the text of one, not True"),
        (Connection, {"CONNECT": "1"}, ValueError, "connect (CONNECT) must be On or Off, not '1'"),
        (WeatherStatus, {"WIND": "Wet"}, ValueError, "WIND must be one of Idle, Ok, Busy, Alert, not 'Wet'"),
        (FilterName, {"A": b"Red"}, TypeError, "A must be a text, not b'Red'"),
        (Ccd1, {"CCD1": "text"}, TypeError, "data (CCD1) must be bytes, not 'text'"),
    ],
)
def test_what_cannot_be_read_is_not_made_up(
    make: type[Values], wire: dict[str, object], error: type[Exception], reason: str
) -> None:
    text = refused(lambda: make.from_wire(wire), error)
    assert text == f"{make.__name__} ({make.declaration.name}): {reason}"


def test_what_is_no_number_can_be_read_but_not_sent() -> None:
    broken = WeatherParameters.from_wire({"T": "nan"})
    assert math.isnan(broken.sensors["T"])
    with pytest.raises(ValueError, match="finite"):
        broken.to_wire()


def test_a_class_without_a_name_has_no_instances() -> None:
    class Limited(Values):
        """For others."""

        low: float = number("LOW")

    for make in (lambda: Limited(low=1), Limited, Values, lambda: Limited.from_wire({"LOW": "1"})):
        assert "is not a property, as it has no name" in refused(make, TypeError)
