"""Print changes as they come, until Ctrl-C.

A pattern is Device.VECTOR.member, each part a name or * for any. A line is Device.VECTOR.member=value, or
Device.VECTOR._STATE=Busy where a vector's state has changed. Where changes come faster than they are read, the
newest of each vector is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import anyio

from indianyio.client import BLOBVector, Change, Client, open_client
from indianyio.commands._wire import Pattern, add_server, json_line, run_until_interrupted, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="what to watch (default: everything)")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each change")
    parser.add_argument("--reconnect", action="store_true", help="go on when the server was lost and is back")
    parser.add_argument("--seconds", type=float, help="for how long (default: until Ctrl-C)")
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    patterns = [Pattern.parse(text) for text in options.patterns or ["*"]]
    run_until_interrupted(options, _watch, options, patterns)
    return 0


async def _watch(options: argparse.Namespace, patterns: list[Pattern]) -> None:
    async with open_client(options.host, options.port, unix=options.unix, reconnect=options.reconnect) as client:
        with anyio.move_on_after(options.seconds):
            await _print_changes(client, options, patterns)


async def _print_changes(client: Client, options: argparse.Namespace, patterns: list[Pattern]) -> None:
    states: dict[tuple[str, str], str] = {}
    async with client.watch() as changes:
        async for change in changes:
            if not any(pattern.matches(*_names(change)) for pattern in patterns):
                continue
            if options.json:
                _print_json(change)
            else:
                for line in _lines(change, patterns, states):
                    say(line)


def _names(change: Change) -> tuple[str, str]:
    return change.device or "", change.vector.name if change.vector is not None else ""


def _print_json(change: Change) -> None:
    vector = None if change.vector is None else change.vector.snapshot()
    json_line(
        kind=change.kind,
        device=change.device,
        name=None if change.vector is None else change.vector.name,
        message=change.message,
        left_out=change.left_out,
        vector=vector,
    )


def _lines(change: Change, patterns: list[Pattern], states: dict[tuple[str, str], str]) -> Iterator[str]:
    vector = change.vector
    if vector is None:
        if change.message:
            yield f"{change.device or ''} {change.kind}: {change.message}".strip()
        return
    start = f"{vector.device}.{vector.name}"
    if change.kind == "deleted":
        yield f"{start} deleted"
        return
    key = (vector.device, vector.name)
    if states.get(key) != vector.state and _is_meant(patterns, *key, "_STATE"):
        yield f"{start}._STATE={vector.state}"
    states[key] = vector.state
    # What was left out may have changed other members.
    named = vector.members if change.kind == "defined" or change.left_out else change.members
    for name, member in vector.members.items():
        if name in named and not isinstance(vector, BLOBVector) and _is_meant(patterns, *key, name):
            yield f"{start}.{name}={member.text}"


def _is_meant(patterns: list[Pattern], device: str, vector: str, member: str) -> bool:
    return any(pattern.matches(device, vector, member) for pattern in patterns)
