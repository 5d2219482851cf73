"""From what a program asks for to the message that is sent, with the contents of BLOBs; and classes of values.

It is checked first, so that a mistake raises where it is made. The rules are those by which drivers refuse
(docs/protocol.md 3.2). So a driver only ever has to refuse for reasons that a client cannot know.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from indianyio._vocabulary import MAX_DESCRIPTORS, Permission, Rule, Switch
from indianyio.client._members import Blob, NumberMember, Upload, Written
from indianyio.client._vectors import AnyVector, BLOBVector, NumberVector, SwitchVector, TextVector, Vector
from indianyio.exceptions import UnknownMemberError
from indianyio.properties import Values
from indianyio.protocol import (
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    OneBLOB,
    OneNumber,
    OneSwitch,
    OneText,
)
from indianyio.protocol._numbers import getfloat, number_text, typed_number
from indianyio.protocol._text import require_xml_text
from indianyio.streams._contents import OutgoingContent

__all__ = [
    "LoadedBLOBs",
    "name_of",
    "new_message",
    "require_wishes",
    "typed_values",
    "values_of",
    "with_contents",
    "written",
]


def require_wishes(timeout: float | None, start_timeout: float, on_cancel: str | None) -> None:
    """Raise an error for wishes that make no sense, before anything is sent.

    Found out later, such a mistake would leave a device at work that nobody waits for, or that nobody stops.

    :raises TypeError: a time is not a number of seconds.
    :raises ValueError: a time is NaN, or ``on_cancel`` is another word.
    """
    _require_seconds("timeout", 0.0 if timeout is None else timeout)
    _require_seconds("start_timeout", start_timeout)
    if on_cancel not in (None, "abort", "leave"):
        raise ValueError(f"on_cancel must be 'abort' or 'leave', not {on_cancel!r}")


def _require_seconds(name: str, seconds: object) -> None:
    if not isinstance(seconds, Real):  # numpy's numbers are such, too
        raise TypeError(f"{name} must be a number of seconds, not {seconds!r}")
    if math.isnan(seconds):
        raise ValueError(f"{name} must be a number of seconds, not NaN")


def typed_values(vector: Vector[Any], values: Mapping[str, Written]) -> dict[str, Written]:
    """Return the values in the types of the vector: numbers as floats, switches as truth values.

    :raises UnknownMemberError: the vector has no such member.
    :raises TypeError: a value is of another type.
    :raises ValueError: a text that should be a number or a switch is neither; or nobody can write the vector.
    """
    if not values:
        raise ValueError(f"{_named(vector)}: name at least one member and its value")
    for name in values:
        if name not in vector.members:
            raise UnknownMemberError(vector.device, vector.name, name, tuple(vector.members))
    read = _READERS.get(vector.kind)
    if read is None:
        raise ValueError(f"{_named(vector)} is a {vector.kind} vector, which nobody can set")
    return {name: read(vector, name, value) for name, value in values.items()}


def new_message(vector: Vector[Any], values: Mapping[str, Written], *, validate: bool) -> NewVector:
    """Return the message that writes these values; for BLOBs, without their contents.

    :param values: as :func:`typed_values` returns them.
    :param validate: whether to check permission, range and rule.
    :raises ValueError: the driver would refuse it.
    """
    if validate and vector.perm is Permission.RO:
        raise ValueError(f"{_named(vector)} is read-only")
    if isinstance(vector, NumberVector):
        if validate:
            _check_range(vector, values)
        numbers = (OneNumber(name=name, value=number_text(_float(value))) for name, value in values.items())
        return NewNumberVector(device=vector.device, name=vector.name, members=tuple(numbers))
    if isinstance(vector, SwitchVector):
        if validate:
            _check_rule(vector, values)
        words = ((name, Switch.ON if on else Switch.OFF) for name, on in values.items())
        switches = tuple(OneSwitch(name=name, value=word) for name, word in words)
        return NewSwitchVector(device=vector.device, name=vector.name, members=switches)
    if isinstance(vector, BLOBVector):
        blobs = (OneBLOB(name=name, format=_upload(value).format) for name, value in values.items())
        return NewBLOBVector(device=vector.device, name=vector.name, members=tuple(blobs))
    texts = (OneText(name=name, value=str(text)) for name, text in values.items())
    return NewTextVector(device=vector.device, name=vector.name, members=tuple(texts))


def _float(value: Written) -> float:
    assert isinstance(value, float | int)  # by typed_values()
    return float(value)


def _upload(value: Written) -> Upload:
    assert isinstance(value, Upload)  # by typed_values()
    return value


def _read_number(vector: Vector[Any], name: str, value: Written) -> float:
    if not isinstance(value, float | int | str):
        raise TypeError(f"{_named(vector)}: {name} must be a number, not {type(value).__name__}")
    if isinstance(value, str):
        try:
            return typed_number(value)
        except ValueError as error:
            raise ValueError(f"{_named(vector)}: {name}: {error}") from None
    number = getfloat(value) if not isinstance(value, bool) else math.nan
    if not math.isfinite(number):
        raise ValueError(f"{_named(vector)}: {name} must be a finite number, not {value!r}")
    return number


def _read_switch(vector: Vector[Any], name: str, value: Written) -> bool:
    if isinstance(value, bool):
        return value
    if value in (Switch.ON, Switch.OFF):
        return value == Switch.ON
    raise ValueError(f"{_named(vector)}: switch {name} must be True or False, 'On' or 'Off', not {value!r}")


def _read_text(vector: Vector[Any], name: str, value: Written) -> str:
    return require_xml_text(value, f"{_named(vector)}: {name}")


def _read_blob(vector: Vector[Any], name: str, value: Written) -> Upload:
    what = f"{_named(vector)}: BLOB {name}"
    if isinstance(value, os.PathLike):
        value = Upload(value, Path(value).suffix or ".bin")
    elif isinstance(value, bytes):
        value = Upload(value)
    if not isinstance(value, Upload) or not isinstance(value.content, bytes | os.PathLike):
        raise TypeError(f"{what} must be bytes, a path (as pathlib.Path), or an Upload of these, not {value!r:.80}")
    if not require_xml_text(value.format, f"{what}: the format").startswith("."):
        raise ValueError(f"{what}: the format must be a suffix with its dot, such as '.fits', not {value.format!r}")
    if value.content == b"":
        raise ValueError(f"{what} must not be empty")
    return value


_READERS: Mapping[str, Callable[[Vector[Any], str, Written], Written]] = {
    NumberVector.kind: _read_number,
    SwitchVector.kind: _read_switch,
    TextVector.kind: _read_text,
    BLOBVector.kind: _read_blob,
}


def _check_range(vector: NumberVector, values: Mapping[str, Written]) -> None:
    for name, value in values.items():
        member = vector.members[name]
        if isinstance(member, NumberMember) and member.has_limits and not member.min <= _float(value) <= member.max:
            raise ValueError(
                f"{_named(vector)}: {name} must be from {member.min:g} to {member.max:g}, not {_float(value):g}"
            )


def _check_rule(vector: SwitchVector, values: Mapping[str, Written]) -> None:
    on = [name for name, value in values.items() if value]
    if vector.rule is not Rule.ANY_OF_MANY and len(on) > 1:
        raise ValueError(f"{_named(vector)}: only one switch may be On ({vector.rule}), not {', '.join(on)}")
    if vector.rule is Rule.ONE_OF_MANY and not on:
        raise ValueError(f"{_named(vector)}: one switch must be On ({vector.rule})")


def _named(vector: Vector[Any]) -> str:
    return f"{vector.device}.{vector.name}"


# -- the contents of BLOBs -------------------------------------------------------------------------------------


class LoadedBLOBs(NamedTuple):
    """A message with the contents that travel with it.

    :ivar message: the message; it has the attachments.
    :ivar base64: the contents of those members that have no attachment, in slices.
    """

    message: NewBLOBVector
    base64: Mapping[str, Sequence[bytes]]


async def with_contents(message: NewBLOBVector, values: Mapping[str, Written], *, attach: bool) -> LoadedBLOBs:
    """Return a message with the contents that should be written.

    Files and long contents are read slice by slice in a thread. Over a plain stream of bytes they are in memory as
    base64 until they are sent.

    :param attach: whether the contents may travel as shared memory.
    :raises OSError: a file cannot be read, or there is no shared memory.
    :raises ValueError: a file is empty.
    """
    base64: dict[str, Sequence[bytes]] = {}
    with ExitStack() as cleanup:
        blobs: list[OneBLOB] = []
        for number, one in enumerate(message.members):
            upload = values[one.name]
            assert isinstance(upload, Upload)  # by typed_values()
            content = OutgoingContent.make(one.name, attach=attach and number < MAX_DESCRIPTORS, cleanup=cleanup)
            await _load(upload.content, content)
            size = str(content.length)
            if content.memory is None:
                base64[one.name] = content.base64
                blobs.append(replace(one, size=size))
            else:
                blobs.append(replace(one, size=size, len=size, attached="true", attachment=content.memory))
        cleanup.pop_all()  # the message has them now
        return LoadedBLOBs(replace(message, members=tuple(blobs)), base64)


async def _load(source: bytes | os.PathLike[str], content: OutgoingContent) -> None:
    if isinstance(source, bytes):
        await content.write_buffer(source)
    else:
        await content.write_path(source)
        if not content.length:
            raise ValueError(f"{os.fspath(source)} is empty")
    content.finish()


# -- classes of values -----------------------------------------------------------------------------------------

ValuesT = TypeVar("ValuesT", bound=Values)


def name_of(vector: object) -> str:
    """Return the name of a vector, given as such or by a class of its values.

    :raises TypeError: it is neither, or the class has no name.
    """
    if isinstance(vector, str):
        return vector
    if isinstance(vector, type) and issubclass(vector, Values) and hasattr(vector, "declaration"):
        return vector.declaration.name
    raise TypeError(f"a vector is named by a str or by a class of values that has a name, not by {vector!r:.80}")


def written(
    vector: str | Values, values: Mapping[str, Written] | None, members: Mapping[str, Written]
) -> tuple[str, dict[str, Written]]:
    """Return the name of a vector, and what should be written to it.

    :raises TypeError: there are members beside the values of a class, which contain them already.
    """
    wanted = {**(values or {}), **members}
    if not isinstance(vector, Values):
        return vector, wanted
    if wanted:
        raise TypeError(f"write {vector!r:.80} or members, not both; {', '.join(wanted)} can be in it")
    declaration = type(vector).declaration
    template = "" if declaration.template is None else declaration.template.format
    formats = {member.name: member.format for member in declaration.members}
    return declaration.name, {
        name: Upload(value, formats.get(name, template)) if isinstance(value, bytes) else value
        for name, value in vector.to_wire().items()
    }


def values_of(cls: type[ValuesT], vector: AnyVector) -> ValuesT:
    """Return a vector's values as values of a class; the contents of BLOBs are read now.

    :raises TypeError: the vector is of another kind.
    :raises ValueError: a BLOB is not available, or is damaged.
    """
    if vector.kind != cls.declaration.kind:
        what = f"{cls.__name__} has {cls.declaration.kind} members"
        raise TypeError(f"{vector.device}.{vector.name} is a {vector.kind} vector, and {what}")
    values = {name: value.content() if isinstance(value, Blob) else value for name, value in vector.items()}
    return cls.from_wire(values)
