from __future__ import annotations

from collections.abc import Callable

import pytest

from indianyio._model import SnoopTable
from indianyio.protocol._messages import GetProperties


def watching(*watches: tuple[str, str, float]) -> SnoopTable:
    table = SnoopTable()
    for device, vector, timeout in watches:
        table.watch(device, vector, timeout, 100.0)
    return table


def request(device: str, vector: str) -> GetProperties:
    return GetProperties(device=device, name=vector)


def test_an_empty_table_wants_nothing_and_never_asks() -> None:
    table = SnoopTable()
    assert not any(table.wants(device, vector) for device in (None, "A") for vector in (None, "v"))
    assert table.next_deadline() is None
    assert table.due(1e9) == []


def test_a_watch_asks_at_once_and_after_each_silence() -> None:
    table = watching(("A", "v", 30))
    assert table.next_deadline() == 100
    assert table.due(100) == [request("A", "v")]
    assert table.due(100) == []
    assert table.next_deadline() == 130
    assert table.due(129.9) == []
    assert table.due(131) == [request("A", "v")]
    assert table.next_deadline() == 161


@pytest.mark.parametrize(
    ("device", "vector", "refreshed"),
    [
        ("A", "v", True),
        ("A", None, True),
        ("A", "other", False),
        ("B", "v", False),
        ("B", None, False),
        (None, None, False),
    ],
)
def test_what_is_heard_puts_off_asking(device: str | None, vector: str | None, refreshed: bool) -> None:
    table = watching(("A", "v", 30))
    table.due(100)
    table.heard(device, vector, 120)
    assert table.next_deadline() == (150 if refreshed else 130)


def test_what_is_heard_before_the_first_asking_does_not_put_it_off() -> None:
    table = watching(("A", "v", 30))
    table.watch_all()
    table.heard("A", "v", 100)
    assert table.due(100) == [request("A", "v")]


def test_each_watch_has_its_own_deadline() -> None:
    table = watching(("A", "v", 30), ("B", "w", 10))
    assert table.due(100) == [request("A", "v"), request("B", "w")]
    assert table.next_deadline() == 110
    assert table.due(110) == [request("B", "w")]
    assert table.due(200) == [request("A", "v"), request("B", "w")]


def test_d21_the_table_may_change_while_it_is_sent() -> None:
    table = watching(("A", "v", 30))
    for due in table.due(100):
        table.watch("B", due.name or "", 30, 100)
    assert table.due(100) == [request("B", "v")]


def test_watching_again_takes_the_new_timeout_and_asks_at_once() -> None:
    table = watching(("A", "v", 30))
    table.due(100)
    table.watch("A", "v", 10, 105)
    assert table.due(105) == [request("A", "v")]
    assert table.next_deadline() == 115


def test_a_watch_without_timeout_never_asks_and_does_not_weaken_another() -> None:
    table = SnoopTable()
    table.watch_vector("A", "v")
    assert table.wants("A", "v")
    table.heard("A", "v", 0)
    assert table.next_deadline() is None
    table.watch("A", "v", 30, 100)
    table.watch_vector("A", "v")
    assert table.snoopvectors == {("A", "v"): 30.0}


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (4.9, ValueError),
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ("30", TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_timeouts_are_checked(timeout: float, error: type[Exception]) -> None:
    table = SnoopTable()
    with pytest.raises(error, match="snoop's timeout"):
        table.watch("A", "v", timeout, 0)
    assert table.snoopvectors == {}


@pytest.mark.parametrize("name", ["", "a\x00"])
def test_names_are_checked(name: str) -> None:
    table = SnoopTable()
    with pytest.raises(ValueError, match="device to snoop"):
        table.watch(name, "v", 30, 0)
    with pytest.raises(ValueError, match="vector to snoop"):
        table.watch_vector("A", name)
    with pytest.raises(ValueError, match="device to snoop"):
        table.watch_device(name)
    assert (table.snoopvectors, table.snoopdevices) == ({}, set())


def test_other_peoples_names_may_have_other_letters() -> None:
    assert watching(("Télescope", "v", 5)).due(100) == [request("Télescope", "v")]


WANTED = {
    "all": {(None, None), ("A", None), ("A", "v"), ("A", "w"), ("B", None), ("B", "v")},
    "device": {(None, None), ("A", None), ("A", "v"), ("A", "w")},
    "vector": {(None, None), ("A", None), ("A", "v")},
}


@pytest.mark.parametrize("watch", WANTED)
def test_what_is_wanted(watch: str) -> None:
    table = SnoopTable()
    watches: dict[str, Callable[[], None]] = {
        "all": table.watch_all,
        "device": lambda: table.watch_device("A"),
        "vector": lambda: table.watch_vector("A", "v"),
    }
    watches[watch]()
    wanted = {key for key in WANTED["all"] if table.wants(*key)}
    assert wanted == WANTED[watch]


def test_the_views_are_copies() -> None:
    table = watching(("A", "v", 30))
    table.watch_device("B")
    table.snoopvectors.clear()
    table.snoopdevices.clear()
    assert (table.snoopall, table.snoopdevices, table.snoopvectors) == (False, {"B"}, {("A", "v"): 30.0})
    table.watch_all()
    assert table.snoopall


def test_a_restart_asks_for_everything_again_and_counts_nothing_heard_before() -> None:
    table = watching(("A", "v", 30))
    table.watch_vector("B", "w")
    table.due(100)
    table.restart()
    table.heard("A", "v", 101)
    assert table.due(101) == [request("A", "v")]
    assert table.next_deadline() == 131


def test_what_is_forgotten_is_neither_wanted_nor_asked_for() -> None:
    table = SnoopTable()
    table.watch("D", "A", 10, 0)
    table.watch("D", "B", 10, 0)
    table.forget("D", "A")
    table.forget("D", "never watched")
    assert not table.wants("D", "A")
    assert [request.name for request in table.due(0)] == ["B"]
