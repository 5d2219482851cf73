"""Settings survive a power failure at any moment; and it would be seen if they did not."""

from __future__ import annotations

from pathlib import Path

import pytest

from indianyio.instrument._framework import _settings_file
from tests.simulation.saving import plan_for_saving, play_saving


def test_settings_survive_a_power_failure() -> None:
    outcomes = [play_saving(plan_for_saving(seed)) for seed in range(60)]
    assert [outcome for outcome in outcomes if outcome.findings] == []
    # Some before the first, some between two, some when all was saved.
    assert {outcome.figures["saved"] for outcome in outcomes} == {0, 1, 2, 3, 4}


def test_what_writes_into_the_file_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(path: Path, data: bytes) -> None:
        path.write_bytes(data)

    monkeypatch.setattr(_settings_file, "put", put)
    outcome = play_saving(plan_for_saving(0))
    assert "is damaged" in outcome.findings[0].text


def test_what_saves_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_settings_file, "put", lambda path, data: None)
    assert {finding.rule for finding in play_saving(plan_for_saving(0)).findings} == {"SavesWholly"}
