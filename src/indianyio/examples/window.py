"""A window that opens when the thermostat says that it is warm, and closes when it is cold.

It listens to another driver. indiserver passes on what the thermostat sends::

    python -m indianyio.run --make-executable thermostat indianyio.examples.thermostat:Thermostat
    python -m indianyio.run --make-executable window indianyio.examples.window:Window
    indiserver "$PWD/thermostat" "$PWD/window"

By itself it talks INDI on standard input and output, and hears nothing until someone plays the thermostat::

    python -m indianyio.run indianyio.examples.window:Window
"""

from __future__ import annotations

import math

import anyio

from indianyio import State
from indianyio.instrument import Instrument, Property
from indianyio.properties import Values, light, number, text

__all__ = ["Window"]

# Degrees Celsius. Between the two the window stays as it is, so that it does not keep opening and closing.
OPEN_ABOVE, CLOSE_BELOW = 21.0, 18.0

# A silent thermostat is asked again after the first of these times, and given up after the second.
ASK_AGAIN_SECONDS, SILENCE_SECONDS = 15.0, 40.0


class Temperature(Values, name="temperaturevector"):
    """What the thermostat measures."""

    celsius: float = number("temperature")


class Status(Values, name="windowstatus", label="Window", perm="ro", state="Ok"):
    """Whether the window is open."""

    status: str = text("status", label="Status", default="closed")


class ThermostatLink(Values, name="thermostatlink", label="Thermostat"):
    """Whether the thermostat can be heard."""

    heard: State = light("heard", label="Heard from")


class Window(Instrument):
    """Device ``Window`` with the text ``windowstatus`` and the light ``thermostatlink``.

    The light is Idle until the thermostat is first heard, then Ok, and Alert when it falls silent or is deleted.
    """

    status = Property(Status, when="always")
    link = Property(ThermostatLink, when="always")

    def __init__(self) -> None:
        super().__init__()
        self._heard_at = -math.inf
        self.follow("Thermostat", Temperature, self._hear, self._hear_no_more, ASK_AGAIN_SECONDS)

    async def _hear(self, temperature: Temperature, state: State) -> None:
        self._heard_at = anyio.current_time()
        await self._show_link(State.OK)
        # An update need not carry the temperature, which then reads as 0.
        if temperature.given:
            await self._move(temperature.celsius)

    async def _hear_no_more(self) -> None:
        await self._show_link(State.ALERT)

    async def hardware(self) -> None:
        """Report when the thermostat has not been heard from for too long."""
        waiting_since = anyio.current_time()
        while True:
            waiting_since = max(waiting_since, self._heard_at)
            await anyio.sleep_until(waiting_since + SILENCE_SECONDS)
            if self._heard_at <= waiting_since:
                await self._show_link(State.ALERT)
                waiting_since = anyio.current_time()

    async def _move(self, celsius: float) -> None:
        before = self.status.value.status
        wanted = "open" if celsius > OPEN_ABOVE else "closed" if celsius < CLOSE_BELOW else before
        if wanted != before:
            await self.status.report(status=wanted)

    async def _show_link(self, heard: State) -> None:
        if heard != self.link.value.heard:
            await self.link.report(heard=heard, state=heard)
