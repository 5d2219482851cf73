"""A simulated weather station, whose weather is set by clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from indianyio.instrument._framework._declared import Property
from indianyio.instrument.weather import Weather, WeatherParameter
from indianyio.properties import Values, number

__all__ = ["MadeWeather", "SimulatedWeather"]


class MadeWeather(Values, name="WEATHER_CONTROL", label="Control", group="Simulation", perm="rw"):
    """The weather that the simulated station measures."""

    forecast: float = number("Weather", format="%.f", min=0, max=2, step=1)
    temperature: float = number("Temperature", format="%.2f", min=-50, max=70, step=10, default=12)
    wind: float = number("Wind", format="%.2f", min=0, max=100, step=5, default=5)
    gust: float = number("Gust", format="%.2f", min=0, max=100, step=5, default=8)
    rain: float = number("Precip", format="%.2f", min=0, max=100, step=10)


class SimulatedWeather(Weather):
    """A station for temperature, wind and rain, with the limits of libindi's simulator."""

    parameters: ClassVar[Sequence[WeatherParameter]] = (
        WeatherParameter("WEATHER_FORECAST", "Weather"),
        WeatherParameter("WEATHER_TEMPERATURE", "Temperature (C)", -10, 30),
        WeatherParameter("WEATHER_WIND_SPEED", "Wind (kph)", 0, 20),
        WeatherParameter("WEATHER_WIND_GUST", "Gust (kph)", 0, 20, is_critical=False),
        WeatherParameter("WEATHER_RAIN_HOUR", "Precip (mm)"),
    )

    made = Property(MadeWeather)

    def __init__(self, devicename: str = "Weather Simulator") -> None:
        super().__init__(devicename)

    async def set_location(self, latitude: float, longitude: float, elevation: float) -> None:
        """Do nothing: clients make the weather, wherever the station is."""

    async def measure(self) -> Mapping[str, float]:
        """Return the weather that clients have set."""
        made = self.made.value
        return {
            "WEATHER_FORECAST": made.forecast,
            "WEATHER_TEMPERATURE": made.temperature,
            "WEATHER_WIND_SPEED": made.wind,
            "WEATHER_WIND_GUST": made.gust,
            "WEATHER_RAIN_HOUR": made.rain,
        }
