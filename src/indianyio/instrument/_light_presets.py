"""How bright a light box is to be for each filter: presets, applied when the filter wheel has turned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from indianyio._vocabulary import State
from indianyio.driver import AnyVector
from indianyio.instrument._framework._declared import Binding, Property, needs, optional, overrides
from indianyio.instrument._framework._following import require_another
from indianyio.instrument._framework._instrument import Instrument
from indianyio.standard.filter_wheel import FilterName, FilterSlot
from indianyio.standard.light_box import ActiveDevices, FlatLightFilterIntensity, FlatLightIntensity

__all__ = ["LightPresets"]

# A property must have a member even before the filters are known; nobody sees it then.
_UNKNOWN = "Filter"


def _intensity(box: LightPresets) -> Binding | None:
    return {"limits": {"intensity": (0, box.brightest)}} if overrides(box, "dim") else None


def _presets(box: LightPresets) -> Binding | None:
    return {"made": {_UNKNOWN: _UNKNOWN}} if overrides(box, "dim") else None


class LightPresets(Instrument):
    """The part of a light box that can be dimmed, and follows the filter wheel."""

    brightest: ClassVar[int] = 255
    """The greatest brightness, in the box's own unit."""

    active_devices = Property(ActiveDevices, when="always", persist=True, adapt=needs("dim"))
    intensity = Property(FlatLightIntensity, persist=True, adapt=_intensity)
    presets = Property(FlatLightFilterIntensity, when=lambda box: bool(box._filters), persist=True, adapt=_presets)

    _wheel = ""
    _filters: tuple[str, ...] = ()
    _slot = 0

    def __init__(
        self, devicename: str | None = None, *, properties: Iterable[AnyVector] = (), **driverdata: object
    ) -> None:
        super().__init__(devicename, properties=properties, **driverdata)
        if overrides(self, "dim"):
            self._hear_wheel()

    @optional
    async def dim(self, intensity: int) -> None:
        """Set the brightness, which takes effect now or as soon as the light is on.

        :param intensity: from 0 to ``brightest``.
        """

    @intensity.write
    async def _dim(self, wanted: FlatLightIntensity) -> None:
        await self.dim(round(wanted.intensity))

    # -- the wheel ---------------------------------------------------------------------------------------------

    @active_devices.write
    async def _change_active_devices(self, wanted: ActiveDevices) -> None:
        require_another(wanted.filter, self.device.devicename)
        self.active_devices.take(wanted)
        self._hear_wheel()
        await self.redefine()

    def _hear_wheel(self) -> None:
        for values in (FilterName, FilterSlot):
            self.unfollow(self._wheel, values)
        self._wheel = self.active_devices.value.filter.strip()
        self._filters, self._slot = (), 0
        self.follow(self._wheel, FilterName, self._hear_names)
        self.follow(self._wheel, FilterSlot, self._hear_slot)

    async def _hear_names(self, heard: FilterName, state: State) -> None:
        # If a wheel has two filters of the same name, they share a preset.
        filters = tuple(name.strip() or f"{_UNKNOWN} {slot}" for slot, name in enumerate(heard.names.values(), 1))
        if filters == self._filters:
            return
        before = self.presets.value.filters
        self._filters = ()
        # The property is deleted for clients while its members change.
        await self.redefine()
        self._filters = filters
        value = FlatLightFilterIntensity.from_wire({name: before.get(name, 0) for name in filters})
        self.presets.remake(value, limits={"filters": (0, self.brightest)})
        await self.redefine()
        await self._life.take_up([self.presets.vector.name])
        await self._gate.carry_out_if_open(self._take_preset)

    async def _hear_slot(self, heard: FilterSlot, state: State) -> None:
        slot = round(heard.slot)
        # A slot that is only reported again must not undo what a client has chosen since.
        if state in (State.OK, State.IDLE) and slot != self._slot:
            self._slot = slot
            await self._gate.carry_out_if_open(self._take_preset)

    async def _take_preset(self) -> None:
        """Set the brightness that is wanted for the filter in the beam; a preset of 0 changes nothing."""
        if not 1 <= self._slot <= len(self._filters):
            return
        intensity = round(self.presets.value.filters[self._filters[self._slot - 1]])
        if intensity > 0:
            await self.dim(intensity)
            await self.intensity.report(intensity=intensity, state=State.OK)
