"""What is logged in a run of errors that nobody expected."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["noted"]


class _Noting(logging.Handler):
    def __init__(self, found: list[logging.LogRecord]) -> None:
        super().__init__()
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self._found.append(record)


@contextmanager
def noted(found: list[logging.LogRecord]) -> Generator[None]:
    """Note what anybody logs with a traceback for as long as the block lasts.

    Loggers that pass nothing on to the root logger are not heard, except for the library's own.
    """
    handler, library = _Noting(found), logging.getLogger("indianyio")
    loggers = [logging.getLogger()] if library.propagate else [logging.getLogger(), library]
    # A switch that the command line turns, to be quiet, must not hide what is looked for.
    level = library.level
    if not library.isEnabledFor(logging.ERROR):
        library.setLevel(logging.ERROR)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        library.setLevel(level)
