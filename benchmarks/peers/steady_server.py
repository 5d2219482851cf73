"""A server that tells one client of many vectors, and updates them at a steady pace; standard library only.

Arguments: ``steady VECTORS MEMBERS PERIOD COUNT`` or ``image BYTES``. Prints its port at 127.0.0.1. Each update says
in its members when it was sent, by the clock that all processes of a machine share, and which one it is. An image is
sent when it is asked for, in base64. Ends when the client does.
"""

from __future__ import annotations

import base64
import os
import socket
import sys
import threading
import time

LEAD_SECONDS = 1.0


def definitions(vectors: int, members: int) -> bytes:
    """Return the definitions of number vectors ``V0``, ``V1`` and so on, with members ``m0``, ``m1`` and so on."""
    inside = "".join(
        f'<defNumber name="m{number}" format="%g" min="0" max="0" step="0">0</defNumber>'
        for number in range(members)
    )
    return "".join(
        f'<defNumberVector device="D" name="V{number}" state="Ok" perm="ro">{inside}</defNumberVector>'
        for number in range(vectors)
    ).encode()


def update_steadily(client: socket.socket, vectors: int, members: int, period: float, count: int) -> None:
    """Send the updates, each at its time, or at once if that has passed."""
    rest = "".join(f'<oneNumber name="m{number}">12.345</oneNumber>' for number in range(2, members))
    begin = time.monotonic() + LEAD_SECONDS
    for number in range(count):
        time.sleep(max(0.0, begin + number * period - time.monotonic()))
        values = f'<oneNumber name="m0">{time.monotonic():.6f}</oneNumber><oneNumber name="m1">{number}</oneNumber>'
        head = f'<setNumberVector device="D" name="V{number % vectors}" state="Ok">'
        client.sendall(f"{head}{values}{rest}</setNumberVector>\n".encode())


def send_image(client: socket.socket, size: int) -> None:
    """Define a BLOB, and send one when the client has asked for BLOBs."""
    client.sendall(b'<defBLOBVector device="D" name="B" state="Ok" perm="ro"><defBLOB name="x"/></defBLOBVector>')
    asked = b""
    while b"<enableBLOB" not in asked:
        asked += client.recv(65536)
    time.sleep(LEAD_SECONDS)
    piece = base64.b64encode(os.urandom(3 << 18))
    whole, rest = divmod(size, 3 << 18)
    blob = f'<oneBLOB name="x" size="{size}" format=".bin">'
    client.sendall(f'<setBLOBVector device="D" name="B" state="Ok">{blob}'.encode())
    for _ in range(whole):
        client.sendall(piece)
    client.sendall(base64.b64encode(bytes(rest)) + b"</oneBLOB></setBLOBVector>\n")


def main() -> None:
    """Serve the one client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - what this program is asked for
        client, _ = listener.accept()
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.recv(65536)
        if sys.argv[1] == "image":
            send_image(client, int(sys.argv[2]))
        else:
            vectors, members, count = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[5])
            client.sendall(definitions(vectors, members))
            sender = threading.Thread(
                target=update_steadily, args=(client, vectors, members, float(sys.argv[4]), count), daemon=True
            )
            sender.start()
        while client.recv(65536):
            pass


if __name__ == "__main__":
    main()
