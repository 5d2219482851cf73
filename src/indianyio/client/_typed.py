"""From what a class of values says to what a client does, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from indianyio.client._actions import Upload, Written
from indianyio.client._blobs import Blob
from indianyio.client._vectors import AnyVector
from indianyio.properties import Values

__all__ = ["name_of", "values_of", "written"]

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
