"""A window that opens when the thermostat says that it is warm, and closes when it is cold.

It listens to another driver: under indiserver, which passes on what the thermostat sends::

    python -m indianyio.run --make-executable thermostat indianyio.examples.thermostat:Thermostat
    python -m indianyio.run --make-executable window indianyio.examples.window:Window
    indiserver "$PWD/thermostat" "$PWD/window"

By itself it talks INDI on standard input and output, and hears nothing until someone plays the thermostat::

    python -m indianyio.run indianyio.examples.window:Window
"""

from __future__ import annotations

import math

import anyio

from indianyio import (
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    SnoopEvent,
    TextMember,
    TextVector,
    defNumberVector,
    delProperty,
    setNumberVector,
)

__all__ = ["Window"]

THERMOSTAT, TEMPERATURE = "Thermostat", "temperaturevector"

# Degrees Celsius. Between the two the window stays as it is, so it does not flutter around one of them.
OPEN_ABOVE, CLOSE_BELOW = 21.0, 18.0

# A thermostat that has nothing new to say is asked again after the first of these, and given up after the second.
ASK_AGAIN_SECONDS, SILENCE_SECONDS = 15.0, 40.0


class Window(IPyDriver):
    """Device ``Window`` with the text ``windowstatus`` and the light ``thermostatlink``.

    The light is Idle until the thermostat is heard, Ok then, and Alert when it falls silent or goes away.
    """

    def __init__(self) -> None:
        self.status = TextVector(
            "windowstatus", "Window", "Main Control", "ro", "Ok", [TextMember("status", "Status", "closed")]
        )
        self.link = LightVector(
            "thermostatlink", "Thermostat", "Main Control", "Idle", [LightMember("heard", "Heard from")]
        )
        self._heard_at = -math.inf
        super().__init__(Device("Window", [self.status, self.link]))
        self.snoop(THERMOSTAT, TEMPERATURE, timeout=ASK_AGAIN_SECONDS)

    async def snoopevent(self, event: SnoopEvent) -> None:
        """Follow the thermostat."""
        match event:
            case defNumberVector(vectorname="temperaturevector") | setNumberVector(vectorname="temperaturevector"):
                self._heard_at = anyio.current_time()
                await self._show_link("Ok")
                if "temperature" in event:
                    await self._move(event.getfloatvalue("temperature"))
            case delProperty():
                await self._show_link("Alert")

    async def hardware(self) -> None:
        """Say when the thermostat has not been heard from for too long."""
        waiting_since = anyio.current_time()
        while True:
            waiting_since = max(waiting_since, self._heard_at)
            await anyio.sleep_until(waiting_since + SILENCE_SECONDS)
            if self._heard_at <= waiting_since:
                await self._show_link("Alert")
                waiting_since = anyio.current_time()

    async def _move(self, temperature: float) -> None:
        if temperature > OPEN_ABOVE:
            self.status["status"] = "open"
        elif temperature < CLOSE_BELOW:
            self.status["status"] = "closed"
        await self.status.send_setVector(allvalues=False)

    async def _show_link(self, light: str) -> None:
        self.link["heard"] = light
        await self.link.send_setVector(state=light, allvalues=False)
