"""What clients expect of every device: CONNECTION and DRIVER_INFO (protocol.md 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

from indianyio import Device, SwitchMember, SwitchVector, TextMember, TextVector, newSwitchVector
from indianyio.driver import AnyVector

__all__ = ["ConnectableDevice", "choose"]

VERSION = "1.0"


class ConnectableDevice(Device):
    """A device whose properties exist for clients while it is connected.

    :param devicename: the name of the device.
    :param interface: what the device is, as a sum of the numbers of protocol.md 3.4: 1 telescope, 2 camera.
    :param properties: the vectors to define on connecting and to delete on disconnecting.
    """

    def __init__(self, devicename: str, interface: int, properties: Sequence[AnyVector]) -> None:
        self._connection = SwitchVector(
            "CONNECTION", "Connection", "Main Control", "rw", "OneOfMany", "Idle",
            [SwitchMember("CONNECT", "Connect"), SwitchMember("DISCONNECT", "Disconnect", "On")],
        )  # fmt: skip
        self._connection.timeout = "60"
        info = {
            "DRIVER_NAME": ("Name", devicename),
            "DRIVER_EXEC": ("Exec", "python"),
            "DRIVER_VERSION": ("Version", VERSION),
            "DRIVER_INTERFACE": ("Interface", str(interface)),
        }
        members = [TextMember(name, label, value) for name, (label, value) in info.items()]
        driver_info = TextVector("DRIVER_INFO", "Driver Info", "General Info", "ro", "Idle", members)
        self._properties = tuple(properties)
        for vector in self._properties:
            vector.enable = False
        super().__init__(devicename, [self._connection, driver_info, *self._properties])

    @property
    def connected(self) -> bool:
        """Whether a client has connected the device."""
        return self._connection["CONNECT"] == "On"

    async def obey_connection(self, event: newSwitchVector) -> None:
        """Connect or disconnect as a client wants: CONNECTION is answered before properties come or go."""
        wanted, before = event.get("CONNECT") == "On", self.connected
        choose(self._connection, "CONNECT" if wanted else "DISCONNECT")
        await self._connection.send_setVector(state="Ok" if wanted else "Idle")
        if wanted and not before:
            for vector in self._properties:
                vector.enable = True
                await vector.send_defVector()
        elif before and not wanted:
            for vector in self._properties:
                await vector.send_delProperty()


def choose(vector: SwitchVector, chosen: str) -> None:
    """Switch one member On and all others Off."""
    for name in vector:
        vector[name] = "On" if name == chosen else "Off"
