"""Wires, over which a driver talks to its instrument: a serial port, TCP or UDP, and a scripted one for tests.

::

    async with SerialWire("/dev/ttyUSB0", 9600) as wire:
        position = int(await wire.query(b":GP#", until=b"#", timeout=2))

:class:`Wire` describes what they have in common. A driver should get its wire from outside, so that a test can give
it a :class:`FakeWire`. pyserial is only imported when a :class:`SerialWire` is opened or ports are listed.
"""

from indianyio.exceptions import (
    AnswerTooLongError,
    WireBusyError,
    WireError,
    WireLostError,
    WireTimeoutError,
)
from indianyio.wires._exchange import Exchange
from indianyio.wires._fake import Dialogue, FakeWire, Fault, Pause, Reply, Turn
from indianyio.wires._network import TcpWire, UdpWire
from indianyio.wires._ports import PortInfo, available_ports
from indianyio.wires._serial import SerialWire
from indianyio.wires._transports import DescriptorTransport, Transport, socket_transport
from indianyio.wires._wire import Wire

__all__ = [
    "AnswerTooLongError",
    "DescriptorTransport",
    "Dialogue",
    "Exchange",
    "FakeWire",
    "Fault",
    "Pause",
    "PortInfo",
    "Reply",
    "SerialWire",
    "TcpWire",
    "Transport",
    "Turn",
    "UdpWire",
    "Wire",
    "WireBusyError",
    "WireError",
    "WireLostError",
    "WireTimeoutError",
    "available_ports",
    "socket_transport",
]
