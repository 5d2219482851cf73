"""The file in which an instrument keeps its settings, with libindi's name and format.

``~/.indi/<device>_config.xml``, or the file that the environment variable ``INDICONFIG`` names: a root
``INDIDriver`` with one ``new…Vector`` for each property. So the settings of a libindi driver of the same name can
be read.

The variable applies to the whole program, which may serve several devices. So a file may have the settings of other
devices too. A device reads only its own, and saving or purging these leaves the others as they are.

A file is replaced as a whole: if something ends the process while it is saving, the previous file is still there.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree.ElementTree import ParseError, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from indianyio._whole_files import put
from indianyio.protocol import Frame, Framer, NewVector, Unusable, decode, encode

__all__ = ["DamagedSettingsError", "SettingsFile"]

logger = logging.getLogger(__name__)

_ROOT = "INDIDriver"

# Two devices of a program that share a file may be saved at once, in threads.
_CHANGING = threading.Lock()

# More than any driver's settings need; a larger file is not a settings file.
_MOST_BYTES = 4 << 20


class DamagedSettingsError(Exception):
    """A settings file cannot be read; the text says where and why."""


class SettingsFile:
    """The settings of one device.

    :param devicename: the device.
    :ivar path: the file of the settings.
    :ivar default_path: the file that CONFIG_DEFAULT loads: a copy of what was saved first.
    """

    def __init__(self, devicename: str) -> None:
        self._devicename = devicename
        self.path = _path_for(devicename)
        self.default_path = self.path.with_name(f"{self.path.name}.default")

    def save(self, settings: Sequence[NewVector]) -> None:
        """Write settings, in place of the earlier ones.

        :raises OSError: they cannot be written; the file is unchanged then.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _CHANGING:
            put(self.path, _written([*self._of_others(self.path), *settings]))
            if not self._has_default():
                put(self.default_path, _written([*self._of_others(self.default_path), *settings]))

    def load(self, path: Path | None = None) -> list[NewVector]:
        """Return the saved settings of the device; an empty list if there are none.

        :param path: the file to read; :attr:`path` if absent.
        :raises DamagedSettingsError: the file is damaged. It has been renamed, with ``.damaged`` at the end, so
            that a new one can be saved.
        :raises OSError: the file cannot be read.
        """
        settings = self._load(self.path if path is None else path)
        return [one for one in settings if one.device == self._devicename]

    def _of_others(self, path: Path) -> list[NewVector]:
        """Return the settings of other devices in a file; an empty list if it is damaged."""
        try:
            return [one for one in self._load(path) if one.device != self._devicename]
        except DamagedSettingsError as error:
            logger.error("%s", error)
            return []

    def _has_default(self) -> bool:
        try:
            return any(one.device == self._devicename for one in _read(self.default_path.read_bytes()))
        except FileNotFoundError:
            return False
        except ValueError:
            return True  # it is damaged, and whoever loads it is told so

    def _load(self, path: Path) -> list[NewVector]:
        """Return the saved settings of all devices; the errors are those of :meth:`load`."""
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return []
        try:
            return _read(data)
        except ValueError as error:
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            raise DamagedSettingsError(f"{path} is damaged ({error}); it is set aside as {aside.name}") from None

    def purge(self) -> None:
        """Remove the saved settings of the device.

        :raises OSError: they cannot be removed.
        """
        with _CHANGING:
            others = self._of_others(self.path)
            if others:
                put(self.path, _written(others))
            else:
                self.path.unlink(missing_ok=True)


def _path_for(devicename: str) -> Path:
    named = os.environ.get("INDICONFIG")
    # A device may be called "../../etc/passwd", and a name must not become a path.
    return Path(named) if named else Path.home() / ".indi" / f"{devicename.replace('/', '_')}_config.xml"


def _written(settings: Iterable[NewVector]) -> bytes:
    return b"".join((f"<{_ROOT}>\n".encode(), *map(encode, settings), f"</{_ROOT}>\n".encode()))


def _read(data: bytes) -> list[NewVector]:
    """Return the settings in a file.

    :raises ValueError: they cannot be read.
    """
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    try:
        root = fromstring(data)
        if root.tag != _ROOT:
            raise ValueError(f"it begins with <{root.tag}>, not with <{_ROOT}>")
        return [_setting(tostring(child)) for child in root]
    # LookupError: an unknown encoding. RecursionError: elements nested too deeply.
    except (ParseError, DefusedXmlException, LookupError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _setting(data: bytes) -> NewVector:
    found = Framer().feed(data)
    message = found[0] if found else None
    decoded = decode(message) if isinstance(message, Frame) else message
    if isinstance(decoded, NewVector):
        return decoded
    reason = decoded.reason if isinstance(decoded, Unusable) else "it is not a setting"
    raise ValueError(f"{data[:80]!r}: {reason}")
