"""What the servers have to relay, and the driver that sends it."""

from __future__ import annotations

import base64
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.drivers import FOLDER, executable

__all__ = [
    "DEVICE",
    "MEGABYTE",
    "attached_blob",
    "blob",
    "burst_driver",
    "content_of",
    "numbers",
    "payload",
    "texts",
    "wrapped_blob",
]

DEVICE = "Bench"
MEGABYTE = 1_000_000

_COLUMNS = 72

_DEFINITIONS = f"""\
<defNumberVector device="{DEVICE}" name="POSITION" label="Position" group="Main" state="Ok" perm="ro" timeout="60">
<defNumber name="RA" label="RA" format="%.6f" min="0" max="0" step="0">0</defNumber>
<defNumber name="DEC" label="DEC" format="%.6f" min="0" max="0" step="0">0</defNumber>
</defNumberVector>
<defTextVector device="{DEVICE}" name="PAGE" label="Page" group="Main" state="Ok" perm="ro" timeout="60">
<defText name="PAGE" label="Page"></defText>
</defTextVector>
<defBLOBVector device="{DEVICE}" name="IMAGE" label="Image" group="Main" state="Ok" perm="ro" timeout="60">
<defBLOB name="IMAGE" label="Image"/>
</defBLOBVector>
<defNumberVector device="{DEVICE}" name="GO" label="Go" group="Main" state="Ok" perm="rw" timeout="60">
<defNumber name="BURST" label="Burst" format="%.0f" min="0" max="0" step="0">0</defNumber>
</defNumberVector>
""".encode()

# 230 bytes, as a mount's position is; the declination counts, so that a lost or swapped message shows.
_NUMBER = (
    f'<setNumberVector device="{DEVICE}" name="POSITION" state="Ok" timeout="60" timestamp="2026-03-20T21:45:00.0">\n'
    '<oneNumber name="RA">\n12.345678\n</oneNumber>\n'
    '<oneNumber name="DEC">\n{:.6f}\n</oneNumber>\n</setNumberVector>\n'
)


def numbers(count: int) -> bytes:
    """Return this many updates of a number vector."""
    return "".join(map(_NUMBER.format, range(count))).encode()


def payload(size: int) -> bytes:
    """Return this many bytes that do not compress, the same ones each time."""
    return random.Random(1).randbytes(size)


def texts(count: int, text: bytes) -> bytes:
    """Return this many updates of a text vector, all with this text."""
    head = f'<setTextVector device="{DEVICE}" name="PAGE" state="Ok"><oneText name="PAGE">'.encode()
    return (head + text + b"</oneText></setTextVector>\n") * count


def blob(data: bytes) -> bytes:
    """Return a BLOB in base64, on one line, as servers and our drivers write it."""
    return _blob(f'size="{len(data)}" format=".bin"', base64.b64encode(data))


def wrapped_blob(data: bytes) -> bytes:
    """Return a BLOB in lines of base64, as libindi's drivers write it to a pipe (protocol.md 1.5)."""
    text = base64.b64encode(data)
    lines = b"".join(b"\n" + text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS))
    return _blob(f'size="{len(data)}" enclen="{len(text)}" format=".bin"', lines + b"\n")


def content_of(message: bytes) -> bytes:
    """Return what is between the tags of the BLOB in this message, without white space at its ends."""
    begin = message.index(b">", message.index(b"<oneBLOB")) + 1
    return message[begin : message.index(b"</oneBLOB>")].strip()


def _blob(attributes: str, content: bytes) -> bytes:
    head = f'<setBLOBVector device="{DEVICE}" name="IMAGE" state="Ok"><oneBLOB name="IMAGE" {attributes}>'
    return head.encode() + content + b"</oneBLOB></setBLOBVector>\n"


def attached_blob(size: int) -> bytes:
    """Return a BLOB whose bytes are in the descriptor that travels with it, as libindi's drivers write it."""
    head = f'<setBLOBVector device="{DEVICE}" name="IMAGE" state="Ok">'
    element = f'<oneBLOB name="IMAGE" size="{size}" format=".bin" len="{size}" attached="true"></oneBLOB>'
    return f"{head}{element}</setBLOBVector>\n".encode()


@contextmanager
def burst_driver(bursts: Sequence[bytes], attachment: bytes | None = None) -> Iterator[Path]:
    """Make an executable driver that sends one of these bursts whenever it is asked to.

    :param bursts: what it sends when GO is set to 0, 1 and so on.
    :param attachment: what is in the descriptor that goes with each burst.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "definitions").write_bytes(_DEFINITIONS)
        for number, burst in enumerate(bursts):
            (folder / f"burst-{number}").write_bytes(burst)
        if attachment is not None:
            (folder / "attachment").write_bytes(attachment)
        program = str(FOLDER / "burst_driver.py")
        yield executable("burst_driver", [sys.executable, "-IS", program, name])
