"""Ctrl-C at every line that a program's own thread runs in the client: it comes out, and nothing is left."""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

import indianyio.sync
from indianyio.sync import open_client
from tests.client.scripted import numbers, set_numbers, set_switches, switches
from tests.sync.server import Scripted

FOLDER = indianyio.sync.__path__[0]


class Answering(Scripted):
    """A server whose device does at once whatever it is told.

    :ivar told: the switches of CONNECTION that were set On, in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def _take(self, client: Any, message: object) -> None:  # noqa: ANN401
        super()._take(client, message)
        while not self._written.empty():
            name, values = self._written.get()
            if name == "N":
                self.say(set_numbers("N", "Busy", X=1), set_numbers("N", "Ok", X=float(values["X"])))
            else:
                on = "CONNECT" in values
                self.told += values
                self.say(set_switches("CONNECTION", "Ok" if on else "Idle", CONNECT=on, DISCONNECT=not on))


@pytest.fixture
def server() -> Iterator[Answering]:
    with Answering() as running:
        running.definitions = (numbers("N", X=0), switches("CONNECTION", CONNECT=False, DISCONNECT=True))
        yield running


@contextmanager
def interrupted(at_line: int, seen: Callable[[FrameType], bool]) -> Iterator[list[str]]:
    """Raise KeyboardInterrupt in this thread at the n-th line of those that are seen; tell which it was."""
    lines: list[str] = []
    before = sys.gettrace()

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - as sys.settrace() has it
        if not seen(frame):
            return None
        # No signal is looked at on a line that does nothing.
        if event == "line" and linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() != "try:":
            lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
            if len(lines) == at_line:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


def program(port: int, backend: Any) -> None:  # noqa: ANN401
    with open_client("127.0.0.1", port, backend=backend) as indi:
        device = indi.device("Scripted", timeout=60)
        with device.connected(timeout=60):
            device.set("N", X=5, timeout=60)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_line(server: Answering, backend: str) -> None:
    at_line, came_out = 0, True
    while came_out:
        at_line += 1
        came_out = False
        with interrupted(at_line, lambda frame: frame.f_code.co_filename.startswith(FOLDER)) as lines:
            try:
                program(server.port, backend)
            except KeyboardInterrupt:
                came_out = True
        where = lines[at_line - 1] if len(lines) >= at_line else "the end"
        assert came_out == (len(lines) >= at_line), where
        left = [each.name for each in threading.enumerate() if each.name == "indianyio client"]
        assert left == [], where
        assert server.told in ([], ["CONNECT", "DISCONNECT"]), where
        server.told.clear()
    assert at_line > 50
