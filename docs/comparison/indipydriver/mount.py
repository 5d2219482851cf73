import asyncio

from hardware import Telescope
from indipydriver import (
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    newNumberVector,
    newSwitchVector,
)


def choose(vector, chosen):
    for name in vector:
        vector[name] = "On" if name == chosen else "Off"


class Mount(IPyDriver):
    def __init__(self):
        self.telescope = None
        self.moves = 0
        main = "Main Control"
        self.connection = SwitchVector(
            "CONNECTION", "Connection", main, "rw", "OneOfMany", "Idle",
            [SwitchMember("CONNECT", "Connect"), SwitchMember("DISCONNECT", "Disconnect", "On")],
        )
        info = TextVector(
            "DRIVER_INFO", "Driver Info", "General Info", "ro", "Idle",
            [
                TextMember("DRIVER_NAME", "Name", "Mount"),
                TextMember("DRIVER_EXEC", "Exec", "mount"),
                TextMember("DRIVER_VERSION", "Version", "1.0"),
                TextMember("DRIVER_INTERFACE", "Interface", "1"),
            ],
        )
        self.coordinates = NumberVector(
            "EQUATORIAL_EOD_COORD", "Eq. Coordinates", main, "rw", "Idle",
            [
                NumberMember("RA", "RA (hh:mm:ss)", "%010.6m", 0, 24, 0, 0),
                NumberMember("DEC", "DEC (dd:mm:ss)", "%010.6m", -90, 90, 0, 90),
            ],
        )
        self.on_set = SwitchVector(
            "ON_COORD_SET", "On Set", main, "rw", "OneOfMany", "Ok",
            [SwitchMember("TRACK", "Track", "On"), SwitchMember("SLEW", "Slew"), SwitchMember("SYNC", "Sync")],
        )
        self.abort = SwitchVector(
            "TELESCOPE_ABORT_MOTION", "Abort Motion", main, "rw", "AtMostOne", "Idle",
            [SwitchMember("ABORT", "Abort")],
        )
        self.park = SwitchVector(
            "TELESCOPE_PARK", "Parking", main, "rw", "OneOfMany", "Idle",
            [SwitchMember("PARK", "Park(ed)"), SwitchMember("UNPARK", "UnPark(ed)", "On")],
        )
        self.track = SwitchVector(
            "TELESCOPE_TRACK_STATE", "Tracking", main, "rw", "OneOfMany", "Idle",
            [SwitchMember("TRACK_ON", "On"), SwitchMember("TRACK_OFF", "Off", "On")],
        )
        self.while_connected = [self.coordinates, self.on_set, self.abort, self.park, self.track]
        for vector in self.while_connected:
            vector.enable = False
        super().__init__(Device("Mount", [self.connection, info, *self.while_connected]))

    async def rxevent(self, event):
        match event:
            case newSwitchVector(vectorname="CONNECTION"):
                await self.connect(event.get("CONNECT") == "On")
            case newNumberVector(vectorname="EQUATORIAL_EOD_COORD"):
                await self.go(event)
            case newSwitchVector(vectorname="ON_COORD_SET"):
                choose(self.on_set, next(name for name in event if event[name] == "On"))
                await self.on_set.send_setVector(state="Ok")
            case newSwitchVector(vectorname="TELESCOPE_ABORT_MOTION"):
                await self.stop_moving()
                await self.abort.send_setVector(state="Ok")
            case newSwitchVector(vectorname="TELESCOPE_PARK"):
                await self.park_or_unpark(event.get("PARK") == "On")
            case newSwitchVector(vectorname="TELESCOPE_TRACK_STATE"):
                await self.switch_tracking(event.get("TRACK_ON") == "On")

    async def connect(self, on):
        if self.telescope is not None:
            await self.stop_moving()
        self.telescope = Telescope() if on else None
        choose(self.connection, "CONNECT" if on else "DISCONNECT")
        await self.connection.send_setVector(state="Ok" if on else "Idle")
        for vector in self.while_connected:
            if on:
                vector.enable = True
                await vector.send_defVector()
            else:
                await vector.send_delProperty()

    def is_parked(self):
        return self.park["PARK"] == "On"

    def resting_state(self):
        return "Ok" if self.track["TRACK_ON"] == "On" else "Idle"

    async def go(self, event):
        ra, dec = event.getfloatvalue("RA"), event.getfloatvalue("DEC")
        if self.is_parked():
            await self.coordinates.send_setVector("the mount is parked", state="Alert")
        elif self.park.state == "Busy":
            await self.coordinates.send_setVector("the mount is parking")
        elif not (0 <= ra <= 24 and -90 <= dec <= 90):
            await self.coordinates.send_setVector("there is no such place", state="Alert")
        elif self.on_set["SYNC"] == "On":
            await self.telescope.sync(ra, dec)
            self.coordinates["RA"], self.coordinates["DEC"] = ra, dec
            await self.coordinates.send_setVector(state=self.resting_state())
        else:
            self.moves += 1
            await self.telescope.goto(ra, dec)
            await self.coordinates.send_setVector(state="Busy")
            self.add_background(self.slew(self.moves))

    async def arrive(self, move):
        while self.moves == move and not self.stop:
            self.coordinates["RA"], self.coordinates["DEC"] = await self.telescope.where()
            if not await self.telescope.is_slewing():
                return True
            await self.coordinates.send_setVector(state="Busy")
            await asyncio.sleep(0.5)
        return False

    async def slew(self, move):
        if await self.arrive(move):
            await self.show_tracking(self.on_set["TRACK"] == "On")
            await self.coordinates.send_setVector(state=self.resting_state())

    async def park_or_unpark(self, wanted):
        if not wanted:
            await self.stop_moving()
            choose(self.park, "UNPARK")
            await self.park.send_setVector(state="Ok")
            return
        self.moves += 1
        choose(self.park, "PARK")
        await self.park.send_setVector(state="Busy")
        await self.telescope.goto(0, 90)
        self.add_background(self.finish_parking(self.moves))

    async def finish_parking(self, move):
        if await self.arrive(move):
            await self.show_tracking(False)
            await self.coordinates.send_setVector(state="Idle")
            await self.park.send_setVector(state="Ok")

    async def stop_moving(self):
        self.moves += 1
        await self.telescope.halt()
        self.coordinates["RA"], self.coordinates["DEC"] = await self.telescope.where()
        if self.coordinates.state == "Busy":
            await self.coordinates.send_setVector(state="Idle")
        if self.park.state == "Busy":
            choose(self.park, None)
            await self.park.send_setVector(state="Alert")

    async def switch_tracking(self, on):
        if on and self.is_parked():
            await self.track.send_setVector("the mount is parked", state="Alert")
        else:
            await self.show_tracking(on)
            if self.coordinates.state != "Busy":
                await self.coordinates.send_setVector(state=self.resting_state())

    async def show_tracking(self, on):
        await self.telescope.track(on)
        choose(self.track, "TRACK_ON" if on else "TRACK_OFF")
        await self.track.send_setVector(state="Busy" if on else "Idle")
