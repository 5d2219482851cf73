"""Vectors and BLOBs, as :mod:`indianyio.client` has them, with calls that wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeAlias, TypeVar, cast

from indianyio import client
from indianyio._vocabulary import Permission, Rule, State
from indianyio.client import Member, OnProgress
from indianyio.client._actions import Written
from indianyio.client._settle_table import OnCancel
from indianyio.sync._bridge import Bridge

__all__ = [
    "AnyVector",
    "BLOBVector",
    "Blob",
    "LightVector",
    "NumberVector",
    "Shown",
    "SwitchVector",
    "TextVector",
    "Vector",
    "blob_from",
    "vector_from",
]

A = TypeVar("A")
V = TypeVar("V")


class Shown(Generic[A]):
    """An attribute that is the client's own."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> A:
        if instance is None:
            return cast("A", self)  # for whoever looks at the class, such as help()
        return cast("A", getattr(instance._inner, self._name))  # type: ignore[attr-defined]


class Blob:
    """The content of a BLOB member, as :class:`indianyio.client.Blob`, whose attributes it has."""

    name = Shown[str]()
    format = Shown[str]()
    size = Shown[int]()
    length = Shown[int]()
    timestamp = Shown[datetime | None]()
    is_compressed = Shown[bool]()
    data = Shown[bytes]()

    def __init__(self, inner: client.Blob, bridge: Bridge) -> None:
        self._inner = inner
        self._bridge = bridge

    def __repr__(self) -> str:
        return repr(self._inner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self._inner is other._inner

    def __hash__(self) -> int:
        return hash(self._inner)

    def content(self) -> bytes:
        """Return the content, decompressed if need be; see :meth:`indianyio.client.Blob.content`."""
        return self._inner.content()

    def slices(self) -> Iterator[bytes]:
        """Yield the content piece by piece; see :meth:`indianyio.client.Blob.slices`."""
        return self._inner.slices()

    def save(self, path: str | os.PathLike[str], *, progress: OnProgress | None = None) -> Path:
        """Write the content into a file and return its path; see :meth:`indianyio.client.Blob.save`."""
        return self._bridge.call(lambda: self._inner.save(path, progress=progress))


class Vector(Mapping[str, V], Generic[V]):
    """A property of a device, as :class:`indianyio.client.Vector`, whose attributes it has.

    Two of these are equal if they stand for the same vector. The values of several members belong together in
    :meth:`snapshot` only: between two readings an update may arrive.
    """

    kind: ClassVar[str] = ""

    device = Shown[str]()
    name = Shown[str]()
    label = Shown[str]()
    group = Shown[str]()
    state = Shown[State]()
    perm = Shown[Permission]()
    rule = Shown[Rule | None]()
    timeout = Shown[float]()
    timestamp = Shown[datetime | None]()
    message = Shown[str]()
    exists = Shown[bool]()
    stale = Shown[bool]()

    def __init__(self, inner: client.Vector[Any], bridge: Bridge) -> None:
        self._inner = inner
        self._bridge = bridge

    def __getitem__(self, member: str) -> V:
        return cast("V", self._inner[member])

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._inner.members))

    def __len__(self) -> int:
        return len(self._inner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and self._inner is other._inner

    def __hash__(self) -> int:
        return hash(self._inner)

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def members(self) -> dict[str, Member[V]]:
        """The members by name."""
        return dict(self._inner.members)

    def snapshot(self) -> dict[str, object]:
        """Return all of it, of one moment, as plain data; see :meth:`indianyio.client.Vector.snapshot`."""
        return self._bridge.call_now(self._inner.snapshot)

    def set(
        self,
        values: Mapping[str, Written] | None = None,
        /,
        *,
        timeout: float | None = None,
        start_timeout: float = 2.0,
        wait: bool = True,
        on_cancel: OnCancel | None = None,
        validate: bool | None = None,
        **members: Written,
    ) -> Self:
        """Write members, and wait until the device has done it; see :meth:`indianyio.client.Vector.set`."""
        self._bridge.call(
            lambda: self._inner.set(
                values,
                timeout=timeout,
                start_timeout=start_timeout,
                wait=wait,
                on_cancel=on_cancel,
                validate=validate,
                **members,
            )
        )
        return self

    def wait_for(self, predicate: Callable[[Self], bool], *, timeout: float | None = None) -> Self:
        """Wait until a condition holds for this vector; see :meth:`indianyio.client.Vector.wait_for`."""
        self._bridge.call(lambda: self._inner.wait_for(lambda _: predicate(self), timeout=timeout))
        return self


class NumberVector(Vector[float]):
    """Numbers."""

    kind = "Number"


class SwitchVector(Vector[bool]):
    """Switches; :attr:`Vector.rule` says how many may be On."""

    kind = "Switch"

    on = Shown[str | None]()


class TextVector(Vector[str]):
    """Texts."""

    kind = "Text"


class LightVector(Vector[State]):
    """Lights, which nobody can write."""

    kind = "Light"


class BLOBVector(Vector["Blob | None"]):
    """BLOBs: the latest content of each member, as far as the client asked for any."""

    kind = "BLOB"

    def __getitem__(self, member: str) -> Blob | None:
        return blob_from(self._inner[member], self._bridge)

    @property
    def members(self) -> dict[str, Member[Blob | None]]:
        """The members by name."""
        found = self._inner.members.copy()
        return {
            name: Member(name, member.label, blob_from(member.value, self._bridge))
            for name, member in found.items()
        }


AnyVector: TypeAlias = Vector[Any]
"""A vector of any kind; ``isinstance`` tells which, and a type checker then knows the type of the values."""

_KINDS: Mapping[str, type[AnyVector]] = {
    cls.kind: cls for cls in (NumberVector, SwitchVector, TextVector, LightVector, BLOBVector)
}


def vector_from(inner: client.AnyVector, bridge: Bridge) -> AnyVector:
    """Return a vector of the client as one with calls that wait."""
    return _KINDS[inner.kind](inner, bridge)


def blob_from(inner: client.Blob | None, bridge: Bridge) -> Blob | None:
    """Return a BLOB of the client as one with calls that wait."""
    return None if inner is None else Blob(inner, bridge)
