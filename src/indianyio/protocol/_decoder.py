"""Frames to messages, by the shortest way: plain messages without an XML parser, all others with it.

The parser is imported when it is first needed (see ``_xml_decoder``): many programs never see a message that is not
plain.

In a plain message (see ``_plain``) everything is where one expects it: the attributes stand in their usual order, a
text ends at the next ``<``, and only the five standard entities occur. Plain messages have two forms, each read by
functions that are generated from the message classes, one for each tag:

*Canonical* is the form in which this package and the indipy family write: attributes in double quotes, one blank
before each, no entities, no carriage returns. The patterns prove this while they capture, so nobody has to know
beforehand that the message is plain, and it is read only once: one match takes the start tag, one ``findall`` all
the members. Counting proves that there is nothing but members: each must be followed by the next one or by the end,
and their number must equal the number of start tags.

*Quoted* is every other plain message, for example libindi's with single quotes and one attribute per line. These
patterns only capture, so the message must already be known to be plain.

Both give the same result as the XML parser; tests compare them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, cast

from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol._compiled import LazyPattern, function_from
from indianyio.protocol._elements import WireElement, WireMessage, attributes_of, required_of
from indianyio.protocol._frames import Frame, Unusable
from indianyio.protocol._messages import CONTENT_TAGS, MEMBERS, MESSAGES
from indianyio.protocol._plain import Reader, captured_head, is_plain_in_order, unescape
from indianyio.protocol._text import BLANKS, KNOWN_WORDS, WORDS, text_reader, word

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["canonical_message", "canonical_reader", "decode", "parse_element", "quoted_message"]


def decode(frame: Frame, limits: Limits = Limits()) -> WireMessage | Unusable:  # noqa: B008 - frozen
    """Return the message in a frame; it is kept there, so asking again costs nothing.

    A frame that turns out to be unusable keeps its attachments; whoever drops the frame closes them.

    :param frame: an element as it was received, with the attachments that belong to it.
    :param limits: how deep and how long the peer's messages may be.
    :return: the message, or why it cannot be used. Values are the text from the wire; BLOBs are decoded from base64
        but not inflated.
    :raises RemoteProtocolError: the peer exceeds ``limits.depth`` or ``limits.members``; the caller decides whether
        to disconnect it. The frame is unchanged, so asking again raises again. Nothing else is
        raised, whatever the bytes.
    """
    if frame.decoded is None:
        frame.decoded = _plain_message(frame, limits) or _by_parser(frame, limits)
    return frame.decoded


def _plain_message(frame: Frame, limits: Limits) -> WireMessage | None:
    """Return the message if one of the two shortcuts can read it; the first nearly always can."""
    if frame.plain is False or frame.tag in CONTENT_TAGS or frame.tag not in MESSAGES:
        return None
    if frame.plain or frame.data.isascii():
        message = canonical_message(frame, limits)
        if message is not None:
            frame.plain = True
            return message
    if frame.plain is None:
        frame.plain = is_plain_in_order(frame.tag, frame.data, limits.members)
    return quoted_message(frame, limits) if frame.plain else None


def _by_parser(frame: Frame, limits: Limits) -> WireMessage | Unusable:
    from indianyio.protocol._xml_decoder import RefusalError, parsed_message

    try:
        return parsed_message(frame, limits)
    except RefusalError as refusal:
        return Unusable.made_of(frame, str(refusal))


def parse_element(data: bytes) -> Element:
    """Return an element as :mod:`xml.etree.ElementTree` represents it, for code that reads the XML itself.

    :param data: the bytes of a frame.
    :raises ValueError: it is not well-formed and cannot be repaired, or declares a document type or an entity.
    """
    from indianyio.protocol import _xml_decoder

    return _xml_decoder.parse_element(data)


_BLANK = r"[ \t\r\n]*+"
# As in ``_plain``, but without entities, and without carriage returns, which would have to become line feeds.
_VALUE_CHARACTER = r'[^"<>&\x00-\x1F\x7F]'
_TEXT = r"([^<&\]\x00-\x08\x0B-\x1F]*+)"

# Most vectors have one to three members.
_FIRST_MEMBERS = 3

_LINE_END = LazyPattern(r"\r\n?")


# -- canonical -------------------------------------------------------------------------------------------------


def canonical_message(frame: Frame, limits: Limits) -> WireMessage | None:
    """Return the message in a frame, or ``None`` if it is not canonical or has more members than allowed.

    :param frame: a frame that is known to be plain, or is ASCII; not a BLOB vector.
    """
    text = frame.data.decode()
    found = canonical_reader(frame.tag)(text, 0, len(text), limits.members)
    return found[0] if found is not None and found[1] == len(text) else None


@cache
def canonical_reader(tag: str) -> Reader:
    """Return the function that reads canonical messages of a tag; it is generated when it is first needed.

    Its arguments are a text, the index at which the message begins, the index before which it must end if it has
    many members, and how many members it may have. It returns the message and the index just after it, or ``None``
    for anything that is not a whole canonical message.
    """
    cls = MESSAGES[tag]
    attributes = attributes_of(cls)
    names: dict[str, object] = {"cls": cls}
    arguments = [f"{name}={_meaning(name, name, names)}" for name in attributes]
    groups = [*attributes, "ended"]
    members: list[str] = []
    if cls in MEMBERS:
        firsts, first_members = _first_members(MEMBERS[cls])
        groups = [*attributes, "closed", *firsts, "ended"]
        content = rf"{_BLANK}(?:(/>)|>{_BLANK}{first_members}(</{tag}>)?+)"
        members = _canonical_members(cls, MEMBERS[cls], firsts, names)
        arguments.append("members=members")
    elif "value" in cls.__struct_fields__:
        content = rf">{_TEXT}</{tag}>"
        arguments.append(f"value={_text_value(cls, 'ended', names)}")
    else:
        content = rf"{_BLANK}(/>|></{tag}>)"
    names["match_head"] = re.compile(_canonical_head(cls, required_of(cls)) + content).match
    lines = (
        "def made(text, position, stop, most):",
        "    head = match_head(text, position)",
        "    if head is None:",
        "        return None",
        f"    {', '.join(groups)}, = head.groups()",
        "    end = head.end()",
        *members,
        f"    return cls({', '.join(arguments)}), end",
    )
    return cast("Reader", function_from(lines, names))


def _first_members(member: type[WireElement]) -> tuple[list[str], str]:
    """Return how the first members are captured together with the start tag: the groups' names, and a pattern.

    Nearly all updates and commands have only a few members, whose only attribute is the name. One match for the
    whole message costs much less than a match, a search for the end and a search for members. Members of a
    definition have more attributes, so this does nothing for them.
    """
    pattern = ""
    groups: list[str] = []
    if "label" in member.__struct_fields__:
        return groups, pattern
    for number in range(_FIRST_MEMBERS, 0, -1):
        head = f'<{member.tag} name="({_VALUE_CHARACTER}++)">{_TEXT}</{member.tag}>{_BLANK}'
        pattern = f"(?:{head}{pattern})?+"
        groups[:0] = [f"name{number}", f"value{number}"]
    return groups, pattern


def _canonical_members(
    cls: type[WireMessage], member: type[WireElement], firsts: list[str], names: dict[str, object]
) -> list[str]:
    opening, closing = f"<{member.tag} ", f"</{cls.tag}>"
    fields, required = member.__struct_fields__, required_of(member)
    content = rf"(?:/>|>{_TEXT}</{member.tag}>)" if "value" in fields else rf"(?:/>|></{member.tag}>)"
    # ``findall`` returns an empty string for an absent attribute. An empty one means something else, so the pattern
    # does not match it.
    head = _canonical_head(member, fields)
    names["member"] = member
    names["find_members"] = re.compile(rf"{head}{content}{_BLANK}(?={opening}|\Z)").findall
    arguments = [f"{name}={name}" if name in required else f"{name}={name} or None" for name in fields]
    if "value" in fields:
        arguments[-1] = f"value={_text_value(member, 'value', names)}"
    return [
        *_chosen_firsts(member, len(firsts) // 2, names),
        "    if not (ended or closed):",
        f"        close = text.find({closing!r}, end, stop)",
        f"        if close < 0 or not (close == end or text.startswith({opening!r}, end)):",
        "            return None",
        "        found = find_members(text, end, close)",
        f"        if text.count({opening!r}, end, close) != len(found):",
        "            return None",
        f"        members += tuple([member({', '.join(arguments)}) for {', '.join(fields)} in found])",
        f"        end = close + {len(closing)}",
        "    if len(members) > most:",
        "        return None",
    ]


def _chosen_firsts(member: type[WireElement], most: int, names: dict[str, object]) -> list[str]:
    """Return statements for the members that were captured together with the start tag."""
    made = [
        f"member(name=name{number}, value={_text_value(member, f'value{number}', names)})"
        for number in range(1, most + 1)
    ]
    lines = []
    for count in range(most, 0, -1):
        lines += [
            f"    {'if' if count == most else 'elif'} name{count} is not None:",
            f"        members = ({', '.join(made[:count])},)",
        ]
    return [*lines, "    else:", "        members = ()"] if lines else ["    members = ()"]


def _canonical_head(cls: type[WireElement], not_empty: tuple[str, ...]) -> str:
    """Return the pattern of a start tag up to its end, with a group for each attribute."""
    head = f"<{cls.tag}"
    required = required_of(cls)
    for name in attributes_of(cls):
        attribute = f' {name}="({_VALUE_CHARACTER}{"++" if name in not_empty else "*+"})"'
        head += attribute if name in required else f"(?:{attribute})?+"
    return head


# -- quoted ----------------------------------------------------------------------------------------------------


def quoted_message(frame: Frame, limits: Limits) -> WireMessage:
    """Return the message in a frame that is known to be plain.

    :raises RemoteProtocolError: it has more members than the limits allow.
    """
    return _quoted_reader(frame.tag)(frame.data.decode(), limits.members)


@cache
def _quoted_reader(tag: str) -> Callable[[str, int], WireMessage]:
    cls = MESSAGES[tag]
    member = MEMBERS.get(cls)
    fields = cls.__struct_fields__
    names: dict[str, object] = {
        "cls": cls,
        "match_head": re.compile(captured_head(cls)).match,
        "unescape": unescape,
        "clean": _clean,
    }
    members: list[str] = []
    if member is not None:
        members = _quoted_members(cls, member, names)
    lines = (
        "def made(text, most):",
        "    head = match_head(text)",
        f"    {', '.join(fields)}, = head.groups()",
        *members,
        f"    return cls({', '.join(_quoted_arguments(cls, names))})",
    )
    return cast("Callable[[str, int], WireMessage]", function_from(lines, names))


def _quoted_members(cls: type[WireMessage], member: type[WireElement], names: dict[str, object]) -> list[str]:
    names |= {
        "member": member,
        "find_members": re.compile(captured_head(member)).findall,
        "too_many": RemoteProtocolError,
    }
    fields = ", ".join(member.__struct_fields__)
    arguments = ", ".join(_quoted_arguments(member, names))
    # Members without a name occur, and mean nothing (protocol.md W23).
    return [
        "    found = find_members(text, head.end())",
        "    if len(found) > most:",
        f"        raise too_many(f'more than {{most}} members in a {cls.tag}')",
        f"    members = tuple([member({arguments}) for {fields} in found if len(name) > 2])",
    ]


def _quoted_arguments(cls: type[WireElement], names: dict[str, object]) -> list[str]:
    arguments = []
    for name in cls.__struct_fields__:
        if name == "value":
            arguments.append(f"value={_text_value(cls, 'clean(value)', names)}")
        elif name == "members":
            arguments.append("members=members")
        else:
            unquoted = f'({name}[1:-1] if "&" not in {name} else unescape({name}[1:-1])) if {name} else None'
            arguments.append(f"{name}={_meaning(name, unquoted, names)}")
    return arguments


def _clean(raw: str | None) -> str:
    """Return the text of an element as it was meant."""
    text = unescape(raw) if raw and "&" in raw else raw or ""
    return _LINE_END.sub("\n", text) if "\r" in text else text


# -- both ------------------------------------------------------------------------------------------------------


def _meaning(name: str, expression: str, names: dict[str, object]) -> str:
    """Return an expression for the value of an attribute, given one for its text or ``None``."""
    if name not in WORDS:
        return expression
    names |= {f"known_{name}": KNOWN_WORDS[name], f"read_{name}": WORDS[name]}
    return f"known_{name}[got] if (got := {expression}) in known_{name} else read_{name}(got)"


def _text_value(cls: type[WireElement], expression: str, names: dict[str, object]) -> str:
    """Return an expression for the ``value`` of an element, given one for the text in it."""
    read = text_reader(cls)
    if read is word:
        return f"{expression}.strip({BLANKS!r})"
    names["read_text"] = read
    return f"read_text({expression})"
