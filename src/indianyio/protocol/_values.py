"""From what is written in an element to the values of its message's fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from indianyio._vocabulary import Permission, Rule, State
from indianyio.protocol._elements import DefText, OneText, WireElement
from indianyio.protocol._patterns import LazyPattern

__all__ = ["BLANKS", "KNOWN_WORDS", "WORDS", "laid_out_text", "text_reader", "word"]

BLANKS = " \t\r\n"
"""What XML calls white space."""

# How libindi and indiserver set a text on lines of its own (protocol.md W17, W19).
_LAID_OUT = LazyPattern(r"[ \t]*\n")


def _state(text: str) -> State | None:
    # Anything that starts with Ok is Ok (protocol.md 1.2), nothing else is guessed.
    return State.OK if text.startswith(State.OK) else _STATES.get(text)


def _rule(text: str) -> Rule | None:
    return _RULES.get(text)


def _perm(text: str) -> Permission | None:
    return next((perm for perm in Permission if text.startswith(perm)), None)


_STATES: dict[str | None, State] = {str(state): state for state in State}
_RULES: dict[str | None, Rule] = {str(rule): rule for rule in Rule}
WORDS: Mapping[str, Callable[[str], object]] = {"state": _state, "perm": _perm, "rule": _rule}
"""What the attributes mean that are words of the standard; of an unknown word, ``None``."""

KNOWN_WORDS: Mapping[str, Mapping[str | None, object]] = {
    "state": {None: None, **_STATES},
    "perm": {None: None, **{str(perm): perm for perm in Permission}},
    "rule": {None: None, **_RULES},
}
"""The same for the words themselves, and for no word at all, which is found faster."""


def word(text: str) -> str:
    """Return a word, or what else is written without white space around it."""
    return text.strip(BLANKS)


def laid_out_text(text: str) -> str:
    """Return a text member's value: blanks belong to it, unless it stands on lines of its own."""
    return text.strip(BLANKS) if _LAID_OUT.match(text) else text


_READERS: Mapping[type[WireElement], Callable[[str], str]] = {DefText: laid_out_text, OneText: laid_out_text}


def text_reader(cls: type[WireElement]) -> Callable[[str], str]:
    """Return what makes the ``value`` of such an element from the text in it."""
    return _READERS.get(cls, word)
