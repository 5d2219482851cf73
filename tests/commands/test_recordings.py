"""The commands record and replay: what they keep, what they refuse, and what they say of it."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from indianyio.commands import main
from indianyio.sync import open_client
from indianyio.testing import read_recording
from tests.commands.observatory import CAMERA, IMAGE, Observatory, observatory
from tests.patience import patiently

HEADER = {"format": "indianyio recording", "version": 1}
DEFINITION = (
    '<defBLOBVector device="D" name="V" state="Ok" perm="ro"><defBLOB name="M"/></defBLOBVector>'
    '<setBLOBVector device="D" name="V" state="Ok"><oneBLOB name="M" size="3" format=".fits" {}</setBLOBVector>'
)
INLINE = {"t": 0, "dir": "received", "text": DEFINITION.format('enclen="4">YWJj</oneBLOB>')}
ATTACHED = {
    "t": 0,
    "dir": "received",
    "text": DEFINITION.format('len="3" attached="true"/>'),
    "attachments": [base64.b64encode(b"abc").decode()],
}


@pytest.fixture(scope="module")
def night() -> Iterator[Observatory]:
    with observatory() as running:
        yield running


@pytest.fixture(params=["asyncio", "trio"])
def server(request: pytest.FixtureRequest, night: Observatory) -> list[str]:
    return ["-H", "127.0.0.1", "-p", str(night.port), "--backend", str(request.param)]


def written(path: Path, *lines: object, end: str = "") -> str:
    """Write a recording; return its path."""
    path.write_text("".join(json.dumps(line) + "\n" for line in (HEADER, *lines)) + end, encoding="utf-8")
    return str(path)


@contextmanager
def playing(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run replay, and yield where it listens."""
    command = [sys.executable, "-m", "indianyio", "replay", "--speed", "0", "--once", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("listening at ").strip(), process
        finally:
            process.kill()


# -- record ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["--no-blobs"]])
def test_images_are_kept_unless_told_not_to(server: list[str], tmp_path: Path, more: Sequence[str]) -> None:
    file = tmp_path / "night.jsonl"

    def record(seconds: float) -> bytes:
        expose = ["set", *server, f"{CAMERA}.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=0.01"]
        exposing = threading.Timer(seconds / 3, main, [expose])
        exposing.start()
        assert main(["record", *server, str(file), "--overwrite", "--seconds", str(seconds), *more]) == 0
        exposing.join()
        said = b"".join(piece.data for piece in read_recording(file) if piece.direction == "received")
        return said.replace(b"\n", b"")

    image = base64.b64encode(IMAGE)
    said = patiently(record, lambda said: b"<setNumberVector" in said and bool(more or image in said), (0.5, 5, 40))
    assert b"<setNumberVector" in said
    assert (image in said) == (not more)


def test_nothing_is_replaced_unasked(server: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "night.jsonl"
    file.write_text("precious", encoding="utf-8")
    assert main(["record", *server, str(file), "--seconds", "0"]) == 2
    assert capsys.readouterr().err == f"indianyio record: {file} exists already; --overwrite replaces it\n"
    assert file.read_text(encoding="utf-8") == "precious"
    assert main(["record", *server, str(file), "--seconds", "0", "--overwrite"]) == 0
    assert list(read_recording(file))


@pytest.mark.parametrize("seconds", ["nan", "-1"])
def test_times_that_are_none(seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", str(tmp_path / "a"), f"--seconds={seconds}"]) == 2
    assert capsys.readouterr().err == f"indianyio record: --seconds is {seconds}, but must be 0 or more\n"


def test_a_file_that_cannot_be_written(
    server: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, why in ((tmp_path / "no" / "a", "No such file or directory"), (Path("/dev/full"), "No space left")):
        assert main(["record", *server, str(file), "--overwrite"]) == 2
        shown = capsys.readouterr().err
        assert shown.startswith(f"indianyio record: {file}: {why}")
        assert shown.count("\n") == 1


class SmallFile(io.FileIO):
    """A file on a disk that becomes full in the middle of a line."""

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]
        room = 500 - self.tell()
        if room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(bytes(data)[:room])


def test_a_disk_that_becomes_full(
    server: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "night.jsonl"
    monkeypatch.setattr(io, "FileIO", SmallFile)
    assert main(["record", *server, str(file)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("indianyio record: ")
    assert f"No space left on device: '{file}'" in shown
    assert shown.count("\n") == 1
    told: list[str] = []
    assert list(read_recording(file, on_cut=told.append))
    assert len(told) == 1


# -- replay ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--speed=-1"], "--speed is -1, but must be positive, or 0 for everything at once"),
        (["--speed", "nan"], "--speed is nan, but must be positive, or 0 for everything at once"),
        (["--port", "99999"], "a port is a number from 0 to 65535, not 99999"),
        (["--port=-1"], "a port is a number from 0 to 65535, not -1"),
        (["--host", "203.0.113.1"], "203.0.113.1"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(
    backend: str, arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", written(tmp_path / "a", INLINE), "--backend", backend, *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("indianyio replay: ")
    assert told in shown.err
    assert shown.err.count("\n") == 1


def test_a_port_that_is_taken(night: Observatory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", written(tmp_path / "a", INLINE), "-p", str(night.port)]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert str(night.port) in shown.err


def test_descriptors_cannot_go_over_tcp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "a", ATTACHED)
    assert main(["replay", file, "-p", "0"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        f"indianyio replay: {file} has BLOBs that came as descriptors, which cannot go over TCP;"
        " play it with --unix PATH\n"
    )


def test_descriptors_go_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with playing(written(tmp_path / "a", ATTACHED), "--unix", path) as (address, process):
        assert address == path
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(path)
            data, [descriptor], _, _ = socket.recv_fds(client, 1 << 16, 4)
            assert b'attached="true"' in data
            assert os.pread(descriptor, 10, 0) == b"abc"
            os.close(descriptor)
        assert process.wait(20) == 0


def test_a_cut_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    file = written(tmp_path / "a", INLINE, end='{"t": 1, "dir": "rec')
    with playing(file, "-p", "0") as (address, process):
        with open_client("127.0.0.1", int(address.rpartition(":")[2])) as client:
            assert client.device("D", timeout=10)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == f"{file}: line 3, the last one, is incomplete and is left out\n"


def test_one_client_that_hangs_up_is_no_end(tmp_path: Path) -> None:
    much = [{**INLINE, "text": "<x/>" * 100_000}] * 40
    with playing(written(tmp_path / "a", *much, INLINE), "-p", "0") as (address, process):
        port = int(address.rpartition(":")[2])
        with open_client("127.0.0.1", port):
            pass  # and hangs up in the middle
        with open_client("127.0.0.1", port) as client:
            assert client.device("D", timeout=20)
        assert process.wait(20) == 0
