"""The rules about BLOBs: what readers need to take one out of the stream (docs/protocol.md 1.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from indianyio.testing._check_rules import Found, Rule, elements
from indianyio.testing._examination import Evidence, Said

__all__ = ["BLOB_RULES"]

_WHOLE = re.compile(r"\d{1,18}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*(=\s*){0,2}", re.ASCII)
# The length of lines that libindi's reader expects if enclen is given (W32), and of the groups that a line must not
# split (W30).
_COLUMNS, _GROUP = 72, 4
_SHOWN_BYTES = 2000


def _members(evidence: Evidence) -> Iterator[tuple[Said, Element]]:
    for one, element in elements(evidence, "setBLOBVector"):
        for member in element:
            yield one, member


def _inline(evidence: Evidence) -> Iterator[tuple[Said, Element, str]]:
    """Yield the members whose content is in the message, with their base64."""
    for one, member in _members(evidence):
        if member.get("attached") != "true":
            yield one, member, "".join((member.text or "").split())


def _attributes(evidence: Evidence) -> Found:
    for one, member in _members(evidence):
        size, suffix = member.get("size"), member.get("format")
        if _count(size) is None:
            yield f"{member.get('name')} has size {size!r}", one.data[:_SHOWN_BYTES]
        elif suffix is None or (_count(size) and not suffix.startswith(".")):
            yield f"{member.get('name')} has format {suffix!r}", one.data[:_SHOWN_BYTES]


def _sizes(evidence: Evidence) -> Found:
    for one, member, text in _inline(evidence):
        size = _count(member.get("size"))
        if size is None or (member.get("format") or "").endswith((".z", ".fz")):
            continue
        if len(text) % _GROUP or len(text) // _GROUP * 3 - text[-2:].count("=") != size:
            yield f"{member.get('name')} says {size} bytes, but its base64 has not", one.data[:_SHOWN_BYTES]


def _attached(evidence: Evidence) -> Found:
    for one, member in _members(evidence):
        if member.get("attached") != "true":
            continue
        length = _count(member.get("size") if member.get("len") is None else member.get("len"))
        if length is None:
            yield f"{member.get('name')} has len {member.get('len')!r}", one.data[:_SHOWN_BYTES]
        elif length > max(one.contents, default=0):
            yield f"{member.get('name')} says {length} bytes, but less is attached", one.data[:_SHOWN_BYTES]


def _base64(evidence: Evidence) -> Found:
    for one, member, text in _inline(evidence):
        if not _BASE64.fullmatch(text):
            yield f"{member.get('name')} is not valid base64", one.data[:_SHOWN_BYTES]
        elif b"\r" in one.data or any(len(line) % _GROUP for line in _lines(member)[:-1]):
            yield f"{member.get('name')} has lines that split groups of 4", one.data[:_SHOWN_BYTES]


def _enclen(evidence: Evidence) -> Found:
    for one, member, text in _inline(evidence):
        told = member.get("enclen")
        if told is None:
            continue
        if told != str(len(text)):
            yield f"enclen is {told}, but there are {len(text)} characters", one.data[:_SHOWN_BYTES]
            continue
        *full, last = _lines(member)
        is_wrapped = all(len(line) == _COLUMNS for line in full) and len(last) <= _COLUMNS
        if text and not (is_wrapped and (member.text or "").endswith("\n")):
            yield f"{member.get('name')} has enclen, but not lines of 72 characters", one.data[:_SHOWN_BYTES]


def _lines(member: Element) -> list[str]:
    return (member.text or "").strip().split("\n")


def _count(text: str | None) -> int | None:
    """Return a whole number as it is written on the wire; ``None`` if the text is not one."""
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


BLOB_RULES: tuple[Rule, ...] = (
    Rule("blob-attributes", "A BLOB has a size and a format.", "1.5", "error", _attributes),
    Rule("blob-size", "A BLOB has the size that it says.", "1.5 W31", "error", _sizes),
    Rule("blob-attached", "An attached BLOB is as long as it says.", "1.6", "error", _attached),
    Rule("blob-base64", "Base64 is wrapped by LF, after a multiple of 4.", "1.5 W30", "error", _base64),
    Rule("blob-enclen", "With enclen, base64 has lines of 72 characters.", "1.5 W32", "error", _enclen),
)
