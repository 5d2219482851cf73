import asyncio

from hardware import Motor
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


class Focuser(IPyDriver):
    def __init__(self):
        self.motor = None
        self.moves = 0
        main = "Main Control"
        self.connection = SwitchVector(
            "CONNECTION", "Connection", main, "rw", "OneOfMany", "Idle",
            [SwitchMember("CONNECT", "Connect"), SwitchMember("DISCONNECT", "Disconnect", "On")],
        )
        info = TextVector(
            "DRIVER_INFO", "Driver Info", "General Info", "ro", "Idle",
            [
                TextMember("DRIVER_NAME", "Name", "Focuser"),
                TextMember("DRIVER_EXEC", "Exec", "focuser"),
                TextMember("DRIVER_VERSION", "Version", "1.0"),
                TextMember("DRIVER_INTERFACE", "Interface", "8"),
            ],
        )
        self.position = NumberVector(
            "ABS_FOCUS_POSITION", "Absolute Position", main, "rw", "Ok",
            [NumberMember("FOCUS_ABSOLUTE_POSITION", "Steps", "%.f", 0, 25_000, 0, 0)],
        )
        self.relative = NumberVector(
            "REL_FOCUS_POSITION", "Relative Position", main, "rw", "Ok",
            [NumberMember("FOCUS_RELATIVE_POSITION", "Steps", "%.f", 0, 25_000, 0, 0)],
        )
        self.direction = SwitchVector(
            "FOCUS_MOTION", "Direction", main, "rw", "OneOfMany", "Ok",
            [SwitchMember("FOCUS_INWARD", "Focus In", "On"), SwitchMember("FOCUS_OUTWARD", "Focus Out")],
        )
        self.abort = SwitchVector(
            "FOCUS_ABORT_MOTION", "Abort Motion", main, "rw", "AtMostOne", "Idle", [SwitchMember("ABORT", "Abort")]
        )
        self.most = NumberVector(
            "FOCUS_MAX", "Max. Position", main, "rw", "Ok",
            [NumberMember("FOCUS_MAX_VALUE", "Steps", "%.f", 1000, 25_000, 0, 25_000)],
        )
        self.while_connected = [self.position, self.relative, self.direction, self.abort, self.most]
        for vector in self.while_connected:
            vector.enable = False
        super().__init__(Device("Focuser", [self.connection, info, *self.while_connected]))

    async def rxevent(self, event):
        match event:
            case newSwitchVector(vectorname="CONNECTION"):
                await self.connect(event.get("CONNECT") == "On")
            case newNumberVector(vectorname="ABS_FOCUS_POSITION"):
                await self.go(self.position, event.getfloatvalue("FOCUS_ABSOLUTE_POSITION"))
            case newNumberVector(vectorname="REL_FOCUS_POSITION"):
                steps = event.getfloatvalue("FOCUS_RELATIVE_POSITION")
                sign = 1 if self.direction["FOCUS_OUTWARD"] == "On" else -1
                self.relative["FOCUS_RELATIVE_POSITION"] = steps
                await self.go(self.relative, await self.motor.where() + sign * steps)
            case newSwitchVector(vectorname="FOCUS_MOTION"):
                outward = event.get("FOCUS_OUTWARD") == "On"
                self.direction["FOCUS_OUTWARD"] = "On" if outward else "Off"
                self.direction["FOCUS_INWARD"] = "Off" if outward else "On"
                await self.direction.send_setVector(state="Ok")
            case newNumberVector(vectorname="FOCUS_MAX"):
                self.most["FOCUS_MAX_VALUE"] = event.getfloatvalue("FOCUS_MAX_VALUE")
                await self.most.send_setVector(state="Ok")
            case newSwitchVector(vectorname="FOCUS_ABORT_MOTION"):
                await self.stop_moving()
                await self.abort.send_setVector(state="Ok")

    async def connect(self, on):
        if self.motor is not None:
            await self.stop_moving()
        self.motor = Motor(speed=5000, position=0) if on else None
        self.connection["CONNECT"], self.connection["DISCONNECT"] = ("On", "Off") if on else ("Off", "On")
        await self.connection.send_setVector(state="Ok" if on else "Idle")
        for vector in self.while_connected:
            if on:
                vector.enable = True
                await vector.send_defVector()
            else:
                await vector.send_delProperty()

    async def go(self, vector, steps):
        most = float(self.most["FOCUS_MAX_VALUE"])
        if not 0 <= steps <= most:
            await vector.send_setVector(f"{steps} is not from 0 to {most}", state="Alert")
            return
        self.moves += 1
        await self.motor.go(steps)
        vector.state = self.position.state = "Busy"
        await vector.send_setVector()
        self.add_background(self.watch(vector, steps, self.moves))

    async def watch(self, vector, steps, move):
        while self.moves == move and not self.stop:
            here = await self.motor.where()
            self.position["FOCUS_ABSOLUTE_POSITION"] = here
            if here == steps:
                await self.position.send_setVector(state="Ok")
                if vector is not self.position:
                    await vector.send_setVector(state="Ok")
                return
            await self.position.send_setVector(state="Busy")
            await asyncio.sleep(0.25)

    async def stop_moving(self):
        self.moves += 1
        await self.motor.halt()
        self.position["FOCUS_ABSOLUTE_POSITION"] = await self.motor.where()
        for vector in (self.position, self.relative):
            if vector.state == "Busy":
                await vector.send_setVector(state="Idle")
