"""Standard input and output of real child processes, on everything they may be."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

CHILD = Path(__file__).with_name("stdio_child.py")
LINE = b"<message/>\n"
MEGABYTE = LINE * ((1 << 20) // len(LINE))
File = int | IO[bytes]
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}  # so that a print waits in a buffer, as it usually does


def command(backend: str, task: str, argument: object = "") -> list[str]:
    return [sys.executable, "-W", "error", str(CHILD), backend, task, str(argument)]


@contextmanager
def child(
    backend: str, task: str, argument: object = "", *, stdin: File, stdout: File
) -> Iterator[subprocess.Popen[bytes]]:
    arguments = command(backend, task, argument)
    with subprocess.Popen(
        arguments, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, bufsize=0, env=BUFFERED
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def on_socket(
    backend: str, task: str, argument: object = ""
) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """Run a child as indiserver does, one socket for both (protocol.md S6)."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        with child(backend, task, argument, stdin=theirs.fileno(), stdout=theirs.fileno()) as process:
            theirs.close()
            yield process, ours


@contextmanager
def on_pipes(backend: str, task: str, argument: object = "") -> Iterator[subprocess.Popen[bytes]]:
    with child(backend, task, argument, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process


def piped(file: IO[bytes] | None) -> IO[bytes]:
    assert file is not None
    return file


def next_line(file: IO[bytes] | None, *, seconds: float = 20) -> str:
    ready, _, _ = select.select([piped(file)], [], [], seconds)
    assert ready, f"nothing came within {seconds} s"
    return piped(file).readline().decode().strip()


def lines_at_end(process: subprocess.Popen[bytes]) -> list[str]:
    text = piped(process.stderr).read().decode()
    assert process.wait(20) == 0, text
    return text.splitlines()


def receive_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while piece := sock.recv(1 << 16):
        data += piece
    return bytes(data)


def status_flags(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_GETFL)


# -- sockets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nonblocking", [False, True])
def test_d1_one_socket_for_both_and_a_slow_reader(anyio_backend: str, nonblocking: bool) -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(not nonblocking)
    flags = status_flags(theirs.fileno())
    with ours, theirs, child(anyio_backend, "flood", 100, stdin=theirs.fileno(), stdout=theirs.fileno()) as process:
        expected, received = 100 * len(MEGABYTE), 0
        while received < expected:
            time.sleep(0.0005)
            assert status_flags(theirs.fileno()) == flags
            piece = ours.recv(200_000)
            start = received % len(LINE)
            assert piece[: len(LINE)] == (LINE * 2)[start : start + len(LINE)][: len(piece)]
            received += len(piece)
        assert received == expected
        assert lines_at_end(process)[-1] == "sent"
        assert status_flags(theirs.fileno()) == flags


def test_d10_end_of_socket_is_noticed_at_once(anyio_backend: str) -> None:
    with on_socket(anyio_backend, "echo") as (process, sock):
        assert next_line(process.stderr) == "open"
        sock.shutdown(socket.SHUT_WR)
        assert next_line(process.stderr, seconds=60) == "end"
        assert process.wait(5) == 0


def test_d10_killed_server_is_noticed_at_once(anyio_backend: str) -> None:
    with on_socket(anyio_backend, "echo") as (process, sock):
        assert next_line(process.stderr) == "open"
        sock.close()
        assert next_line(process.stderr, seconds=60) in {"end", "lost"}
        assert process.wait(5) == 0


def test_d11_an_idle_driver_sleeps_and_wakes_at_once(anyio_backend: str) -> None:
    with on_socket(anyio_backend, "echo") as (process, sock):
        assert next_line(process.stderr) == "open"
        round_trip(sock)
        time.sleep(0.1)
        before = wake_ups(process.pid)
        time.sleep(0.3)
        assert wake_ups(process.pid) == before
        latencies = sorted(round_trip(sock) for _ in range(21))
    assert latencies[10] < 0.004  # polling every 10 ms would make it 5


def wake_ups(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def round_trip(sock: socket.socket) -> float:
    time.sleep(0.005)  # so that the child waits by now, as it nearly always does
    start = time.perf_counter()
    sock.sendall(LINE)
    assert sock.recv(100) == LINE
    return time.perf_counter() - start


def test_a_socket_carries_attachments_in_both_directions(anyio_backend: str, tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(b"image")
    with on_socket(anyio_backend, "echo") as (process, sock), path.open("rb") as one, path.open("rb") as two:
        assert next_line(process.stderr) == "open"
        socket.send_fds(sock, [LINE], [one.fileno(), two.fileno()])
        data, descriptors, _, _ = socket.recv_fds(sock, 100, 16)
        assert data == LINE
        assert [os.pread(descriptor, 10, 0) for descriptor in descriptors] == [b"image", b"image"]
        for descriptor in descriptors:
            os.close(descriptor)


def test_more_attachments_than_fit_in_a_call(anyio_backend: str) -> None:
    with on_socket(anyio_backend, "attach", 40) as (process, sock):
        data, descriptors = bytearray(), list[int]()
        while True:
            piece, arrived, flags, _ = socket.recv_fds(sock, 100, 16)
            assert not flags & socket.MSG_CTRUNC
            descriptors += arrived
            data += piece
            if not piece:
                break
        assert bytes(data) == LINE
        assert [os.pread(descriptor, 1, 99) for descriptor in descriptors] == [
            bytes([number]) for number in range(40)
        ]
        for descriptor in descriptors:
            os.close(descriptor)
        assert lines_at_end(process) == ["carries attachments: True"]


# -- pipes -----------------------------------------------------------------------------------------------------


def test_d10_end_of_pipe_is_noticed_at_once(anyio_backend: str) -> None:
    with on_pipes(anyio_backend, "echo") as process:
        assert next_line(process.stderr) == "open"
        piped(process.stdin).close()
        assert next_line(process.stderr, seconds=60) == "end"
        assert process.wait(5) == 0


def test_d12_nobody_reads_the_pipe(anyio_backend: str) -> None:
    with on_pipes(anyio_backend, "flood", 4) as process:
        assert [next_line(process.stderr, seconds=60) for _ in range(60)] == ["beat"] * 60
        assert len(piped(process.stdout).read(4 * len(MEGABYTE)) or b"") > 0
        process.send_signal(signal.SIGKILL)


def test_a_pipe_carries_everything_in_order(anyio_backend: str) -> None:
    with on_pipes(anyio_backend, "flood", 8) as process:
        data = bytearray()
        while piece := piped(process.stdout).read(1 << 16):
            data += piece
        assert bytes(data) == MEGABYTE * 8
        assert lines_at_end(process)[-1] == "sent"


def test_a_closed_pipe_is_a_lost_connection(anyio_backend: str) -> None:
    with on_pipes(anyio_backend, "echo") as process:
        assert next_line(process.stderr) == "open"
        piped(process.stdout).close()
        piped(process.stdin).write(LINE)
        assert next_line(process.stderr) == "lost"


def test_input_and_output_may_be_of_different_kinds(anyio_backend: str, tmp_path: Path) -> None:
    source = tmp_path / "in.xml"
    source.write_bytes(MEGABYTE)
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        source.open("rb") as stdin,
        child(anyio_backend, "echo", stdin=stdin, stdout=theirs.fileno()) as process,
    ):
        theirs.close()
        assert receive_all(ours) == MEGABYTE
        assert lines_at_end(process) == ["open", "end"]


# -- files and devices -----------------------------------------------------------------------------------------


def test_regular_files(anyio_backend: str, tmp_path: Path) -> None:
    source, sink = tmp_path / "in.xml", tmp_path / "out.xml"
    source.write_bytes(MEGABYTE)
    with source.open("rb") as stdin, sink.open("wb") as stdout:
        with child(anyio_backend, "echo", stdin=stdin, stdout=stdout) as process:
            assert lines_at_end(process) == ["open", "end"]
    assert sink.read_bytes() == MEGABYTE


def test_the_null_device(anyio_backend: str) -> None:
    with child(anyio_backend, "echo", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        assert lines_at_end(process) == ["open", "end"]


# -- terminals -------------------------------------------------------------------------------------------------


@contextmanager
def on_terminal(backend: str, task: str, argument: object = "") -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, theirs = os.openpty()
    flags = status_flags(theirs)
    try:
        with child(backend, task, argument, stdin=theirs, stdout=theirs) as process:
            yield process, ours
            assert status_flags(theirs) == flags
    finally:
        os.close(theirs)
        os.close(ours)


def test_a_terminal_gives_lines_and_an_end(anyio_backend: str) -> None:
    with on_terminal(anyio_backend, "echo") as (process, terminal):
        assert next_line(process.stderr) == "open"
        os.write(terminal, b"<getProperties/>\n")
        seen = b""
        while seen.count(b"<getProperties/>\r\n") < 2:  # the terminal's own echo and ours
            seen += os.read(terminal, 100)
        os.write(terminal, b"\x04")
        assert next_line(process.stderr) == "end"


def test_d12_a_terminal_that_is_not_read(anyio_backend: str) -> None:
    with on_terminal(anyio_backend, "flood", 1) as (process, _):
        assert [next_line(process.stderr, seconds=60) for _ in range(60)] == ["beat"] * 60


def test_a_terminal_that_hangs_up_ends_the_stream(anyio_backend: str) -> None:
    ours, theirs = os.openpty()
    with child(anyio_backend, "echo", stdin=theirs, stdout=theirs) as process:
        os.close(theirs)
        assert next_line(process.stderr) == "open"
        os.close(ours)
        assert next_line(process.stderr, seconds=60) in {"end", "lost"}
        assert process.wait(5) == 0


def test_descriptions(anyio_backend: str) -> None:
    with on_terminal(anyio_backend, "describe") as (process, _):
        assert lines_at_end(process) == ["standard input is a terminal, standard output is a terminal", "True"]
    with child(anyio_backend, "describe", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert lines_at_end(process) == ["standard input is a pipe, standard output is a device", "False"]
    with on_socket(anyio_backend, "describe") as (process, _):
        assert lines_at_end(process) == ["standard input is a socket, standard output is a socket", "False"]


# -- everything that should not happen -------------------------------------------------------------------------


def test_d27_prints_do_not_reach_the_wire(anyio_backend: str) -> None:
    with on_pipes(anyio_backend, "chatter") as process:
        piped(process.stdin).write(b"a command")
        out, err = process.communicate(timeout=20)
    assert out == b"<wire/>\nprinted after\n"
    assert err.decode().splitlines() == [
        "printed before",
        "printed by a child",
        "child read b''",
        "received b'a command'",
        "printed within",
    ]


def test_an_error_in_the_block_puts_everything_back(anyio_backend: str) -> None:
    with on_pipes(anyio_backend, "failing") as process:
        piped(process.stdin).write(b"input")
        out, err = process.communicate(timeout=20)
    assert (out, err) == (b"first\nsecond\n", b"read b'input'\n")


def test_it_can_be_opened_again_but_not_twice_at_a_time(anyio_backend: str) -> None:
    with on_pipes(anyio_backend, "twice") as process:
        piped(process.stdin).write(b"input")
        out, err = process.communicate(timeout=20)
    assert (out, err) == (b"first\nsecond\n", b"refused\nreceived b'input'\n")


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_a_cancelled_receive_leaves_nothing_that_delays_the_exit(anyio_backend: str, kind: str) -> None:
    if kind == "terminal":
        with on_terminal(anyio_backend, "cancelled") as (process, _):
            assert_leaves(process)
    elif kind == "socket":
        with on_socket(anyio_backend, "cancelled") as (process, _):
            assert_leaves(process)
    else:
        with on_pipes(anyio_backend, "cancelled") as process:
            assert_leaves(process)


def assert_leaves(process: subprocess.Popen[bytes]) -> None:
    assert next_line(process.stderr) == "cancelled"
    assert next_line(process.stderr, seconds=60) == "left"
    assert process.wait(5) == 0


@pytest.mark.parametrize(
    ("closing", "complaint"),
    [
        ("<&-", "OSError: [Errno 9] standard input was closed when the program started"),
        (">&-", "OSError: [Errno 9] standard output was closed when the program started"),
        ("<&- >&-", "OSError: [Errno 9] standard input was closed when the program started"),
        ("</", "OSError: [Errno 22] standard input is neither a socket, a pipe, a terminal nor a file"),
    ],
)
def test_what_is_not_open_is_said(anyio_backend: str, closing: str, complaint: str) -> None:
    shell = ["sh", "-c", f'exec "$@" {closing}', "sh", *command(anyio_backend, "try_open")]
    done = subprocess.run(shell, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=20, check=False)
    # Python itself refuses a directory as its standard input.
    assert done.stderr.decode().strip() == complaint or (closing == "</" and b"directory" in done.stderr)


def test_without_standard_error_the_wire_stays_clean(anyio_backend: str) -> None:
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command(anyio_backend, "attach", 0)]
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen(shell, stdin=theirs.fileno(), stdout=theirs.fileno()):
        theirs.close()
        assert receive_all(ours) == LINE
