#!/usr/bin/env python3
"""An external driver that floods when it is told to, or reads nothing any more; uses the standard library only."""

import os
import time

_NUMBER = b'<defNumber name="x" format="%g" min="0" max="0" step="0">1</defNumber>'
_TEXT = b'<defText name="x">1</defText>'
_DEFINITIONS = (
    b'<defNumberVector device="W" name="n" state="Ok" perm="ro">' + _NUMBER + b"</defNumberVector>"
    b'<defTextVector device="W" name="t" state="Ok" perm="ro">' + _TEXT + b"</defTextVector>"
    b'<defTextVector device="W" name="do" state="Ok" perm="rw">' + _TEXT + b"</defTextVector>"
)
_SNOOPED = (
    b'<setNumberVector device="W" name="n" state="Ok"><oneNumber name="x">1.0</oneNumber></setNumberVector>\n'
)
_LATIN = b'<setTextVector device="W" name="t" state="Ok"><oneText name="x">12 \xb0C</oneText></setTextVector>\n'


def write(data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def main() -> None:
    """Do as told until the end of the input."""
    write(_DEFINITIONS)
    last = b""
    while data := os.read(0, 1 << 16):
        seen, last = last + data, data[-20:]
        if b">snooped<" in seen:
            write(_SNOOPED * 100_000)
            last = b""
        elif b">latin<" in seen:
            write(_LATIN * 50_000)
            last = b""
        elif b">hang<" in seen:
            time.sleep(3600)


main()
