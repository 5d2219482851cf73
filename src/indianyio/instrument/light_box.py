"""Light boxes: flat-field panels, whose brightness can follow the filter."""

from __future__ import annotations

from collections.abc import Collection

from indianyio._vocabulary import State
from indianyio.instrument._framework._declared import Property
from indianyio.instrument._framework._interface import Interface
from indianyio.instrument._light_presets import LightPresets
from indianyio.standard.light_box import FlatLightControl

__all__ = ["LightBox"]


class LightBox(LightPresets):
    """A light box; to be subclassed with :meth:`switch_light`, and :meth:`dim` if it can be dimmed.

    A box that can be dimmed follows the filter wheel in its ACTIVE_DEVICES. When the wheel has turned, the box
    takes the brightness that a client has set for the filter.

    At first the light is assumed to be off. It is switched off when a client disconnects the instrument, since
    nobody could do so afterwards, and at the end of the driver. If the connection is lost it stays as it is.
    """

    interface = Interface.LIGHTBOX

    light = Property(FlatLightControl)

    async def switch_light(self, on: bool) -> None:
        """Switch the light on or off."""
        raise NotImplementedError(f"{type(self).__name__} needs a method switch_light(on)")

    async def make_safe(self) -> None:
        """Switch the light off."""
        await super().make_safe()
        await self._switch_off()

    async def _stop_motion(self, cut: Collection[str]) -> None:
        # Otherwise it would shine into the dome until somebody connects the instrument again.
        try:
            await super()._stop_motion(cut)
        finally:
            await self._switch_off()  # noqa: ASYNC102 - it is bounded by whoever disconnects

    async def _switch_off(self) -> None:
        if self.light.value.on:
            await self.switch_light(False)
            await self.light.report(off=True, state=State.OK)

    @light.write
    async def _switch_light(self, wanted: FlatLightControl) -> None:
        await self.switch_light(wanted.on)
