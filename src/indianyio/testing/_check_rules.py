"""The rules of the wire: what a driver may say (docs/protocol.md, part 1).

A rule is a sentence and a function that looks through the evidence and yields what breaks it. The sentence is what
holds for a driver that keeps the rule; what is yielded says where it does not, and shows the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias
from xml.etree.ElementTree import Element

from indianyio.protocol import (
    DefVector,
    DelProperty,
    SetVector,
    Unusable,
    format_number,
    parse_timestamp,
)
from indianyio.testing._examination import Evidence, Key, Said

__all__ = ["WIRE_RULES", "Found", "Rule", "Severity"]

Severity: TypeAlias = Literal["error", "warning"]

Found: TypeAlias = Iterator[tuple[str, bytes]]
"""What breaks a rule: what is wrong, for people, and the bytes that show it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that drivers keep.

    :ivar id: a short name.
    :ivar sentence: what holds.
    :ivar source: where that is written.
    :ivar severity: ``error`` if clients misunderstand a driver that breaks it, ``warning`` if they manage.
    :ivar look: finds what breaks it.
    """

    id: str
    sentence: str
    source: str
    severity: Severity
    look: Callable[[Evidence], Found]


_WORDS = {
    "state": {"Idle", "Ok", "Busy", "Alert"},
    "perm": {"ro", "wo", "rw"},
    "rule": {"OneOfMany", "AtMostOne", "AnyOfMany"},
}
_DECIMAL = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")


def _elements(evidence: Evidence, prefix: str) -> Iterator[tuple[Said, Element]]:
    """Yield messages whose tag begins so, with their XML."""
    for one in evidence.said:
        if one.element is not None and one.element.tag.startswith(prefix):
            yield one, one.element


def _name_of(element: Element) -> str:
    return f"{element.get('device', '')}.{element.get('name', '')}"


# -- the wire --------------------------------------------------------------------------------------------------


def _only_indi(evidence: Evidence) -> Found:
    for one in evidence.said:
        if isinstance(one.message, Unusable):
            yield one.message.reason, one.data


def _well_formed(evidence: Evidence) -> Found:
    for one in evidence.said:
        if one.element is None and not isinstance(one.message, Unusable):
            yield f"this {one.message.tag} is not well-formed XML, and not every client reads it", one.data


def _words(evidence: Evidence) -> Found:
    for one, element in _elements(evidence, "def"):
        wanted = ["state"]
        wanted += ["perm"] if element.tag != "defLightVector" else []
        wanted += ["rule"] if element.tag == "defSwitchVector" else []
        for name in wanted:
            if element.get(name) not in _WORDS[name]:
                yield f"{_name_of(element)} is defined with {name} {element.get(name)!r}", one.data


def _set_state(evidence: Evidence) -> Found:
    for one, element in _elements(evidence, "set"):
        if element.get("state") not in _WORDS["state"]:
            yield f"{_name_of(element)} is updated with state {element.get('state')!r}", one.data


def _timestamps(evidence: Evidence) -> Found:
    for one in evidence.said:
        text = None if one.element is None else one.element.get("timestamp")
        if text is not None and (parse_timestamp(text) is None or "T" not in text):
            yield f"{text!r} is no timestamp such as 2026-01-31T23:59:59", one.data


def _timeouts(evidence: Evidence) -> Found:
    for one in evidence.said:
        text = None if one.element is None else one.element.get("timeout")
        if text is not None and not _DECIMAL.fullmatch(text):
            yield f"the timeout {text!r} is not a number of seconds", one.data


def _members(evidence: Evidence) -> Found:
    for one, element in _elements(evidence, "def"):
        names = [member.get("name", "") for member in element]
        if not names:
            yield f"{_name_of(element)} has no members", one.data
        if "" in names:
            yield f"{_name_of(element)} has a member without a name", one.data
        if len(set(names)) < len(names):
            yield f"{_name_of(element)} has two members of one name", one.data
        long = [name for name in (*names, element.get("name", "")) if len(name.encode()) > 63]
        if long:
            yield f"the name {long[0]!r} has more than 63 bytes", one.data


def _decimals(evidence: Evidence) -> Found:
    for one in evidence.said:
        for member in () if one.element is None else one.element:
            texts = [member.get(name) for name in ("min", "max", "step")]
            if member.tag in ("defNumber", "oneNumber"):
                texts.append(member.text or "")
            for text in texts:
                if text is not None and not _DECIMAL.fullmatch(text):
                    yield f"{text.strip()!r} of {member.get('name')} is not a plain decimal number", one.data


def _formats(evidence: Evidence) -> Found:
    for one, element in _elements(evidence, "defNumberVector"):
        for member in element:
            try:
                format_number(1.5, member.get("format", ""))
            except ValueError as error:
                yield f"{_name_of(element)}.{member.get('name')}: {error}", one.data


def _values(evidence: Evidence) -> Found:
    allowed = {
        "defSwitch": {"On", "Off"},
        "oneSwitch": {"On", "Off"},
        "defLight": _WORDS["state"],
        "oneLight": _WORDS["state"],
    }
    for one in evidence.said:
        for member in () if one.element is None else one.element:
            if member.tag in allowed and (member.text or "").strip() not in allowed[member.tag]:
                yield f"{(member.text or '').strip()!r} of {member.get('name')} is none of its words", one.data


# -- updates and definitions -----------------------------------------------------------------------------------


def _updates(evidence: Evidence) -> Iterator[tuple[Said, SetVector, DefVector | None]]:
    for one, known in evidence.walk():
        if isinstance(one.message, SetVector):
            yield one, one.message, known.get((one.message.device, one.message.name))


def _defined(evidence: Evidence) -> Found:
    ever = set(evidence.definitions())
    for one, message, definition in _updates(evidence):
        key = (message.device, message.name)
        if definition is None and (key not in ever or one.probe.what != "disconnect"):
            yield f"{message.device}.{message.name} is updated but not defined", one.data


def _kinds(evidence: Evidence) -> Found:
    for one, message, definition in _updates(evidence):
        if definition is not None and definition.tag[3:] != message.tag[3:]:
            yield f"{message.name} is defined by a {definition.tag}", one.data


def _known_members(evidence: Evidence) -> Found:
    for one, message, definition in _updates(evidence):
        if definition is None or definition.tag[3:] != message.tag[3:]:
            continue
        defined = {member.name for member in definition.members}
        for member in message.members:
            if member.name not in defined:
                yield f"{message.name} has no member {member.name!r}", one.data


def _limits(evidence: Evidence) -> Found:
    limits: dict[tuple[str, str, str], tuple[float, float]] = {}
    for one in evidence.said:
        for member in () if one.element is None else one.element:
            if member.tag not in ("defNumber", "oneNumber"):
                continue
            assert one.element is not None
            key = (one.element.get("device", ""), one.element.get("name", ""), member.get("name", ""))
            before = limits.get(key, (0.0, 0.0))
            low, high = limits[key] = (_float(member.get("min"), before[0]), _float(member.get("max"), before[1]))
            value = _float(member.text, low)
            if low < high and not low <= value <= high:
                yield f"{key[1]}.{key[2]} is {value:g}, and not from {low:g} to {high:g}", one.data


def _float(text: str | None, instead: float) -> float:
    return float(text) if text is not None and _DECIMAL.fullmatch(text) else instead


def _rules_of_switches(evidence: Evidence) -> Found:
    on: dict[Key, dict[str, bool]] = {}
    rules: dict[Key, str] = {}
    for one in evidence.said:
        element = one.element
        if element is None or element.tag not in ("defSwitchVector", "setSwitchVector") or not len(element):
            continue
        key = (element.get("device", ""), element.get("name", ""))
        rules[key] = element.get("rule", rules.get(key, ""))
        switches = on.setdefault(key, {})
        switches.update({member.get("name", ""): (member.text or "").strip() == "On" for member in element})
        count = sum(switches.values())
        # None at all is what libindi's own drivers say where nothing is chosen yet, so it is no fault.
        if rules[key] in ("OneOfMany", "AtMostOne") and count > 1:
            yield f"{key[1]} is {rules[key]} and has {count} switches On", one.data


def _one_is_on(evidence: Evidence) -> Found:
    for one, element in _elements(evidence, "defSwitchVector"):
        on = [member for member in element if (member.text or "").strip() == "On"]
        if element.get("rule") == "OneOfMany" and len(element) and not on:
            yield f"{_name_of(element)} is OneOfMany and has no switch On", one.data


def _repeated(evidence: Evidence) -> Found:
    shapes: dict[Key, object] = {}
    for one, _ in evidence.walk():
        message = one.message
        if isinstance(message, DelProperty):
            for key in [key for key in shapes if key[0] == message.device and message.name in (None, key[1])]:
                del shapes[key]
        elif isinstance(message, DefVector) and one.element is not None:
            key = (message.device, message.name)
            shape = _shape(one.element)
            if shapes.setdefault(key, shape) != shape:
                yield f"{message.name} is defined again, in another way, without having been deleted", one.data


def _shape(element: Element) -> object:
    """Return what may not change while a vector is defined: clients ignore it in a second definition."""
    names = ("label", "group", "perm", "rule")
    members = [(one.get("name"), one.get("label"), one.get("format")) for one in element]
    return element.tag, [element.get(name) for name in names], members


def _deleted(evidence: Evidence) -> Found:
    ever: set[Key] = set()
    for one, known in evidence.walk():
        ever |= set(known)
        message = one.message
        if isinstance(message, DelProperty) and not any(
            device == message.device and message.name in (None, name) for device, name in ever
        ):
            yield f"{message.device}.{message.name or '*'} is deleted but was never defined", one.data


# -- BLOBs -----------------------------------------------------------------------------------------------------


def _blob_members(evidence: Evidence) -> Iterator[tuple[Said, Element]]:
    for one, element in _elements(evidence, "setBLOBVector"):
        for member in element:
            yield one, member


def _blob_attributes(evidence: Evidence) -> Found:
    for one, member in _blob_members(evidence):
        size, suffix = member.get("size"), member.get("format")
        if size is None or not size.isdigit():
            yield f"{member.get('name')} has size {size!r}", one.data[:2000]
        elif suffix is None or (int(size) and not suffix.startswith(".")):
            yield f"{member.get('name')} has format {suffix!r}", one.data[:2000]


def _blob_sizes(evidence: Evidence) -> Found:
    for one, member in _blob_members(evidence):
        size, suffix = member.get("size") or "", member.get("format") or ""
        attached = member.get("attached") == "true"
        if not size.isdigit() or suffix.endswith((".z", ".fz")):
            continue
        if attached:
            length = int(member.get("len") or size)
            if length > max(one.contents, default=0):
                yield f"{member.get('name')} says {length} bytes, and less is attached", one.data[:2000]
            continue
        text = "".join((member.text or "").split())
        if len(text) % 4 or len(text) // 4 * 3 - text[-2:].count("=") != int(size):
            yield f"{member.get('name')} says {size} bytes, which its base64 has not", one.data[:2000]


def _blob_enclen(evidence: Evidence) -> Found:
    for one, member in _blob_members(evidence):
        told, text = member.get("enclen"), "".join((member.text or "").split())
        if told is not None and told != str(len(text)):
            yield f"enclen is {told}, there are {len(text)} characters", one.data[:2000]


WIRE_RULES: tuple[Rule, ...] = (
    Rule("output", "Nothing but INDI is written to standard output.", "1.1", "error", _only_indi),
    Rule("well-formed", "Messages are well-formed XML.", "1.1", "warning", _well_formed),
    Rule("words", "Definitions have a legal state, permission and rule.", "1.2", "error", _words),
    Rule("set-state", "Every update says a legal state.", "1.2 W24", "error", _set_state),
    Rule("timestamp", "Timestamps are of the form YYYY-MM-DDTHH:MM:SS.", "1.4", "warning", _timestamps),
    Rule("timeout", "A timeout is a decimal number of seconds.", "1.2", "warning", _timeouts),
    Rule("members", "A vector has members with different names of 1 to 63 bytes.", "1.2 W23", "error", _members),
    Rule("decimal", "Numbers are sent as plain decimals.", "1.3", "error", _decimals),
    Rule("format", "Formats can be printed by.", "1.3", "error", _formats),
    Rule("values", "Switches are On or Off, lights one of the four states.", "1.2", "error", _values),
    Rule("defined", "An update names a vector that is defined.", "1.2 W26", "error", _defined),
    Rule("kind", "An update is of the kind of the definition.", "1.2 W26", "error", _kinds),
    Rule("member", "An update names members that are defined.", "1.2 W26", "error", _known_members),
    Rule("limits", "Numbers are within their limits.", "1.3", "warning", _limits),
    Rule("switch-rule", "Not more switches are On than the rule allows.", "1.2", "error", _rules_of_switches),
    Rule("one-on", "Exactly one switch of OneOfMany is On.", "1.2", "warning", _one_is_on),
    Rule("repeated", "A vector that is defined again is defined as before.", "1.2 W25", "error", _repeated),
    Rule("deleted", "What is deleted was defined.", "1.2", "warning", _deleted),
    Rule("blob-attributes", "A BLOB has a size and a format.", "1.5", "error", _blob_attributes),
    Rule("blob-size", "A BLOB has the size that it says.", "1.5 W31", "error", _blob_sizes),
    Rule("blob-enclen", "enclen counts the characters of the base64.", "1.5 W32", "error", _blob_enclen),
)
