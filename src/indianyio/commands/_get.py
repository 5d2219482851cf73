"""Print properties, as indi_getprop does.

A pattern is Device.VECTOR.member, each part a name or * for any; without a pattern everything is printed. In place
of a member, _LABEL, _GROUP, _STATE, _PERM, _TO (timeout) and _TS (timestamp) ask for an attribute of the vector.
If a BLOB is asked for by its full name, the command waits for it, and saves it in the current folder as
Device.VECTOR.member with its suffix. If there is such a file already, the BLOB gets another name; with --overwrite
it replaces the file.

Exit status: 0 every pattern has matched, 1 one has not, or its BLOB cannot be saved, 2 there is no server.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anyio

from indianyio._vocabulary import BLOBHandling
from indianyio.client._members import blob_of
from indianyio.commands._output import Row, print_table
from indianyio.commands._saving import safe_suffix, save
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
    SetBLOBVector,
    SetVector,
    WireMessage,
    parse_number,
)

_UNSAFE = re.compile(r"[/\x00-\x1f]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="what to print (default: everything)")
    parser.add_argument(
        "-1", dest="value_only", action="store_true", help="print only the value, if there can be only one"
    )
    parser.add_argument("-m", "--monitor", action="store_true", help="go on with updates, for as long as -t says")
    parser.add_argument("-w", "--write-only", action="store_true", help="include write-only properties")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each member")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files when saving BLOBs")
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
        """What is printed before the ``=``."""
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
    try:
        run_until_interrupted(options, search.run)
    finally:
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
        """Ask the server, and print its answers until all patterns are answered or nothing more comes."""
        devices = {pattern.device for pattern in self._patterns}
        device = devices.pop() if len(devices) == 1 else "*"
        async with conversation(self._options) as server:
            await server.send(GetProperties(device=None if device == "*" else device))
            with anyio.move_on_after(self._seconds) as patience:
                if not self._options.monitor:
                    # A BLOB may take much longer to arrive than anything else.
                    server.on_piece = lambda: self._renew(patience)
                while self._options.monitor or not self._is_complete:
                    message = await server.receive()
                    is_new = isinstance(message, DefVector)
                    if is_new and self._note(message):
                        self._renew(patience)
                    if isinstance(message, DefBLOBVector) and any(map(_names_a_blob, self._wanting(message))):
                        also = BLOBHandling.ALSO
                        await server.send(EnableBLOB(device=message.device, name=message.name, value=also))
                    elif isinstance(message, SetBLOBVector):
                        # Writing the file may take as long as it needs.
                        deadline, patience.deadline = patience.deadline, math.inf
                        await self._save(message)
                        patience.deadline = deadline
                    elif isinstance(message, SetVector) and self._options.monitor:
                        self._note(message)

    def show_table(self) -> None:
        """Print the rows that were kept for a table."""
        if self._rows:
            print_table(self._rows)

    @property
    def _seconds(self) -> float:
        return self._options.timeout or math.inf

    def _renew(self, patience: anyio.CancelScope) -> None:
        patience.deadline = anyio.current_time() + self._seconds

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
        """Print what the patterns ask for from a message; return whether there was anything."""
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
            value_only = self._options.value_only
            say(found.text if value_only else f"{found.name}={found.text}", has_lines=value_only)

    async def _save(self, message: SetBLOBVector) -> None:
        for pattern in self._wanting(message):
            for one in message.members:
                if _names_a_blob(pattern) and pattern.member == one.name:
                    name = f"{message.device}.{message.name}.{one.name}"
                    try:
                        blob = blob_of(one, None)
                        if blob is None:
                            continue
                        path = Path(_UNSAFE.sub("_", name) + safe_suffix(blob))
                        path = await save(blob, path, overwrite=self._options.overwrite)
                    except ValueError as error:
                        complain(f"{name} was not saved: {error}")
                        continue
                    complain(f"Wrote {path}")
                    self.answered.add(pattern)


def _names_a_blob(pattern: Pattern) -> bool:
    """Return whether a pattern may name a BLOB; one with a ``*`` does not, or it would fetch all images."""
    return not pattern.is_wild and pattern.member not in ATTRIBUTES


def _lines(message: DefVector | SetVector, pattern: Pattern) -> Iterator[Found]:
    """Yield the lines of a definition or an update that a pattern asks for."""
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
