"""The serial ports to choose from, SYSTEM_PORTS, and the search for the port at which the instrument answers."""

from __future__ import annotations

import os
from collections.abc import Mapping

from indianyio.instrument._framework._binding import bind
from indianyio.instrument._framework._property import BoundProperty
from indianyio.standard.connection import DevicePort, SystemPorts

__all__ = ["PortSearch"]


class PortSearch:
    """The serial ports of the machine, as clients of one instrument see them.

    Looking for ports does not open them: nothing is sent to whatever is at the other end.

    :param chosen: DEVICE_PORT.
    :param shown: SYSTEM_PORTS, whose members change when other ports are found.
    :ivar found: the ports that were found last: their labels by their paths.
    """

    def __init__(self, chosen: BoundProperty[DevicePort], shown: BoundProperty[SystemPorts]) -> None:
        self._chosen = chosen
        self._shown = shown
        self.found: Mapping[str, str] = {}

    async def look(self) -> bool:
        """Look which ports there are now; return whether they differ from those found before.

        The caller has to tell clients, because it knows whether they see the property.

        :raises WireError: pyserial is not installed.
        """
        from indianyio.wires import available_ports

        found = {port.path: port.label for port in await available_ports()}
        is_new = found != self.found
        self.found = found
        return is_new

    async def show(self) -> None:
        """Define SYSTEM_PORTS anew with the ports that were found; if there are none, only delete it."""
        vector = self._shown.vector
        if vector.enable:
            await vector.send_delProperty()
        if self.found:
            vector.replace_members(bind(SystemPorts, made=self.found).members())
            vector.enable = True
            await vector.send_defVector()

    def others(self) -> list[str]:
        """Return the ports to try if the instrument is not at the chosen one."""
        chosen = os.path.realpath(self._chosen.value.port)
        return [path for path in self.found if os.path.realpath(path) != chosen]
