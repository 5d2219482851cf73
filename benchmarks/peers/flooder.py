"""A client that floods a server; run by itself, with the standard library only.

Arguments: which flood, the server's port, the name of its abstract unix socket, and for how many seconds.
"""

from __future__ import annotations

import base64
import os
import socket
import sys
import threading
import time

_WRITE = b'<newNumberVector device="%b" name="%b"><oneNumber name="x">1</oneNumber></newNumberVector>'
_MEMBERS = b"".join(b'<oneNumber name="m%d">1.5</oneNumber>' % number for number in range(9000))
_IMAGE_BYTES = 100_000_000


def _told(word: bytes) -> bytes:
    return b'<newTextVector device="W" name="do"><oneText name="x">' + word + b"</oneText></newTextVector>"


_POLICIES = (
    b'<enableBLOB device="Far" name="b1">Also</enableBLOB>',
    b'<enableBLOB device="Far" name="b1">Never</enableBLOB>',
)

_CHUNKS = {
    "requests": b'<getProperties version="1.7" device="Dome" name="' + b"n" * 250 + b'"/>',
    "requests to another program": b'<getProperties version="1.7" device="W" name="n"/>',
    "requests for all": b'<getProperties version="1.7" device="*"/>',
    "pings": b'<pingRequest uid="1"/>',
    "BLOB policies": b"".join(_POLICIES),
    "writes": _WRITE % (b"Dome", b"other"),
    "writes to nobody": _WRITE % (b"Nobody", b"n"),
    "writes to a driver that hangs": _WRITE % (b"W", b"n"),
    "small, not plain": b'<getProperties version="1.7" device="Dome" name="nix"><!-- --></getProperties>',
    "9000 members, not plain": b'<newNumberVector device="Dome" name="nix"><!-- -->'
    + _MEMBERS
    + b"</newNumberVector>",
    "9000 members": b'<newNumberVector device="Dome" name="nix">' + _MEMBERS + b"</newNumberVector>",
}
"""What is sent again and again."""

_ONCE = {"snooped updates": _told(b"snooped"), "Latin-1 updates": _told(b"latin")}
"""What is sent once, and makes a driver flood."""


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(1 << 20):
            pass
    except OSError:
        pass


def _send_image(port: int, unix_name: str) -> None:
    """Send an attached image, which a TCP client gets to see as well."""
    listener = socket.create_connection(("127.0.0.1", port))
    listener.sendall(b'<getProperties version="1.7"/>')
    threading.Thread(target=_drain, args=(listener,), daemon=True).start()
    memory = os.memfd_create("image")
    os.truncate(memory, _IMAGE_BYTES)
    sender = socket.socket(socket.AF_UNIX)
    sender.connect(f"\0{unix_name}")
    blob = f'<oneBLOB name="x" size="{_IMAGE_BYTES}" len="{_IMAGE_BYTES}" format=".fits" attached="true"/>'
    image = f'<newBLOBVector device="W" name="image">{blob}</newBLOBVector>'
    socket.send_fds(sender, [image.encode()], [memory])
    _drain(sender)


def _image_in_base64(flood: str) -> bytes:
    size, text, enclen = _IMAGE_BYTES, b"", b""
    if flood == "an image in base64":
        text = base64.b64encode(bytes(size))
    else:
        # 54 bytes make a line of 72 characters; there are whole lines only.
        lines = size // 54
        size, text, enclen = 54 * lines, (b"A" * 72 + b"\n") * lines, b' enclen="%d"' % (72 * lines)
    blob = b'<oneBLOB name="x" size="%d" format=".fits"%b>%b</oneBLOB>' % (size, enclen, text)
    return b'<newBLOBVector device="W" name="image">%b</newBLOBVector>' % blob


def main(flood: str, port: int, unix_name: str, seconds: float) -> None:
    """Flood for so long."""
    if flood == "an attached image":
        threading.Thread(target=_send_image, args=(port, unix_name), daemon=True).start()
        time.sleep(seconds)
        return
    sock = socket.create_connection(("127.0.0.1", port))
    threading.Thread(target=_drain, args=(sock,), daemon=True).start()
    if flood.endswith("base64"):
        sock.sendall(_image_in_base64(flood))
        time.sleep(seconds)
        return
    if flood in _ONCE:
        sock.sendall(_ONCE[flood])
        time.sleep(seconds)
        return
    if flood == "writes to a driver that hangs":
        sock.sendall(_told(b"hang"))
    chunk = _CHUNKS[flood] * max(1, 65536 // len(_CHUNKS[flood]))
    end = time.monotonic() + seconds
    sock.settimeout(1.0)
    while time.monotonic() < end:
        try:
            sock.sendall(chunk)
        except TimeoutError:
            break  # it is not read any more, which is an answer, too
        except OSError:
            time.sleep(max(0.0, end - time.monotonic()))  # disconnected


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
