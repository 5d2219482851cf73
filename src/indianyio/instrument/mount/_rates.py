"""How fast a mount tracks, and how fast guide pulses move it."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from indianyio._vocabulary import State
from indianyio.instrument._framework._declared import Binding, Property, needs, optional, overrides
from indianyio.instrument._framework._instrument import Instrument
from indianyio.standard.mount import GuideRate, TelescopeTrackMode, TelescopeTrackRate

__all__ = ["MountRates", "TrackMode"]

TrackMode: TypeAlias = Literal["sidereal", "solar", "lunar", "custom"]
"""The rate at which a mount follows the sky."""

_MODES: tuple[TrackMode, ...] = ("sidereal", "solar", "lunar", "custom")


def _modes(mount: MountRates) -> Binding | None:
    if not overrides(mount, "set_track_mode"):
        return None
    return {} if overrides(mount, "set_track_rate") else {"without": ("custom",)}


def _guide_rate(mount: MountRates) -> Binding | None:
    can_set = overrides(mount, "set_guide_rate")
    if mount.guide_rate_at_first is None:
        return {} if can_set else None
    rate = mount.guide_rate_at_first
    return {"value": GuideRate(we=rate, ns=rate), "perm": "rw" if can_set else "ro"}


class MountRates(Instrument):
    """The part of a mount that has rates."""

    guide_rate_at_first: ClassVar[float | None] = None
    """How fast guide pulses move it right after connecting, as a fraction of the sidereal rate. Clients see the
    guide rate if this or :meth:`set_guide_rate` is given. PHD2 checks its calibration against it."""

    track_mode = Property(TelescopeTrackMode, persist=True, adapt=_modes)
    track_rate = Property(TelescopeTrackRate, persist=True, adapt=needs("set_track_rate"))
    guide_rate = Property(GuideRate, adapt=_guide_rate)

    @optional
    async def set_track_mode(self, mode: TrackMode) -> None:
        """Track at this rate from now on.

        :param mode: ``"custom"`` means the rates of :meth:`set_track_rate`, and only comes if that is overridden.
        """

    @optional
    async def set_track_rate(self, ra: float, dec: float) -> None:
        """Set the custom rates; if the mount is tracking at them, they take effect at once.

        :param ra: to the west, in arc seconds per second; 15.041067 keeps pace with the stars.
        :param dec: to the north, likewise.
        """

    @optional
    async def set_guide_rate(self, we: float, ns: float) -> None:
        """Set how fast guide pulses move the mount from now on.

        :param we: to the west and east, as a fraction of the sidereal rate, from 0 to 1.
        :param ns: to the north and south, likewise.
        """

    @track_mode.write
    async def _set_track_mode(self, wanted: TelescopeTrackMode) -> None:
        await self.set_track_mode(next(mode for mode in _MODES if getattr(wanted, mode)))

    @track_rate.write
    async def _set_track_rate(self, wanted: TelescopeTrackRate) -> None:
        await self.set_track_rate(wanted.ra, wanted.dec)

    @guide_rate.write
    async def _set_guide_rate(self, wanted: GuideRate) -> None:
        await self.set_guide_rate(wanted.we, wanted.ns)
        await self.guide_rate.report(wanted, state=State.OK)
