"""The reading of the drop-in's fifo, on both back ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from indianyio.indiserver._fifo import Fifo

pytestmark = pytest.mark.anyio


class Lines(list[str]):
    """What was read, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._more = anyio.Event()

    def take(self, line: str) -> None:
        self.append(line)
        self._more.set()

    async def until(self, wanted: Callable[[Lines], bool]) -> None:
        with anyio.fail_after(10):
            while not wanted(self):
                self._more = anyio.Event()
                await self._more.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def write(path: Path, words: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(words)


async def test_writers_come_and_go_and_nothing_is_lost(path: Path) -> None:
    fifo, lines = Fifo(path), Lines()
    expected = [f"stop {number}" for number in range(100)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fifo.read_lines, lines.take)
        for number, words in enumerate(expected):
            write(path, words if number % 10 == 9 else f"{words}\n")
            # Some write before the end of the one before was seen.
            if number % 10 == 9:
                await lines.until(lambda lines, count=number + 1: len(lines) == count)  # type: ignore[misc]
        tasks.cancel_scope.cancel("the test is over")
    fifo.close()
    assert lines == expected


async def test_ten_thousand_lines_in_pieces_of_any_size(path: Path) -> None:
    fifo, lines = Fifo(path), Lines()
    expected = [f'start indi_{number} -n "Camera {number}"' for number in range(10_000)]
    data = "".join(f"{line}\n" for line in expected).encode()
    writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # never an end, as with KStars
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fifo.read_lines, lines.take)
        while data:
            await anyio.wait_writable(writer)
            data = data[os.write(writer, data[:997]) :]
        await lines.until(lambda lines: len(lines) == len(expected))
        tasks.cancel_scope.cancel("the test is over")
    os.close(writer)
    fifo.close()
    assert lines == expected


async def test_a_long_line_is_told_and_the_next_is_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fifo, lines = Fifo(path), Lines()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fifo.read_lines, lines.take)
        write(path, f"{'x' * 20_000} stop this\nstop that\n")
        await lines.until(bool)
        tasks.cancel_scope.cancel("the test is over")
    fifo.close()
    assert lines == ["stop that"]
    assert "too long" in caplog.text


def test_it_waits_for_a_fifo_that_was_taken_away(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = path.with_name("old")

    async def main() -> None:
        fifo, lines = Fifo(path), Lines()
        async with anyio.create_task_group() as tasks:
            os.rename(path, old)
            tasks.start_soon(fifo.read_lines, lines.take)
            write(old, "stop a")
            await lines.until(lambda lines: lines == ["stop a"])
            await anyio.sleep(5)
            os.mkfifo(path)
            await anyio.sleep(2)
            write(path, "stop b\n")
            while lines != ["stop a", "stop b"]:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel("the test is over")
        fifo.close()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert caplog.text.count("no commands can be read") == 1


@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_something_else_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "file":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(OSError, match="x"):
        Fifo(path)
