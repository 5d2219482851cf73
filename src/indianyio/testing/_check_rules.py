"""The rules of the wire: what a driver may say (docs/protocol.md, part 1).

A rule has a sentence, and a function that searches the evidence for violations. The sentence is true of a driver
that keeps the rule; each violation says where it is not, and shows the bytes.
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

__all__ = ["WIRE_RULES", "Found", "Rule", "Severity", "elements"]

Severity: TypeAlias = Literal["error", "warning"]

Found: TypeAlias = Iterator[tuple[str, bytes]]
"""Violations of a rule: what is wrong, for people, and the bytes that show it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that drivers keep.

    :ivar id: a short name.
    :ivar sentence: the rule, in words.
    :ivar source: where the rule is written.
    :ivar severity: ``error`` if clients misunderstand a driver that breaks it, ``warning`` if they cope.
    :ivar look: finds the violations.
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
_DECIMAL = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", re.ASCII)


def elements(evidence: Evidence, prefix: str) -> Iterator[tuple[Said, Element]]:
    """Yield the messages whose tags begin with a prefix, with their XML."""
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
            yield f"this {one.message.tag} is not well-formed XML, which not every client can read", one.data


def _words(evidence: Evidence) -> Found:
    for one, element in elements(evidence, "def"):
        wanted = ["state"]
        wanted += ["perm"] if element.tag != "defLightVector" else []
        wanted += ["rule"] if element.tag == "defSwitchVector" else []
        for name in wanted:
            if element.get(name) not in _WORDS[name]:
                yield f"{_name_of(element)} is defined with {name} {element.get(name)!r}", one.data


def _set_state(evidence: Evidence) -> Found:
    for one, element in elements(evidence, "set"):
        if element.get("state") not in _WORDS["state"]:
            yield f"{_name_of(element)} is updated with state {element.get('state')!r}", one.data


def _timestamps(evidence: Evidence) -> Found:
    for one in evidence.said:
        text = None if one.element is None else one.element.get("timestamp")
        if text is not None and (parse_timestamp(text) is None or "T" not in text):
            yield f"{text!r} is not a timestamp such as 2026-01-31T23:59:59", one.data


def _timeouts(evidence: Evidence) -> Found:
    for one in evidence.said:
        text = None if one.element is None else one.element.get("timeout")
        if text is not None and not _DECIMAL.fullmatch(text):
            yield f"the timeout {text!r} is not a number of seconds", one.data


def _members(evidence: Evidence) -> Found:
    for one, element in elements(evidence, "def"):
        names = [member.get("name", "") for member in element]
        if not names:
            yield f"{_name_of(element)} has no members", one.data
        if "" in names:
            yield f"{_name_of(element)} has a member without a name", one.data
        if len(set(names)) < len(names):
            yield f"{_name_of(element)} has two members of the same name", one.data
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
    for one, element in elements(evidence, "defNumberVector"):
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
                yield f"{(member.text or '').strip()!r} of {member.get('name')} is not a legal word", one.data


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
            # An exposure is counted down to 0, which may be below the shortest that may be asked for.
            is_over = value == 0 and key[1].endswith("_EXPOSURE")
            if low < high and not low <= value <= high and not is_over:
                yield f"{key[1]}.{key[2]} is {value:g}, not from {low:g} to {high:g}", one.data


def _float(text: str | None, instead: float) -> float:
    return float(text) if text is not None and _DECIMAL.fullmatch(text) else instead


def _switches(evidence: Evidence) -> Iterator[tuple[Said, str, str, int]]:
    """Yield each message about switches, with their vector's name and rule, and how many are On after it."""
    on: dict[Key, dict[str, bool]] = {}
    rules: dict[Key, str] = {}
    for one in evidence.said:
        element = one.element
        if element is None or element.tag not in ("defSwitchVector", "setSwitchVector") or not len(element):
            continue
        key = (element.get("device", ""), element.get("name", ""))
        if element.tag == "defSwitchVector":
            rules[key], on[key] = element.get("rule", ""), {}
        # An update need not name all switches: the others stay as they are.
        switches = on.setdefault(key, {})
        switches.update({member.get("name", ""): (member.text or "").strip() == "On" for member in element})
        if key in rules:
            # A single switch is a button, whatever its rule says, such as CCD_FRAME_RESET.
            rule = rules[key] if len(switches) > 1 else "AtMostOne"
            yield one, ".".join(key), rule, sum(switches.values())


def _rules_of_switches(evidence: Evidence) -> Found:
    for one, name, rule, count in _switches(evidence):
        if rule in ("OneOfMany", "AtMostOne") and count > 1:
            yield f"{name} is {rule} but has {count} switches On", one.data


def _one_is_on(evidence: Evidence) -> Found:
    for one, name, rule, count in _switches(evidence):
        if rule == "OneOfMany" and not count:
            yield f"{name} is OneOfMany but has no switch On", one.data


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
                yield f"{message.name} is defined again, differently, without having been deleted", one.data


def _shape(element: Element) -> object:
    """Return what must not change while a vector is defined, because clients ignore it in a second definition."""
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


WIRE_RULES: tuple[Rule, ...] = (
    Rule("output", "Nothing but INDI is written to standard output.", "1.1", "error", _only_indi),
    Rule("well-formed", "Messages are well-formed XML.", "1.1", "warning", _well_formed),
    Rule("words", "Definitions have a legal state, permission and rule.", "1.2", "error", _words),
    Rule("set-state", "Every update has a legal state.", "1.2 W24", "error", _set_state),
    Rule("timestamp", "Timestamps are of the form YYYY-MM-DDTHH:MM:SS.", "1.4", "warning", _timestamps),
    Rule("timeout", "A timeout is a decimal number of seconds.", "1.2", "warning", _timeouts),
    Rule("members", "A vector has members with different names of 1 to 63 bytes.", "1.2 W23", "error", _members),
    Rule("decimal", "Numbers are sent as plain decimals.", "1.3", "error", _decimals),
    Rule("format", "Numbers can be printed in their formats.", "1.3", "error", _formats),
    Rule("values", "Switches are On or Off, lights one of the four states.", "1.2", "error", _values),
    Rule("defined", "An update names a vector that is defined.", "1.2 W26", "error", _defined),
    Rule("kind", "An update is of the kind of the definition.", "1.2 W26", "error", _kinds),
    Rule("member", "An update names members that are defined.", "1.2 W26", "error", _known_members),
    Rule("limits", "Numbers are within their limits.", "1.3", "warning", _limits),
    Rule("switch-rule", "No more switches are On than the rule allows.", "1.2", "error", _rules_of_switches),
    Rule("one-on", "Exactly one switch of OneOfMany is On.", "1.2", "warning", _one_is_on),
    Rule("repeated", "A vector that is defined again is defined as before.", "1.2 W25", "error", _repeated),
    Rule("deleted", "Only what has been defined is deleted.", "1.2", "warning", _deleted),
)
