"""Instruments with a network address: by TCP, or by datagrams (UDP)."""

from __future__ import annotations

import socket
from typing import TypedDict, Unpack

from indianyio.streams import dial_socket
from indianyio.wires._transports import DescriptorTransport, socket_transport
from indianyio.wires._wire import Wire

__all__ = ["TcpWire", "UdpWire", "WireOptions"]


class WireOptions(TypedDict, total=False):
    """The options of every wire, which :class:`Wire` explains."""

    timeout: float
    late: float
    max_answer: int
    discard_stale: bool


class _NetworkWire(Wire):
    forgets = True
    _kind: socket.SocketKind

    def __init__(self, host: str, port: int, *, open_timeout: float = 5.0, **options: Unpack[WireOptions]) -> None:
        if not 0 < port < 1 << 16:
            raise ValueError(f"port is {port}, but must be from 1 to 65535")
        if not open_timeout > 0:
            raise ValueError(f"open_timeout is {open_timeout}, but must be a number of seconds above 0")
        super().__init__(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", **options)
        self._host = host
        self._port = port
        self._open_timeout = open_timeout

    async def make_transport(self) -> DescriptorTransport:
        """Connect to the address, as :meth:`Wire.make_transport` does."""
        sock = await dial_socket(self._host, self._port, self._open_timeout, kind=self._kind)
        if self._kind == socket.SOCK_STREAM:
            # Without this, a stop would wait until the instrument has acknowledged what was sent before.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return socket_transport(sock)


class TcpWire(_NetworkWire):
    """An instrument with an address of its own, or behind a serial-to-network server such as ser2net.

    When an answer is overdue the wire connects again, so that the answer gets lost (:meth:`Wire.query`). Behind
    such a server that is not certain: it may pass what the instrument sends late to the new connection. In that
    case make ``timeout`` and ``late`` together as long as the instrument may ever take, as for a serial port.

    :param host: its name or its address, IPv4 or IPv6.
    :param port: the number of the port.
    :param open_timeout: how many seconds connecting may take.
    :param options: those of :class:`Wire`.
    :raises ValueError: an argument is out of range.
    """

    _kind = socket.SOCK_STREAM


class UdpWire(_NetworkWire):
    """An instrument that exchanges datagrams; datagrams from other addresses are not received.

    A request is one datagram, and so is an answer, unless a call says otherwise. A datagram may be lost on its way;
    then there is a time-out. Nothing is sent again, because the lost datagram may have been the answer.

    :param host: its name or its address, IPv4 or IPv6.
    :param port: the number of the port.
    :param open_timeout: how many seconds looking up the address may take.
    :param options: those of :class:`Wire`.
    :raises ValueError: an argument is out of range.
    """

    has_datagrams = True
    _kind = socket.SOCK_DGRAM
