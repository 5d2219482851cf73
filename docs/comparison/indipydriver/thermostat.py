import asyncio

from hardware import Room
from indipydriver import (
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    newSwitchVector,
)


class Thermostat(IPyDriver):
    def __init__(self):
        self.room = None
        self.connection = SwitchVector(
            "CONNECTION", "Connection", "Main Control", "rw", "OneOfMany", "Idle",
            [SwitchMember("CONNECT", "Connect"), SwitchMember("DISCONNECT", "Disconnect", "On")],
        )
        self.temperature = NumberVector(
            "TEMPERATURE", "Temperature", "Main Control", "ro", "Idle",
            [NumberMember("CELSIUS", "Celsius", "%.1f", 0, 0, 0, 10)],
        )
        self.target = NumberVector(
            "TARGET", "Target", "Main Control", "rw", "Idle",
            [NumberMember("CELSIUS", "Celsius", "%.1f", -50, 99, 0, 15)],
        )
        self.heating = SwitchVector(
            "HEATING", "Heating", "Main Control", "rw", "OneOfMany", "Idle",
            [SwitchMember("ON", "On"), SwitchMember("OFF", "Off", "On")],
        )
        self.while_connected = [self.temperature, self.target, self.heating]
        for vector in self.while_connected:
            vector.enable = False
        super().__init__(Device("Thermostat", [self.connection, *self.while_connected]))

    async def rxevent(self, event):
        match event:
            case newSwitchVector(vectorname="CONNECTION"):
                await self.connect(event.get("CONNECT") == "On")
            case newNumberVector(vectorname="TARGET"):
                celsius = event.getfloatvalue("CELSIUS")
                if not -50 <= celsius <= 99:
                    await self.target.send_setVector(f"{celsius} is not from -50 to 99", state="Alert")
                    return
                await self.room.set_target(celsius)
                self.target["CELSIUS"] = celsius
                await self.target.send_setVector(state="Ok")
            case newSwitchVector(vectorname="HEATING"):
                on = event.get("ON") == "On"
                await self.room.heat(on)
                self.heating["ON"], self.heating["OFF"] = ("On", "Off") if on else ("Off", "On")
                await self.heating.send_setVector(state="Ok")

    async def connect(self, on):
        self.room = Room() if on else None
        self.connection["CONNECT"], self.connection["DISCONNECT"] = ("On", "Off") if on else ("Off", "On")
        await self.connection.send_setVector(state="Ok" if on else "Idle")
        for vector in self.while_connected:
            if on:
                vector.enable = True
                await vector.send_defVector()
            else:
                await vector.send_delProperty()

    async def hardware(self):
        while not self.stop:
            if self.room is not None:
                self.temperature["CELSIUS"] = await self.room.temperature()
                await self.temperature.send_setVector(state="Ok")
            await asyncio.sleep(2)
