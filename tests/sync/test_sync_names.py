"""indianyio.sync offers what indianyio.client offers: the same names, parameters, types and docstrings."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from indianyio import client, sync
from tests.sync.docstrings import MODULES, filled

# Those with something to wait for; the others are the same objects in both.
CLASSES = sorted(
    name
    for name, found in vars(client).items()
    if name in client.__all__ and isinstance(found, type) and getattr(sync, name) is not found
)

# A stream belongs to the event loop that made it, and a simulation has only one; and what only a thread needs.
OF_THE_LOOP = {"open_client": ({"stream", "environment"}, {"backend"})}

BLOCKS = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__", "__anext__": "__next__"}


def shape(function: Callable[..., object], left_out: set[str]) -> list[tuple[object, ...]]:
    """Return what a caller sees of a function: its parameters and what it returns, with their types."""
    signature = inspect.signature(function)
    shown: list[tuple[object, ...]] = [
        (each.name, each.kind, each.default, each.annotation)
        for each in signature.parameters.values()
        if each.name not in left_out
    ]
    return [*shown, (str(signature.return_annotation).replace("AsyncGenerator[", "Generator["),)]


def public(cls: type) -> dict[str, object]:
    """Return what a class and its bases in this package define for others, but for what only makes it."""
    names = {
        name: inspect.getattr_static(cls, name)
        for base in cls.__mro__
        if base.__module__.startswith("indianyio")
        for name in vars(base)
    }
    return {BLOCKS.get(name, name): found for name, found in names.items() if is_public(name)}


def is_public(name: str) -> bool:
    return not name.startswith("_") or name in BLOCKS or name in {*BLOCKS.values(), "__getitem__", "__len__"}


def attributes(cls: type) -> set[str]:
    """Return what a class documents as attributes, and its properties."""
    listed = {
        line.split(":")[1].split()[-1]
        for base in cls.__mro__
        for line in (base.__doc__ or "").splitlines()
        if line.strip().startswith(":ivar ")
    }
    return listed | {name for name, found in public(cls).items() if isinstance(found, property)}


def test_both_have_the_same_names() -> None:
    assert sync.__all__ == client.__all__
    assert {"Blob", "Change", "Client", "Coming", "Device", "Vector", "Watch", "NumberVector"} <= set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_same_methods_and_attributes(name: str) -> None:
    theirs, ours = public(getattr(client, name)), public(getattr(sync, name))
    listed = attributes(getattr(sync, name))
    for attribute in attributes(getattr(client, name)):
        assert attribute in listed, attribute
    functions = {each for each, found in theirs.items() if callable(found)}
    assert {each for each, found in ours.items() if callable(found)} == functions
    for each in functions:
        ours_of, theirs_of = ours[each], theirs[each]
        assert callable(ours_of)
        assert callable(theirs_of)
        assert shape(ours_of, set()) == shape(theirs_of, set()), each
        assert not inspect.iscoroutinefunction(ours_of)
    if issubclass(getattr(client, name), tuple):
        assert getattr(sync, name)._fields == getattr(client, name)._fields
        assert getattr(sync, name).__annotations__ == getattr(client, name).__annotations__


def test_open_client_has_the_same_parameters() -> None:
    theirs, ours = OF_THE_LOOP["open_client"]
    assert shape(sync.open_client, ours) == shape(client.open_client, theirs)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_docstrings_are_those_of_the_client(module: ModuleType) -> None:
    source = Path(module.__file__ or "").read_text(encoding="utf-8")
    assert filled(source) == source, "run: python -m tests.sync.docstrings"
    assert "await " not in source.replace("return await", "")


SCRIPT = """
from pathlib import Path
from typing import assert_type

from indianyio import State
from indianyio.sync import (
    AnyVector, BLOBVector, Blob, Change, Client, Coming, Device, NumberVector, SwitchVector, open_client
)

with open_client("localhost", 7624, backend="trio") as indi:
    assert_type(indi, Client)
    camera = indi.device("CCD Simulator", timeout=60)
    assert_type(camera, Device)
    with camera.connected(timeout=60) as connected, camera.next("CCD1") as image:
        assert_type(connected, Device)
        assert_type(image, Coming)
        assert_type(camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5), AnyVector)
        assert_type(image.save("a.fits"), Path)
        assert_type(image.get(timeout=1), Blob)
    temperature = camera["CCD_TEMPERATURE"]
    assert isinstance(temperature, NumberVector)
    assert_type(temperature["CCD_TEMPERATURE_VALUE"], float)
    assert_type(temperature.set(CCD_TEMPERATURE_VALUE=-10), NumberVector)
    assert_type(temperature.wait_for(lambda v: v["CCD_TEMPERATURE_VALUE"] < -9), NumberVector)
    assert_type(indi.wait_for(lambda each: "CCD" in each), Client)
    found = camera.vector("CCD1")
    if isinstance(found, BLOBVector):
        assert_type(found["CCD1"], Blob | None)
    if isinstance(found, SwitchVector):
        assert_type(found.on, str | None)
    with indi.watch("CCD Simulator", state="Ok") as changes:
        for change in changes:
            assert_type(change, Change)
            assert_type(change.state, State | None)
"""

MISTAKES = """
from indianyio.sync import open_client

with open_client("localhost") as indi:
    indi.device(5)
    indi.device("CCD").set("CCD_EXPOSURE", on_cancel="stop")
    await_me = indi.device("CCD").next("CCD1").save("a.fits")
"""


def checked(code: str, folder: Path) -> str:
    program = folder / "program.py"
    program.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=110, check=False).stdout


@pytest.mark.long
def test_a_type_checker_knows_the_types(tmp_path: Path) -> None:
    assert checked(SCRIPT, tmp_path) == ""
    lines = [line.split(":")[1] for line in checked(MISTAKES, tmp_path).splitlines() if ": error:" in line]
    assert lines == ["5", "6", "7"]


def test_the_package_does_not_load_it() -> None:
    code = "from indianyio import open_client; import sys; print('indianyio.sync' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
