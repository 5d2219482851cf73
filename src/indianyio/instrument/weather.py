"""Weather stations: what they measure, within which limits it is good, and whether it is safe to observe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from math import inf
from typing import Any, ClassVar, NamedTuple

import anyio
from anyio import current_time

from indianyio._vocabulary import State
from indianyio.driver import AnyVector
from indianyio.instrument._common._located import Located
from indianyio.instrument._framework._declared import Binding, Property, every, needs, overrides
from indianyio.instrument._framework._following import require_another
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._interface import Interface
from indianyio.standard.weather import (
    ActiveDevices,
    GeographicCoord,
    ParameterLimits,
    SafetyStatus,
    WeatherOverride,
    WeatherParameters,
    WeatherRefresh,
    WeatherStatus,
    WeatherUpdate,
)

__all__ = ["Weather", "WeatherParameter"]

_WORST = (State.ALERT, State.BUSY, State.OK, State.IDLE)


class WeatherParameter(NamedTuple):
    """Something that a weather station measures.

    :ivar name: its name on the wire. Clients look for WEATHER_TEMPERATURE, WEATHER_HUMIDITY, WEATHER_WIND_SPEED,
        WEATHER_WIND_GUST, WEATHER_RAIN_HOUR, WEATHER_PRESSURE, WEATHER_CLOUD_COVER and WEATHER_FORECAST.
    :ivar label: what people read, with the unit.
    :ivar min_ok: the least value that is good.
    :ivar max_ok: the greatest value that is good.
    :ivar warning_percent: how close to a limit a warning begins, in percent of the range.
    :ivar is_critical: whether the verdict depends on it. If so it needs limits; if not, its limits have no effect.
    """

    name: str
    label: str
    min_ok: float = 0.0
    max_ok: float = 0.0
    warning_percent: float = 15.0
    is_critical: bool = True


class Weather(Located):
    """A weather station; to be subclassed with :meth:`measure`.

    ::

        class MyStation(Weather):
            parameters = (
                WeatherParameter("WEATHER_TEMPERATURE", "Temperature (C)", -10, 30),
                WeatherParameter("WEATHER_WIND_SPEED", "Wind (km/h)", 0, 20),
            )

            async def measure(self) -> Mapping[str, float]:
                return {"WEATHER_TEMPERATURE": await self.thermometer(), "WEATHER_WIND_SPEED": await self.wind()}

    A value outside its limits is Alert; one close to them is Busy, which means a warning. The verdict is the worst
    of these. When the weather cannot be measured nobody knows it, so everything is Alert then, and so is a value
    that has not been measured for too long.
    """

    interface = Interface.WEATHER

    parameters: ClassVar[Sequence[WeatherParameter]] = ()
    """What it measures; at least one."""

    stale_seconds: ClassVar[float] = 300.0
    """How long a value counts without being measured again; three update periods if these are longer."""

    # A station that does not use its location has neither of these two.
    active_devices = Property(ActiveDevices, when="always", persist=True, adapt=needs("set_location"))
    location = Property(GeographicCoord, persist=True, adapt=needs("set_location"))
    update = Property(WeatherUpdate, persist=True)
    refresh = Property(WeatherRefresh)
    override = Property(WeatherOverride)
    measured = Property(WeatherParameters, adapt=lambda station: station._made(station.parameters))
    status = Property(WeatherStatus, adapt=lambda station: station._made(station._critical()))
    safety = Property(SafetyStatus)

    def __init__(
        self, devicename: str | None = None, *, properties: Iterable[AnyVector] = (), **driverdata: object
    ) -> None:
        super().__init__(devicename, properties=properties, **driverdata)
        self._measured_at: dict[str, float] = {}
        if overrides(self, "set_location"):
            self._hear_gps(self.active_devices.value.gps)

    def _connected_anew(self) -> None:
        """Forget what was measured before it was disconnected: that is not the present weather."""
        self._measured_at.clear()
        for bound in (self.measured, self.status, self.safety):
            bound.vector.state = State.IDLE
        self.status.take(parameters=self._all(State.IDLE))
        self.safety.take(safety=State.IDLE)

    async def measure(self) -> Mapping[str, float]:
        """Measure, and return the values by name; one that is missing stays as it was, for ``stale_seconds``.

        An error makes the weather unknown, which counts as not safe.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method measure()")

    def more_properties(self) -> Iterable[Property[Any]]:
        """Return the limits of each parameter."""
        for one in self.parameters:
            limits = _limits_class(one.name, one.label)
            value = limits(min_ok=one.min_ok, max_ok=one.max_ok, perc_warn=one.warning_percent)
            yield Property(
                limits,
                persist=True,
                attribute=f"limits of {one.name}",
                method="_judge_anew",
                adapt=_beginning(value),
            )

    # -- the verdict -------------------------------------------------------------------------------------------

    def judge(self, name: str, value: float) -> State:
        """Judge a value by the present limits: Ok, Busy for a warning, or Alert."""
        limits = self._limits(name)
        least, most = limits.min_ok, limits.max_ok
        is_out = not least <= value <= most
        if is_out != bool(limits.alert_type):
            return State.ALERT
        margin = (most - least) * limits.perc_warn / 100
        # As in libindi, there is no warning close to a limit of 0, where wind and rain ought to be.
        near = (least != 0 and value < least + margin) or (most != 0 and value > most - margin)
        return State.BUSY if near and not is_out else State.OK

    def _limits(self, name: str) -> ParameterLimits:
        return self.bound(_limits_class(name, self._labels()[name])).value

    def _labels(self) -> dict[str, str]:
        return {one.name: one.label for one in self.parameters}

    def _critical(self) -> list[WeatherParameter]:
        return [one for one in self.parameters if one.is_critical]

    def _all(self, state: State) -> dict[str, State]:
        return {one.name: state for one in self._critical()}

    def _made(self, parameters: Iterable[WeatherParameter]) -> dict[str, object] | None:
        labels = {one.name: one.label for one in parameters}
        return {"made": labels} if labels else None

    @every(lambda station: station.update.value.seconds or inf)
    async def _update(self) -> None:
        try:
            values = dict(await self.measure())
            await self.measured.report(WeatherParameters(parameters=values), state=State.OK)
        except Exception:
            self._measured_at.clear()
            with anyio.move_on_after(self.grace, shield=True):
                await self._tell_that_nobody_knows()
            raise
        self._measured_at.update(dict.fromkeys(values, current_time()))
        await self._tell_verdict()

    @every(seconds=15)
    async def _doubt(self) -> None:
        """Renew a verdict whose measurements have become too old: a measurement may hang, or leave a value out."""
        if self.safety.state is not State.IDLE and any(not self._is_fresh(one.name) for one in self._critical()):
            await self._tell_verdict()

    def _is_fresh(self, name: str) -> bool:
        oldest = max(self.stale_seconds, 3 * self.update.value.seconds)
        return current_time() - self._measured_at.get(name, -inf) <= oldest

    async def _tell_verdict(self) -> None:
        if self.override.value.override:
            lights = self._all(State.OK)
        else:
            values = self.measured.value.parameters
            lights = {
                one.name: self.judge(one.name, values[one.name]) if self._is_fresh(one.name) else State.ALERT
                for one in self._critical()
            }
        await self._tell_lights(lights)

    async def _tell_that_nobody_knows(self) -> None:
        await self.measured.report(state=State.ALERT)
        if not self.override.value.override:
            await self._tell_lights(self._all(State.ALERT))

    async def _tell_lights(self, lights: Mapping[str, State]) -> None:
        worst = min(lights.values(), key=_WORST.index, default=State.OK)
        if lights:
            await self.status.report(parameters=lights, state=worst)
        safe = State.ALERT if worst is State.ALERT else State.OK
        await self.safety.report(safety=safe, state=safe)

    # -- what clients ask for ----------------------------------------------------------------------------------

    @active_devices.write
    async def _change_active_devices(self, wanted: ActiveDevices) -> None:
        require_another(wanted.gps, self.device.devicename)
        self.active_devices.take(wanted)
        self._hear_gps(wanted.gps)

    @location.write
    async def _set_location(self, wanted: GeographicCoord) -> None:
        await self.set_location(wanted.lat, wanted.long, wanted.elev)

    @refresh.write
    async def _refresh(self, wanted: WeatherRefresh) -> WeatherRefresh:
        await self._update()
        return WeatherRefresh(refresh=False)

    @update.write
    async def _change_period(self, wanted: WeatherUpdate) -> None:
        self.update.take(wanted)
        await self.poll_anew()

    @override.write
    async def _override(self, wanted: WeatherOverride) -> None:
        self.override.take(wanted)
        await self._tell_verdict()
        # libindi shows Busy while the verdict is overridden, and Idle while it is not.
        await self.override.report(state=State.BUSY if wanted.override else State.IDLE)

    async def _judge_anew(self, wanted: ParameterLimits) -> None:
        self.bound(type(wanted)).take(wanted)
        if self.measured.state is State.OK and self.safety.state is not State.IDLE:
            await self._tell_verdict()


def _beginning(value: ParameterLimits) -> Callable[[Instrument], Binding]:
    return lambda _: {"value": value}


@cache
def _limits_class(name: str, label: str) -> type[ParameterLimits]:
    """Return the class of a parameter's limits: a property of the parameter's own name."""

    class Limits(ParameterLimits, name=name, label=label):
        """The limits within which a parameter is good."""

    return Limits
