"""The command line of indiserver (protocol.md 2.1, S1).

It does not follow getopt, and programs that start indiserver rely on that: option letters may be combined (``-vvr
3``), the values follow as separate arguments, in the order of their letters, and the first argument without a dash
ends the options.

indiserver reads any text as a number, and ``x`` as 0. A server on a wrong port, or one that disconnects every
client, helps nobody, so here a value that is not a number is an error. Options that indiserver does not have begin
with two dashes, so that they can never clash with a new letter of indiserver's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

__all__ = ["USAGE", "HelpWanted", "Options", "UsageError", "parse_options", "read_options"]

_MB = 1 << 20
_HIGHEST_PORT = 65535
_BACKENDS = ("asyncio", "trio")

USAGE = """\
Usage: python -m indianyio.indiserver [options] driver [driver ...]
Serve local and remote INDI drivers to INDI clients.
Options:
 -l DIR   append the messages of the drivers to DIR/YYYY-MM-DD.islog
 -m MB    disconnect a client that gets more than this many MB behind, default 128
 -d MB    drop frames of videos for a client that gets more than this many MB behind, default 5; 0 for never
 -u NAME  the abstract unix socket for local clients, default /tmp/indiserver
 -p PORT  the TCP port, default 7624
 -r N     how often a driver is started again when it has died, default 10
 -f FIFO  a named pipe for commands that start and stop drivers
 -v       more on standard error: who comes and goes; -vv also what each message is; -vvv also all of it
Beyond those of indiserver:
 --host HOST     listen there and not at every address of this machine; localhost for this machine only,
                 0.0.0.0 for every address of IPv4 only
 --backend NAME  the event loop, asyncio or trio, default asyncio
 --exec-grace S  in the end, seconds for a driver before SIGTERM, and again before SIGKILL, default 5
 --announce      tell the local network where this server is, as _indi._tcp
 --help          this text
driver    an executable, or [device]@host[:port] for another server
"""


class UsageError(ValueError):
    """The command line is wrong; the text says what is."""


class HelpWanted(Exception):  # noqa: N818 - not an error
    """The command line asks for :data:`USAGE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says.

    :ivar drivers: drivers and other servers, as written there.
    :ivar port: the TCP port; 0 for any that is free.
    :ivar unix_name: the name of the abstract unix socket.
    :ivar client_bytes: how much may wait for a client before it is disconnected; 0 to disconnect it as soon as
        anything has to wait.
    :ivar drop_stream_bytes: how much may wait for a client before video frames are dropped; 0 to drop none.
    :ivar restarts: how often a driver is started again.
    :ivar fifo: the named pipe for commands.
    :ivar log_folder: where the messages of the drivers are kept.
    :ivar verbosity: how many ``-v`` there were.
    :ivar host: where to listen for TCP; empty for every address.
    :ivar backend: the event loop, ``asyncio`` or ``trio``.
    :ivar exec_grace: how many seconds a driver may take to end before SIGTERM is sent, and again before SIGKILL.
    :ivar announce: whether the local network is told where the server is.
    """

    drivers: tuple[str, ...] = ()
    port: int = 7624
    unix_name: str = "/tmp/indiserver"  # not a file: an abstract name, and the one that clients know
    client_bytes: int = 128 * _MB
    drop_stream_bytes: int = 5 * _MB
    restarts: int = 10
    fifo: Path | None = None
    log_folder: Path | None = None
    verbosity: int = 0
    host: str = ""
    backend: str = "asyncio"
    exec_grace: float = 5.0
    announce: bool = False

    @property
    def unix_address(self) -> str:
        """The unix socket for local clients; on systems without abstract names it is a file, as with indiserver."""
        return f"@{self.unix_name}" if sys.platform == "linux" else self.unix_name


_Setter: TypeAlias = Callable[[Options, str], Options]


def read_options(arguments: Sequence[str]) -> Options | HelpWanted | UsageError:
    """Return what the arguments after the program's name say, or what is wrong with them."""
    try:
        return parse_options(arguments)
    except (HelpWanted, UsageError) as said:
        return said


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the arguments after the program's name.

    :raises HelpWanted: ``--help`` is among the options.
    :raises UsageError: an option is unknown, a value is missing or wrong, or there is nothing to serve.
    """
    options = Options()
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        for option in [word] if word.startswith("--") else [f"-{letter}" for letter in word[1:]]:
            if option == "--help":
                raise HelpWanted
            if option == "-v":
                options = replace(options, verbosity=options.verbosity + 1)
            elif option == "--announce":
                options = replace(options, announce=True)
            else:
                options = _with_value(options, option, rest)
    options = replace(options, drivers=tuple(rest))
    if not (options.drivers or options.fifo):
        raise UsageError("there is no driver, and no fifo that could name one")
    return options


def _with_value(options: Options, option: str, rest: list[str]) -> Options:
    setter = _SETTERS.get(option)
    if setter is None:
        raise UsageError(f"there is no option {option}")
    if not rest:
        raise UsageError(f"{option} requires a value")
    text = rest.pop(0)
    try:
        return setter(options, text)
    except ValueError:
        raise UsageError(f"{text!r} cannot be the value of {option}") from None


def _set_port(options: Options, text: str) -> Options:
    port = _count(text)
    if port > _HIGHEST_PORT:
        raise ValueError
    return replace(options, port=port)


def _set_restarts(options: Options, text: str) -> Options:
    return replace(options, restarts=0 if text.startswith("-") and _count(text[1:]) else _count(text))


def _set_backend(options: Options, text: str) -> Options:
    if text not in _BACKENDS:
        raise ValueError
    return replace(options, backend=text)


def _set_exec_grace(options: Options, text: str) -> Options:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text) or not float(text):
        raise ValueError
    return replace(options, exec_grace=float(text))


_SETTERS: dict[str, _Setter] = {
    "-l": lambda options, text: replace(options, log_folder=Path(_filled(text))),
    "-m": lambda options, text: replace(options, client_bytes=_count(text) * _MB),
    "-d": lambda options, text: replace(options, drop_stream_bytes=_count(text) * _MB),
    "-u": lambda options, text: replace(options, unix_name=_filled(text)),
    "-p": _set_port,
    "-r": _set_restarts,
    "-f": lambda options, text: replace(options, fifo=Path(_filled(text))),
    "--host": lambda options, text: replace(options, host=_filled(text)),
    "--backend": _set_backend,
    "--exec-grace": _set_exec_grace,
}


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError
    return int(text)


def _filled(text: str) -> str:
    if not text:
        raise ValueError
    return text
