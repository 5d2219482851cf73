"""Where servers listen on this machine: TCP ports and unix sockets."""

from __future__ import annotations

import socket

__all__ = ["MOST_CONNECTIONS", "Address", "connect", "listen"]

Address = int | str
"""A TCP port at 127.0.0.1, or the path of a unix socket (``@name`` for an abstract one)."""

MOST_CONNECTIONS = 100
CONNECT_SECONDS = 60.0


def listen(at: Address) -> socket.socket:
    """Return a socket that listens there."""
    sock = socket.socket(socket.AF_INET if isinstance(at, int) else socket.AF_UNIX)
    sock.bind(_place(at))
    sock.listen(MOST_CONNECTIONS)
    return sock


def connect(to: Address) -> socket.socket:
    """Return a socket that is connected there.

    :raises OSError: nobody listens.
    """
    sock = socket.socket(socket.AF_INET if isinstance(to, int) else socket.AF_UNIX)
    sock.settimeout(CONNECT_SECONDS)
    try:
        sock.connect(_place(to))
    except OSError:
        sock.close()
        raise
    return sock


def _place(address: Address) -> tuple[str, int] | str:
    if isinstance(address, int):
        return "127.0.0.1", address
    return f"\0{address[1:]}" if address.startswith("@") else address
