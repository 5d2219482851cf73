"""What is logged in a run of errors that nobody expected."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

import trio

__all__ = ["logged_at", "noted"]

_AT = "indianyio_simulated_at"


class _Noting(logging.Handler):
    def __init__(self, found: list[logging.LogRecord]) -> None:
        super().__init__()
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            if trio.lowlevel.in_trio_run():  # the time that records have of their own is the real one
                setattr(record, _AT, trio.current_time())
            self._found.append(record)


class _HearsErrors(logging.Manager):
    """Loggers whose errors cannot be disabled; what is below an error can."""

    @property
    def disable(self) -> int:
        return min(self._disable, logging.ERROR - 1)

    @disable.setter
    def disable(self, level: int) -> None:
        self._disable = level


@contextmanager
def noted(found: list[logging.LogRecord]) -> Generator[None]:
    """Note what anybody logs with a traceback for as long as the block lasts.

    Loggers that pass nothing on to the root logger are not heard, except for the library's own. Neither the
    level of the library's logger nor :func:`logging.disable` keeps an error from being heard.
    """
    handler, library = _Noting(found), logging.getLogger("indianyio")
    loggers = [logging.getLogger()] if library.propagate else [logging.getLogger(), library]
    with _errors_enabled():
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


def logged_at(record: logging.LogRecord) -> float:
    """Return when a record was noted, in seconds since the run began; 0 if that was in another thread."""
    at: float = getattr(record, _AT, 0.0)
    return at


@contextmanager
def _errors_enabled() -> Generator[None]:
    manager = logging.getLogger().manager
    cls, disabled = type(manager), manager.disable
    manager.__class__ = _HearsErrors
    logging.disable(disabled)  # loggers remember what was enabled; this has them forget it
    try:
        yield
    finally:
        manager.__class__ = cls
        logging.disable(disabled)
