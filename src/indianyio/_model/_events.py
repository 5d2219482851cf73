"""What the events of ``rxevent`` and ``snoopevent`` have in common.

An event is a read-only view of one message. The indipy family names the classes after the wire's tags, so the tag
of an event is the name of its class with a small first letter, and the tables from tag to class are derived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Generic, TypeAlias, TypeVar

from indianyio._model._blob_members import DEFAULT_BLOB_FORMAT
from indianyio._model._writes import whole_number
from indianyio._vocabulary import Limits
from indianyio.exceptions import UnknownMemberError
from indianyio.protocol._blobs import inflate
from indianyio.protocol._decoder import parse_element
from indianyio.protocol._elements import OneBLOB
from indianyio.protocol._text import parse_timestamp

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["DEFAULT_LIMITS", "Event", "SizeFormat", "ValuesEvent", "VectorEvent", "event_table", "read_blobs"]

ValueT_co = TypeVar("ValueT_co", covariant=True)
EventT = TypeVar("EventT", bound="Event")

SizeFormat: TypeAlias = tuple[int, str]
"""For a BLOB: the announced number of bytes, and the file suffix, without ``.z`` if that has been undone."""

DEFAULT_LIMITS = Limits()

_ZLIB = ".z"


class Event:
    """A message that a driver has received; what takes time is worked out when it is first asked for.

    :ivar devicename: the device, or ``None`` if the message does not name one.
    :ivar vectorname: the vector, or ``None`` if the message does not name one.
    """

    tag: ClassVar[str] = ""

    devicename: str | None
    vectorname: str | None

    def __init_subclass__(cls) -> None:
        cls.tag = cls.__name__[0].lower() + cls.__name__[1:]

    def __init__(
        self, device: str | None, name: str | None, timestamp: str | None, data: bytes, now: datetime
    ) -> None:
        self.devicename = device
        self.vectorname = name
        self._stamp = timestamp
        self._data = data
        self._now = now

    @cached_property
    def timestamp(self) -> datetime | None:
        """When it was sent, aware and in UTC; if the message does not say, when it arrived.

        ``None`` if the message gives a time that cannot be read.
        """
        return self._now if self._stamp is None else parse_timestamp(self._stamp)

    @cached_property
    def root(self) -> Element:
        """The message as an XML element, which is parsed when it is first asked for."""
        return parse_element(self._data)


class VectorEvent(Event):
    """A message about one vector.

    :ivar devicename: the device.
    :ivar vectorname: the vector.
    """

    # An event is read-only, so its attributes may be narrower than those of events in general.
    devicename: str  # type: ignore[mutable-override]
    vectorname: str  # type: ignore[mutable-override]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.devicename}.{self.vectorname}>"


class ValuesEvent(VectorEvent, Mapping[str, ValueT_co], Generic[ValueT_co]):
    """A message about one vector, as a mapping from the names of its members to their values.

    A message that only reports a state is an empty mapping.
    """

    _values: Mapping[str, ValueT_co]

    def __getitem__(self, name: str) -> ValueT_co:
        try:
            return self._values[name]
        except KeyError:
            raise UnknownMemberError(self.devicename, self.vectorname, name, tuple(self._values)) from None

    def __setitem__(self, name: str, value: object) -> None:
        """Refuse: an event that has been received cannot be changed.

        :raises KeyError: always; drivers of the family expect that error.
        """
        raise KeyError(f"{name!r} cannot be assigned: an event is what has been received")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def event_table(classes: Iterable[type[EventT]]) -> dict[str, type[EventT]]:
    """Return the event classes by the tag of the message of which each is a view."""
    return {cls.tag: cls for cls in classes}


def read_blobs(wanted: Iterable[OneBLOB], limits: Limits) -> tuple[dict[str, bytes], dict[str, SizeFormat]]:
    """Return the inflated content of BLOBs, and what was announced about them, both by member.

    The descriptors of attached BLOBs are read, not closed. All contents together may have ``limits.blob_bytes``.

    :raises ValueError: content cannot be read: its size is not a whole number or exceeds the limit, a zlib stream
        is damaged, or fewer bytes are attached than announced.
    """
    contents: dict[str, bytes] = {}
    announced: dict[str, SizeFormat] = {}
    room = limits.blob_bytes
    for one in wanted:
        contents[one.name], announced[one.name] = _read_blob(one, room)
        room -= len(contents[one.name])
    return contents, announced


def _read_blob(one: OneBLOB, room: int) -> tuple[bytes, SizeFormat]:
    content = _transported(one, room)
    size = len(content) if one.size is None else whole_number(one.size)
    blobformat = one.format or DEFAULT_BLOB_FORMAT
    if not blobformat.endswith(_ZLIB):
        return content, (size, blobformat)
    if content or size:
        content = inflate(content, size, room)
    return content, (size, blobformat.removesuffix(_ZLIB))


def _transported(one: OneBLOB, room: int) -> bytes:
    if one.attachment is None:
        return bytes(one.data)
    # The file behind the descriptor may be longer than the content (docs/protocol.md W38).
    length = whole_number(one.size if one.len is None else one.len)
    if length > room:
        raise ValueError(f"BLOB {one.name!r} has {length} bytes, more than the {room} that are left of the limit")
    return one.attachment.read(length)
