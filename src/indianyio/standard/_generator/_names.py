"""The rule by which Python's names are made from those on the wire.

``CCD_TEMP_RAMP`` is ``CcdTempRamp``, and its ``RAMP_SLOPE`` is ``slope``: words by which a member only repeats the
name of its property are left out. If this gives no name, or a poor one, catalogue.toml has another one.
"""

from __future__ import annotations

import re

__all__ = ["attribute_name", "class_name"]


def class_name(wire: str) -> str:
    """Return the name of a property's class: its words in camel case."""
    return "".join(word.capitalize() if word.isupper() else word for word in _words(wire))


def attribute_name(of: str, wire: str) -> str:
    """Return the name of a member's attribute.

    :param of: the name of its property.
    :param wire: its own name.
    """
    said = {_singular(word) for word in [*_words(of.upper()), "INDI"]}
    words = _words(wire.upper())
    rest = list(words)
    while rest and _singular(rest[0]) in said:
        del rest[0]
    return "_".join(rest or words).lower()


def _words(wire: str) -> list[str]:
    return re.findall("[A-Za-z0-9]+", wire)


def _singular(word: str) -> str:
    return word.removesuffix("S") if len(word) > 3 else word
