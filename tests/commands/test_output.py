"""What a command prints whatever comes from the network, and how it ends when nobody reads, or Ctrl-C comes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from indianyio.commands import main
from indianyio.commands._output import clean
from indianyio.protocol import GetProperties, NewNumberVector
from indianyio.testing import Peer
from tests.commands.observatory import CAMERA, Observatory, observatory
from tests.commands.scripted import Scripted, scripted

__all__ = ["scripted"]

# As a driver can send them: U+009B begins an escape sequence on many terminals, as ESC and [ do.
EVIL = "a\N{CONTROL SEQUENCE INTRODUCER}2Jb\u202ec\nMount.PARK.PARK=On"
SHOWN = r"a\x9b2Jb\u202ec\nMount.PARK.PARK=On"


def defined(device: str = "D") -> str:
    return (
        f'<defTextVector device="{device}" name="N" state="Ok" perm="ro" label="{EVIL}">'
        f'<defText name="T">{EVIL}</defText></defTextVector>'
        f'<defNumberVector device="{device}" name="V" state="Ok" perm="rw">'
        f'<defNumber name="X" format="%g" min="0" max="0" step="0">nan</defNumber></defNumberVector>'
    )


async def evil(peer: Peer) -> None:
    await peer.expect(GetProperties)
    await peer.send(defined())
    await peer.expect(NewNumberVector)
    await peer.send(f'<setNumberVector device="D" name="V" state="Alert" message="{EVIL}"></setNumberVector>')
    await peer.expect(GetProperties)


@pytest.fixture(scope="module")
def night() -> Iterator[Observatory]:
    with observatory() as running:
        yield running


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain °ä\t✓", "plain °ä\t✓"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\r\nb\x7f\x85", r"a\r\nb\x7f\x85"),
        ("\u2028\u202e\u2066\u200f", r"\u2028\u202e\u2066\u200f"),
    ],
)
def test_nothing_does_anything_to_a_terminal(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_names_and_values_from_the_network(scripted: Scripted) -> None:
    assert scripted(evil, "get", "D.N.T") == (0, [f"D.N.T={SHOWN}"], "")
    assert scripted(evil, "get", "D.N._LABEL")[1][0].startswith(r"D.N._LABEL=a\x9b2Jb")
    assert scripted(evil, "watch", "--seconds", "1", "D.N.T") == (0, [f"D.N.T={SHOWN}"], "")
    # The only value that there is may have lines.
    assert scripted(evil, "get", "-1", "D.N.T")[1] == SHOWN.split(r"\n")


def test_a_table(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in (("COLUMNS", "200"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    assert SHOWN in scripted(evil, "get", "D.N.T")[1][1]


def test_what_a_driver_says(scripted: Scripted) -> None:
    status, _, errors = scripted(evil, "set", "D.V.X=1")
    assert (status, errors.count("\n")) == (1, 1)
    assert r"indianyio set: D.V: a\x9b2Jb\u202ec" in errors


def test_a_text_is_no_number(scripted: Scripted) -> None:
    async def dated(peer: Peer) -> None:
        await peer.expect(GetProperties)
        await peer.send(defined().replace(EVIL, "2026-11-26"))

    assert scripted(dated, "eval", '"D.N.T"') == (2, [], "No values seen for D.N.T\n")


def test_json_of_any_value(scripted: Scripted) -> None:
    found = [json.loads(line) for line in scripted(evil, "get", "--json", "D.N.T", "D.V.X")[1]]
    assert [one["value"] for one in found] == [EVIL, None]
    lines = scripted(evil, "watch", "--seconds", "1", "--json")[1]
    assert "NaN" not in "".join(lines)
    assert "".join(lines).isascii()


def test_what_was_found_is_shown_even_if_the_server_is_lost(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(peer: Peer) -> None:
        await peer.expect(GetProperties)
        await peer.send(defined())
        await peer._stream.aclose()

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "rich.table", None)
    status, lines, errors = scripted(lost, "get", "D")
    assert (status, lines) == (2, [f"D.N.T={SHOWN}", "D.V.X=nan"])
    assert "has closed the connection" in errors


# -- nobody reads, and Ctrl-C --------------------------------------------------------------------------------------


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "indianyio", *arguments]


@pytest.mark.parametrize(
    ("redirection", "status", "told"),
    [
        (">/dev/full", 2, "indianyio get: standard output: No space left on device\n"),
        (">&- <&-", 0, ""),
        ("2>&-", 0, ""),
    ],
)
def test_streams_that_take_nothing(night: Observatory, redirection: str, status: int, told: str) -> None:
    options = ["get", "-H", "127.0.0.1", "-p", str(night.port), f"{CAMERA}.CONNECTION.CONNECT"]
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *command(*options)]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (status, told)


@contextmanager
def flood() -> Iterator[int]:
    """Serve more than any pipe holds."""

    def serve() -> None:
        try:
            with listener.accept()[0] as sock:
                while True:
                    sock.sendall(defined().encode() * 100)
        except OSError:
            return  # the client, or the test, has ended

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        serving.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_does_not_read_keeps_no_command_from_ending(number: int) -> None:
    reader, writer = os.pipe()
    with flood() as port:
        monitoring = command("get", "-m", "-t", "0", "-H", "127.0.0.1", "-p", str(port))
        with subprocess.Popen(monitoring, stdout=writer, stderr=subprocess.PIPE, text=True) as getting:
            os.close(writer)
            assert os.read(reader, 1)
            time.sleep(0.2)  # it fills the pipe meanwhile; that this is too short would hide a fault, not make one
            getting.send_signal(number)
            try:
                assert getting.communicate(timeout=20)[1] == ""
            finally:
                getting.kill()
    os.close(reader)
    assert getting.returncode == 130


def test_a_name_that_is_looked_up_for_ever() -> None:
    program = (
        "import socket, sys, time, threading\n"
        "def look_up(*_, **__):\n"
        "    print('looking', flush=True)\n"
        "    time.sleep(60)\n"
        "socket.getaddrinfo = look_up\n"
        "sys.argv = ['indianyio', 'get', '-H', 'nobody']\n"
        "from indianyio.commands import run_process\n"
        "run_process()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as getting:
        assert getting.stdout is not None
        assert getting.stdout.readline()
        getting.send_signal(signal.SIGINT)
        try:
            assert getting.communicate(timeout=20)[1] == ""
        finally:
            getting.kill()
    assert getting.returncode == 130


def test_ctrl_c_while_a_command_is_imported() -> None:
    program = (
        "import os, signal, sys\n"
        "from indianyio.commands import _main\n"
        "_main.import_module = lambda name: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['indianyio', 'get']\n"
        "_main.run_process()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_is_ignored_goes_on_being_ignored(night: Observatory, backend: str) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    hanging_up = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGHUP))
    try:
        hanging_up.start()
        server = ["-H", "127.0.0.1", "-p", str(night.port), "--backend", backend]
        assert main(["watch", *server, "--seconds", "0.3", "Nobody"]) == 0
        hanging_up.join()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
