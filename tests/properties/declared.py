"""A property of each kind, as the catalogue has them; annotations are texts here, as in most programs."""

from __future__ import annotations

from collections.abc import Mapping

from indianyio import State
from indianyio.properties import Values, blob, light, lights, number, numbers, switch, switches, text, texts


class AbsFocusPosition(
    Values,
    name="ABS_FOCUS_POSITION",
    label="Absolute Position",
    group="Main Control",
    perm="rw",
    state="Ok",
    timeout=60,
):
    """Where the drawtube is, and where it shall go."""

    steps: float = number("FOCUS_ABSOLUTE_POSITION", label="Steps", format="%.f", min=0, max=100_000, step=1000)


class Coordinates(Values, name="EQUATORIAL_EOD_COORD", label="Eq. Coordinates", timeout=60):
    """Where the mount points."""

    ra: float = number("RA", label="RA (hh:mm:ss)", format="%010.6m", max=24, default=6)
    dec: float = number("DEC", label="DEC (dd:mm:ss)", format="%010.6m", min=-90, max=90, default=90)


class Connection(Values, name="CONNECTION", label="Connection", rule="OneOfMany", timeout=60):
    """Whether the driver has its instrument."""

    connect: bool = switch("CONNECT", label="Connect")
    disconnect: bool = switch("DISCONNECT", label="Disconnect", default=True)


class FocusMotion(Values, name="FOCUS_MOTION", rule="AtMostOne"):
    """Where to."""

    inward: bool = switch("FOCUS_INWARD")
    outward: bool = switch("FOCUS_OUTWARD")


class LogOutput(Values, name="LOG_OUTPUT", rule="AnyOfMany", group="Options"):
    """Where log lines go."""

    to_client: bool = switch("CLIENT_DEBUG", default=True)
    to_file: bool = switch("FILE_DEBUG")


class ActiveDevices(Values, name="ACTIVE_DEVICES"):
    """Whom to snoop."""

    telescope: str = text("ACTIVE_TELESCOPE", label="Telescope", default="Telescope Simulator")
    rotator: str = text("ACTIVE_ROTATOR", label="Rotator")


class FilterName(Values, name="FILTER_NAME", label="Filter", group="Filter Wheel"):
    """What the filters are called."""

    names: Mapping[str, str] = texts()


class Ports(Values, name="SYSTEM_PORTS", rule="AtMostOne"):
    """The serial ports that there are, and a way to have none."""

    none: bool = switch("NONE")
    ports: Mapping[str, bool] = switches()


class WeatherStatus(Values, name="WEATHER_STATUS", group="Status"):
    """What the weather allows."""

    rain: State = light("WEATHER_RAIN", label="Rain", default=State.ALERT)
    others: Mapping[str, State] = lights()


class WeatherParameters(Values, name="WEATHER_PARAMETERS", perm="ro"):
    """What the sensors say."""

    sensors: Mapping[str, float] = numbers(format="%4.2f", min=-50, max=100)


class Ccd1(Values, name="CCD1", label="Image Data", group="Image Info", perm="ro"):
    """The image."""

    data: bytes = blob("CCD1", label="Image", format=".fits")
