"""The BLOB member: what may be sent as one, and the element that carries it.

The model never opens or reads anything: whoever sends reads the value, and then asks the member for the element.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Awaitable
from typing import Protocol, TypeAlias

from indianyio._model._members import Member
from indianyio.protocol._elements import Attachment, DefBLOB, OneBLOB
from indianyio.protocol._text import require_xml_text

__all__ = ["DEFAULT_BLOB_FORMAT", "BLOBFile", "BLOBMember", "BLOBValue", "require_blobsize"]

DEFAULT_BLOB_FORMAT = ".bin"
"""The format that is sent for a BLOB without one; readers refuse an empty format."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9_]+")
# In a name that ends in one of these, the suffix before it says what is inside.
_COMPRESSIONS = frozenset({".fz", ".gz", ".bz2", ".xz", ".zst"})
# On the wire this promises a zlib stream and the size of its content, which a file's name cannot guarantee.
_ZLIB = ".z"


class BLOBFile(Protocol):
    """An open binary file whose ``read`` may or may not have to be awaited."""

    def read(self, size: int = ..., /) -> bytes | Awaitable[bytes]:
        """Return at most ``size`` bytes from the file's current position."""


BLOBValue: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BLOBFile | None


class BLOBMember(Member[BLOBValue]):
    """A member that holds bytes, or knows where to read them.

    :param blobsize: the ``size`` to announce with the next send, in bytes, if it differs from the number of bytes
        sent (as with a zlib stream); 0 means that number. It applies to one send and is 0 again afterwards.
    :param blobformat: the file suffix with its dot, such as ``.fits``. If it is empty, the suffix of the path is
        used, or ``.bin`` if there is none. It stays.
    :param membervalue: ``bytes``, ``bytearray``, ``memoryview``, a path, an open binary file (which is read when it
        is sent, and so can be sent once), an asynchronous one, or ``None`` for nothing.
    """

    # An image equal to the last one is still a new image, and comparing the two would cost more than sending it.
    _always_new = True

    def __init__(
        self,
        name: str,
        label: str | None = None,
        blobsize: int = 0,
        blobformat: str = "",
        membervalue: BLOBValue = None,
    ) -> None:
        super().__init__(name, label, membervalue)
        self.blobsize = blobsize
        self.blobformat = blobformat

    def __repr__(self) -> str:
        # The value may be several megabytes long.
        return f"{type(self).__name__}({self.name!r}, {self.label!r}, blobformat={self._blobformat!r})"

    @property
    def blobsize(self) -> int:
        """The size to announce with the next send, in bytes; 0 for the number of bytes sent.

        :raises TypeError: on assignment of anything but an int.
        :raises ValueError: on assignment of a negative number.
        """
        return self._blobsize

    @blobsize.setter
    def blobsize(self, size: int) -> None:
        self._blobsize = require_blobsize(size, self._what("blobsize"))

    @property
    def blobformat(self) -> str:
        """The format to announce, a file suffix with its dot; empty if the value decides.

        :raises ValueError: on assignment of a text that XML cannot carry.
        """
        return self._blobformat

    @blobformat.setter
    def blobformat(self, blobformat: str) -> None:
        self._blobformat = require_xml_text(blobformat, self._what("blobformat"))

    def check(self, value: object) -> BLOBValue:
        """Return ``value`` if it can be sent as a BLOB; it is not read here.

        :raises TypeError: it is not of one of the accepted types.
        :raises ValueError: it is empty, which on the wire would only mean "no BLOB" (docs/protocol.md 1.5).
        """
        if value is None:
            return None
        what = self._what("value")
        if isinstance(value, (bytes, bytearray, memoryview)):
            return _filled(value, what)
        if isinstance(value, (str, os.PathLike)):
            return _named(value, what)
        return self._file(value, what)

    def definition(self) -> DefBLOB:
        """Return the element that defines this member; like libindi's, it does not give a format."""
        return DefBLOB(name=self.name, label=self.label)

    def content(
        self,
        length: int,
        *,
        data: bytes | bytearray | memoryview = b"",
        attachment: Attachment | None = None,
    ) -> OneBLOB:
        """Return the element that carries the value (docs/protocol.md 1.5 and 1.6).

        :param length: how many bytes are sent, in ``data`` or in ``attachment``.
        :param data: the bytes, to travel as base64.
        :param attachment: the open descriptor, to travel beside the XML.
        """
        size = str(self._blobsize or length)
        blobformat = self._blobformat or _format_of(self.membervalue)
        if attachment is None:
            return OneBLOB(name=self.name, size=size, format=blobformat, data=data)
        return OneBLOB(
            name=self.name,
            size=size,
            format=blobformat,
            len=str(length),
            attached="true",
            attachment=attachment,
        )

    def sent(self) -> None:
        """Note that the value has been sent, which uses up an explicit size."""
        self.changed = False
        self._blobsize = 0

    def _file(self, value: object, what: str) -> BLOBFile:
        if isinstance(value, io.TextIOBase) or not callable(getattr(value, "read", None)):
            raise TypeError(f"{what} must be bytes, a path or a file opened with mode 'rb', not {value!r}")
        # Only reading can show what read() returns.
        file: BLOBFile = value  # type: ignore[assignment]
        return file


def require_blobsize(size: object, what: str) -> int:
    """Return ``size`` if it is a number of bytes.

    :raises TypeError: it is not an int.
    :raises ValueError: it is negative.
    """
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"{what} must be a whole number of bytes, not {size!r}")
    if size < 0:
        raise ValueError(f"{what} must not be negative, it is {size}")
    return size


def _filled(value: bytes | bytearray | memoryview, what: str) -> bytes | bytearray | memoryview:
    if memoryview(value).nbytes == 0:
        raise ValueError(f"{what} must not be empty; assign None to have nothing to send")
    return value


def _named(value: str | os.PathLike[str], what: str) -> str | os.PathLike[str]:
    path = os.fspath(value)
    if not isinstance(path, str):
        raise TypeError(f"{what} must be a path of text, not {value!r}")
    if not path or "\0" in path:
        raise ValueError(f"{what} must be the path of a file, not {value!r}")
    return value


def _format_of(value: BLOBValue) -> str:
    if not isinstance(value, (str, os.PathLike)):
        return DEFAULT_BLOB_FORMAT
    from pathlib import PurePath  # takes time, and many drivers have no files

    suffixes = PurePath(value).suffixes
    wanted = 2 if suffixes and suffixes[-1].lower() in _COMPRESSIONS else 1
    parts = [suffix for suffix in suffixes[-wanted:] if _SUFFIX.fullmatch(suffix)]
    if not parts or parts[-1].lower() == _ZLIB:
        return DEFAULT_BLOB_FORMAT
    return "".join(parts)
