"""A mount that slews, tracks and parks, and parks by itself when its driver is stopped.

Under indiserver::

    python -m indianyio.run --make-executable mount indianyio.examples.mount:Mount
    indiserver "$PWD/mount"

or by itself, talking INDI on standard input and output::

    python -m indianyio.run indianyio.examples.mount:Mount

The properties, their states and their order come from :class:`indianyio.instrument.Mount`. This module adds the
telescope. A slew is a loop that can be cancelled at its sleep; then :meth:`Mount.abort` is called, and nothing that
is sent later can say that the mount is still moving.
"""

from __future__ import annotations

import anyio

from indianyio import instrument
from indianyio.examples._telescope import Telescope

__all__ = ["Mount"]

DEVICE = "indianyio Mount"
STEP_SECONDS = 0.25

# Faster than any real mount, so that it can park from anywhere (180 degrees) within the grace period of leave().
DEGREES_PER_SECOND = 45.0


class Mount(instrument.Mount):
    """Device ``indianyio Mount``.

    :ivar telescope: the simulated telescope, which stands here for your hardware.
    """

    park_on_leave = True

    def __init__(self) -> None:
        super().__init__(DEVICE)
        self.telescope = Telescope(DEGREES_PER_SECOND)
        self.coordinates.take(ra=self.telescope.ra, dec=self.telescope.dec)
        self.parking.take(park=True)

    async def where(self) -> tuple[float, float]:
        """Return where it points."""
        return self.telescope.ra, self.telescope.dec

    async def goto(self, ra: float, dec: float) -> None:
        """Slew from where it is, even if it was going somewhere else."""
        self.telescope.slew(ra, dec)
        await self._arrive()

    async def sync(self, ra: float, dec: float) -> None:
        """Take this as the place to which it points now."""
        self.telescope.sync(ra, dec)

    async def park(self) -> None:
        """Go to the pole."""
        self.telescope.park()
        await self._arrive()

    async def unpark(self) -> None:
        """Be allowed to move."""
        self.telescope.unpark()

    async def abort(self) -> None:
        """Stop both motors."""
        self.telescope.halt()

    async def set_tracking(self, on: bool) -> None:
        """Follow the sky, or stand still."""
        self.telescope.track(on)

    async def _arrive(self) -> None:
        """Let the motors run until they have arrived, and report the coordinates on the way."""
        while self.telescope.moving:
            await anyio.sleep(STEP_SECONDS)
            self.telescope.advance(STEP_SECONDS)
            await self.coordinates.report(ra=self.telescope.ra, dec=self.telescope.dec)
