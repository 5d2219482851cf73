"""Makes a declaration from the body and keywords of a class; mistakes are raised where the class is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from msgspec.structs import replace

from indianyio._model._attributes import require_word
from indianyio._vocabulary import Permission, Rule, State
from indianyio.properties._declaration import Declaration, Member
from indianyio.properties._kinds import finite_float
from indianyio.protocol._text import require_name, require_xml_text

__all__ = ["Keywords", "declaration_of", "members_of"]

_GROUP = "Main Control"
"""The group in which libindi's own base classes show whatever belongs nowhere else."""


class Keywords(TypedDict, total=False):
    """The keywords of a class statement."""

    name: str
    label: str
    group: str
    perm: str
    rule: str
    state: str
    timeout: float


def members_of(cls: type, base: type, inherited: Mapping[str, Member]) -> dict[str, Member]:
    """Return the members that the body of a class declares, by attribute.

    :param base: the class whose attributes no member may hide.
    :param inherited: the members of the class's bases.
    :raises TypeError: a member's name is taken, or a bare value is assigned to an inherited member.
    """
    found: dict[str, Member] = {}
    for attribute, value in vars(cls).items():
        if isinstance(value, Member):
            if attribute.startswith("_") or hasattr(base, attribute):
                raise TypeError(f"{cls.__name__}: {attribute} cannot be the name of a member; choose another one")
            found[attribute] = replace(value, attribute=attribute)
        elif attribute in inherited:
            raise TypeError(
                f"{cls.__name__}: {attribute} is a member already; to change it, declare it again, as with number()"
            )
    return found


def declaration_of(cls: str, keywords: Keywords, members: Sequence[Member]) -> Declaration:
    """Return what a class declares.

    :param cls: the name of the class.
    :param keywords: the keywords of the class statement, the name among them.
    :param members: its members, including the template of those made at run time.
    :raises TypeError: members or keywords do not fit together, or one is of a wrong type.
    :raises ValueError: a keyword has no legal value, or two members have the same name, or are both On where only
        one may be.
    """
    name = require_name(keywords["name"], f"the name of {cls}")
    where = f"{cls} ({name})"
    if not members:
        raise TypeError(f"{where} has no members; declare one, as in: steps: float = number('STEPS')")
    kind = members[0].kind
    for member in members:
        if member.kind != kind:
            raise TypeError(f"{where}: {member.attribute} is a {member.kind}, {members[0].attribute} is a {kind}")
    named = tuple(member for member in members if member.name)
    declaration = Declaration(
        name=name,
        label=require_xml_text(keywords.get("label") or name, f"{where}: label"),
        group=require_xml_text(keywords.get("group", _GROUP), f"{where}: group"),
        kind=kind,
        perm=require_word(Permission, keywords.get("perm", "ro" if kind == "Light" else "rw"), f"{where}: perm"),
        rule=require_word(Rule, keywords["rule"], f"{where}: rule") if "rule" in keywords else None,
        timeout=finite_float(keywords.get("timeout", 0), f"{where}: timeout"),
        state=require_word(State, keywords.get("state", "Idle"), f"{where}: state"),
        members=named,
        template=_template(where, members),
    )
    _check(where, declaration)
    return declaration


def _template(where: str, members: Sequence[Member]) -> Member | None:
    templates = [member for member in members if not member.name]
    if len(templates) > 1:
        both = " and ".join(member.attribute for member in templates)
        raise TypeError(f"{where}: {both} would both hold every member that is not declared by itself; keep one")
    return templates[0] if templates else None


def _check(where: str, declaration: Declaration) -> None:
    if declaration.kind == "Switch" and declaration.rule is None:
        raise TypeError(f"{where} has switches, so it needs rule=, one of {', '.join(Rule)}")
    if declaration.kind != "Switch" and declaration.rule is not None:
        raise TypeError(f"{where} has a rule, which is for switches, not for {declaration.kind} members")
    if declaration.kind == "Light" and declaration.perm is not Permission.RO:
        raise ValueError(f"{where} has lights, which nobody can write; leave perm out")
    if declaration.timeout < 0:
        raise ValueError(f"{where}: timeout must not be negative, it is {declaration.timeout:g}")
    names = [member.name for member in declaration.members]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{where} has two members with the name {name!r}")
    on = [member.attribute for member in declaration.members if member.default is True]
    if declaration.is_exclusive and len(on) > 1:
        raise ValueError(f"{where}: by default only one switch may be On ({declaration.rule}), not {', '.join(on)}")
