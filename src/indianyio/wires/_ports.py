"""The serial ports of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

import anyio.to_thread

from indianyio.wires._serial import import_serial

__all__ = ["PortInfo", "available_ports"]

_BY_ID = "/dev/serial/by-id"


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A serial port, as a driver offers it in SYSTEM_PORTS.

    :ivar path: the path by which to open it; if possible one below ``/dev/serial/by-id``, which stays the same.
    :ivar label: its short name, such as ``ttyUSB0``.
    :ivar description: what the device that is plugged in calls itself; empty if it gives no name.
    """

    path: str
    label: str
    description: str


async def available_ports() -> list[PortInfo]:
    """Return the serial ports that exist now, in the order of their labels, without opening them.

    The system is asked in a thread; if this is cancelled, the thread is abandoned.

    :raises WireError: pyserial is not installed.
    """
    return await anyio.to_thread.run_sync(_find_ports, _BY_ID, abandon_on_cancel=True)


def _find_ports(by_id: str) -> list[PortInfo]:
    import_serial("serial ports")
    from serial.tools.list_ports import comports

    lasting = _lasting_paths(by_id)
    ports = {}
    for found in comports():
        label = os.path.basename(found.device)
        description = "" if found.description in (None, "n/a", label) else found.description
        ports[label] = PortInfo(lasting.pop(os.path.realpath(found.device), found.device), label, description)
    # A device with such a path is a port even if pyserial does not know it.
    for device, path in lasting.items():
        label = os.path.basename(device)
        ports[label] = PortInfo(path, label, "")
    return [ports[label] for label in sorted(ports, key=_natural)]


def _lasting_paths(by_id: str) -> dict[str, str]:
    """Return the paths that stay the same, by the devices to which they point now."""
    try:
        names = sorted(os.listdir(by_id))
    except OSError:  # the folder does not exist while nothing is plugged in
        return {}
    links = [os.path.join(by_id, name) for name in names]
    return {os.path.realpath(link): link for link in links}


def _natural(label: str) -> tuple[str, int]:
    """Return a key that sorts ``ttyUSB10`` after ``ttyUSB9``."""
    kind = label.rstrip("0123456789")
    return kind, int(label[len(kind) :] or 0)
