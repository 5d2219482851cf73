"""What a driver logs with a traceback: when, of what kind, and what may be."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

import pytest
import trio

from indianyio.testing.simulation import (
    RULES,
    Finding,
    NothingUnexpectedIsLogged,
    SimulationError,
    plan_for_driver,
    play_driver,
    simulate,
)
from tests.simulation import small_drivers

_log = logging.getLogger("tests.simulation.instrument")


class LogsAgain(small_drivers.Good):
    """It logs the same error with another text every ten seconds."""

    async def hardware(self) -> None:
        for number in range(3):
            await trio.sleep(10)
            self.fail(number)

    def fail(self, number: int) -> None:
        try:
            raise OSError(f"{number} bytes are missing")
        except OSError:
            _log.exception("failed at %d", number)


class LogsWhatOthersRaise(small_drivers.Good):
    """It reads two texts that are no JSON, which is raised in one line of the module that reads them."""

    async def hardware(self) -> None:
        for text in ("", ""):
            try:
                json.loads(text)
            except ValueError:
                _log.exception("in a loop")
        try:
            json.loads("")
        except ValueError:
            _log.exception("below it")


class LogsGroups(small_drivers.Good):
    async def hardware(self) -> None:
        try:
            raise ExceptionGroup("all", [KeyError("a"), ExceptionGroup("some", [KeyError("b"), ValueError("c")])])
        except ExceptionGroup:
            _log.exception("a group")


class IsQuiet(LogsAgain):
    async def hardware(self) -> None:
        logging.disable()
        await super().hardware()


class KeyErrors(NothingUnexpectedIsLogged):
    expected: ClassVar[tuple[type[BaseException], ...]] = (KeyError,)


class OsErrors(NothingUnexpectedIsLogged):
    expected: ClassVar[tuple[type[BaseException], ...]] = (OSError,)


class KeyAndValueErrors(NothingUnexpectedIsLogged):
    expected: ClassVar[tuple[type[BaseException], ...]] = (KeyError, ValueError)


def _findings(make: type[small_drivers.Good], rule: type[NothingUnexpectedIsLogged]) -> list[Finding]:
    return play_driver(plan_for_driver(1), make, [rule]).findings


def test_an_error_has_the_time_at_which_it_was_logged_first_and_a_count() -> None:
    [finding] = _findings(LogsAgain, NothingUnexpectedIsLogged)
    assert finding.at == 10
    assert "'failed at 0' with OSError('0 bytes are missing')" in finding.text
    assert "test_logged.py:" in finding.text
    assert finding.text.endswith(", and 3 times in all OSError from there")


def test_the_place_of_an_error_is_in_the_driver() -> None:
    texts = [finding.text for finding in _findings(LogsWhatOthersRaise, NothingUnexpectedIsLogged)]
    assert ["'in a loop'" in texts[0], "'below it'" in texts[1]] == [True, True]
    assert all("test_logged.py:" in text and " in hardware)" in text for text in texts)
    assert ["2 times in all" in text for text in texts] == [True, False]


@pytest.mark.parametrize(
    ("rule", "told"), [(NothingUnexpectedIsLogged, "KeyError('a')"), (KeyErrors, "ValueError('c')")]
)
def test_a_group_is_judged_by_what_is_in_it(rule: type[NothingUnexpectedIsLogged], told: str) -> None:
    [finding] = _findings(LogsGroups, rule)
    assert f"'a group' with {told} (" in finding.text
    assert _findings(LogsGroups, KeyAndValueErrors) == []


@contextmanager
def _disabled(level: int) -> Generator[None]:
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("level", [logging.NOTSET, logging.CRITICAL])
def test_who_disables_logging_is_heard_nevertheless(level: int) -> None:
    manager = logging.getLogger().manager
    with _disabled(level):
        assert [finding.at for finding in _findings(IsQuiet, NothingUnexpectedIsLogged)] == [10]
        assert (type(manager), manager.disable) == (logging.Manager, level)
        assert _log.isEnabledFor(logging.ERROR) is (level == logging.NOTSET)


def test_a_subclass_takes_the_place_of_a_rule_for_any_driver() -> None:
    simulate(LogsAgain, seeds=1, seconds=5.0, rules=[*RULES, OsErrors])(1)
    with pytest.raises(SimulationError) as caught:
        simulate(LogsAgain, seeds=1, seconds=5.0, rules=[*RULES, KeyErrors])(1)
    assert {finding.rule for finding in caught.value.outcome.findings} == {"KeyErrors"}
