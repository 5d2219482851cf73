"""The headers of a camera's images: what clients add to them, and what other devices report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from indianyio.driver import AnyVector
from indianyio.exceptions import WriteRefusedError
from indianyio.instrument._framework._declared import Property
from indianyio.instrument._framework._following import Followed
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument.camera._epoch import j2000, sexagesimal
from indianyio.instrument.camera._fits import Card, card_of
from indianyio.properties import Values
from indianyio.standard.camera import ActiveDevices, FitsHeader, ScopeInfo
from indianyio.standard.filter_wheel import FilterName, FilterSlot
from indianyio.standard.focuser import AbsFocusPosition, FocusTemperature
from indianyio.standard.mount import (
    EquatorialCoord,
    EquatorialEodCoord,
    GeographicCoord,
    TelescopeInfo,
    TelescopePierSide,
)
from indianyio.standard.rotator import AbsRotatorAngle
from indianyio.standard.sky_quality import SkyQuality

__all__ = ["Header", "arcseconds_per_pixel"]

V = TypeVar("V", bound=Values)

_HEARD: Mapping[str, tuple[type[Values], ...]] = {
    "telescope": (EquatorialEodCoord, EquatorialCoord, GeographicCoord, TelescopePierSide, TelescopeInfo),
    "rotator": (AbsRotatorAngle,),
    "focuser": (AbsFocusPosition, FocusTemperature),
    "filter": (FilterSlot, FilterName),
    "sky_quality": (SkyQuality,),
}
"""The properties that are followed, by the member of ACTIVE_DEVICES that names their device."""

_CLEAR = "INDI_CLEAR"

# A client that writes one keyword after another must not fill the memory; no real header has this many.
_MOST_KEYWORDS = 1000
_CARD_CHARS = 80

_ARCSECONDS_PER_RADIAN = 206_264.806


def arcseconds_per_pixel(micrometres: float, focal_length: float) -> float:
    """Return how much of the sky a pixel sees.

    :param micrometres: the width of the pixel.
    :param focal_length: the focal length of the telescope, in millimetres.
    """
    return micrometres / 1000 / focal_length * _ARCSECONDS_PER_RADIAN


class Header(Instrument):
    """The part of a camera that is about the headers of its images."""

    active_devices = Property(ActiveDevices, when="always", persist=True)
    scope = Property(ScopeInfo, persist=True)
    fits_header = Property(FitsHeader)

    def __init__(self, devicename: str | None = None, **driverdata: object) -> None:
        super().__init__(devicename, **driverdata)  # type: ignore[arg-type]
        self._custom: dict[str, Card] = {}
        self._heard: dict[type[Values], Followed[Values]] = {}
        self._listen(ActiveDevices(telescope="", rotator="", focuser="", filter="", sky_quality=""))

    def fits_cards(self) -> Iterator[Card]:
        """Return further cards for the header of an image; to be overridden; called when the exposure has ended."""
        yield from ()

    # -- other devices -----------------------------------------------------------------------------------------

    @active_devices.write
    async def _choose_devices(self, wanted: ActiveDevices) -> None:
        before = self.active_devices.value
        self.active_devices.take(wanted)
        self._listen(before)

    def _listen(self, before: ActiveDevices) -> None:
        """Follow the devices that are active now, and stop following those that no longer are."""
        now = self.active_devices.value
        for role, heard in _HEARD.items():
            devicename, former = getattr(now, role).strip(), getattr(before, role).strip()
            if devicename == former:
                continue
            for values in heard:
                self._heard.pop(values, None)
                self.unfollow(former, values)
        for role, heard in _HEARD.items():
            devicename = getattr(now, role).strip()
            for values in heard:
                # A part of this device itself, such as a wheel in the camera, need not be followed.
                if values not in self._heard and devicename and devicename != self.device.devicename:
                    self._heard[values] = self.follow(devicename, values)

    def _known(self, role: str, values: type[V]) -> V | None:
        """Return the values of an active device's property; ``None`` if nothing has been heard of it."""
        devicename = getattr(self.active_devices.value, role).strip()
        if devicename == self.device.devicename:
            name = values.declaration.name
            own: AnyVector | None = self.device.data.get(name)
            return None if own is None else values.from_wire(dict(own))
        followed = self._heard.get(values)
        return followed.value if followed is not None else None  # type: ignore[return-value]

    # -- cards -------------------------------------------------------------------------------------------------

    def _cards_of_others(self, pixel_micrometres: float) -> Iterator[Card]:
        """Yield what is known of the devices around the camera.

        :param pixel_micrometres: the width of a pixel of the image.
        """
        yield from self._optics(pixel_micrometres)
        yield from self._filter()
        focus = self._known("focuser", AbsFocusPosition)
        if focus is not None:
            yield Card("FOCUSPOS", round(focus.steps), "position of the focuser, steps")
        warmth = self._known("focuser", FocusTemperature)
        if warmth is not None:
            yield Card("FOCUSTEM", warmth.celsius, "temperature at the focuser, degrees Celsius")
        angle = self._known("rotator", AbsRotatorAngle)
        if angle is not None:
            yield Card("ROTATANG", angle.angle, "angle of the rotator, degrees")
        sky = self._known("sky_quality", SkyQuality)
        if sky is not None:
            yield Card("MPSAS", sky.brightness, "sky brightness, magnitudes per square arcsecond")
        yield from self._site()
        yield from self._pointing()

    def _optics(self, pixel_micrometres: float) -> Iterator[Card]:
        scope = self._scope()
        focal_length, aperture = scope.focal_length, scope.aperture
        if focal_length > 0:
            scale = arcseconds_per_pixel(pixel_micrometres, focal_length)
            yield Card("FOCALLEN", focal_length, "focal length, mm")
            yield Card("SCALE", round(scale, 6), "arcseconds per pixel")
        if aperture > 0:
            yield Card("APTDIA", aperture, "aperture, mm")

    def _scope(self) -> ScopeInfo | TelescopeInfo:
        """Return focal length and aperture of the telescope, in millimetres; 0 if they are not known."""
        # Before version 2, libindi had these in the mount.
        mount = self._known("telescope", TelescopeInfo)
        return self.scope.value if self.scope.value.focal_length or mount is None else mount

    def _filter(self) -> Iterator[Card]:
        slot, names = self._known("filter", FilterSlot), self._known("filter", FilterName)
        if slot is None:
            return
        number = round(slot.slot)
        listed = [] if names is None else list(names.names.values())
        name = listed[number - 1] if 1 <= number <= len(listed) else f"Filter {number}"
        yield Card("FILTER", name, "filter")

    def _site(self) -> Iterator[Card]:
        site = self._known("telescope", GeographicCoord)
        if site is not None:
            yield Card("SITELAT", site.lat, "latitude of the site, degrees")
            yield Card("SITELONG", (site.long + 180) % 360 - 180, "longitude of the site, degrees, east positive")
            yield Card("SITEELEV", site.elev, "elevation of the site, metres")

    def _pointing(self) -> Iterator[Card]:
        pointing = self._j2000()
        if pointing is None:
            return
        ra, dec = pointing
        yield Card("OBJCTRA", sexagesimal(ra), "right ascension of the centre, hours, J2000")
        yield Card("OBJCTDEC", sexagesimal(dec), "declination of the centre, degrees, J2000")
        yield Card("RA", round(15 * ra, 6), "right ascension of the centre, degrees, J2000")
        yield Card("DEC", round(dec, 6), "declination of the centre, degrees, J2000")
        yield Card("EQUINOX", 2000, "of the coordinates")
        side = self._known("telescope", TelescopePierSide)
        if side is not None and (side.west or side.east):
            west = side.west
            yield Card("PIERSIDE", "WEST" if west else "EAST", "looking east" if west else "looking west")

    def _j2000(self) -> tuple[float, float] | None:
        """Return where the mount points, in hours and degrees of J2000; ``None`` if that is not known."""
        of_today, of_2000 = self._known("telescope", EquatorialEodCoord), self._known("telescope", EquatorialCoord)
        if of_today is not None:
            return j2000(of_today.ra, of_today.dec, datetime.now(UTC))
        return None if of_2000 is None else (of_2000.ra, of_2000.dec)

    # -- what clients add --------------------------------------------------------------------------------------

    @fits_header.write
    async def _add_keyword(self, wanted: FitsHeader) -> None:
        keyword = wanted.name.strip()
        if keyword.upper() == _CLEAR:
            self._custom.clear()
            return
        try:
            # More would not fit on a line, so the rest is dropped.
            card = card_of(keyword, wanted.value.strip()[:_CARD_CHARS], wanted.comment.strip()[:_CARD_CHARS])
        except ValueError as error:
            raise WriteRefusedError(str(error)) from None
        if card.keyword not in self._custom and len(self._custom) >= _MOST_KEYWORDS:
            raise WriteRefusedError(f"there are {_MOST_KEYWORDS} keywords already; {_CLEAR} removes them")
        self._custom[card.keyword] = card
