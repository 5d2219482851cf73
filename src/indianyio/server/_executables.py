"""The beginning of an executable file that starts a driver of ours: who made it, and how long the driver may take.

It is written by ``python -m indianyio.run --make-executable``. A server reads it before it starts the file, because
a driver that needs twelve seconds to park must not be killed after the ten that others get.
"""

from __future__ import annotations

import os
import re
import stat

__all__ = ["FIRST_LINES", "grace_line", "recorded_grace"]

FIRST_LINES = b"#!/bin/sh\n# Made by: python -m indianyio.run --make-executable\n"
"""What all such files begin with."""

# At most 9999999.999 s, about four months: enough for any instrument, and no overflow anywhere.
_GRACE = re.compile(re.escape(FIRST_LINES) + rb"# Grace in seconds: ([0-9]{1,7}(?:\.[0-9]{1,3})?)\n")
_HEAD_BYTES = 200


def grace_line(seconds: float) -> bytes:
    """Return the line that follows the first ones in a file, to record a grace.

    :param seconds: more than 0.
    """
    return f"# Grace in seconds: {min(seconds, 9999999.0):.3f}\n".encode("ascii")


def recorded_grace(path: str) -> float | None:
    """Return the grace that a file records, in seconds; ``None`` for a file that is not of this kind.

    Neither waits nor raises, whatever is there.
    """
    try:
        # Not to wait where a named pipe is; that is no program, and its start will say so.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        found = _GRACE.match(os.read(descriptor, _HEAD_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if found is None else float(found[1])
