"""What leaves code that is not ours: errors, cancellations, wishes that the process end, alone or in a group.

When a task fails while it is being cancelled, a group of both comes out of its task group on trio. Such a group is
no :class:`Exception`. So a boundary that is to keep a fault from spreading catches :data:`FAILURES`, and goes on
with :func:`failure_in` of what it has caught, which is free of cancellations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import anyio

__all__ = ["EXITS", "FAILURES", "Exit", "exit_in", "failure_in", "leaves", "uncancelled"]

FAILURES = (Exception, BaseExceptionGroup)
"""What a boundary catches; a bare cancellation is none of these."""

EXITS = (SystemExit, KeyboardInterrupt)
"""What asks for the end of the process, and not of one driver only."""

Exit: TypeAlias = SystemExit | KeyboardInterrupt


def uncancelled(error: BaseException) -> BaseException | None:
    """Return an error without the cancellations in it, ``None`` if it is nothing else; only in an event loop."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(anyio.get_cancelled_exc_class())[1]
    return None if isinstance(error, anyio.get_cancelled_exc_class()) else error


def failure_in(error: BaseException) -> BaseException:
    """Return an error without the cancellations in it; raise it if it is nothing else. Only in an event loop."""
    failure = uncancelled(error)
    if failure is None:
        raise error
    return failure


def exit_in(error: BaseException) -> Exit | None:
    """Return the first wish in an error that the process end."""
    return next((leaf for leaf in leaves(error) if isinstance(leaf, EXITS)), None)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, or what a group and the groups in it consist of."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
