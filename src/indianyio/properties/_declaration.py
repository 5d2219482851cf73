"""What a class of values declares: a property and its members, as plain frozen objects."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from indianyio._vocabulary import Permission, Rule, State

__all__ = ["Declaration", "Kind", "Member", "Value"]

Kind: TypeAlias = Literal["Number", "Switch", "Text", "Light", "BLOB"]
"""The kind of a property, as in the tags of its messages."""

Value: TypeAlias = float | bool | str | State | bytes
"""The value of a member: of a number, a switch, a text, a light or a BLOB, in this order."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a property.

    :ivar kind: the kind of property to which it can belong.
    :ivar attribute: its name in Python.
    :ivar name: its name on the wire; empty for the template of members that are made at run time.
    :ivar label: what people read; the name on the wire if nothing else was declared.
    :ivar format: how a number is printed, as in C's printf or ``%<w>.<f>m``; the suffix of a BLOB, with its dot.
    :ivar min: the least number that may be written; there are no limits unless it is below ``max``.
    :ivar max: the greatest number that may be written.
    :ivar step: the step that a dial should have; 0 if it does not matter.
    :ivar default: its value if none is given.
    """

    kind: Kind
    name: str
    label: str
    default: Value
    attribute: str = ""
    format: str = ""
    min: float = 0.0
    max: float = 0.0
    step: float = 0.0


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """A property.

    :ivar name: its name on the wire.
    :ivar label: what people read; the name if nothing else was declared.
    :ivar group: the page on which clients show it.
    :ivar kind: which of the five kinds it is.
    :ivar perm: what clients may do with it.
    :ivar rule: how many switches may be On; ``None`` for the other kinds.
    :ivar timeout: how long a change may take at worst, in seconds; 0 if that is not known.
    :ivar state: its state when it is first defined.
    :ivar members: its members, in the order of their definition.
    :ivar template: the template for members that are made at run time; ``None`` if there are no such members.
    """

    name: str
    label: str
    group: str
    kind: Kind
    perm: Permission
    rule: Rule | None
    timeout: float
    state: State
    members: tuple[Member, ...]
    template: Member | None

    @property
    def is_exclusive(self) -> bool:
        """Whether no more than one switch may be On."""
        return self.rule is not None and self.rule is not Rule.ANY_OF_MANY
