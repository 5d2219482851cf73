"""Packages as pip leaves them, which declare drivers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

DRIVER = """\
from indianyio.instrument import Instrument, Interface


class Focuser(Instrument):
    interface = Interface.FOCUSER
    version = "2.5.1"

    def __init__(self):
        super().__init__("Nice Focuser")
"""


def install(site: Path, monkeypatch: pytest.MonkeyPatch, module: str, text: str = DRIVER, **drivers: str) -> None:
    """Leave a package with a module and its entry points in a folder that is searched."""
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(text, encoding="utf-8")
    info = site / f"{module}-3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 3.1\n", encoding="utf-8")
    lines = [f"{name} = {place}\n" for name, place in drivers.items()]
    (info / "entry_points.txt").write_text("[indianyio.drivers]\n" + "".join(lines), encoding="utf-8")
    if str(site) not in sys.path:
        monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
