"""Print properties, as indi_getprop does.

A pattern is Device.VECTOR.member, each part a name or * for any; nothing stands for everything. In the place of a
member, _LABEL, _GROUP, _STATE, _PERM, _TO (timeout) and _TS (timestamp) ask for what the vector says of itself. A
BLOB that is asked for by its whole name is waited for, and saved in the current folder.

Exit status: 0 each pattern has matched something, 1 one has not, 2 there is no server.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anyio

from indianyio._vocabulary import BLOBHandling, Limits
from indianyio.commands._table import Row, print_table
from indianyio.commands._wire import (
    ATTRIBUTES,
    Pattern,
    add_server,
    complain,
    conversation,
    json_line,
    run_until_interrupted,
    say,
    server_name,
    shows_table,
)
from indianyio.protocol import (
    DefBLOBVector,
    DefLightVector,
    DefVector,
    EnableBLOB,
    GetProperties,
    OneBLOB,
    SetBLOBVector,
    SetVector,
    WireMessage,
    parse_number,
)
from indianyio.protocol._blob_spans import decimal
from indianyio.protocol._blobs import inflate

_UNSAFE = re.compile(r"[/\x00-\x1f]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="what to print (default: everything)")
    parser.add_argument(
        "-1", dest="value_only", action="store_true", help="print the value only, if it can only be one"
    )
    parser.add_argument("-m", "--monitor", action="store_true", help="go on with updates, as long as -t says")
    parser.add_argument("-w", "--write-only", action="store_true", help="properties too that can only be written")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each member")
    add_server(parser, timeout=2.0)


class Found(NamedTuple):
    """One line of the answer."""

    device: str
    vector: str
    member: str
    text: str
    kind: str
    state: str

    @property
    def name(self) -> str:
        """What stands before the ``=``."""
        return f"{self.device}.{self.vector}.{self.member}"

    @property
    def value(self) -> object:
        """The value as JSON has it."""
        if self.member in ATTRIBUTES:
            return self.text
        if self.kind == "Switch":
            return self.text == "On"
        if self.kind == "Number":
            try:
                return parse_number(self.text)
            except ValueError:
                return None
        return self.text


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: a pattern cannot be read.
    """
    patterns = [Pattern.parse(text) for text in options.patterns or ["*"]]
    options.value_only = options.value_only and len(patterns) == 1 and not patterns[0].is_wild
    search = _Search(options, patterns)
    run_until_interrupted(options, search.run)
    search.show_table()
    missing = [pattern for pattern in patterns if pattern not in search.answered]
    for pattern in missing:
        complain(f"No {pattern} from {server_name(options)}")
    return 1 if missing else 0


class _Search:
    """What is looked for, and what was found."""

    def __init__(self, options: argparse.Namespace, patterns: list[Pattern]) -> None:
        self.answered: set[Pattern] = set()
        self._options = options
        self._patterns = patterns
        self._perms: dict[tuple[str, str], str] = {}
        self._rows: list[Row] = []
        self._in_table = shows_table(options) and not options.value_only and not options.monitor

    async def run(self) -> None:
        """Ask the server, and print what it tells, until all is answered or nothing more comes."""
        devices = {pattern.device for pattern in self._patterns}
        device = devices.pop() if len(devices) == 1 else "*"
        async with conversation(self._options) as server:
            await server.send(GetProperties(device=None if device == "*" else device))
            with anyio.move_on_after(self._seconds) as patience:
                while self._options.monitor or not self._is_complete:
                    message = await server.receive()
                    is_new = isinstance(message, DefVector)
                    if is_new and self._note(message):
                        patience.deadline = anyio.current_time() + self._seconds
                    if isinstance(message, DefBLOBVector) and any(map(_names_a_blob, self._wanting(message))):
                        also = BLOBHandling.ALSO
                        await server.send(EnableBLOB(device=message.device, name=message.name, value=also))
                    elif isinstance(message, SetBLOBVector):
                        self._save(message)
                    elif isinstance(message, SetVector) and self._options.monitor:
                        self._note(message)

    def show_table(self) -> None:
        """Print what was kept for a table."""
        if self._rows:
            print_table(self._rows)

    @property
    def _seconds(self) -> float:
        return self._options.timeout or float("inf")

    @property
    def _is_complete(self) -> bool:
        return all(not pattern.is_wild and pattern in self.answered for pattern in self._patterns)

    def _wanting(self, message: DefVector | SetVector) -> Iterator[Pattern]:
        if isinstance(message, DefVector) and not isinstance(message, DefLightVector):
            self._perms[message.device, message.name] = str(message.perm or "")
        if self._perms.get((message.device, message.name)) == "wo" and not self._options.write_only:
            return
        yield from (pattern for pattern in self._patterns if pattern.matches(message.device, message.name))

    def _note(self, message: WireMessage) -> bool:
        """Print what is asked for of a message; return whether there was anything."""
        assert isinstance(message, DefVector | SetVector)
        found: dict[Found, None] = {}
        for pattern in self._wanting(message):
            lines = list(_lines(message, pattern))
            found |= dict.fromkeys(lines)
            if lines:
                self.answered.add(pattern)
        for one in found:
            self._print(one)
        return bool(found)

    def _print(self, found: Found) -> None:
        if self._options.json:
            json_line(
                device=found.device,
                vector=found.vector,
                member=found.member,
                value=found.value,
                kind=found.kind,
                state=found.state,
            )
        elif self._in_table:
            self._rows.append(Row(found.device, found.vector, found.member, found.text, found.state))
        else:
            say(found.text if self._options.value_only else f"{found.name}={found.text}")

    def _save(self, message: SetBLOBVector) -> None:
        for pattern in self._wanting(message):
            for one in message.members:
                if _names_a_blob(pattern) and pattern.member == one.name and one.data:
                    path = _written(message, one)
                    complain(f"Wrote {path}")
                    self.answered.add(pattern)


def _names_a_blob(pattern: Pattern) -> bool:
    """Tell whether a BLOB is asked for; with a ``*`` nobody asks for images."""
    return not pattern.is_wild and pattern.member not in ATTRIBUTES


def _lines(message: DefVector | SetVector, pattern: Pattern) -> Iterator[Found]:
    """Yield the lines that a definition or an update has for a pattern."""
    kind = message.tag[3:].removesuffix("Vector")
    state = str(message.state or "")

    def line(member: str, text: str) -> Found:
        return Found(message.device, message.name, member, text, kind, state)

    if pattern.member in ATTRIBUTES:
        value = getattr(message, ATTRIBUTES[pattern.member], None)
        if value is not None:
            yield line(pattern.member, str(value))
    elif kind != "BLOB":
        for one in message.members:
            if pattern.matches(message.device, message.name, one.name):
                yield line(one.name, str(getattr(one, "value", "")).strip())


def _written(message: SetBLOBVector, one: OneBLOB) -> Path:
    """Write a BLOB into the current folder; nothing of its names can lead out of there."""
    suffix, data = one.format or "", bytes(one.data)
    if suffix.endswith(".z"):
        suffix, data = suffix.removesuffix(".z"), inflate(data, decimal(one.size) or 0, Limits().blob_bytes)
    path = Path(_UNSAFE.sub("_", f"{message.device}.{message.name}.{one.name}{suffix}"))
    path.write_bytes(data)
    return path
