"""Print changes as they come, until Ctrl-C.

A pattern is Device.VECTOR.member, each part a name or * for any; _STATE in place of a member is the vector's
state. A line is Device.VECTOR.member=value, or Device.VECTOR._STATE=Busy when a state has changed; the values at
the beginning come first. With --json a line is an object with the members that are asked for. Messages of a device
are printed unless only certain vectors are watched. If changes come faster than they are read, only the newest of
each vector is printed.

Exit status: 0 --seconds have passed, 2 there is no server, or the connection was lost.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import anyio

from indianyio._vocabulary import State
from indianyio.client import BLOBVector, Change, open_client
from indianyio.client._vectors import AnyVector
from indianyio.commands._arguments import seconds
from indianyio.commands._wire import ATTRIBUTES, Pattern, add_server, json_line, run_until_interrupted, say

_STATE = "_STATE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="what to watch (default: everything)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each change")
    parser.add_argument("--reconnect", action="store_true", help="go on when a lost connection is back")
    parser.add_argument("--seconds", type=seconds, help="for how long (default: until Ctrl-C)")
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: a pattern cannot be read, or asks for something that never changes.
    """
    patterns = [Pattern.parse(text) for text in options.patterns or ["*"]]
    for pattern in patterns:
        if pattern.member in ATTRIBUTES and pattern.member != _STATE:
            raise ValueError(f"{pattern}: {pattern.member} cannot be watched, only {_STATE} and members can")
    run_until_interrupted(options, _watch, options, patterns)
    return 0


async def _watch(options: argparse.Namespace, patterns: list[Pattern]) -> None:
    printer = _Printer(patterns, as_json=options.json)
    async with open_client(options.host, options.port, unix=options.unix, reconnect=options.reconnect) as client:
        with anyio.move_on_after(options.seconds):
            changes = client.watch()
            # The server may have sent some of them before this watch began.
            for vector in [vector for device in client.values() for vector in device.values()]:
                printer.show(Change("defined", vector.device, vector, vector.state))
            async with changes:
                async for change in changes:
                    printer.show(change)


class _Printer:
    """Prints what the patterns ask for of each change."""

    def __init__(self, patterns: list[Pattern], *, as_json: bool) -> None:
        self._patterns = patterns
        self._as_json = as_json
        self._states: dict[tuple[str, str], State] = {}

    def show(self, change: Change) -> None:
        """Print a change, if it is asked for."""
        vector = change.vector
        if vector is None:
            self._show_general(change)
        elif change.kind == "deleted":
            # If it is defined again, it is printed as if it had never been there.
            self._states.pop((vector.device, vector.name), None)
            if self._is_meant(vector.device, vector.name):
                self._show_one(change, f"{vector.device}.{vector.name} deleted")
        else:
            self._show_vector(change, vector)

    def _show_general(self, change: Change) -> None:
        """Print a change that concerns a device as a whole, or the connection."""
        device = change.device or ""
        if change.kind == "deleted":
            self._states = {key: state for key, state in self._states.items() if key[0] != device}
        if change.kind == "message":
            # Somebody who watches a single vector does not want the device's messages.
            is_meant = any(pattern.matches(device) and pattern.vector == "*" for pattern in self._patterns)
        else:
            is_meant = self._is_meant(device)
        if is_meant:
            text = f": {change.message}" if change.message else ""
            self._show_one(change, f"{device} {change.kind}{text}".strip())

    def _show_vector(self, change: Change, vector: AnyVector) -> None:
        key = (vector.device, vector.name)
        # Changes that were left out may have changed other members, or the state and back again.
        is_whole = change.kind == "defined" or change.left_out > 0
        named = set(vector.members if is_whole else change.members)
        if is_whole or self._states.get(key) != vector.state:
            named.add(_STATE)
        self._states[key] = vector.state
        if self._as_json:
            if any(pattern.matches(*key) and pattern.member in {"*", *named} for pattern in self._patterns):
                self._show_json(change)
        else:
            for line in self._lines(vector, named):
                say(line)

    def _lines(self, vector: AnyVector, named: set[str]) -> Iterator[str]:
        start = f"{vector.device}.{vector.name}"
        if _STATE in named and self._is_meant(vector.device, vector.name, _STATE):
            yield f"{start}.{_STATE}={vector.state}"
        if isinstance(vector, BLOBVector):
            return
        for name, member in vector.members.items():
            if name in named and self._is_meant(vector.device, vector.name, name):
                yield f"{start}.{name}={member.text}"

    def _show_one(self, change: Change, line: str) -> None:
        if self._as_json:
            self._show_json(change)
        else:
            say(line)

    def _show_json(self, change: Change) -> None:
        vector = change.vector
        snapshot = None if vector is None else vector.snapshot()
        if vector is not None and snapshot is not None and isinstance(members := snapshot["members"], dict):
            snapshot["members"] = {
                name: member for name, member in members.items() if self._is_meant(vector.device, vector.name, name)
            }
        json_line(
            kind=change.kind,
            device=change.device,
            name=None if vector is None else vector.name,
            message=change.message,
            left_out=change.left_out,
            vector=snapshot,
        )

    def _is_meant(self, device: str, vector: str = "", member: str = "") -> bool:
        return any(pattern.matches(device, vector, member) for pattern in self._patterns)
