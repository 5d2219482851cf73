"""What docs/instruments.md shows is run here, and its table is compared with the classes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from indianyio import instrument
from indianyio.instrument import Instrument
from indianyio.instrument._framework._declared import overrides
from tests.test_readme import FEW_PLUGINS, ON_A_VIRTUAL_CLOCK, ROOT, check, python_blocks, run_python, write_all

PAGE = "docs/instruments.md"

DEVICE_CLASSES = {
    name: cls
    for name in instrument.__all__
    if isinstance(cls := getattr(instrument, name), type) and issubclass(cls, Instrument) and cls is not Instrument
}


def table() -> dict[str, tuple[str, str]]:
    """Return what a class must have and what it may have, by its name."""
    text = (ROOT / PAGE).read_text(encoding="utf-8").partition("## The device classes")[2]
    return {
        name: (must, may) for name, must, may in re.findall(r"^\| `(\w+)`.*?\|(.*)\|(.*)\|$", text, re.MULTILINE)
    }


def names_in(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)", cell))


def test_the_page_has_these_blocks() -> None:
    assert sorted(python_blocks(PAGE)) == [
        "dew_heater.py",
        "shelter.py",
        "test_dew_heater.py",
        "test_weighted_focuser.py",
        "weighted_focuser.py",
    ]


@pytest.mark.long
def test_its_tests_pass(tmp_path: Path) -> None:
    write_all(PAGE, tmp_path)
    options = (*ON_A_VIRTUAL_CLOCK, "-p", "no:cacheprovider")
    files = ("test_dew_heater.py", "test_weighted_focuser.py")
    output = run_python("-m", "pytest", *options, *files, folder=tmp_path, **FEW_PLUGINS)
    assert "5 passed" in output


def test_its_shelter_opens_in_good_weather_only(tmp_path: Path) -> None:
    check(PAGE, SHELTER_TESTS, tmp_path)


SHELTER_TESTS = """
from shelter import Shelter

STATION = {"device": "Weather Simulator", "name": "SAFETY_STATUS"}

async def test_the_weather_decides():
    async with running(Shelter()) as peer:
        await peer.expect(GetProperties, **STATION)
        await peer.get_properties("Shelter")
        await peer.expect(DefSwitchVector, name="CONNECTION")
        await peer.write("Shelter", "CONNECTION", CONNECT="On")
        await peer.expect(DefSwitchVector, name="CAP_PARK")
        await peer.write("Shelter", "CAP_PARK", UNPARK="On")
        refusal = await peer.expect(SetSwitchVector, name="CAP_PARK", state="Alert")
        assert "known to be good" in refusal.message
        await peer.send(SetLightVector(**STATION, state="Ok", members=(OneLight(name="SAFETY", value="Ok"),)))
        await peer.expect(Message)
        began = anyio.current_time()
        await peer.write("Shelter", "CAP_PARK", UNPARK="On")
        await peer.expect(SetSwitchVector, name="CAP_PARK", state="Ok", UNPARK="On")
        assert anyio.current_time() == began + 20
"""


def test_the_table_has_every_device_class() -> None:
    assert sorted(table()) == sorted(DEVICE_CLASSES)


@pytest.mark.parametrize("name", DEVICE_CLASSES)
def test_the_table_says_what_a_class_must_and_may_have(name: str) -> None:
    cls = DEVICE_CLASSES[name]
    must, may = map(names_in, table()[name])
    assert not [one for one in must | may if not hasattr(cls, one)]
    instance = object.__new__(cls)
    optional = {one for one in dir(cls) if not one.startswith("__") and not overrides(instance, one)}
    assert optional <= must | may
    # What is named beside a method is a value of the class's own, for its subclasses to change.
    assert not [one for one in may - optional if callable(getattr(cls, one))]
