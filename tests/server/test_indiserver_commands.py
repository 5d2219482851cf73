"""What the fifo of the drop-in for indiserver says, without a fifo."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio._vocabulary import Limits
from indianyio.indiserver._fifo import Command, LineCutter, Start, Stop, Unclear, parse_command
from indianyio.indiserver._roster import Roster, child_environment
from indianyio.server._hub import Hub

COMMANDS: list[tuple[str, Command]] = [
    ("start indi_x", Start("indi_x")),
    ("  start   indi_x  \r", Start("indi_x")),
    ('start indi_x -n "Main Scope"', Start("indi_x", {"n": "Main Scope"})),
    ('start indi_x -n"Scope"', Start("indi_x", {"n": "Scope"})),
    (
        'start indi_x -p "/opt" -s "/a b.xml" -c "night" -n "S"',
        Start("indi_x", {"p": "/opt", "s": "/a b.xml", "c": "night", "n": "S"}),
    ),
    ("start indi_x -n Scope", Start("indi_x", ignored="-n Scope")),
    ('start indi_x -n ""', Start("indi_x", ignored='-n ""')),
    ('start indi_x -n "S" -c night', Start("indi_x", {"n": "S"}, "-c night")),
    ('start indi_x -x "S"', Start("indi_x", ignored="-x S")),
    ('start indi_x junk -n "S"', Start("indi_x", ignored='junk -n "S"')),
    (f'start indi_x -n "{"a" * 511}"', Start("indi_x", {"n": "a" * 511})),
    (f'start indi_x -n "{"a" * 512}"', Start("indi_x", ignored=f'-n "{"a" * 512}"')),
    ('start "CCD Simulator"@host:7000', Start("CCD Simulator@host:7000")),
    ('start "CCD Simulator@host"', Start("CCD Simulator@host")),
    ("start @host", Start("@host")),
    ('start "Dev@host:7000" -c "/a_config.xml"', Start("Dev@host:7000", {"c": "/a_config.xml"})),
    ('start indi_x -c "me@home"', Start("indi_x", {"c": "me@home"})),
    ("stop indi_x", Stop("indi_x")),
    ('stop indi_x -n "Main Scope"', Stop("indi_x", "Main Scope")),
    ("stop indi_x -n Scope", Stop("indi_x", ignored="-n Scope")),
    ("stop CCD Simulator@host", Stop("CCD Simulator@host")),
    ("halt indi_x", Stop("indi_x", word="halt")),
    ("start", Unclear("it names no driver")),
    ('start -n "S"', Unclear("it names no driver")),
    ("stop", Unclear("it names no driver")),
    ("start " + "a" * 512, Unclear("the driver's name is too long")),
]


@pytest.mark.parametrize(("line", "command"), COMMANDS)
def test_a_command(line: str, command: Command) -> None:
    assert parse_command(line) == command


@pytest.mark.long
@given(st.text(min_size=1))
def test_any_line_gives_a_command_or_a_reason(line: str) -> None:
    command = parse_command(line)
    assert isinstance(command, Unclear) or 0 < len(command.target) <= 511


def cut(*pieces: bytes) -> tuple[list[str], int]:
    cutter = LineCutter()
    lines = [line for piece in pieces for line in cutter.feed(piece)]
    return lines, cutter.dropped


def test_lines_come_out_whole_and_the_last_at_the_end() -> None:
    assert cut(b"start a\n\nsto", b"p b\nstart", b" c") == (["start a", "stop b"], 0)
    assert cut(b"start a", b"") == (["start a"], 0)
    assert cut(b"", b"", b"stop \xff") == ([], 0)


@pytest.mark.parametrize("piece", [1, 7, 1000, 5000])
def test_a_long_line_is_left_out_whole(piece: int) -> None:
    data = b"start a\n" + b"x" * 1023 + b" stop b\n" + b"y" * 1022 + b"\nstop c\n" + b"z" * 9999
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    assert cut(*pieces, b"", b"stop d\n") == (["start a", "y" * 1022, "stop c", "stop d"], 2)


@given(st.binary(max_size=3000), st.integers(1, 300))
def test_it_does_not_matter_where_the_bytes_are_cut(data: bytes, piece: int) -> None:
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    assert cut(*pieces, b"") == (cut(data, b"") if data else ([], 0))


def test_a_driver_finds_what_was_said_of_it_and_nothing_of_others() -> None:
    inherited = {"PATH": "/bin", "INDIDEV": "Other", "INDICONFIG": "other", "INDISKEL": "other", "INDIPREFIX": "/a"}
    assert child_environment(inherited, {}) == {"PATH": "/bin", "INDIPREFIX": "/a"}
    assert child_environment(inherited, {"n": "N", "c": "C", "s": "S", "p": "/p"}) == {
        "PATH": "/bin",
        "INDIDEV": "N",
        "INDICONFIG": "C",
        "INDISKEL": "S",
        "INDIPREFIX": "/p",
    }


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("@host", "host:7624"),
        ("Dev@host:7000", "host:7000"),
        ("A device@[::1]:7000", "[::1]:7000"),
        ("/usr/bin/indi_x", "Driver /usr/bin/indi_x"),
    ],
)
def test_what_can_be_started(target: str, name: str) -> None:
    assert Roster(restarts=0, grace_seconds=5.0, with_fifo=True).add(Start(target)).name == name


@pytest.mark.parametrize("target", ["Dev@", "@", "Dev@host:x", "Dev@host:0", "Dev@host:99999", "a@b@c", "nul\0"])
def test_what_cannot_be_started(target: str) -> None:
    roster = Roster(restarts=0, grace_seconds=5.0, with_fifo=True)
    with pytest.raises(ValueError, match=r"syntax|port|program|handed"):
        roster.add(Start(target))
    with pytest.raises(LookupError):
        roster.take(Stop(target), Hub(Limits()))


def test_drivers_stop_in_the_order_in_which_they_were_started() -> None:
    roster, hub = Roster(restarts=0, grace_seconds=5.0, with_fifo=True), Hub(Limits())
    first, second = roster.add(Start("indi_x")), roster.add(Start("indi_x"))
    with pytest.raises(LookupError, match="which"):
        roster.take(Stop("indi_x", ignored="-n Scope"), hub)
    with pytest.raises(LookupError, match="no driver"):
        roster.take(Stop("indi_y"), hub)
    with pytest.raises(LookupError, match="'Scope'"):
        roster.take(Stop("indi_x", "Scope"), hub)
    assert roster.take(Stop("indi_x"), hub) is first
    assert roster.take(Stop("indi_x", ignored="-n Scope"), hub) is second
    with pytest.raises(LookupError):
        roster.take(Stop("indi_x"), hub)


def test_a_driver_stops_by_the_name_that_was_said_of_it() -> None:
    roster, hub = Roster(restarts=0, grace_seconds=5.0, with_fifo=True), Hub(Limits())
    first, second = roster.add(Start("indi_x", {"n": "Main"})), roster.add(Start("indi_x", {"n": "Guide"}))
    assert roster.take(Stop("indi_x", "Guide"), hub) is second
    with pytest.raises(LookupError):
        roster.take(Stop("indi_x", "Guide"), hub)
    assert roster.take(Stop("indi_x", "Main"), hub) is first


def test_the_device_of_another_server_is_in_its_name() -> None:
    roster, hub = Roster(restarts=0, grace_seconds=5.0, with_fifo=True), Hub(Limits())
    entry = roster.add(Start("Dev@host"))
    assert roster.take(Stop("Dev@host", "Any label"), hub) is entry
