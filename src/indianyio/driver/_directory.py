"""What a driver is to its devices, and a device to its vectors: a mapping by name, filled when it is made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TypeVar

__all__ = ["Directory"]

T = TypeVar("T")


class Directory(Mapping[str, T]):
    """A mapping that nobody can add to later.

    Two of them are the same only if they are one object, where a mapping would compare what is in them.

    :ivar data: the entries by name.
    """

    def __init__(self) -> None:
        self.data: dict[str, T] = {}

    @abstractmethod
    def _unknown(self, name: str) -> KeyError:
        """Return the error that says what there is instead."""

    def __getitem__(self, name: str) -> T:
        try:
            return self.data[name]
        except KeyError:
            raise self._unknown(name) from None

    def __setitem__(self, name: str, value: T) -> None:
        raise KeyError(f"{name!r} cannot be set: what {self!r} has is given when it is made")

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    __eq__ = object.__eq__
    __hash__ = object.__hash__
