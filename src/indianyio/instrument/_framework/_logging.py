"""DEBUG, DEBUG_LEVEL, LOGGING_LEVEL and LOG_OUTPUT: an instrument's log records go to clients as messages.

Errors, warnings and what people should know always go to clients. While DEBUG is On, clients choose which levels
they get, which go to the program's own log, and whether any go to either. At most ten lines in ten seconds are
sent from one place in the code, so that a sensor that complains a hundred times a second does not fill everybody's
screen.

A record can be made anywhere, even in a thread, and whoever makes one must not wait for clients. So records wait
in a short queue, and a task sends them. The task begins with a record that is made in the event loop, and ends
when the queue is empty. A record made in a thread is sent with the next one made in the event loop, or after the
next poll.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable

import anyio

from indianyio._vocabulary import State
from indianyio.driver import AnyVector
from indianyio.instrument._framework._property import BoundProperty
from indianyio.instrument._running._host import Host
from indianyio.protocol._text import brief
from indianyio.standard.general import Debug, DebugLevel, LoggingLevel, LogOutput

__all__ = ["InstrumentLog"]

# The program's own log, to which the records go as well.
_program_log = logging.getLogger("indianyio.instrument.device")

_MOST_WAITING = 100
_LINES = 10
_WHILE_SECONDS = 10.0


def _kind(level: int) -> str:
    """Return libindi's name for a level; messages begin with it, and clients colour them by it."""
    if level >= logging.ERROR:
        return "ERROR"
    if level >= logging.WARNING:
        return "WARNING"
    return "INFO" if level >= logging.INFO else "DEBUG"


class InstrumentLog(logging.Handler):
    """Sends the log records of one instrument.

    :param name: the device, for log lines.
    :param host: the run that owns the sending task.
    :param tell: sends a line for people to the clients.
    :param debug: DEBUG.
    :param told: DEBUG_LEVEL: which levels go to clients.
    :param kept: LOGGING_LEVEL: which levels go to the program's log.
    :param output: LOG_OUTPUT: whether any records go to either. What it calls the file is the program's log.
    :ivar logger: the logger that makes the records.
    """

    def __init__(
        self,
        name: str,
        host: Host,
        tell: Callable[[str], Awaitable[None]],
        debug: BoundProperty[Debug],
        told: BoundProperty[DebugLevel],
        kept: BoundProperty[LoggingLevel],
        output: BoundProperty[LogOutput],
    ) -> None:
        super().__init__()
        self._host = host
        self._tell = tell
        self._debug = debug
        self._levels = (told, kept)
        self._output = output
        self._waiting: deque[str] = deque(maxlen=_MOST_WAITING)
        self._places: dict[tuple[str, int], tuple[float, int]] = {}
        self._is_sending = False
        self._thread: int | None = None
        # Not registered with the logging module, which would keep one for every instrument that ever was.
        self.logger = logging.Logger(name, logging.DEBUG)  # noqa: LOG001 - as said
        self.logger.addHandler(self)
        for vector in self._vectors():
            vector.enable = False

    async def show(self) -> None:
        """Define the properties by which clients choose levels if DEBUG is On, and delete them if it is Off."""
        is_shown = self._debug.value.enable
        for vector in self._vectors():
            if is_shown and not vector.enable:
                vector.enable = True
                await vector.send_defVector()
            elif vector.enable and not is_shown:
                await vector.send_delProperty()

    async def switch(self, wanted: Debug) -> None:
        """Switch DEBUG."""
        await self._debug.report(wanted, state=State.OK)
        await self.show()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record, in any thread; returns at once."""
        told, kept = (bound.value for bound in self._levels)
        # While DEBUG is Off the choice does not count: details are left out, and nothing else.
        chosen = self._debug.value.enable
        output = self._output.value
        kind = _kind(record.levelno)
        if (output.file and _is_on(kept, kind) if chosen else True) and _program_log.isEnabledFor(record.levelno):
            _program_log.handle(record)
        if output.client and _is_on(told, kind) if chosen else kind != "DEBUG":
            self._put(record, kind)

    def begin(self) -> None:
        """Note that the event loop runs in this thread."""
        self._thread = threading.get_ident()
        self._is_sending = False

    def flush(self) -> None:
        """Send soon what waits; if this is not the event loop's thread, leave it for later."""
        if self._waiting and not self._is_sending and self._thread == threading.get_ident():
            self._is_sending = True
            self._is_sending = self._host.run_beside(self._send())

    def _put(self, record: logging.LogRecord, kind: str) -> None:
        place = (record.pathname, record.lineno)
        since, lines = self._places.get(place, (record.created, 0))
        if record.created - since >= _WHILE_SECONDS:
            since, lines = record.created, 0
        self._places[place] = (since, lines + 1)
        if lines >= _LINES:
            return
        text = f"[{kind}] {record.getMessage()}"
        if lines + 1 == _LINES:
            text += f" (and no more of this for {_WHILE_SECONDS:g} s)"
        self._waiting.append(brief(text))
        self.flush()

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._tell(self._waiting.popleft())
        except anyio.get_cancelled_exc_class():
            self._waiting.clear()
            raise
        finally:
            self._is_sending = False

    def _vectors(self) -> list[AnyVector]:
        return [*(bound.vector for bound in self._levels), self._output.vector]


def _is_on(levels: DebugLevel | LoggingLevel, kind: str) -> bool:
    return {
        "ERROR": levels.errors,
        "WARNING": levels.warnings,
        "INFO": levels.messages,
        "DEBUG": levels.debug,
    }[kind]
