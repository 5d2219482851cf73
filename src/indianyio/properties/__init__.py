"""Typed properties: a class declares a property, an instance is a set of its values.

::

    from indianyio.properties import Values, number

    class AbsFocusPosition(Values, name="ABS_FOCUS_POSITION", label="Absolute Position", perm="rw"):
        steps: float = number("FOCUS_ABSOLUTE_POSITION", label="Steps", format="%.f", min=0, max=100000, step=1000)

    AbsFocusPosition(steps=1200)

A driver, a client and a test use the same class. Nothing here depends on any of them: no I/O, no clock, no device.
"""

from indianyio.properties._declaration import Declaration, Kind, Member
from indianyio.properties._members import (
    blob,
    blobs,
    light,
    lights,
    number,
    numbers,
    switch,
    switches,
    text,
    texts,
)
from indianyio.properties._values import Values

__all__ = [
    "Declaration",
    "Kind",
    "Member",
    "Values",
    "blob",
    "blobs",
    "light",
    "lights",
    "number",
    "numbers",
    "switch",
    "switches",
    "text",
    "texts",
]
