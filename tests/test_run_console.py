"""Standard error that never waits: on pipes, terminals, sockets and files."""

from __future__ import annotations

import os
import pty
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indianyio.run import _console
from indianyio.run._console import Console

LINE = "a line of the log\n"
TOO_MANY = 50_000
LOST = "indianyio.run: lines lost here because nobody was reading: "

# The end that is written to and the end that is read.
Ends = tuple[int, int]


def make_pipe() -> Ends:
    reader, writer = os.pipe()
    return writer, reader


def make_terminal() -> Ends:
    controller, terminal = pty.openpty()
    return terminal, controller


def make_socket() -> Ends:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


@pytest.fixture(params=[make_pipe, make_terminal, make_socket])
def ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    make: Callable[[], Ends] = request.param
    yield from standard_error(make(), monkeypatch)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    yield from standard_error(make_pipe(), monkeypatch)


def standard_error(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    monkeypatch.setattr(_console, "STDERR", ends[0])
    yield ends
    for descriptor in ends:
        os.close(descriptor)


def read_all(ends: Ends) -> str:
    """Read what is there now."""
    received = b""
    while select.select([ends[1]], [], [], 0.05)[0]:
        received += os.read(ends[1], 1 << 16)
    return received.decode().replace("\r\n", "\n")


def test_a_reader_gets_every_line(ends: Ends) -> None:
    console = Console()
    assert console.write(f"{LINE}{LINE}") == 2 * len(LINE)
    assert read_all(ends) == f"{LINE}{LINE}"


@pytest.mark.long
@pytest.mark.timeout(30)
def test_d13_without_a_reader_lines_are_dropped_and_counted(ends: Ends) -> None:
    console = Console()
    for _ in range(TOO_MANY):
        console.write(LINE)
    whole = read_all(ends).count(LINE)
    assert 0 < whole < TOO_MANY
    console.write("read again\n")
    assert read_all(ends).splitlines()[-2:] == [f"{LOST}{TOO_MANY - whole}", "read again"]
    console.write(LINE)
    assert read_all(ends) == LINE


@pytest.mark.timeout(30)
def test_one_huge_write_without_a_reader_returns(ends: Ends) -> None:
    text = "x" * 5_000_000
    assert Console().write(text) == len(text)
    assert 0 < len(read_all(ends)) < len(text)


def test_a_huge_write_to_a_reader_arrives_whole(ends: Ends) -> None:
    text = LINE * 10_000
    received: list[str] = []

    def read() -> None:
        # Until all is there, however late it comes; the test's own limit ends it otherwise.
        while sum(map(len, received)) < len(text):
            received.append(read_all(ends))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    Console().write_within(text, 30.0)
    reading.join(30.0)
    assert "".join(received) == text


@pytest.mark.timeout(30)
def test_another_owners_pipe_is_asked_first(pipe: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_console, "_open_again", lambda: None)
    console = Console()
    for _ in range(TOO_MANY):
        console.write(LINE)
    whole = read_all(pipe).count(LINE)
    assert 0 < whole < TOO_MANY
    console.flush()
    assert read_all(pipe).endswith(f"{LOST}{TOO_MANY - whole}\n")


def test_a_line_in_pieces_is_lost_as_one(pipe: Ends) -> None:
    console = Console()
    fill(pipe)
    for piece in ("printed", " ", "in pieces"):
        console.write(piece)
    filled = read_all(pipe)
    console.write(", of which the rest is lost too\nanother\n")
    assert "printed" not in filled
    assert read_all(pipe) == f"{LOST}1\nanother\n"


def test_a_line_that_was_cut_is_ended_before_the_count(pipe: Ends) -> None:
    console = Console()
    console.write("begun")
    fill(pipe)
    console.write(" and lost\n")
    read_all(pipe)
    console.write("next\n")
    assert read_all(pipe) == f"\n{LOST}1\nnext\n"


def fill(ends: Ends) -> None:
    poll = select.poll()
    poll.register(ends[0], select.POLLOUT)
    while poll.poll(0):
        os.write(ends[0], b"." * select.PIPE_BUF)


def test_others_who_have_the_pipe_stay_blocking(pipe: Ends) -> None:
    Console().write(LINE)
    assert os.get_blocking(pipe[0])


def test_a_file_gets_everything_behind_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file:
        file.write(b"first\n")
        monkeypatch.setattr(_console, "STDERR", file.fileno())
        console = Console()
        for _ in range(1000):
            console.write(LINE)
    assert path.read_text(encoding="ascii") == "first\n" + 1000 * LINE


def test_no_descriptor_is_kept(pipe: Ends) -> None:
    before = os.listdir("/proc/self/fd")
    Console().write(LINE)
    assert os.listdir("/proc/self/fd") == before


def test_a_broken_pipe_is_nobodys_error(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = make_pipe()
    os.close(reader)
    monkeypatch.setattr(_console, "STDERR", writer)
    assert Console().write(LINE) == len(LINE)
    os.close(writer)


def test_a_closed_descriptor_is_nobodys_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_console, "STDERR", 1 << 19)
    assert Console().write(LINE) == len(LINE)
