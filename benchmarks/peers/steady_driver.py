"""A driver that updates many vectors at a steady pace, and costs as little as can be.

Run with ``python -IS steady_driver.py VECTORS PERIOD``. It defines its vectors at the first getProperties, and
answers later ones with one definition only, so that many clients can come. When ``GO`` is written, it updates each
vector at ``START``, a time of the monotonic clock, and after each further period, ``TICKS`` times in all. A tick
that comes late, because the server did not read, is sent at once, and those behind it keep their times.
"""

from __future__ import annotations

import os
import re
import sys
import time

STDIN, STDOUT = 0, 1
INPUT_BYTES = 1 << 16

REQUEST = re.compile(
    rb"<getProperties[^>]*>"
    rb"|<oneNumber name=[\"']START[\"']>\s*([0-9.]+)\s*</oneNumber>"
    rb"\s*<oneNumber name=[\"']TICKS[\"']>\s*(\d+)\s*</oneNumber>"
)


def define(name: str, members: tuple[str, ...]) -> bytes:
    """Return the definition of a vector."""
    inner = "".join(
        f'<defNumber name="{each}" format="%.6f" min="0" max="0" step="0">0</defNumber>' for each in members
    )
    head = f'<defNumberVector device="Bench" name="{name}" state="Idle" perm="rw" timeout="60">'
    return f"{head}{inner}</defNumberVector>\n".encode()


def updates(vectors: int, tick: int) -> bytes:
    """Return an update of each vector, 221 bytes long."""
    return b"".join(
        b'<setNumberVector device="Bench" name="V%02d" state="Ok" timeout="60" '
        b'timestamp="2026-03-20T21:45:00.000000">\n'
        b'<oneNumber name="TICK">\n%06d\n</oneNumber>\n<oneNumber name="VALUE">\n12.345678901\n</oneNumber>\n'
        b"</setNumberVector>\n" % (number, tick)
        for number in range(vectors)
    )


def send(data: bytes) -> None:
    """Write all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(STDOUT, rest) :]


def update(vectors: int, period: float, start: float, ticks: int) -> None:
    """Update all vectors, in time."""
    for tick in range(ticks):
        data = updates(vectors, tick)
        time.sleep(max(0.0, start + tick * period - time.monotonic()))
        send(data)


def main(vectors: int, period: float) -> None:
    """Answer requests until the end of the input."""
    go = define("GO", ("START", "TICKS"))
    definitions = b"".join(define(f"V{number:02}", ("TICK", "VALUE")) for number in range(vectors)) + go
    waiting = b""
    while data := os.read(STDIN, INPUT_BYTES):
        waiting += data
        end = 0
        for request in REQUEST.finditer(waiting):
            end = request.end()
            if request[1] is None:
                send(definitions)
                definitions = go
            else:
                update(vectors, period, float(request[1]), int(request[2]))
        waiting = waiting[end:]


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
