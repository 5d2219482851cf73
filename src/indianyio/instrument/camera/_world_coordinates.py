"""World coordinates (WCS): where in the sky each pixel of an image is, for its FITS header."""

from __future__ import annotations

from collections.abc import Iterator

from indianyio._vocabulary import State
from indianyio.instrument._framework._declared import Property
from indianyio.instrument.camera._fits import Card
from indianyio.instrument.camera._header import Header, arcseconds_per_pixel
from indianyio.instrument.camera._sensor import Frame, Sensor
from indianyio.standard.camera import CcdRotation, WcsControl

__all__ = ["WorldCoordinates"]


class WorldCoordinates(Sensor, Header):
    """The part of a camera that knows the sky behind each of its pixels.

    Clients switch it on. Headers then have world coordinates as soon as everything needed is known: the focal
    length, where the mount points, and the angle of the sensor, which a client that has solved an image writes to
    CCD_ROTATION.
    """

    world_coordinates = Property(WcsControl)
    rotation = Property(CcdRotation, when=lambda camera: camera.world_coordinates.value.enable)

    @world_coordinates.write
    async def _switch_world_coordinates(self, wanted: WcsControl) -> None:
        # The camera may be turned before this is switched on again, so the angle has to be written again.
        self.rotation.vector.state = State.IDLE
        await self.world_coordinates.report(wanted, state=State.OK)
        await self.redefine()

    @rotation.write
    async def _set_rotation(self, wanted: CcdRotation) -> None:
        """Only store the angle, which is used in headers."""

    def _world_cards(self, frame: Frame) -> Iterator[Card]:
        """Yield the world coordinates of an image; nothing if they are not known or not wanted."""
        focal_length, pointing = self._scope().focal_length, self._j2000()
        is_wanted = self.world_coordinates.value.enable and self.rotation.state is State.OK
        if not is_wanted or focal_length <= 0 or pointing is None:
            return
        width, height = self._pixel_sizes()
        # The mount points to the middle of the sensor, which need not be in the image. FITS counts pixels from 1,
        # and a whole number means the centre of a pixel.
        yield Card("CTYPE1", "RA---TAN", "right ascension, gnomonic projection")
        yield Card("CTYPE2", "DEC--TAN", "declination, gnomonic projection")
        yield Card("CUNIT1", "deg", "of what belongs to CTYPE1")
        yield Card("CUNIT2", "deg", "of what belongs to CTYPE2")
        yield Card("RADESYS", "FK5", "of the coordinates")
        yield Card("CRVAL1", 15 * pointing[0], "right ascension of the middle of the sensor, J2000")
        yield Card("CRVAL2", pointing[1], "declination of the middle of the sensor, J2000")
        yield Card("CRPIX1", (self.width / 2 - frame.x) / frame.x_bin + 0.5, "the middle of the sensor, across")
        yield Card("CRPIX2", (self.height / 2 - frame.y) / frame.y_bin + 0.5, "the middle of the sensor, down")
        yield Card("CDELT1", arcseconds_per_pixel(width * frame.x_bin, focal_length) / 3600, "degrees per pixel")
        yield Card("CDELT2", arcseconds_per_pixel(height * frame.y_bin, focal_length) / 3600, "degrees per pixel")
        # Clients count the angle from north to east, FITS the other way round. Old programs want it for both axes.
        angle = -self.rotation.value.degrees % 360
        yield Card("CROTA1", angle, "rotation, degrees")
        yield Card("CROTA2", angle, "rotation, degrees")
