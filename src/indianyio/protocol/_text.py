"""Texts: which of them XML and INDI can carry, how they are escaped, and what words and timestamps mean.

Escaping is a compromise between two readers. An XML parser wants ``&`` and ``<`` escaped and little else; libindi's
reader does not decode an entity at the beginning of a text (protocol.md W9), and drops control characters from
attributes (W5). So a text gets as few entities as XML allows, and white space in attributes becomes blanks before
anybody can drop it.

Timestamps on the wire are UTC (protocol.md 1.4). One that carries an offset nevertheless is converted, and one with
a zone that is not understood is not read at all: a time that is hours off is worse than no time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from indianyio._vocabulary import Permission, Rule, State
from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._elements import DefText, OneText, WireElement

__all__ = [
    "BLANKS",
    "KNOWN_WORDS",
    "SIMPLE_CHARACTERS",
    "WORDS",
    "brief",
    "escape_attribute",
    "escape_text",
    "format_timestamp",
    "is_simple",
    "parse_timestamp",
    "replace_uncarried",
    "require_name",
    "require_xml_text",
    "stamp_of",
    "text_reader",
    "word",
]

# -- writing ---------------------------------------------------------------------------------------------------

# libindi keeps a message in 255 bytes, the last of which is a NUL, and cuts longer ones (protocol.md W15).
_LONGEST_MESSAGE_BYTES = 254
_ELLIPSIS = "..."

# libindi keeps names in 64 bytes, the last of which is a NUL, and cuts longer ones (protocol.md W15).
_LONGEST_NAME_BYTES = 63

_NOT_XML = LazyPattern(r"[\x00-\x08\x0B\x0C\x0E-\x1F\uD800-\uDFFF\uFFFE\uFFFF]")
SIMPLE_CHARACTERS = bytes(set(range(ord(" "), 0x7F)) - set(b"\"&'<>"))
"""Characters that are never escaped. Deleting these and looking at the rest is the fastest way to find others."""

_NOT_PRINTABLE_ASCII = LazyPattern(r"[^ -~]")

_SPECIAL_IN_TEXT = LazyPattern(r"[&<]|]]>")
_TEXT_ENTITIES = {"&": "&amp;", "<": "&lt;", "]]>": "]]&gt;"}

_SPECIAL_IN_ATTRIBUTE = LazyPattern(r'[&<>"\t\n\r\x7F]')
_ATTRIBUTE_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": " ", "\n": " ", "\r": " ", "\x7f": ""}
)


def require_xml_text(value: object, what: str) -> str:
    """Return ``value`` if XML 1.0 can carry it as text.

    :param value: a future attribute or text.
    :param what: what the error calls it, such as ``"label"``.
    :return: the same text.
    :raises TypeError: it is not a :class:`str`.
    :raises ValueError: it has a control character other than tab, line feed and carriage return, a surrogate,
        U+FFFE or U+FFFF.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    # What Python calls printable XML can carry, and nearly all texts are.
    found = None if value.isprintable() else _NOT_XML.search(value)
    if found is not None:
        raise ValueError(f"{what} has U+{ord(found[0]):04X} at position {found.start()}, which XML cannot carry")
    return value


def is_simple(text: str) -> bool:
    """Return whether ``text`` is written unchanged, in attributes and in elements.

    Then it has only printable ASCII, without the five characters for which XML has entities.
    """
    return text.isascii() and not text.encode().translate(None, SIMPLE_CHARACTERS)


def replace_uncarried(text: str) -> str:
    """Return ``text`` with U+FFFD for each character that XML cannot carry.

    For texts that nobody here wrote, such as those of other people's exceptions.
    """
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def brief(text: str) -> str:
    """Return a text that nobody here wrote in a form that can be sent, as long as INDI's readers take a message.

    A longer one is cut between two characters and ends in ``...``; the full text belongs in a log.
    """
    carried = replace_uncarried(text)
    written = carried.encode()
    if len(written) <= _LONGEST_MESSAGE_BYTES:
        return carried
    return written[: _LONGEST_MESSAGE_BYTES - len(_ELLIPSIS)].decode(errors="ignore") + _ELLIPSIS


def require_name(value: object, what: str) -> str:
    """Return ``value`` if it can name a device, a vector or a member everywhere in the INDI world.

    :param value: the name.
    :param what: what the error calls it, such as ``"device name"``.
    :return: the same name.
    :raises TypeError: it is not a :class:`str`.
    :raises ValueError: it is empty, is longer than 63 bytes (protocol.md W15), has characters other than printable
        ASCII, or begins or ends with a blank.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{what} is empty")
    found = None if value.isascii() and value.isprintable() else _NOT_PRINTABLE_ASCII.search(value)
    if found is not None:
        raise ValueError(
            f"{what} has U+{ord(found[0]):04X} at position {found.start()}; only printable ASCII is allowed"
        )
    if len(value) > _LONGEST_NAME_BYTES:
        raise ValueError(
            f"{what} {value[:20]!r}... has {len(value)} bytes; at most {_LONGEST_NAME_BYTES} are allowed"
        )
    if value != value.strip():
        raise ValueError(f"{what} {value!r} begins or ends with a blank, which readers drop")
    return value


def escape_text(text: str) -> str:
    """Return ``text`` as the content of an element.

    Quotes are not escaped, and neither is ``>`` unless it would end a CDATA section: libindi would get a leading
    entity undecoded (protocol.md W9). Nothing can be done about a leading ``&`` or ``<``. White space at either end
    is lost on libindi's readers (W10), and XML readers turn a carriage return into a line feed.

    :param text: what :func:`require_xml_text` accepts.
    """
    if _SPECIAL_IN_TEXT.search(text) is None:
        return text
    return _SPECIAL_IN_TEXT.sub(lambda found: _TEXT_ENTITIES[found[0]], text)


def escape_attribute(text: str) -> str:
    """Return ``text`` as an attribute value for double quotes.

    Each tab, line feed and carriage return becomes a blank: XML readers would make it one, and libindi would join
    the words (protocol.md W5). DEL is left out because libindi drops it, so that one name would become two.

    :param text: what :func:`require_xml_text` accepts.
    """
    if _SPECIAL_IN_ATTRIBUTE.search(text) is None:
        return text
    return text.translate(_ATTRIBUTE_ENTITIES)


# -- reading ---------------------------------------------------------------------------------------------------

BLANKS = " \t\r\n"
"""The characters that XML calls white space."""

# How libindi and indiserver put a text on lines of its own (protocol.md W17, W19).
_LAID_OUT = LazyPattern(r"[ \t]*\n")


def _state(text: str) -> State | None:
    # Anything that begins with Ok is Ok (protocol.md 1.2); nothing else is guessed.
    return State.OK if text.startswith(State.OK) else _STATES.get(text)


def _rule(text: str) -> Rule | None:
    return _RULES.get(text)


def _perm(text: str) -> Permission | None:
    return next((perm for perm in Permission if text.startswith(perm)), None)


_STATES: dict[str | None, State] = {str(state): state for state in State}
_RULES: dict[str | None, Rule] = {str(rule): rule for rule in Rule}
WORDS: Mapping[str, Callable[[str], object]] = {"state": _state, "perm": _perm, "rule": _rule}
"""How to read the attributes whose values are words of the standard; an unknown word gives ``None``."""

KNOWN_WORDS: Mapping[str, Mapping[str | None, object]] = {
    "state": {None: None, **_STATES},
    "perm": {None: None, **{str(perm): perm for perm in Permission}},
    "rule": {None: None, **_RULES},
}
"""The same as tables for the known words, and for an absent one, which is faster."""


def word(text: str) -> str:
    """Return a word, or whatever is written in its place, without the white space around it."""
    return text.strip(BLANKS)


def laid_out_text(text: str) -> str:
    """Return a text member's value: blanks belong to it, unless it stands on lines of its own."""
    return text.strip(BLANKS) if _LAID_OUT.match(text) else text


_READERS: Mapping[type[WireElement], Callable[[str], str]] = {DefText: laid_out_text, OneText: laid_out_text}


def text_reader(cls: type[WireElement]) -> Callable[[str], str]:
    """Return the function that makes the ``value`` of such an element from the text inside it."""
    return _READERS.get(cls, word)


# -- timestamps ------------------------------------------------------------------------------------------------

_TIMESTAMP = LazyPattern(
    r"""
    (?P<year> [0-9]{4} ) [-/] (?P<month> [0-9]{1,2} ) [-/] (?P<day> [0-9]{1,2} )
    (?: T | \s+ )
    (?P<hour> [0-9]{1,2} ) : (?P<minute> [0-9]{2} )
    (?: : (?P<second> [0-9]{2} ) (?: [.,] (?P<fraction> [0-9]+ ) )? )?
    \s* (?: Z | (?P<sign> [-+] ) (?P<hours> [0-9]{2} ) (?: :? (?P<minutes> [0-5][0-9] ) )? )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def parse_timestamp(text: str) -> datetime | None:
    """Read a timestamp; one without a zone is UTC.

    Besides ``YYYY-MM-DDTHH:MM:SS`` it understands a fraction of any length (cut to microseconds), ``Z``, an offset,
    ``/`` in the date, a blank for the ``T``, missing seconds, and blanks around the whole.

    :param text: any text at all.
    :return: the time, aware and in UTC, or ``None`` if the text cannot be read.
    """
    return _moment_of(text) if len(text) <= _KEPT_TIMESTAMP else _read_timestamp(text)


def _read_timestamp(text: str) -> datetime | None:
    found = _TIMESTAMP.fullmatch(text.strip())
    if found is None:
        return None
    names = ("year", "month", "day", "hour", "minute", "second")
    year, month, day, hour, minute, second = (int(found[name] or 0) for name in names)
    microsecond = int((found["fraction"] or "")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    try:
        moment = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
        return moment + offset if found["sign"] == "-" else moment - offset
    except (ValueError, OverflowError):  # no such day or time, or the offset leaves the years 1 to 9999
        return None


# What is sent within a second has the same timestamp. Longer texts are not kept, since any peer can send them.
_KEPT_TIMESTAMP = 32
_moment_of = lru_cache(maxsize=8)(_read_timestamp)


def format_timestamp(moment: datetime) -> str:
    """Return a time as the wire has it: UTC, whole seconds, no zone letter.

    :param moment: aware, in any zone, or naive, which means UTC; the fraction of a second is dropped.
    :return: ``YYYY-MM-DDTHH:MM:SS``.
    :raises TypeError: it is not a :class:`~datetime.datetime`.
    :raises ValueError: in UTC it is outside the years 1 to 9999.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"a timestamp must be a datetime, not {type(moment).__name__}")
    if moment.tzinfo is UTC:
        return moment.isoformat(timespec="seconds").removesuffix("+00:00")
    # Not astimezone(), which would take a naive time for local time.
    offset = moment.utcoffset() or timedelta(0)
    try:
        return (moment.replace(tzinfo=None) - offset).isoformat(timespec="seconds")
    except OverflowError:
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC") from None


@lru_cache(maxsize=1)
def stamp_of(second: int) -> str:
    """Return a second since 1970 as the wire has it; cached, as a burst of updates asks for the same one often."""
    return format_timestamp(datetime.fromtimestamp(second, UTC))
