"""What brings the real world into a run, besides clocks, wires and connections."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from typing import Any, NamedTuple

__all__ = ["CROSSINGS", "Crossing", "is_device"]


class Crossing(NamedTuple):
    """A function or method by which the real world comes in.

    :ivar owner: the module or class that has it.
    :ivar name: its name there.
    :ivar what: what it brings in.
    :ivar only_directly: whether it counts only if the author's code calls it, not if a module of Python's own does.
    """

    owner: Any
    name: str
    what: str
    only_directly: bool = False


CROSSINGS = [
    Crossing(threading.Thread, "start", "a thread"),
    Crossing(socket.socket, "__init__", "a socket"),
    Crossing(subprocess.Popen, "__init__", "a program"),
    Crossing(os, "system", "a program"),
    # Python's own modules open files in this way, such as temporary ones, which are no devices.
    Crossing(os, "open", "a file or a device by its descriptor", only_directly=True),
]


def is_device(file: object) -> bool:
    """Return whether what is to be opened is a path in /dev; behind /dev/null there is nothing real."""
    if not isinstance(file, (str, bytes, os.PathLike)):
        return False
    path = os.path.abspath(os.fsdecode(file))
    return path.startswith("/dev/") and path != os.devnull
