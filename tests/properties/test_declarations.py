"""Classes: what they declare, what they inherit, which mistakes are told at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

from indianyio import Permission, Rule, State
from indianyio.properties import (
    Declaration,
    Member,
    Values,
    blob,
    blobs,
    light,
    number,
    numbers,
    switch,
    switches,
    text,
    texts,
)
from tests.properties.declared import (
    AbsFocusPosition,
    Ccd1,
    Connection,
    FilterName,
    WeatherParameters,
    WeatherStatus,
)


def test_a_declaration_is_plain_data() -> None:
    assert AbsFocusPosition.declaration == Declaration(
        name="ABS_FOCUS_POSITION",
        label="Absolute Position",
        group="Main Control",
        kind="Number",
        perm=Permission.RW,
        rule=None,
        timeout=60.0,
        state=State.OK,
        members=(
            Member(
                kind="Number",
                attribute="steps",
                name="FOCUS_ABSOLUTE_POSITION",
                label="Steps",
                format="%.f",
                min=0.0,
                max=100_000.0,
                step=1000.0,
                default=0.0,
            ),
        ),
        template=None,
    )
    with pytest.raises(AttributeError):
        AbsFocusPosition.declaration.name = "OTHER"  # type: ignore[misc]


def test_what_is_not_said_has_a_default() -> None:
    class Bare(Values, name="BARE"):
        value: str = text("VALUE")

    declared = Bare.declaration
    assert (declared.label, declared.group, declared.perm, declared.timeout, declared.state) == (
        "BARE",
        "Main Control",
        Permission.RW,
        0,
        State.IDLE,
    )
    assert declared.members[0].label == "VALUE"
    assert WeatherStatus.declaration.perm is Permission.RO  # nobody writes lights
    assert Ccd1.declaration.members[0].format == ".fits"


def test_members_of_run_time_have_a_template() -> None:
    assert FilterName.declaration.members == ()
    template = WeatherParameters.declaration.template
    assert template == Member(
        kind="Number", attribute="sensors", name="", label="", format="%4.2f", min=-50.0, max=100.0, default=0.0
    )


def test_a_subclass_adds_members_and_changes_keywords() -> None:
    class MyPosition(AbsFocusPosition, label="Position", timeout=120):
        steps: float = number("FOCUS_ABSOLUTE_POSITION", max=5000, default=2500)
        speed: float = number("SPEED")

    declared = MyPosition.declaration
    assert (declared.name, declared.label, declared.timeout) == ("ABS_FOCUS_POSITION", "Position", 120)
    assert [(member.attribute, member.max) for member in declared.members] == [("steps", 5000), ("speed", 0)]
    assert MyPosition(speed=3).steps == 2500
    with pytest.raises(ValueError, match=r"MyPosition .* from 0 to 5000"):
        MyPosition(steps=6000)
    assert AbsFocusPosition.declaration.members[0].max == 100_000
    assert AbsFocusPosition().steps == 0


def test_a_subclass_may_have_another_rule() -> None:
    class Both(Connection, rule="AnyOfMany"):
        """As many as one likes."""

    assert Both(connect=True).disconnect
    assert Both(connect=True, disconnect=True).given == ("CONNECT", "DISCONNECT")
    assert not Connection(connect=True).disconnect


def test_members_are_mixed_in_in_the_order_of_the_bases() -> None:
    class Limits(Values, group="Options"):
        low: float = number("LOW")
        high: float = number("HIGH")

    class Hysteresis(Values, rule=None, timeout=5):
        width: float = number("WIDTH")

    class Alarm(Hysteresis, Limits, name="ALARM"):
        delay: float = number("DELAY")

    assert [member.name for member in Alarm.declaration.members] == ["LOW", "HIGH", "WIDTH", "DELAY"]
    assert (Alarm.declaration.group, Alarm.declaration.timeout) == ("Options", 5)
    assert Alarm(low=1, delay=2).to_wire() == {"LOW": "1.0", "DELAY": "2.0"}


def test_a_class_may_have_methods_of_its_own() -> None:
    class Binning(Values, name="CCD_BINNING"):
        x: float = number("HOR_BIN", min=1, max=4, default=1)
        y: float = number("VER_BIN", min=1, max=4, default=1)

        @property
        def area(self) -> float:
            return self.x * self.y

    assert Binning(x=2, y=3).area == 6


class _Both(Values):
    value: float = number("VALUE")


def declare(body: dict[str, object], *bases: type[Values], **keywords: object) -> None:
    """Make a class as a class statement would."""
    type("Wrong", bases or (Values,), body, **keywords)


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        (lambda: declare({}, name="X"), TypeError, "Wrong (X) has no members"),
        (lambda: declare({}, name=""), ValueError, "the name of Wrong is empty"),
        (lambda: declare({"a": number("A")}, name="Ä"), ValueError, "the name of Wrong has U+00C4"),
        (lambda: declare({"a": number("A"), "b": text("B")}, name="X"), TypeError, "b is a Text, a is a Number"),
        (
            lambda: declare({"a": number("A"), "b": number("A")}, name="X"),
            ValueError,
            "two members with the name",
        ),
        (
            lambda: declare({"a": texts(), "b": texts()}, name="X"),
            TypeError,
            "a and b would both hold every",
        ),
        (lambda: declare({"a": switch("A")}, name="X"), TypeError, "needs rule=, one of OneOfMany, AtMostOne, Any"),
        (
            lambda: declare({"a": number("A")}, name="X", rule="AnyOfMany"),
            TypeError,
            "which is for switches",
        ),
        (lambda: declare({"a": light("A")}, name="X", perm="rw"), ValueError, "has lights, which nobody can write"),
        (lambda: declare({"a": text("A")}, name="X", perm="wr"), ValueError, "perm must be one of ro, wo, rw"),
        (lambda: declare({"a": text("A")}, name="X", state="Fine"), ValueError, "state must be one of Idle, Ok"),
        (lambda: declare({"a": text("A")}, name="X", timeout=-1), ValueError, "timeout must not be negative"),
        (lambda: declare({"a": text("A")}, name="X", timeout="1"), TypeError, "timeout must be a number, not '1'"),
        (lambda: declare({"a": text("A")}, name="X", label="\0"), ValueError, "label has U+0000"),
        (lambda: declare({"a": text("A")}, name="X", colour="red"), TypeError, "colour"),
        (
            lambda: declare(
                {"a": switch("A", default=True), "b": switch("B", default=True)}, name="X", rule="AtMostOne"
            ),
            ValueError,
            "by default only one switch may be On (AtMostOne), not a, b",
        ),
        (lambda: declare({"given": text("A")}, name="X"), TypeError, "given cannot be the name of a member"),
        (lambda: declare({"_a": text("A")}, name="X"), TypeError, "_a cannot be the name of a member"),
        (lambda: declare({"value": 5.0}, _Both, name="X"), TypeError, "value is a member already; to change it"),
        (lambda: number(""), ValueError, "a number's name is empty"),
        (lambda: number("A", min=float("nan")), ValueError, "number('A'): min must be finite"),
        (lambda: number("A", min=5), ValueError, "number('A'): min must not be above max, but 5 is above 0"),
        (lambda: number("A", default="1"), TypeError, "number('A'): default must be a number"),  # type: ignore[arg-type]
        (lambda: number("A", format="%s"), ValueError, "number('A'): format: number format '%s' is neither"),
        (lambda: number("A", format=""), ValueError, "number('A'): format must not be empty"),
        (lambda: switch("A", default=1), TypeError, "switch('A'): default must be True or False"),  # type: ignore[arg-type]
        (lambda: text("A", default="\0"), ValueError, "text('A'): default has U+0000"),
        (lambda: text("A", label="\0"), ValueError, "the label of 'A' has U+0000"),
        (lambda: blob("A", format="fits"), ValueError, "blob('A'): format must be a suffix with its dot"),
    ],
)
def test_a_mistake_is_told_where_the_class_is_written(
    wrong: Callable[[], object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error) as caught:
        wrong()
    assert reason in str(caught.value)


def test_every_kind_can_be_made_at_run_time() -> None:
    class Outputs(Values, name="OUTPUTS", rule="AnyOfMany"):
        ports: Mapping[str, bool] = switches(default=True)

    class Levels(Values, name="LEVELS"):
        levels: Mapping[str, float] = numbers(max=5)

    class Frames(Values, name="FRAMES"):
        frames: Mapping[str, bytes] = blobs(format=".fits")

    assert Outputs(ports={"A": True, "B": False}).to_wire() == {"A": "On", "B": "Off"}
    assert Levels(levels={"A": 1}).to_wire() == {"A": "1.0"}
    assert Frames(frames={"A": b"1"}).to_wire() == {"A": b"1"}
    assert [cls.declaration.rule for cls in (Outputs, Connection)] == [Rule.ANY_OF_MANY, Rule.ONE_OF_MANY]


def test_importing_it_loads_neither_driver_nor_client() -> None:
    code = "import indianyio.properties, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"anyio", "logging", "indianyio.driver", "indianyio.client"} & set(done.stdout.split())
