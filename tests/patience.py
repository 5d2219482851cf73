"""What cannot know how long a machine will take for something tries again, with more time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["again_and_again", "patiently"]

T = TypeVar("T")


def patiently(attempt: Callable[[float], T], is_good: Callable[[T], bool], seconds: Sequence[float]) -> T:
    """Try with the first of these times, and again with the next one unless that was good; return the last result.

    :param attempt: what is tried, with the time that it has.
    :param is_good: what the test is about; the test itself has yet to insist on it.
    :param seconds: enough for a machine that is not busy, and then more.
    """
    *less, most = seconds
    for each in less:
        if is_good(found := attempt(each)):
            return found
    return attempt(most)


@contextmanager
def again_and_again(action: Callable[[], object], pause_seconds: float) -> Iterator[None]:
    """Do something in another thread, first after this pause and then again after each, until the block ends."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(pause_seconds):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
