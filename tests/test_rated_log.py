"""A peer can cause no more log lines than somebody can read."""

from __future__ import annotations

import logging

import pytest

from indianyio._rated_log import RatedLog, shown

logger = logging.getLogger("tests.rated")


def test_ten_lines_of_a_kind_in_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    log = RatedLog(logger, clock=lambda: now)
    for number in range(1000):
        log.warning("a", "line %d", number)
    hint = "; more of this is only counted for 10 s"
    assert caplog.messages == [f"line {number}" for number in range(9)] + ["line 9" + hint]
    log.log("b", logging.ERROR, "another kind")
    assert caplog.records[-1].levelno == logging.ERROR
    now = 10.0
    log.warning("a", "line %d", 1000)
    log.warning("a", "line %d", 1001)
    assert caplog.messages[-2:] == ["line 1000; 990 such lines before it were left out", "line 1001"]


def test_what_was_left_out_is_told_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    log = RatedLog(logger, clock=lambda: 0.0)
    for number in range(30):
        log.warning("a", "a %d", number)
        log.log("b", logging.INFO, "b %d", number)
    log.warning("c", "c")
    before = len(caplog.records)
    log.flush()
    log.flush()
    assert caplog.messages[before:] == ["a 29; 19 such lines before it were left out"]


def test_a_night_of_rubbish_makes_ten_lines_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    log = RatedLog(logger, clock=lambda: now, seconds=60.0)
    for second in range(0, 600, 2):
        now = 1000.0 + second
        log.warning("dropped", "wheel: dropped %d bytes: %s: %r", 5, "no XML", b"poll")
    log.flush()
    lines = caplog.messages
    assert len(lines) == 10 * 10 + 1
    assert lines[0] == "wheel: dropped 5 bytes: no XML: b'poll'"
    assert lines[9].endswith("; more of this is only counted for 60 s")
    assert lines[10] == lines[0] + "; 20 such lines before it were left out"
    assert lines[-1] == lines[0] + "; 19 such lines before it were left out"


def test_kinds_do_not_pile_up() -> None:
    log = RatedLog(logger)
    for kind in range(5000):
        log.log(kind, logging.DEBUG, "x")
    assert len(log._kinds) <= 1000


def test_what_is_left_out_of_many_kinds_is_told_once_their_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    log = RatedLog(logger, clock=lambda: now)
    for _ in range(30):
        log.warning("early", "early")
    now = 10.0
    for kind in range(5000):
        log.warning(kind, "late")
    assert "early; 19 such lines before it were left out" in caplog.messages
    late = [line for line in caplog.messages if line.startswith("late")]
    assert len(late) < 1020
    log.flush()
    last = caplog.messages[-1]
    assert last.startswith("late; ")
    assert len(late) + 1 + int(last.split()[1]) == 5000


# -- a message in a line ---------------------------------------------------------------------------------------


def test_a_message_is_shown_whole_without_its_line_end() -> None:
    assert shown(b"<a/>\n") == "<a/>"
    assert shown(b"<a>", "\u00b0</a>".encode(), b"\n") == "<a>\u00b0</a>"
    assert shown(b"x" * 4096) == "x" * 4096


@pytest.mark.parametrize("cut", [1, 100, 4096, 4097, 5000])
def test_a_long_message_is_cut_at_the_same_place_however_it_is_sliced(cut: int) -> None:
    data = bytes(ord("a") + number % 26 for number in range(5000))
    line = shown(*(data[start : start + cut] for start in range(0, len(data), cut)))
    assert line == f"{data[:4096].decode()} ... (5000 bytes)"


def test_bytes_that_are_no_text_can_be_shown() -> None:
    assert shown(b"<a>\xff</a>") == "<a>\N{REPLACEMENT CHARACTER}</a>"
    half = ("x" * 4095 + "\u00b0").encode()  # the cut goes through a character
    assert shown(half) == "x" * 4095 + "\N{REPLACEMENT CHARACTER} ... (4097 bytes)"
