"""A peer can cause no more log lines than somebody can read."""

from __future__ import annotations

import logging

import pytest

from indianyio._rated_log import RatedLog

logger = logging.getLogger("tests.rated")


def test_ten_lines_of_a_kind_in_ten_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    log = RatedLog(logger, clock=lambda: now)
    for number in range(1000):
        log.warning("a", "line %d", number)
    assert caplog.messages == [f"line {number}" for number in range(10)]
    log.log("b", logging.ERROR, "another kind")
    assert caplog.records[-1].levelno == logging.ERROR
    now = 10.0
    log.warning("a", "line %d", 1000)
    log.warning("a", "line %d", 1001)
    assert caplog.messages[-2:] == ["line 1000; 990 such lines before it were left out", "line 1001"]


def test_kinds_do_not_pile_up() -> None:
    log = RatedLog(logger)
    for kind in range(5000):
        log.log(kind, logging.DEBUG, "x")
    assert len(log._kinds) <= 1000
