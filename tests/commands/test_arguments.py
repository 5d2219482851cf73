"""What people type: it is understood as a whole, or one line says why not."""

from __future__ import annotations

import re

import pytest

from indianyio.commands import main
from indianyio.protocol import parse_number
from indianyio.protocol._numbers import typed_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("45.5", 45.5),
        (" -45 ", -45),
        ("+.5", 0.5),
        ("5.", 5),
        ("1e-3", 0.001),
        ("-0:30", -0.5),
        ("-0:30:36", -0.51),
        ("12:30:36.5", 12 + 30 / 60 + 36.5 / 3600),
        ("12:30.5", 12 + 30.5 / 60),
        ("12 30 36", 12.51),
        ("12h30m36s", 12.51),
        ("12h 30m 36s", 12.51),
        ("-12d30'36\"", -12.51),
        ("12°30'", 12.5),
        ("23:59:60", 24),
    ],
)
def test_numbers(text: str, number: float) -> None:
    assert typed_number(text) == pytest.approx(number)
    assert typed_number(text) == parse_number(text)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [(["-f", "--", "-1/0"], "-inf"), (["--", "-2*-3"], None), (["1+1", "-f"], "2"), (["-f", "-1"], "-1")],
)
def test_a_minus_in_front(arguments: list[str], value: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *arguments]) == 0
    assert capsys.readouterr().out.splitlines() == ([] if value is None else [value])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "long",
        "45,5",
        "1,000",
        "1 000",
        "1_000",
        "45.5x",
        "45.5 m",
        "12:",
        "12:30:",
        "12::30",
        "12:-30",
        "12.5:30",
        "12:30.5:36",
        "12:30:36:1",
        "12:300",
        "0x10",
        "nan",
        "inf",
        "1e999",
        "--1",
        "- 1",
        "\u22121",
        "\u0663",
        "0." + "0" * 200 + "1",
    ],
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text)) + " is not a number; write it as 45.5"):
        typed_number(text)


SNAP = ["snap", "Camera", "1", "--save", "a"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a command"),
        (["nonsense"], "argument COMMAND: invalid choice: 'nonsense'"),
        (["get", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["get", "-p", "65536"], "argument -p/--port: '65536' is not a port, from 1 to 65535"),
        (["get", "-p", "0"], "'0' is not a port"),
        (["get", "-p", "7_624"], "'7_624' is not a port"),
        (["get", "-p", "1e3"], "'1e3' is not a port"),
        (["eval", "-t", "-1", "1"], "argument -t/--timeout: '-1' is not a number of seconds, 0 or more"),
        (["eval", "-t", "nan", "1"], "'nan' is not a number of seconds"),
        (["set", "--limit", "inf", "a.b.c=1"], "'inf' is not a number of seconds"),
        (["set", "--limit", "1e999", "a.b.c=1"], "'1e999' is not a number of seconds"),
        (["watch", "--seconds", "1,5"], "'1,5' is not a number of seconds"),
        ([*SNAP, "--count", "0"], "argument --count: '0' is not a whole number, 1 or more"),
        ([*SNAP, "--count", "-1"], "'-1' is not a whole number"),
        ([*SNAP, "--count", "1.5"], "'1.5' is not a whole number"),
        (["snap", "Camera", "-1", "--save", "a"], "argument seconds: '-1' is not a number of seconds"),
        (["snap", "Camera", "nan", "--save", "a"], "argument seconds: 'nan' is not a number of seconds"),
        (["snap", "Camera", "2,5", "--save", "a"], "argument seconds: '2,5' is not a number of seconds"),
        (["snap", "Camera", "1"], "required: --save"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert told in shown.err
