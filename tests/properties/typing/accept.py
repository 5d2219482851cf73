"""What type checkers must accept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

from indianyio import AnyVector, State, sync
from indianyio import client as clients
from indianyio.instrument import BoundProperty, bind
from indianyio.properties import Declaration, Values, light, number, switch, texts


class AbsFocusPosition(Values, name="ABS_FOCUS_POSITION", perm="rw", state="Ok", timeout=60):
    steps: float = number("FOCUS_ABSOLUTE_POSITION", label="Steps", format="%.f", max=100_000, step=1000)


class Connection(Values, name="CONNECTION", rule="OneOfMany"):
    connect: bool = switch("CONNECT", label="Connect")
    disconnect: bool = switch("DISCONNECT", label="Disconnect", default=True)


class FilterName(Values, name="FILTER_NAME", label="Filter"):
    names: Mapping[str, str] = texts()


class WeatherStatus(Values, name="WEATHER_STATUS"):
    rain: State = light("WEATHER_RAIN", default=State.OK)


class Limited(Values):
    low: float = number("LOW")
    high: float = number("HIGH")


class MyPosition(AbsFocusPosition, label="Position", state=State.IDLE):
    """Another range, and a member more."""

    steps: float = number("FOCUS_ABSOLUTE_POSITION", max=5000)
    speed: float = number("SPEED")


class Alarm(Limited, name="ALARM"):
    delay: float = number("DELAY")


position = AbsFocusPosition(steps=1200)
assert_type(position, AbsFocusPosition)
assert_type(position.steps, float)
assert_type(position.replace(steps=3), AbsFocusPosition)
assert_type(position.given, tuple[str, ...])
assert_type(position.to_wire(), dict[str, str | bytes])
assert_type(AbsFocusPosition.from_wire({"FOCUS_ABSOLUTE_POSITION": "3"}), AbsFocusPosition)
assert_type(AbsFocusPosition.declaration, Declaration)

# Any member may be left out, whether it has a default of its own or not.
nothing = AbsFocusPosition(), Connection(), FilterName()
assert_type(Connection(disconnect=True).connect, bool)
assert_type(FilterName(names={"FILTER_SLOT_NAME_1": "Red"}).names, Mapping[str, str])
assert_type(WeatherStatus(rain=State.ALERT).rain, State)

# Members are inherited.
assert_type(MyPosition(steps=3, speed=1).speed, float)
assert_type(Alarm(low=1, delay=2).high, float)
anywhere: AbsFocusPosition = MyPosition(speed=1)

# They are what patterns match.
match position:
    case AbsFocusPosition(steps=0):
        place = "at the end stop"
    case AbsFocusPosition(steps=steps):
        place = f"at {steps:.0f}"


def move(to: AbsFocusPosition) -> float:
    """Take the values of one property only."""
    return to.steps


def name_of(values: Values | type[Values]) -> str:
    """Take those of any."""
    return values.declaration.name


async def drive(reported: BoundProperty[AbsFocusPosition]) -> None:
    """Use them in a driver."""
    assert_type(reported.value, AbsFocusPosition)
    assert_type(reported.wanted({"FOCUS_ABSOLUTE_POSITION": "3"}), AbsFocusPosition)
    assert_type(reported.vector, AnyVector)
    await reported.report(AbsFocusPosition(steps=3), state="Ok", message="there")
    await reported.report(MyPosition(speed=3))
    await reported.report(steps=3, state=State.BUSY)


async def script(device: clients.Device, other: sync.Device) -> None:
    """Use them in a client."""
    assert_type(device[AbsFocusPosition], AbsFocusPosition)
    assert_type(device["ABS_FOCUS_POSITION"], clients.AnyVector)
    assert_type(await device.read(FilterName, timeout=3), FilterName)
    assert_type(await device.set(AbsFocusPosition(steps=3), timeout=3, on_cancel="leave"), clients.AnyVector)
    assert_type(await device.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=3), clients.AnyVector)
    async with device.next(FilterName) as coming:
        assert_type(coming, clients.Coming)
    assert_type(other[AbsFocusPosition].steps, float)
    assert_type(other.set(Connection(connect=True)), sync.AnyVector)


typed = BoundProperty(AbsFocusPosition)
assert_type(typed, BoundProperty[AbsFocusPosition])
assert_type(BoundProperty(MyPosition, bind(MyPosition, value=MyPosition(speed=2))), BoundProperty[MyPosition])
moved = move(position)
names = name_of(position) + name_of(Connection)
by_values = {position: moved}
