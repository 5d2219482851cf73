"""A real indiserver starts a registered driver by its name, as KStars and Web Manager have it do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indianyio.commands import main
from tests.libindi.libindi_harness import START_SECONDS, indiserver, wait_until

pytestmark = pytest.mark.libindi


def test_a_registered_driver_is_started_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = tmp_path / "a prefix"
    target = "indianyio.examples.thermostat:Thermostat"
    assert main(["register", target, "--name", "indi_registered", "--prefix", str(prefix)]) == 0
    monkeypatch.setenv("PATH", f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with indiserver(tmp_path, "indi_registered") as server:
        assert wait_until(lambda: "Thermostat." in server.getprop("-t", "1").stdout, START_SECONDS)
