"""The named pipe on which commands arrive, and what they say (protocol.md 2.12).

The pipe is opened for reading only, so we see end of file when the last writer has closed it; that also completes a
command without a line end. It is reopened before the old descriptor is closed, because a pipe keeps its contents
only as long as somebody has it open: so what is written in between is not lost. It is opened with O_NONBLOCK, since
a pipe that nobody writes to must not hold up the server; the flag affects nobody else, because the descriptor is
our own.

A line is ``start DRIVER`` with options, or ``stop DRIVER``. indiserver takes any other first word for ``stop``, and
some scripts rely on that, so we do the same, with a warning. Like indiserver, we ignore the end of a line that we
do not understand, but we log it.
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
    """Start a driver, or connect to another server.

    :ivar target: the program's name or path, or ``device@host:port``.
    :ivar values: the options, by letter: ``n`` the device's name, ``c`` its configuration, ``s`` its skeleton file,
        ``p`` the folder whose ``bin`` contains the program.
    :ivar ignored: the end of the line, which could not be understood.
    """

    target: str
    values: dict[str, str] = field(default_factory=dict)
    ignored: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a driver.

    :ivar target: the name under which it was started.
    :ivar device: stop it only if it has this device.
    :ivar word: the first word of the line, which is not always ``stop``.
    :ivar ignored: the end of the line, which could not be understood.
    """

    target: str
    device: str | None = None
    word: str = "stop"
    ignored: str = ""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A line that is not a command.

    :ivar reason: why not.
    """

    reason: str


Command: TypeAlias = Start | Stop | Unclear


class LineCutter:
    """Cuts bytes, in pieces of any size, into lines; lines that are too long are dropped whole, and counted."""

    def __init__(self) -> None:
        self.dropped = 0
        self._rest = b""
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that are complete now.

        :param data: the next bytes; ``b""`` at end of file, which ends the last line too.
        """
        *lines, rest = (self._rest + (data or b"\n")).split(b"\n")
        for line in lines:
            if self._too_long or len(line) > _LINE_BYTES:
                self.dropped += 1
            elif line.strip():
                yield line.decode("utf-8", "surrogateescape")
            self._too_long = False
        # The tail of a line that is too long must not be taken for a command.
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
    """Return the driver, and any text between it and the first option; there should be none.

    Device names contain blanks, so a text with an ``@`` is one target up to its end; a program is one word.
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
    """A named pipe that exists already.

    :param path: where it is.
    :raises OSError: it cannot be opened, or is not a pipe.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _opened(path)

    async def read_lines(self, handle: Callable[[str], None]) -> None:
        """Hand over every line, whoever writes it, for ever. No line that was read is lost on cancellation.

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
        """Stop reading."""
        os.close(self._descriptor)

    async def _reopen(self) -> None:
        """Reopen the path for the next writers; somebody may have put a new pipe in the place of the old one."""
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
