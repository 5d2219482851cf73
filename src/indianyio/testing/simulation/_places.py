"""Where in a driver's own code something has happened, or waits."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from types import FrameType

__all__ = ["place_of_error"]


def place_of_error(error: BaseException, authors: Iterable[str]) -> str:
    """Return where an error was raised, as far as the driver's code knows; an empty text if it was not raised.

    :param authors: the modules of the driver. Other modules of their packages belong to it, too.
    """
    steps = list(traceback.walk_tb(error.__traceback__))
    own = [step for step in steps if _is_of(step[0], authors)]
    return _place(*(own or steps)[-1]) if steps else ""


def _is_of(frame: FrameType, authors: Iterable[str]) -> bool:
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    return any(package == name.partition(".")[0] for name in authors)


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
