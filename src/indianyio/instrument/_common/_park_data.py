"""The file that records whether instruments are parked, and where they park; libindi's file, in libindi's format.

``~/.indi/ParkData.xml`` is one file for all devices of a user, including those of libindi's drivers: a root
``parkdata``, and for each device a ``device`` with its ``parkstatus``, ``true`` or ``false``, and its
``parkposition``. So what other drivers have written is kept, and a libindi driver of the same name also knows that
its device is parked.

The file is always complete: either the new one or the one before it. Drivers of this library that write at the same
time wait for each other; libindi's do not take part in that.
"""

from __future__ import annotations

import errno
import logging
import math
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError, SubElement, indent, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from indianyio._whole_files import is_there, put

__all__ = ["DamagedParkDataError", "ParkData", "ParkFile"]

logger = logging.getLogger(__name__)

_ROOT = "parkdata"
_AXES = ("axis1position", "axis2position")

# More than all devices of an observatory need; a larger file is something else.
_MOST_BYTES = 1 << 20

# Whoever holds the lock only writes a small file. If it takes longer than this, it hangs.
_LOCK_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 0.02


class DamagedParkDataError(Exception):
    """The file does not tell whether an instrument is parked; the text says where and why."""


class ParkData(NamedTuple):
    """What the file says about one device.

    :ivar is_parked: whether it is parked.
    :ivar position: where it parks: the positions of a mount's two axes, or a dome's azimuth; empty if its park
        position cannot be chosen.
    """

    is_parked: bool
    position: tuple[float, ...] = ()


class ParkFile:
    """One device's entry in the file of all devices.

    :ivar path: the file.
    :ivar devicename: the device.
    """

    def __init__(self, path: Path, devicename: str) -> None:
        self.path = path
        self.devicename = devicename

    def load(self) -> ParkData | None:
        """Return the device's entry; ``None`` if there is none.

        :raises DamagedParkDataError: the entry cannot be read. A file that is damaged as a whole has been renamed,
            with ``.damaged`` at the end.
        :raises OSError: the file cannot be read.
        """
        device = self._found(self._read())
        if device is None:
            return None
        try:
            return _data_of(device)
        except ValueError as error:
            raise DamagedParkDataError(f"what {self.path} says of {self.devicename} is damaged ({error})") from None

    def save(self, data: ParkData) -> None:
        """Write the device's entry, in place of an earlier one; the other devices' entries stay as they are.

        :raises OSError: the file cannot be written; it is unchanged then.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            root = self._read_anew()
            device = self._found(root)
            if device is None:
                device = SubElement(root, "device", name=self.devicename)
            _fill(device, data)
            self._write(root)

    def purge(self) -> None:
        """Remove the device's entry.

        :raises OSError: the file cannot be written; it is unchanged then.
        """
        if not is_there(self.path):
            return
        with self._locked():
            root = self._read_anew()
            device = self._found(root)
            if device is not None:
                root.remove(device)
                self._write(root)

    def _found(self, root: Element) -> Element | None:
        # A device may be called "]", so its name is not put into a path.
        return next((one for one in root.iter("device") if one.get("name") == self.devicename), None)

    def _read(self) -> Element:
        """Return the file's content; an empty root if there is no file."""
        try:
            with self.path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return Element(_ROOT)
        try:
            return _root_of(data)
        except ValueError as error:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            self.path.replace(aside)
            text = f"{self.path} is damaged ({error}); it is set aside as {aside.name}"
            raise DamagedParkDataError(text) from None

    def _read_anew(self) -> Element:
        """Return the file's content; an empty root if it is damaged."""
        try:
            return self._read()
        except DamagedParkDataError as error:
            logger.error("%s; what it said about other devices is lost", error)
            return Element(_ROOT)

    def _write(self, root: Element) -> None:
        indent(root)
        put(self.path, tostring(root) + b"\n")

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Let no other driver write during this block.

        :raises OSError: another driver holds the lock for too long, or files cannot be locked here.
        """
        try:
            import fcntl  # here, because the package must be importable where there is no such module
        except ImportError:
            raise OSError(errno.ENOSYS, "files cannot be locked on this system", str(self.path)) from None
        # Not the file itself is locked, because saving replaces it by another file.
        with self.path.with_name(f".{self.path.name}.lock").open("ab") as lock:
            until = time.monotonic() + _LOCK_SECONDS
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() > until:
                    raise TimeoutError(errno.ETIMEDOUT, "another driver has locked it", str(self.path))
                time.sleep(_LOOK_AGAIN_SECONDS)
            yield


def _root_of(data: bytes) -> Element:
    """Return the content of a file.

    :raises ValueError: it is not a file of park data.
    """
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    try:
        root: Element = fromstring(data)
    # LookupError: an unknown encoding. RecursionError: elements nested too deeply.
    except (ParseError, DefusedXmlException, LookupError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if root.tag != _ROOT:
        raise ValueError(f"it begins with <{root.tag}>, not with <{_ROOT}>")
    return root


def _data_of(device: Element) -> ParkData:
    """Return what the element of a device says.

    :raises ValueError: its values make no sense.
    """
    status = (device.findtext("parkstatus") or "").strip()
    if status not in ("true", "false"):
        raise ValueError(f"parkstatus is {status[:20]!r}, which is neither true nor false")
    texts = [device.findtext(f"parkposition/{axis}") for axis in _AXES]
    position = tuple(float(text) for text in texts if text is not None)
    if not all(map(math.isfinite, position)):
        raise ValueError(f"parkposition is {position}")
    return ParkData(status == "true", position)


def _fill(device: Element, data: ParkData) -> None:
    """Write these data into the element of a device."""
    _child(device, "parkstatus").text = "true" if data.is_parked else "false"
    if data.position:
        _fill_position(_child(device, "parkposition"), data.position)


def _fill_position(element: Element, position: Sequence[float]) -> None:
    for axis, place in zip(_AXES, position, strict=False):
        _child(element, axis).text = f"{place:f}"


def _child(parent: Element, tag: str) -> Element:
    found = parent.find(tag)
    return SubElement(parent, tag) if found is None else found
