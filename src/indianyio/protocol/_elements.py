"""The elements inside a vector, one dataclass each, and the bases of all elements (protocol.md 1.2).

A class is named like its tag with the first letter raised, and its fields are the element's attributes, in the
order in which they are written. Three field names are not attributes: ``members`` are the child elements,
``value`` is the text of the element, and ``data`` or ``attachment`` the content of a BLOB. ``None`` means that
the attribute is absent. Values stay text as on the wire: meaning is the model's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

__all__ = [
    "Attachment",
    "DefBLOB",
    "DefLight",
    "DefNumber",
    "DefSwitch",
    "DefText",
    "OneBLOB",
    "OneLight",
    "OneNumber",
    "OneSwitch",
    "OneText",
    "WireElement",
    "WireMember",
    "WireMessage",
]


class Attachment(Protocol):
    """BLOB content that travels beside the XML, as an open descriptor on shared memory (protocol.md 1.6)."""

    def read(self, length: int) -> bytes:
        """Return the first ``length`` bytes.

        :raises ValueError: there are not so many.
        """

    def close(self) -> None:
        """Release the descriptor; closing twice does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireElement:
    """Base of everything in this module."""

    tag: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.tag = cls.__name__[0].lower() + cls.__name__[1:]


class WireMember(WireElement):
    """An element inside a vector."""

    __slots__ = ()


class WireMessage(WireElement):
    """An element that stands alone on the stream."""

    __slots__ = ()


# -- members of definitions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DefText(WireMember):
    """A text member and its first value."""

    name: str
    label: str | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefNumber(WireMember):
    """A number member, how to print it (protocol.md 1.3), its limits and its first value."""

    name: str
    label: str | None = None
    format: str | None = None
    min: str | None = None
    max: str | None = None
    step: str | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefSwitch(WireMember):
    """A switch member and its first value, ``On`` or ``Off``."""

    name: str
    label: str | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefLight(WireMember):
    """A light member and its first value, one of the four states."""

    name: str
    label: str | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefBLOB(WireMember):
    """A BLOB member; a definition never carries content."""

    name: str
    label: str | None = None
    format: str | None = None


# -- members of set and new ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OneText(WireMember):
    """A value of a text member."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneNumber(WireMember):
    """A value of a number member; in a set also new limits (libindi's "min/max update")."""

    name: str
    min: str | None = None
    max: str | None = None
    step: str | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneSwitch(WireMember):
    """A value of a switch member."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneLight(WireMember):
    """A value of a light member."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneBLOB(WireMember):
    """A BLOB (protocol.md 1.5 and 1.6).

    :ivar size: bytes of the uncompressed content; 0 only reports a state.
    :ivar format: a file suffix with its leading dot; a last ``.z`` says that the content is a zlib stream.
    :ivar enclen: base64 characters without line breaks; a hint that readers must not trust.
    :ivar len: bytes attached, where that differs from ``size``.
    :ivar attached: ``"true"`` when the content travels as ``attachment``.
    :ivar data: the content as transported: decoded from base64, not inflated.
    """

    name: str
    size: str | None = None
    format: str | None = None
    enclen: str | None = None
    len: str | None = None
    attached: str | None = None
    data: bytes | bytearray | memoryview = b""
    attachment: Attachment | None = None
