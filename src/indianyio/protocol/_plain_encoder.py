"""Messages of simple texts to bytes: one function for each class, generated from its fields.

Nearly all that is written is simple: printable ASCII without the five characters for which XML has names. Then
nothing is to be escaped, and that is looked at once for all values of a message together. What is not simple, and
what must not be written at all, is left to ``_encoder``, which goes through it value by value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from indianyio.protocol._elements import WireElement, WireMessage, attributes_of, required_of
from indianyio.protocol._generated import function_from
from indianyio.protocol._messages import MEMBERS, SET_VECTORS
from indianyio.protocol._text import SIMPLE_CHARACTERS
from indianyio.protocol._values import WORDS

__all__ = ["Writer", "simple_writer"]

Writer: TypeAlias = Callable[[WireMessage], bytes]


def simple_writer(cls: type[WireMessage], careful: Writer) -> Writer:
    """Return the function that writes messages of a class.

    :param cls: not a BLOB vector's class.
    :param careful: what writes a message that is not simple, or says why it must not be written.
    """
    member = MEMBERS.get(cls)
    sets = cls in SET_VECTORS
    # Fields have variables of their names; an underscore keeps apart what is none.
    lines = ["written = checked = ''"]
    lines += _fields(cls, "_message")
    if sets:
        lines += ["if state is None:", "    return careful(_message)"]
    lines += _start(cls, (*required_of(cls), *["state"] * sets))
    if member is None:
        lines += _end(cls)
    else:
        lines += [
            "if members:",
            "    written += '>\\n'",
            "    for _one in members:",
            "        if type(_one) is not member:",
            "            return careful(_message)",
            *_indented(_member(member), 8),
            f"    written += '</{cls.tag}>\\n'",
            "else:",
            "    written += '/>\\n'",
        ]
    body = [
        "try:",
        *_indented(lines, 4),
        "    special = encode(checked).translate(None, simple)",
        # What is not a text cannot be added to one, or be encoded; neither can half a surrogate pair.
        "except (TypeError, UnicodeEncodeError):",
        "    return careful(_message)",
        "return careful(_message) if special else written.encode()",
    ]
    names = {"member": member, "encode": str.encode, "simple": SIMPLE_CHARACTERS, "careful": careful}
    return cast("Writer", function_from(["def made(_message):", *_indented(body, 4)], names))


def _member(member: type[WireElement]) -> list[str]:
    """Return statements that write a member, with a short cut for what most members are.

    In a definition most have all attributes, elsewhere none but a name.
    """
    required, attributes = required_of(member), attributes_of(member)
    any_member = [*_start(member, required), *_end(member)]
    optional = attributes[len(required) :]
    if "value" not in member.__struct_fields__:
        return [*_fields(member, "_one"), *any_member]
    if "label" in optional:
        usual, there = f"None not in ({', '.join(optional)},)", attributes
    else:
        usual, there = f"{' is '.join([*optional, 'None'])} is None", required
    head = f"<{member.tag} " + " ".join(f'{name}="{{{name}}}"' for name in there)
    return [
        *_fields(member, "_one"),
        f"if value and {usual}:",
        f"    checked += {' + '.join(there)} + value",
        f"    written += f'{head}>{{value}}</{member.tag}>\\n'",
        "else:",
        *_indented(any_member, 4),
    ]


def _fields(cls: type[WireElement], variable: str) -> list[str]:
    """Return statements that put each field of what the variable holds into a variable of its name."""
    return [f"{name} = {variable}.{name}" for name in cls.__struct_fields__]


def _start(cls: type[WireElement], always: tuple[str, ...]) -> list[str]:
    """Return statements that write a start tag up to its end.

    Texts are checked by adding them up, because only texts can be added to a text: formatting takes anything.

    :param cls: the element's class.
    :param always: the attributes that are there in any case.
    """
    attributes = attributes_of(cls)
    first = [name for name in attributes if name in always]
    lines = [f"written += f'<{cls.tag}'" + "".join(f" {_attribute(name)}" for name in first)]
    if first:
        lines.append(f"checked += {' + '.join(first)}")
    for name in attributes:
        if name not in always:
            lines += [f"if {name} is not None:", f"    written += {_attribute(name)}", f"    checked += {name}"]
    return lines


def _attribute(name: str) -> str:
    # Literals side by side are one. The words of the standard are enumerations, whose formatting is slow.
    return f"""' {name}="' + {name} + '"'""" if name in WORDS else f"""f' {name}="{{{name}}}"'"""


def _end(cls: type[WireElement]) -> list[str]:
    """Return statements that end the element: with its text, if it has one."""
    if "value" not in cls.__struct_fields__:
        return ["written += '/>\\n'"]
    return [
        "checked += value",
        f"written += f'>{{value}}</{cls.tag}>\\n' if value else '/>\\n'",
    ]


def _indented(lines: list[str], blanks: int) -> list[str]:
    return [" " * blanks + line for line in lines]
