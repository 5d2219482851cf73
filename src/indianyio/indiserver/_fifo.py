"""The named pipe on which commands arrive, and what they say (protocol.md 2.12).

The pipe is opened for reading only, so its end is seen when the last writer has closed it; a command without a line
end is complete then. It is opened anew before the old descriptor is closed: what somebody writes between the two
waits in the pipe, which lives as long as anybody has it open. Not blocking: a pipe that nobody writes to must not
hold up the server, and the descriptor is our own.

A line is ``start DRIVER`` with options, or ``stop DRIVER``. indiserver takes any other first word for ``stop``, and
there are scripts that live by that, so it is the same here, with a warning. It leaves out what it does not
understand at the end of a line; so does this, and says so.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import anyio

__all__ = ["Command", "Fifo", "LineCutter", "Start", "Stop", "Unclear", "parse_command"]

logger = logging.getLogger(__name__)

_READ_BYTES = 4096
_RETRY_SECONDS = 1.0

_LINE_BYTES = 1022
_VALUE_CHARACTERS = 511

_FIRST_WORD = re.compile(r"\s*(\S+)\s*")
_OPTION = re.compile(rf'\s*-(?P<letter>[ncsp])\s*"(?P<value>[^"]{{1,{_VALUE_CHARACTERS}}})"')
_FIRST_OPTION = re.compile(r'(?:^|\s)-[ncsp]\s*"')


@dataclass(frozen=True, slots=True)
class Start:
    """Start a driver, or have another server's devices.

    :ivar target: the program as it is to be found, or ``device@host:port``.
    :ivar values: the options, by letter: ``n`` the device's name, ``c`` its configuration, ``s`` its skeleton file,
        ``p`` the folder above the ``bin`` in which the program is.
    :ivar ignored: the end of the line, which could not be understood.
    """

    target: str
    values: dict[str, str] = field(default_factory=dict)
    ignored: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a driver.

    :ivar target: what it was started as.
    :ivar device: only if it has this device.
    :ivar word: the first word of the line, which need not be ``stop``.
    :ivar ignored: the end of the line, which could not be understood.
    """

    target: str
    device: str | None = None
    word: str = "stop"
    ignored: str = ""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A line that is no command.

    :ivar reason: why not.
    """

    reason: str


Command: TypeAlias = Start | Stop | Unclear


class LineCutter:
    """Bytes in pieces of any size to lines; lines that are too long are left out whole, and counted."""

    def __init__(self) -> None:
        self.dropped = 0
        self._rest = b""
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are complete now.

        :param data: the next bytes; none at the end of the stream, which ends the last line too.
        """
        *lines, rest = (self._rest + (data or b"\n")).split(b"\n")
        for line in lines:
            if self._too_long or len(line) > _LINE_BYTES:
                self.dropped += 1
            elif line.strip():
                yield line.decode("utf-8", "surrogateescape")
            self._too_long = False
        # The end of a line that is too long must not pass for a command of its own.
        self._too_long = self._too_long or len(rest) > _LINE_BYTES
        self._rest = b"" if self._too_long else rest


def parse_command(line: str) -> Command:
    """Return what a line says.

    :param line: one line, not empty, without its end.
    """
    found = _FIRST_WORD.match(line)
    if found is None:
        return Unclear("the line is empty")
    word, text = found[1], line[found.end() :]
    first_option = _FIRST_OPTION.search(text)
    end = len(text) if first_option is None else first_option.start()
    target, between = _target(text[:end])
    values, rest = ({}, between + text[end:]) if between else _options(text[end:])
    if not 0 < len(target) <= _VALUE_CHARACTERS:
        return Unclear("it names no driver" if not target else "the driver's name is too long")
    if word == "start":
        return Start(target, values, rest)
    return Stop(target, values.get("n"), word, rest)


def _target(text: str) -> tuple[str, str]:
    """Return the driver and what follows before the first option, which should be nothing.

    The names of devices have blanks, so what has an ``@`` is one thing up to its end; a program is one word.
    """
    plain = text.replace('"', "").strip()
    if "@" in plain:
        return plain, ""
    word, *rest = plain.split(maxsplit=1) or [""]
    return word, " ".join(rest)


def _options(text: str) -> tuple[dict[str, str], str]:
    values: dict[str, str] = {}
    position = 0
    while found := _OPTION.match(text, position):
        values[found["letter"]] = found["value"]
        position = found.end()
    return values, text[position:].strip()


# -- the pipe --------------------------------------------------------------------------------------------------


class Fifo:
    """A named pipe that is there already.

    :param path: where it is.
    :raises OSError: it cannot be opened, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _opened(path)

    async def read_lines(self, handle: Callable[[str], None]) -> None:
        """Hand over every line, whoever writes it, for ever. Cancelled, no line is lost that was read.

        :param handle: called with each line; must not wait.
        """
        cutter = LineCutter()
        while True:
            await anyio.wait_readable(self._descriptor)
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                continue
            for line in cutter.feed(data):
                handle(line)
            if cutter.dropped:
                logger.warning("%s: dropped %d lines that are too long", self._path, cutter.dropped)
                cutter.dropped = 0
            if not data:
                await self._reopen()

    def close(self) -> None:
        """Read no more."""
        os.close(self._descriptor)

    async def _reopen(self) -> None:
        """Wait for the next writers, also at a new pipe that somebody has put in the place of the old one."""
        complained = False
        while True:
            try:
                anew = _opened(self._path)
            except OSError as error:
                if not complained:
                    logger.error("no commands can be read any more: %s", error)
                complained = True
                await anyio.sleep(_RETRY_SECONDS)
                continue
            os.close(self._descriptor)
            self._descriptor = anew
            return


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(0, "it is not a named pipe", str(path))
    return descriptor
