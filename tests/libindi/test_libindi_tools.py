"""indi_getprop, indi_setprop and indi_eval against our drivers, as protocol.md 4.6 shows C++ ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indianyio.protocol import DefNumberVector, SetNumberVector
from tests.libindi.libindi_harness import IndiServer, indiserver, tcp_client, wait_until

MakeDriver = Callable[[str], Path]


@contextmanager
def kinds(home: Path, driver: MakeDriver) -> Iterator[IndiServer]:
    with indiserver(home, driver("Kinds")) as running:
        assert wait_until(lambda: running.getprop("Kinds.texts.note").returncode == 0, 20)
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, driver: MakeDriver) -> Iterator[IndiServer]:
    """Serve a driver to which nothing is written that it takes."""
    with kinds(tmp_path_factory.mktemp("read"), driver) as running:
        yield running


@pytest.fixture(scope="module")
def changing_server(tmp_path_factory: pytest.TempPathFactory, driver: MakeDriver) -> Iterator[IndiServer]:
    """Serve a driver to which every test writes."""
    with kinds(tmp_path_factory.mktemp("written"), driver) as running:
        yield running


GETPROP_TABLE = [
    ("texts.note", "a < b & c"),
    ("texts._LABEL", "Some texts"),
    ("texts._GROUP", "Main"),
    ("texts._STATE", "Ok"),
    ("texts._PERM", "rw"),
    ("serial._PERM", "ro"),
    ("serial.number", "42"),
    ("numbers._STATE", "Busy"),
    ("numbers._TO", "7"),
    ("switches.day", "On"),
    ("switches.night", "Off"),
    ("lights.wind", "Busy"),
    ("lights.rain", "Ok"),
    ("lights._STATE", "Alert"),
]


def test_getprop_reads_every_kind_and_attribute(server: IndiServer) -> None:
    queries = [f"Kinds.{query}" for query, _ in GETPROP_TABLE]
    answer = server.getprop(*queries)
    assert answer.returncode == 0
    assert dict(line.split("=", 1) for line in answer.stdout.splitlines()) == {
        f"Kinds.{query}": value for query, value in GETPROP_TABLE
    }


def test_getprop_reads_numbers_as_decimals(server: IndiServer) -> None:
    assert float(server.value("Kinds.numbers.angle")) == 12.51
    assert float(server.value("Kinds.numbers.plain")) == 0.1


def test_getprop_with_wildcards_finds_every_vector(server: IndiServer) -> None:
    answer = server.getprop("-t", "1", "Kinds.*.*")
    assert answer.returncode == 0
    assert {line.split(".")[1] for line in answer.stdout.splitlines()} >= {"texts", "numbers", "switches", "lights"}


def test_getprop_of_an_unknown_property_fails(server: IndiServer) -> None:
    answer = server.getprop("-t", "1", "Kinds.nothing.here")
    assert answer.returncode == 1
    assert "No Kinds.nothing.here" in answer.stderr


def test_getprop_writes_a_blob_to_a_file(server: IndiServer, tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    folder.mkdir()
    answer = server.getprop("-t", "5", "Kinds.picture.png", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert (folder / "Kinds.picture.png.png").read_bytes() == b"not really a picture"


SETPROP_TABLE = [
    ("texts.note=hello world", "texts.note", "hello world"),
    ("switches.night=On", "switches.night", "On"),
    ("numbers.plain=17.5", "numbers.plain", 17.5),
    ("numbers.angle=-12:30:36", "numbers.angle", -12.51),
    ("numbers.angle=-0:30", "numbers.angle", -0.5),
    ("numbers.angle=12h30m36s", "numbers.angle", 12.51),
]


# What is written first, so that every command changes something.
BEFORE = {
    "texts.note": "texts.note=before",
    "switches.night": "switches.day=On",
    "numbers.plain": "numbers.plain=1",
    "numbers.angle": "numbers.angle=1",
}


@pytest.mark.parametrize(("command", "query", "expected"), SETPROP_TABLE)
def test_setprop_writes_every_kind(
    changing_server: IndiServer, command: str, query: str, expected: str | float
) -> None:
    def is_there() -> bool:
        value = changing_server.value(f"Kinds.{query}")
        return value == expected if isinstance(expected, str) else math.isclose(float(value), expected)

    assert changing_server.setprop(f"Kinds.{BEFORE[query]}").returncode == 0
    assert wait_until(lambda: not is_there(), 5)
    assert changing_server.setprop(f"Kinds.{command}").returncode == 0
    assert wait_until(is_there, 5), changing_server.value(f"Kinds.{query}")


def test_setting_one_switch_of_many_clears_the_other(changing_server: IndiServer) -> None:
    for switch, other in (("day", "night"), ("night", "day")):
        assert changing_server.setprop(f"Kinds.switches.{switch}=On").returncode == 0
        assert wait_until(lambda other=other: changing_server.value(f"Kinds.switches.{other}") == "Off", 5)  # type: ignore[misc]


def test_d18_typed_setprop_is_sent_blindly_and_refused_when_out_of_range(server: IndiServer) -> None:
    with tcp_client(server) as client:
        client.ask("Kinds")
        client.expect(DefNumberVector, "numbers")
        assert server.setprop("-n", "Kinds.numbers.angle=91").returncode == 0
        answer = client.expect(SetNumberVector, "numbers", "Alert")
    assert "91" in (answer.message or "")
    assert float(server.value("Kinds.numbers.angle")) == 12.51


def test_setprop_of_a_read_only_property_fails(server: IndiServer) -> None:
    answer = server.setprop("-v", "Kinds.serial.number=1")
    assert answer.returncode == 1
    assert "is read-only" in answer.stderr + answer.stdout


EVAL_TABLE = [
    ('"Kinds.numbers.plain"==0.1', 0),
    ('"Kinds.numbers.angle">13', 1),
    ('"Kinds.switches.day"==1 && "Kinds.switches.night"==0', 0),
    ('"Kinds.numbers._STATE"==2', 0),
    ('"Kinds.lights.wind"==2', 0),
    ('"Kinds.lights._STATE"==3', 0),
]


@pytest.mark.parametrize(("expression", "status"), EVAL_TABLE)
def test_eval_reads_numbers_switches_lights_and_states(server: IndiServer, expression: str, status: int) -> None:
    answer = server.tool("indi_eval", "-t", "5", expression)
    assert answer.returncode == status, answer.stderr
