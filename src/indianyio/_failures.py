"""What a user's code may raise: errors, cancellations and requests to exit, alone or in a group.

When a task fails while it is being cancelled, trio's task group raises a group of both, which is not an
:class:`Exception`. So code that keeps a fault from spreading catches :data:`FAILURES`, and passes what it caught to
:func:`failure_in`, which removes the cancellations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import anyio

__all__ = [
    "EXITS",
    "FAILURES",
    "Exit",
    "described",
    "exit_in",
    "failure_in",
    "leaves",
    "text_of",
    "uncancelled",
]

FAILURES = (Exception, BaseExceptionGroup)
"""What a fault boundary catches; a bare cancellation is not among them."""

EXITS = (SystemExit, KeyboardInterrupt)
"""Exceptions that ask for the whole process to end, not just one driver."""

Exit: TypeAlias = SystemExit | KeyboardInterrupt


def uncancelled(error: BaseException) -> BaseException | None:
    """Return an error without the cancellations in it, ``None`` if nothing remains; only in an event loop."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(anyio.get_cancelled_exc_class())[1]
    return None if isinstance(error, anyio.get_cancelled_exc_class()) else error


def failure_in(error: BaseException) -> BaseException:
    """Return an error without the cancellations in it; raise it if nothing remains. Only in an event loop."""
    failure = uncancelled(error)
    if failure is None:
        raise error
    return failure


def exit_in(error: BaseException) -> Exit | None:
    """Return the first request to exit in an error, if there is one."""
    return next((leaf for leaf in leaves(error) if isinstance(leaf, EXITS)), None)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, or every single error in a group and its nested groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def text_of(error: BaseException) -> str:
    """Return what an error says, or the name of its type if that is nothing.

    Its ``__str__`` is a user's code too, and may fail where nobody expects it: while a failure is being reported.
    """
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - see above
        return type(error).__name__


def described(error: BaseException) -> str:
    """Return the name of an error's type and what the error says."""
    kind, text = type(error).__name__, text_of(error)
    return kind if text == kind else f"{kind}: {text}"
