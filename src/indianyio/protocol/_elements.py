"""The elements inside a vector, one class each, and the bases of all elements (protocol.md 1.2).

A class is named like its tag with a capital first letter, and its fields are the element's attributes, in the order
in which they are written. Four field names are not attributes: ``members`` holds the child elements, ``value`` the
text of the element, and ``data`` or ``attachment`` the content of a BLOB. ``None`` means that the attribute is
absent. Values stay text, as on the wire; what they mean is the model's business.

The classes are frozen structs of msgspec (docs/decisions/0012). :func:`msgspec.structs.replace` makes a changed
copy, and :mod:`msgspec.json` reads and writes messages as JSON, except attachments: an open descriptor has no JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import msgspec

__all__ = [
    "CONTENT_FIELDS",
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
    "attributes_of",
    "required_of",
]


if TYPE_CHECKING:
    Content: TypeAlias = bytes | bytearray | memoryview
else:
    # For msgspec, which cannot read a union of three kinds of bytes from JSON.
    Content = bytes

CONTENT_FIELDS = frozenset({"members", "value", "data", "attachment"})
"""The fields of message classes that are not attributes."""


class Attachment(Protocol):
    """BLOB content that travels beside the XML, as an open descriptor on shared memory (protocol.md 1.6)."""

    def read(self, length: int) -> bytes:
        """Return the first ``length`` bytes.

        :raises ValueError: there are fewer.
        """

    def close(self) -> None:
        """Release the descriptor; closing twice does nothing."""


def _tag(class_name: str) -> str:
    return class_name[0].lower() + class_name[1:]


class WireElement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every class in this module."""

    tag: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.tag = _tag(cls.__name__)


class WireMember(WireElement, frozen=True, kw_only=True):
    """An element inside a vector."""


# In JSON the key "tag" names the class of a message; the class of a vector's members follows from that of the
# vector.
class WireMessage(WireElement, frozen=True, kw_only=True, tag=_tag, tag_field="tag"):
    """An element that stands alone on the stream."""


def attributes_of(cls: type[WireElement]) -> tuple[str, ...]:
    """Return the fields of a class that are attributes, in the order in which they are written."""
    return tuple(name for name in cls.__struct_fields__ if name not in CONTENT_FIELDS)


def required_of(cls: type[WireElement]) -> tuple[str, ...]:
    """Return the fields that a class requires: those without a default, which come first."""
    return cls.__struct_fields__[: len(cls.__struct_fields__) - len(cls.__struct_defaults__)]


# -- members of definitions ------------------------------------------------------------------------------------


class DefText(WireMember, frozen=True, kw_only=True):
    """A text member and its first value."""

    name: str
    label: str | None = None
    value: str = ""


class DefNumber(WireMember, frozen=True, kw_only=True):
    """A number member, how to print it (protocol.md 1.3), its limits and its first value."""

    name: str
    label: str | None = None
    format: str | None = None
    min: str | None = None
    max: str | None = None
    step: str | None = None
    value: str = ""


class DefSwitch(WireMember, frozen=True, kw_only=True):
    """A switch member and its first value, ``On`` or ``Off``."""

    name: str
    label: str | None = None
    value: str = ""


class DefLight(WireMember, frozen=True, kw_only=True):
    """A light member and its first value, one of the four states."""

    name: str
    label: str | None = None
    value: str = ""


class DefBLOB(WireMember, frozen=True, kw_only=True):
    """A BLOB member; a definition never carries content."""

    name: str
    label: str | None = None
    format: str | None = None


# -- members of set and new ------------------------------------------------------------------------------------


class OneText(WireMember, frozen=True, kw_only=True):
    """A value of a text member."""

    name: str
    value: str = ""


class OneNumber(WireMember, frozen=True, kw_only=True):
    """A value of a number member, in a set perhaps with new limits (libindi's "min/max update")."""

    name: str
    min: str | None = None
    max: str | None = None
    step: str | None = None
    value: str = ""


class OneSwitch(WireMember, frozen=True, kw_only=True):
    """A value of a switch member."""

    name: str
    value: str = ""


class OneLight(WireMember, frozen=True, kw_only=True):
    """A value of a light member."""

    name: str
    value: str = ""


class OneBLOB(WireMember, frozen=True, kw_only=True):
    """A BLOB (protocol.md 1.5 and 1.6).

    :ivar size: bytes of the uncompressed content; 0 only reports a state.
    :ivar format: a file suffix with its leading dot; a final ``.z`` says that the content is a zlib stream.
    :ivar enclen: how many base64 characters there are, without line breaks; a hint that readers must not trust.
    :ivar len: how many bytes are attached, if that differs from ``size``.
    :ivar attached: ``"true"`` if the content travels as ``attachment``.
    :ivar data: the content as transported: decoded from base64, not inflated.
    """

    name: str
    size: str | None = None
    format: str | None = None
    enclen: str | None = None
    len: str | None = None
    attached: str | None = None
    data: Content = b""
    attachment: Attachment | None = None
