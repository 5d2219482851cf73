"""From a class of values to a vector: what is declared, and what a driver says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from indianyio import (
    AnyVector,
    BLOBVector,
    Device,
    LightVector,
    NumberVector,
    Permission,
    Rule,
    State,
    SwitchVector,
    TextVector,
)
from indianyio.instrument import bind
from indianyio.properties import Values, number
from indianyio.protocol import DefBLOB, DefLight, DefNumber, DefSwitch, DefText, DefVector, encode
from tests.properties.declared import (
    AbsFocusPosition,
    ActiveDevices,
    Ccd1,
    Connection,
    Coordinates,
    FilterName,
    Ports,
    WeatherParameters,
    WeatherStatus,
)


def defined(vector: AnyVector) -> DefVector:
    """Return the definition that a client gets."""
    Device("Any", [vector])
    return vector.define(timestamp=datetime(2026, 1, 2, tzinfo=UTC))


def test_a_vector_is_as_declared() -> None:
    vector = bind(AbsFocusPosition)
    assert isinstance(vector, NumberVector)
    assert (vector.label, vector.group, vector.perm, vector.state) == (
        "Absolute Position",
        "Main Control",
        Permission.RW,
        State.OK,
    )
    assert vector.timeout == "60"
    [member] = defined(vector).members
    assert member == DefNumber(
        name="FOCUS_ABSOLUTE_POSITION",
        label="Steps",
        format="%.f",
        min="0",
        max="100000",
        step="1000",
        value="0",
    )


@pytest.mark.parametrize(
    ("cls", "kind", "members"),
    [
        (Coordinates, NumberVector, [DefNumber, DefNumber]),
        (Connection, SwitchVector, [DefSwitch, DefSwitch]),
        (ActiveDevices, TextVector, [DefText, DefText]),
        (WeatherStatus, LightVector, [DefLight]),
        (Ccd1, BLOBVector, [DefBLOB]),
    ],
)
def test_each_kind_has_its_vector(cls: type[Values], kind: type, members: list[type]) -> None:
    vector = bind(cls)
    assert type(vector) is kind
    assert [type(member) for member in defined(vector).members] == members
    assert list(vector) == [member.name for member in cls.declaration.members]


def test_what_it_reads_as_at_first() -> None:
    connection = bind(Connection)
    assert isinstance(connection, SwitchVector)
    assert connection.rule is Rule.ONE_OF_MANY
    assert dict(connection) == {"CONNECT": "Off", "DISCONNECT": "On"}
    assert dict(bind(Connection, value=Connection(connect=True))) == {"CONNECT": "On", "DISCONNECT": "Off"}
    assert dict(bind(Coordinates, value=Coordinates(ra=1))) == {"RA": "1", "DEC": "90"}
    assert dict(bind(WeatherStatus)) == {"WEATHER_RAIN": "Alert"}
    image = bind(Ccd1)
    assert isinstance(image, BLOBVector)
    assert image["CCD1"] is None
    assert image.member("CCD1").blobformat == ".fits"


def test_a_driver_says_otherwise() -> None:
    vector = bind(
        AbsFocusPosition,
        label="Drawtube",
        group="Focus",
        perm="ro",
        state="Idle",
        timeout=5,
        limits={"steps": (10, 5000, 10)},
    )
    definition = encode(defined(vector)).decode()
    assert 'label="Drawtube" group="Focus" state="Idle" perm="ro"' in definition
    assert 'min="10" max="5000" step="10"' in definition
    assert vector.timeout == "5"
    kept = bind(AbsFocusPosition, limits={"steps": (10, 5000)})
    assert isinstance(kept, NumberVector)
    assert kept.member("FOCUS_ABSOLUTE_POSITION").step == "1000"


def test_members_are_made_at_run_time() -> None:
    names = {"FILTER_SLOT_NAME_1": "Filter#1", "FILTER_SLOT_NAME_2": "Filter#2"}
    vector = bind(FilterName, made=names, value=FilterName(names={"FILTER_SLOT_NAME_2": "Red", "SPARE": "Blue"}))
    assert dict(vector) == {"FILTER_SLOT_NAME_1": "", "FILTER_SLOT_NAME_2": "Red", "SPARE": "Blue"}
    assert [member.label for member in vector.members()] == ["Filter#1", "Filter#2", "SPARE"]
    assert dict(bind(Ports, made={"/dev/ttyUSB0": "ttyUSB0"})) == {"NONE": "Off", "/dev/ttyUSB0": "Off"}


def test_each_of_them_may_have_limits_of_its_own() -> None:
    vector = bind(
        WeatherParameters,
        made={"T": "Temperature", "RH": "Humidity"},
        limits={"sensors": (-20, 40), "RH": (0, 100)},
    )
    assert isinstance(vector, NumberVector)
    limits = {member.name: (member.min, member.max, member.format) for member in vector.members()}
    assert limits == {"T": ("-20", "40", "%4.2f"), "RH": ("0", "100", "%4.2f")}


def test_a_device_need_not_have_every_member() -> None:
    vector = bind(Coordinates, without=["dec"])
    assert dict(vector) == {"RA": "6"}


class Nameless(Values):
    value: float = number("VALUE")


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        (lambda: bind(Nameless), TypeError, "Nameless is not a property, because it has no name"),
        (lambda: bind(FilterName), ValueError, "needs at least one member"),
        (lambda: bind(Coordinates, without=["ra", "dec"]), ValueError, "needs at least one member"),
        (lambda: bind(Coordinates, without=["alt"]), TypeError, "without: Coordinates has no member 'alt'"),
        (lambda: bind(Coordinates, limits={"alt": (0, 1)}), TypeError, "limits: Coordinates has no member 'alt'"),
        (
            lambda: bind(Coordinates, limits={"ra": (1, 0)}),
            ValueError,
            "Coordinates.ra are the wrong way around",
        ),
        (lambda: bind(Connection, limits={"connect": (0, 1)}), TypeError, "Switch members, which have no limits"),
        (lambda: bind(Connection, made={"A": "A"}), TypeError, "are made at run time, such as A"),
        (lambda: bind(Connection, value=Coordinates()), TypeError, "must be one of its values, not Coordinates()"),
        (lambda: bind(Coordinates, perm="wr"), ValueError, "must be one of ro, wo, rw"),
        (lambda: bind(Coordinates, state="Fine"), ValueError, "must be one of Idle, Ok, Busy, Alert"),
    ],
)
def test_mistakes(wrong: Callable[[], object], error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as caught:
        wrong()
    assert reason in str(caught.value)
