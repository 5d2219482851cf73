"""A driver that costs as little as can be: what it sends was prepared before, so that the server is what is measured.

Run with ``python -IS burst_driver.py FOLDER``. In the folder are ``definitions``, the answer to getProperties, and
``burst-0``, ``burst-1`` and so on, each sent as it is when the vector GO is set to its number. With a file
``attachment`` in it, bursts are sent together with a descriptor of a copy in shared memory (protocol.md 1.6).
"""

from __future__ import annotations

import os
import re
import sys

STDIN, STDOUT = 0, 1
INPUT_BYTES = 1 << 16

# Servers write quotes and blanks as they like; an element counts when all of it has come.
REQUEST = re.compile(rb"<getProperties[^>]*>|<oneNumber[^>]*>\s*(\d+)\s*</oneNumber>")


def main(folder: str) -> None:
    """Answer requests until the end of the input."""
    definitions = read(f"{folder}/definitions")
    numbers = [name[6:] for name in os.listdir(folder) if name.startswith("burst-")]
    bursts = {number.encode(): read(f"{folder}/burst-{number}") for number in numbers}
    attachment = share(f"{folder}/attachment")
    waiting = b""
    while data := os.read(STDIN, INPUT_BYTES):
        waiting += data
        end = 0
        for request in REQUEST.finditer(waiting):
            end = request.end()
            if request[1] is None:
                send(definitions)
            else:
                send(bursts[request[1]], attachment)
        waiting = waiting[end:]


def read(path: str) -> bytes:
    """Return what is in a file."""
    with open(path, "rb") as file:
        return file.read()


def share(path: str) -> int | None:
    """Return a descriptor of a copy of this file in shared memory, or None if there is no such file."""
    if not os.path.exists(path):
        return None
    descriptor = os.memfd_create("blob")
    rest = memoryview(read(path))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return descriptor


def send(data: bytes, descriptor: int | None = None) -> None:
    """Write all of it; the descriptor goes with its first bytes."""
    rest = memoryview(data)
    if descriptor is not None:
        rest = rest[send_descriptor(rest, descriptor) :]
    while rest:
        rest = rest[os.write(STDOUT, rest) :]


def send_descriptor(data: memoryview, descriptor: int) -> int:
    """Send some of the data with a descriptor, and return how many bytes that were."""
    import socket  # not needed otherwise, and half of the time that the start takes

    with socket.socket(fileno=os.dup(STDOUT)) as wire:
        return socket.send_fds(wire, [data], [descriptor])


if __name__ == "__main__":
    main(sys.argv[1])
