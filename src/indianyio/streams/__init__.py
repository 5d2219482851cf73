"""Byte streams that carry INDI: standard input and output, sockets, pairs in memory; and attached BLOBs."""

from indianyio.streams._attachments import (
    RefusedAttachment,
    SharedMemory,
    attachments_supported,
    flaw_of,
    is_fixed,
)
from indianyio.streams._base import RECEIVE_BYTES, ByteStream, Received
from indianyio.streams._connecting import dial, dial_socket, dial_tls, dial_unix
from indianyio.streams._descriptors import hang_up
from indianyio.streams._memory import MemoryStream, memory_pair
from indianyio.streams._sockets import SocketStream
from indianyio.streams._stdio import describe_stdio, divert_stdio, open_stdio, stdin_duplicate, stdio_is_terminal

__all__ = [
    "RECEIVE_BYTES",
    "ByteStream",
    "MemoryStream",
    "Received",
    "RefusedAttachment",
    "SharedMemory",
    "SocketStream",
    "attachments_supported",
    "describe_stdio",
    "dial",
    "dial_socket",
    "dial_tls",
    "dial_unix",
    "divert_stdio",
    "flaw_of",
    "hang_up",
    "is_fixed",
    "memory_pair",
    "open_stdio",
    "stdin_duplicate",
    "stdio_is_terminal",
]
