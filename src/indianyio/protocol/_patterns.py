"""Regular expressions that are compiled when they are used first.

Compiling takes up to a millisecond each, and there are dozens: a driver that starts needs only a few of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, AnyStr, Generic

__all__ = ["LazyPattern"]

_METHODS = ("findall", "finditer", "fullmatch", "match", "search", "sub")


class LazyPattern(Generic[AnyStr]):
    """What :func:`re.compile` returns, but compiled later; used, it costs the same.

    :param pattern: the regular expression.
    :param flags: as for :func:`re.compile`.
    """

    __slots__ = ("_flags", "pattern", *_METHODS)

    pattern: AnyStr
    findall: Callable[..., list[Any]]
    finditer: Callable[..., Iterator[re.Match[AnyStr]]]
    fullmatch: Callable[..., re.Match[AnyStr] | None]
    match: Callable[..., re.Match[AnyStr] | None]
    search: Callable[..., re.Match[AnyStr] | None]
    sub: Callable[..., AnyStr]

    def __init__(self, pattern: AnyStr, flags: re.RegexFlag = re.NOFLAG) -> None:
        self.pattern = pattern
        self._flags = flags

    if not TYPE_CHECKING:  # otherwise every misspelt name would have a type
        # Called for what has no value yet: the methods are found here once, and in their slots from then on.
        def __getattr__(self, name: str) -> object:
            if name not in _METHODS:
                raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
            compiled = re.compile(self.pattern, self._flags)
            for method in _METHODS:
                setattr(self, method, getattr(compiled, method))
            return getattr(self, name)
