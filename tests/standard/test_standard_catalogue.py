"""The catalogue: its modules say what its data say, and every class can be used."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from indianyio import State
from indianyio.properties import Member, Values
from indianyio.standard._generator.__main__ import main
from indianyio.standard._generator._data import Kind
from indianyio.standard._generator._files import DATA, PAGE, files
from indianyio.standard._generator._names import attribute_name, class_name
from indianyio.standard._settle_table import RULE, SETTLE_ROWS, row_for
from tests.standard.catalogue import CATALOGUE, ENTRIES, FOLDER, Entry

REPOSITORY = Path(__file__).parents[2]

every_kind = pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)


# -- what is written -----------------------------------------------------------------------------------------------


def test_the_modules_and_the_page_are_what_the_data_give() -> None:
    for name, text in files(FOLDER).items():
        path = (REPOSITORY if name == PAGE else FOLDER) / name
        assert path.read_text(encoding="utf-8") == text, f"{name}: run python -m indianyio.standard._generator"


def test_they_are_written_into_a_checkout(tmp_path: Path) -> None:
    standard = tmp_path / "src" / "indianyio" / "standard"
    standard.mkdir(parents=True)
    shutil.copy(FOLDER / DATA, standard)
    with pytest.raises(SystemExit, match=r"docs does not exist; .* pip install -e \."):
        main(standard)
    (tmp_path / "docs").mkdir()
    main(standard)
    for name, text in files(FOLDER).items():
        assert ((tmp_path if name == PAGE else standard) / name).read_text(encoding="utf-8") == text


def test_no_module_is_there_that_the_data_do_not_give() -> None:
    written = {name for name in files(FOLDER) if not name.startswith("_") and name != PAGE}
    assert {path.name for path in FOLDER.glob("[!_]*.py")} == written


def test_the_examples_of_the_page_run() -> None:
    page = (REPOSITORY / PAGE).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall("^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(block, names)
    assert names["CcdBinning"](x=2, y=2).to_wire() == {"HOR_BIN": "2.0", "VER_BIN": "2.0"}
    assert names["Lamp"].declaration.name == "DIGITAL_OUTPUT_1"
    with pytest.raises(ValueError, match="must be from 0 to 50000, not 60000"):
        names["Position"](steps=60_000)


@pytest.mark.parametrize(
    ("line", "instead", "error"),
    [
        ('perm = "rw"', 'perm = "sometimes"', r"\[general.CONNECTION\]: Invalid enum value 'sometimes'"),
        ('defined = "always"', 'defind = "always"', r"\[general.CONNECTION\]: .*unknown field `defind`"),
        ('{ name = "CONNECT", ', '{ name = "1", ', r"\[general.CONNECTION\]: '1' cannot be a name in Python"),
        ("connected to its instrument", "connected to " + 100 * "x", "too long for the first line of a docstring"),
        ('idle = "reached"', 'idel = "reached"', "settle row of .*: there is no field idel"),
        ('on_cancel = "leave"', "on_cancel = 5", "on_cancel = 5 has a type that no field of a row has"),
    ],
)
def test_a_mistake_in_the_data_is_told_with_its_place(tmp_path: Path, line: str, instead: str, error: str) -> None:
    text = (FOLDER / DATA).read_text(encoding="utf-8")
    changed = tmp_path / DATA
    changed.write_text(text.replace(line, instead, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=error):
        files(tmp_path)


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "name"),
    [("CCD_TEMP_RAMP", "CcdTempRamp"), ("CCD1", "Ccd1"), ("WATCHDOG_Trigger", "WatchdogTrigger"), ("Goto", "Goto")],
)
def test_the_name_of_a_class_is_that_of_the_property_in_camel_case(wire: str, name: str) -> None:
    assert class_name(wire) == name


@pytest.mark.parametrize(
    ("of", "wire", "name"),
    [
        ("CCD_TEMP_RAMP", "RAMP_SLOPE", "slope"),
        ("TELESCOPE_PARK", "PARK", "park"),
        ("CCD_FRAME_TYPE", "FRAME_LIGHT", "light"),
        ("LIMITS", "LIMITS_BUFFER_MAX", "buffer_max"),
        ("CCD_COMPRESSION", "INDI_ENABLED", "enabled"),
        ("Goto", "Preset 1", "preset_1"),
    ],
)
def test_the_name_of_an_attribute_leaves_out_what_the_property_says(of: str, wire: str, name: str) -> None:
    assert attribute_name(of, wire) == name


@pytest.mark.parametrize("kind", CATALOGUE.kinds, ids=lambda kind: kind.module)
def test_a_class_has_one_name_and_a_property_one_class(kind: Kind) -> None:
    classes = Counter(entry.class_ for entry in kind.properties)
    assert [name for name, count in classes.items() if count > 1] == []
    twice = {name for name, count in Counter(entry.name for entry in kind.properties).items() if count > 1}
    # The park position has members of five sorts; the orientation is the unit's own, or worked out by the driver.
    assert twice == {"mount": {"TELESCOPE_PARK_POSITION"}, "imu": {"ORIENTATION"}}.get(kind.module, set())


def test_the_names_that_scripts_rely_on() -> None:
    from indianyio.standard.camera import CcdBinning, CcdExposure
    from indianyio.standard.focuser import AbsFocusPosition, FocusAbortMotion
    from indianyio.standard.general import Connection
    from indianyio.standard.mount import EquatorialEodCoord

    assert CcdBinning(x=2, y=1).to_wire() == {"HOR_BIN": "2.0", "VER_BIN": "1.0"}
    assert AbsFocusPosition(steps=1200).to_wire() == {"FOCUS_ABSOLUTE_POSITION": "1200.0"}
    assert EquatorialEodCoord(ra=6, dec=-5.5).to_wire() == {"RA": "6.0", "DEC": "-5.5"}
    assert Connection(connect=True).to_wire() == {"CONNECT": "On"}
    assert CcdExposure(seconds=0.5).to_wire() == {"CCD_EXPOSURE_VALUE": "0.5"}
    assert FocusAbortMotion(abort=True).to_wire() == {"ABORT": "On"}


# -- classes -------------------------------------------------------------------------------------------------------


@every_kind
def test_a_class_declares_what_the_data_say(entries: list[Entry]) -> None:
    for entry in entries:
        data, declared = entry.data, entry.values.declaration
        assert declared.name == (data.name if data.has_fixed_name else "MADE_1")
        assert declared.label == (data.label or declared.name)
        assert (declared.group, declared.kind, declared.perm) == (data.group, data.kind, data.perm)
        assert (declared.rule or "", declared.timeout, declared.state) == (data.rule, data.timeout, data.state)
        assert [member.name for member in declared.members] == [member.name for member in data.members]
        for member, said in zip(declared.members, data.members, strict=True):
            assert (member.attribute, member.label) == (said.attribute, said.label or said.name)
            assert (member.min, member.max, member.step) == (said.min, said.max, said.step)
            assert said.format in {"", member.format}
            assert said.default in {None, member.default}
        runtime, template = data.runtime, declared.template
        assert (template.attribute if template else None) == (runtime.attribute if runtime else None)


@every_kind
def test_a_class_says_what_it_is_for_and_when_it_is_defined(entries: list[Entry]) -> None:
    for entry in entries:
        said = " ".join(str(entry.values.__mro__[0 if entry.data.has_fixed_name else 1].__doc__).split())
        assert re.match(r"[A-Z].{8,}?\. ", said)
        assert re.search(r"(Defined (while|with|whether|by) .+|Always defined)\.( Saved\.)?$", said)


@every_kind
def test_without_values_it_reads_as_its_defaults_and_sends_nothing(entries: list[Entry]) -> None:
    for entry in entries:
        values = entry.values()
        assert values.to_wire() == {}
        assert entry.values.from_wire({}) == values
        for member in entry.values.declaration.members:
            assert getattr(values, member.attribute) == member.default


@every_kind
def test_values_come_back_from_the_wire_as_they_were(entries: list[Entry]) -> None:
    for entry in entries:
        for given in some_values(entry.values):
            values = entry.values(**given)
            assert entry.values.from_wire(values.to_wire()) == values
            assert set(values.given) == set(values.to_wire())


def some_values(of: type[Values]) -> list[dict[str, Any]]:
    """Return values that can be given: all at once, or one switch after the other if only one may be On."""
    declared = of.declaration
    values = {member.attribute: a_value(member) for member in declared.members}
    if declared.template is not None:
        values[declared.template.attribute] = {"MADE": a_value(declared.template)}
    return [{name: value} for name, value in values.items()] if declared.is_exclusive else [values]


def a_value(member: Member) -> object:
    if member.kind == "Number":
        return member.max if member.min < member.max else 12.25
    by_kind: Mapping[str, object] = {"Switch": True, "Text": "ä <&>", "Light": State.ALERT, "BLOB": b"\0data"}
    return by_kind[member.kind]


@every_kind
def test_what_differs_in_the_older_libindi_is_something_there_is(entries: list[Entry]) -> None:
    for entry in entries:
        names = {member.name for member in entry.data.members} | ({"runtime"} if entry.data.runtime else set())
        for which in entry.data.older:
            member, _, attribute = which.rpartition(".")
            assert member in names | {""}
            assert attribute in {"label", "group", "perm", "members", "format", "min", "max", "step"}


def test_an_event_can_be_matched() -> None:
    from indianyio.standard.camera import CcdBinning

    match CcdBinning(x=2, y=2):
        case CcdBinning(x=2, y=across):
            assert across == 2
        case _:
            pytest.fail("it did not match")


# -- what a client takes for done ----------------------------------------------------------------------------------


def test_the_rows_of_what_is_done_name_properties_that_there_are() -> None:
    members = {
        entry.data.name: {member.name for member in entry.data.members}
        for entries in ENTRIES.values()
        for entry in entries
    }
    for row in SETTLE_ROWS:
        plain = [name for name in row.names if "*" not in name]
        assert set(plain) <= set(members)
        for name, member in filter(None, [row.abort, row.when]):
            assert member in members[name]
        for name in plain:
            assert set(row.tolerances) | set(row.left_alone) <= members[name]


def test_what_drivers_say_at_the_end_is_what_clients_take_for_it() -> None:
    for row in [*SETTLE_ROWS, RULE]:
        meaning = {"Ok": row.ok, "Idle": row.idle}
        assert row.any_ok or meaning[row.done] != "aborted"
        assert row.aborted == "Alert" or meaning[row.aborted] != "done" or row.done == row.aborted


@pytest.mark.parametrize(
    ("name", "aborted", "off"),
    [
        ("EQUATORIAL_EOD_COORD", "Idle", False),
        ("TELESCOPE_PARK", "Alert", True),
        ("DOME_PARK", "Alert", False),
        ("ABS_FOCUS_POSITION", "Idle", False),
        ("ABS_ROTATOR_ANGLE", "Ok", False),
        ("CCD_EXPOSURE", "Idle", False),
    ],
)
def test_how_a_driver_says_that_something_was_stopped(name: str, aborted: str, off: bool) -> None:
    row = row_for(name, lambda _property, _member: False)
    assert (row.aborted, row.aborted_off) == (aborted, off)


# -- what importing costs ------------------------------------------------------------------------------------------


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_importing_a_kind_imports_that_kind_only() -> None:
    code = """
import sys
from importlib import import_module
for kind in {kinds}:
    import_module(f"indianyio.standard.{{kind}}")
    loaded = [name for name in sys.modules if name.startswith("indianyio.standard.")]
    print(kind, *loaded)
    for name in loaded:
        del sys.modules[name]
"""
    kinds = [kind.module for kind in CATALOGUE.kinds]
    printed = run(code.format(kinds=kinds)).splitlines()
    assert printed == [f"{kind} indianyio.standard.{kind}" for kind in kinds]


def test_the_client_loads_no_kind() -> None:
    code = "import indianyio.client, sys; print(*[name for name in sys.modules if 'indianyio.standard.' in name])"
    assert all(name.startswith("indianyio.standard._settle") for name in run(code).split())


def test_the_largest_kind_costs_a_driver_less_than_forty_milliseconds() -> None:
    largest = max(CATALOGUE.kinds, key=lambda kind: len(kind.properties)).module
    # The processor's time, and the best of three: what else the machine does is not the module's cost.
    code = f"""
import time
from indianyio import IPyDriver
begun = time.process_time()
import indianyio.standard.{largest}
print(time.process_time() - begun)
"""
    assert min(float(run(code)) for _ in range(3)) < 0.040


def test_the_modules_are_found_by_their_kind() -> None:
    for kind in CATALOGUE.kinds:
        module = import_module(f"indianyio.standard.{kind.module}")
        assert sorted(module.__all__) == sorted(entry.class_ for entry in kind.properties)
