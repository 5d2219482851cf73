"""The command line of the drop-in for indiserver, and its usage."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import trio.lowlevel

from indianyio.indiserver import _main, main
from indianyio.indiserver._options import USAGE, Options, UsageError, parse_options

MB = 1024 * 1024
ONE = Options(drivers=("indi_x",))

UNDERSTOOD = [
    (["indi_x"], ONE),
    (["indi_x", "-p", "1"], replace(ONE, drivers=("indi_x", "-p", "1"))),  # the first word ends the options
    (["-p", "7000", "-u", "/tmp/other", "indi_x"], replace(ONE, port=7000, unix_name="/tmp/other")),
    (["-m", "10", "-d", "2", "indi_x"], replace(ONE, client_bytes=10 * MB, drop_stream_bytes=2 * MB)),
    (["-m", "0", "-d", "0", "indi_x"], replace(ONE, client_bytes=0, drop_stream_bytes=0)),
    (["-r", "0", "indi_x"], replace(ONE, restarts=0)),
    (["-r", "-3", "indi_x"], replace(ONE, restarts=0)),
    (["-v", "indi_x"], replace(ONE, verbosity=1)),
    (["-vvr", "3", "indi_x"], replace(ONE, verbosity=2, restarts=3)),
    (["-v", "-rvpv", "3", "7000", "indi_x"], replace(ONE, verbosity=3, restarts=3, port=7000)),
    (["-", "indi_x"], ONE),
    (["--exec-grace", "12.5", "indi_x"], replace(ONE, exec_grace=12.5)),
    (["-l", "logs", "-f", "fifo"], Options(log_folder=Path("logs"), fifo=Path("fifo"))),
    (["--backend", "trio", "-v", "indi_x"], replace(ONE, backend="trio", verbosity=1)),
    (["-v", "--host", "localhost", "--backend", "asyncio", "indi_x"], replace(ONE, host="localhost", verbosity=1)),
    (["-p", "0", "a", "@host", "Dev@host:1"], Options(port=0, drivers=("a", "@host", "Dev@host:1"))),
]

WRONG = [
    ([], "no driver"),
    (["-v"], "no driver"),
    (["-h", "indi_x"], "no option -h"),
    (["--", "indi_x"], "no option --"),
    (["--halp"], "no option --halp"),
    (["--backend"], "--backend requires a value"),
    (["--backend", "curio", "indi_x"], "'curio' cannot be the value of --backend"),
    (["--host", "", "indi_x"], "--host"),
    (["-p"], "-p requires a value"),
    (["-vr"], "-r requires a value"),
    (["-rp", "3"], "-p requires a value"),
    (["-p7624", "1", "indi_x"], "no option -7"),
    (["-p", "x", "indi_x"], "'x' cannot be the value of -p"),
    (["-p", "70000", "indi_x"], "-p"),
    (["-p", "-1", "indi_x"], "-p"),
    (["-m", "-1", "indi_x"], "-m"),
    (["-d", "1.5", "indi_x"], "-d"),
    (["-r", "-", "indi_x"], "-r"),
    (["-u", "", "indi_x"], "-u"),
    (["-f", "", "indi_x"], "-f"),
    (["--exec-grace", "0", "indi_x"], "'0' cannot be the value of --exec-grace"),
    (["--exec-grace", "soon", "indi_x"], "--exec-grace"),
]


def test_what_is_not_said_is_as_with_indiserver() -> None:
    options = parse_options(["indi_x"])
    assert (options.port, options.unix_name) == (7624, "/tmp/indiserver")
    assert (options.client_bytes, options.drop_stream_bytes) == (134217728, 5242880)
    assert (options.host, options.backend) == ("", "asyncio")
    assert (options.restarts, options.fifo, options.log_folder, options.verbosity) == (10, None, None, 0)


@pytest.mark.parametrize(("arguments", "options"), UNDERSTOOD)
def test_options_are_read_as_indiserver_reads_them(arguments: list[str], options: Options) -> None:
    assert parse_options(arguments) == options


@pytest.mark.parametrize(("arguments", "problem"), WRONG)
def test_a_wrong_command_line_is_refused(arguments: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)):
        parse_options(arguments)


@pytest.mark.parametrize("arguments", [["-h"], [], ["-p"]])
def test_a_wrong_command_line_shows_the_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    output, errors = capfd.readouterr()
    first, *rest = errors.splitlines()
    assert output == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: startup: indianyio\.indiserver.*", first)
    assert any(line.startswith("Usage:") for line in rest)
    for letter in "lmdupfrv":
        assert f"\n -{letter} " in errors


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_event_loop_is_the_one_that_was_chosen(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    async def serve(*_: object) -> None:
        found.append(trio.lowlevel.in_trio_run())

    monkeypatch.setattr(_main, "serve", serve)
    assert main(["--backend", backend, "indi_x"]) == 1
    assert found == [backend == "trio"]


@pytest.mark.parametrize("arguments", [["--help"], ["-v", "-p", "7000", "--help"], ["--help", "--no-such-option"]])
def test_help_is_no_mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.out == USAGE
    assert "--help" in said.out
    assert said.err == ""


def test_a_value_that_looks_like_help_is_a_value() -> None:
    assert parse_options(["-u", "--help", "indi_x"]) == replace(ONE, unix_name="--help")
