"""The page on cameras: its example is what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from indianyio.instrument.camera import Camera
from tests.instrument.test_camera import connected, opened, shoot

pytest_plugins = ("indianyio.testing.pytest_plugin",)
PAGE = (Path(__file__).parents[2] / "docs" / "cameras.md").read_text(encoding="utf-8")


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_the_example_takes_images() -> None:
    [block] = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "mycamera"}
    exec(block, names)
    async with connected(names["MyCamera"]()) as (device, _):
        await device["CCD_BINNING"].set(HOR_BIN=2, VER_BIN=2)
        header, data = opened(await shoot(device))
        assert (header["BITPIX"], header["XPIXSZ"], data.shape) == (8, 7.5, (240, 320))
        assert "CCD_GAIN" not in device


def test_the_methods_of_the_table_are_those_that_there_are() -> None:
    table = PAGE.split("| method |")[1].split("\n\n")[0]
    for name in re.findall(r"`(\w+)\(", table):
        assert callable(getattr(Camera, name))
