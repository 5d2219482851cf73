"""A telescope mount: it slews, stops at once on Abort, and parks when it is stopped.

Under indiserver::

    python -m indianyio.run --make-executable mount indianyio.examples.mount:Mount
    indiserver "$PWD/mount"

or by itself, talking INDI on standard input and output::

    python -m indianyio.run indianyio.examples.mount:Mount

The properties are those that clients expect of a telescope (protocol.md 3.9).

How it keeps its promises: handlers and ``hardware()`` change the telescope without awaiting, and whatever is sent
is made from the telescope's state at that moment. So Abort stops it in the instant in which it is handled, and
nothing that is sent later can say that it still moves.
"""

from __future__ import annotations

import anyio

from indianyio import (
    IPyDriver,
    NewEvent,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    newSwitchVector,
)
from indianyio.examples._standard import ConnectableDevice, choose
from indianyio.examples._telescope import Motion, Telescope

__all__ = ["Mount"]

DEVICE = "indianyio Mount"
TELESCOPE_INTERFACE = 1  # protocol.md 3.4
STEP_SECONDS = 0.25

# Faster than any real one, so that it can park from anywhere (180 degrees) within the grace period of leave().
DEGREES_PER_SECOND = 45.0

# For each motion: the states of EQUATORIAL_EOD_COORD, TELESCOPE_PARK and TELESCOPE_TRACK_STATE, and their switches.
SHOWN = {
    Motion.PARKED: ("Idle", "Ok", "PARK", "Idle", "TRACK_OFF"),
    Motion.PARKING: ("Busy", "Busy", "PARK", "Idle", "TRACK_OFF"),
    Motion.STANDING: ("Idle", "Ok", "UNPARK", "Idle", "TRACK_OFF"),
    Motion.TRACKING: ("Ok", "Ok", "UNPARK", "Busy", "TRACK_ON"),
    Motion.SLEWING: ("Busy", "Ok", "UNPARK", "Idle", "TRACK_OFF"),
}


class Mount(IPyDriver):
    """Device ``indianyio Mount``.

    :ivar telescope: the simulated telescope, which stands here for your hardware.
    """

    def __init__(self) -> None:
        self.telescope = Telescope(DEGREES_PER_SECOND)
        group = "Main Control"
        self.coordinates = NumberVector("EQUATORIAL_EOD_COORD", "Coordinates", group, "rw", "Idle", [
            NumberMember("RA", "RA (hours)", "%010.6m", 0, 24, 0, self.telescope.ra),
            NumberMember("DEC", "Dec (degrees)", "%010.6m", -90, 90, 0, self.telescope.dec),
        ])  # fmt: skip
        self.on_set = SwitchVector("ON_COORD_SET", "On set", group, "rw", "OneOfMany", "Ok", [
            SwitchMember("TRACK", "Track", "On"), SwitchMember("SLEW", "Slew"), SwitchMember("SYNC", "Sync"),
        ])  # fmt: skip
        self.abort = SwitchVector("TELESCOPE_ABORT_MOTION", "Abort", group, "rw", "AtMostOne", "Idle", [
            SwitchMember("ABORT", "Abort"),
        ])  # fmt: skip
        self.park = SwitchVector("TELESCOPE_PARK", "Parking", group, "rw", "OneOfMany", "Ok", [
            SwitchMember("PARK", "Park", "On"), SwitchMember("UNPARK", "Unpark"),
        ])  # fmt: skip
        self.track = SwitchVector("TELESCOPE_TRACK_STATE", "Tracking", group, "rw", "OneOfMany", "Idle", [
            SwitchMember("TRACK_ON", "On"), SwitchMember("TRACK_OFF", "Off", "On"),
        ])  # fmt: skip
        self.device = ConnectableDevice(
            DEVICE, TELESCOPE_INTERFACE, [self.coordinates, self.on_set, self.abort, self.park, self.track]
        )
        super().__init__(self.device)

    # -- what clients ask for ----------------------------------------------------------------------------------

    async def rxevent(self, event: NewEvent) -> None:
        """Obey a client. Nothing here waits for a motion, so the next command is obeyed at once too."""
        match event:
            case newSwitchVector(vectorname="CONNECTION"):
                await self._connect_or_not(event)
            case newNumberVector(vectorname="EQUATORIAL_EOD_COORD"):
                await self._go(event)
            case newSwitchVector(vectorname="ON_COORD_SET"):
                choose(self.on_set, _chosen(event))
                await self.on_set.send_setVector(state="Ok")
            case newSwitchVector(vectorname="TELESCOPE_ABORT_MOTION"):
                self.telescope.halt()
                await self.abort.send_setVector(state="Ok")
                await self._report()
            case newSwitchVector(vectorname="TELESCOPE_PARK"):
                await self._park_or_unpark(_chosen(event))
            case newSwitchVector(vectorname="TELESCOPE_TRACK_STATE"):
                await self._track(_chosen(event))

    async def _connect_or_not(self, event: newSwitchVector) -> None:
        if event.get("CONNECT") != "On":
            # Nobody could stop it any more.
            self.telescope.halt()
        self._show()
        await self.device.obey_connection(event)

    async def _go(self, event: newNumberVector) -> None:
        if not ("RA" in event and "DEC" in event):
            await self._refuse(self.coordinates, "RA and DEC are needed both")
        elif self.telescope.parked:
            await self._refuse(self.coordinates, "The mount is parked; unpark it first")
        else:
            ra, dec = event.getfloatvalue("RA"), event.getfloatvalue("DEC")
            if self.on_set["SYNC"] == "On":
                self.telescope.sync(ra, dec)
            else:
                self.telescope.slew(ra, dec, then_track=self.on_set["TRACK"] == "On")
            await self._report()

    async def _park_or_unpark(self, wanted: str) -> None:
        if wanted == "UNPARK":
            self.telescope.unpark()
        elif not self.telescope.parked:
            self.telescope.park()
        await self._report(answering=self.park)

    async def _track(self, wanted: str) -> None:
        if self.telescope.parked and wanted == "TRACK_ON":
            await self._refuse(self.track, "The mount is parked; unpark it first")
        else:
            self.telescope.track(wanted == "TRACK_ON")
            await self._report(answering=self.track)

    async def _refuse(self, vector: NumberVector | SwitchVector, why: str) -> None:
        await vector.send_setVector(state="Alert", message=why)

    # -- the telescope -----------------------------------------------------------------------------------------

    async def hardware(self) -> None:
        """Watch the telescope, and tell where it is while it moves."""
        while True:
            await anyio.sleep(STEP_SECONDS)
            await self._step()

    async def leave(self) -> None:
        """Park. Whatever ends the driver, the telescope is not left pointing at something that moves on."""
        if self.device.connected and not self.telescope.parked:
            self.telescope.park()
            await self._report()
            while self.telescope.moving:
                await anyio.sleep(STEP_SECONDS)
                await self._step()

    async def _step(self) -> None:
        if self.telescope.moving:
            self.telescope.advance(STEP_SECONDS)
            await self._report()

    async def _report(self, answering: SwitchVector | None = None) -> None:
        """Tell how the telescope is; of the switches only what has changed, but always what was asked for."""
        self._show()
        await self.coordinates.send_setVector()
        for vector in (self.park, self.track):
            await vector.send_setVector(allvalues=vector is answering)

    def _show(self) -> None:
        self.coordinates.update(RA=self.telescope.ra, DEC=self.telescope.dec)
        self.coordinates.state, self.park.state, parking, self.track.state, tracking = SHOWN[self.telescope.motion]
        choose(self.park, parking)
        choose(self.track, tracking)


def _chosen(event: newSwitchVector) -> str:
    """Return the switch that is On; the library saw to it that a OneOfMany write has exactly one."""
    return next(name for name in event if event[name] == "On")
