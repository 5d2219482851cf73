"""What watch prints, of a server that says what it is told."""

from __future__ import annotations

import json

import anyio
import pytest

from indianyio.commands import main
from indianyio.protocol import GetProperties
from indianyio.testing import Peer
from tests.commands.scripted import Scripted, scripted

__all__ = ["scripted"]

DEFINED = (
    '<defNumberVector device="Mount" name="COORD" state="Idle" perm="rw">'
    '<defNumber name="RA" format="%g" min="0" max="24" step="0">1</defNumber>'
    '<defNumber name="DEC" format="%g" min="-90" max="90" step="0">2</defNumber></defNumberVector>'
)
DELETED, DEVICE_DELETED = '<delProperty device="Mount" name="COORD"/>', '<delProperty device="Mount"/>'
SAID = '<message device="Mount" message="hello"/>'


def update(state: str, **values: float) -> str:
    members = "".join(f'<oneNumber name="{name}">{value}</oneNumber>' for name, value in values.items())
    return f'<setNumberVector device="Mount" name="COORD" state="{state}">{members}</setNumberVector>'


def watch(scripted: Scripted, said: list[str], *arguments: str) -> list[str]:
    async def script(peer: Peer) -> None:
        await peer.expect(GetProperties)
        for xml in said:
            await peer.send(xml)
            await anyio.sleep(1)

    status, lines, errors = scripted(script, "watch", "--seconds", "30", *arguments)
    assert (status, errors) == (0, "")
    return lines


def test_what_changes(scripted: Scripted) -> None:
    lines = watch(scripted, [DEFINED, update("Busy", RA=3), update("Busy", DEC=4), update("Ok"), SAID])
    assert lines == [
        "Mount.COORD._STATE=Idle",
        "Mount.COORD.RA=1",
        "Mount.COORD.DEC=2",
        "Mount.COORD._STATE=Busy",
        "Mount.COORD.RA=3",
        "Mount.COORD.DEC=4",
        "Mount.COORD._STATE=Ok",
        "Mount message: hello",
    ]


@pytest.mark.parametrize("gone", [DELETED, DEVICE_DELETED])
def test_what_is_defined_again_is_told_of_again(scripted: Scripted, gone: str) -> None:
    lines = watch(scripted, [DEFINED, gone, DEFINED, DEFINED], "Mount.COORD._STATE")
    state = "Mount.COORD._STATE=Idle"
    assert lines == [state, "Mount.COORD deleted" if gone == DELETED else "Mount deleted", state, state]


def test_who_watches_a_member_is_told_of_that(scripted: Scripted) -> None:
    said = [DEFINED, update("Busy", RA=3), update("Busy", DEC=4), update("Ok"), SAID]
    assert watch(scripted, said, "Mount.COORD.DEC") == ["Mount.COORD.DEC=2", "Mount.COORD.DEC=4"]
    states = [f"Mount.COORD._STATE={state}" for state in ("Idle", "Busy", "Ok")]
    assert watch(scripted, said, "*.*._STATE") == [*states, "Mount message: hello"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("Mount.COORD.DEC", [("defined", ["DEC"]), ("updated", ["DEC"])]),
        ("Mount.COORD._STATE", [("defined", []), ("updated", []), ("updated", [])]),
        ("Mount.COORD", [("defined", ["RA", "DEC"]), *[("updated", ["RA", "DEC"])] * 3]),
        ("Dome.COORD", []),
    ],
)
def test_the_same_for_machines(scripted: Scripted, pattern: str, found: list[tuple[str, list[str]]]) -> None:
    said = [DEFINED, update("Busy", RA=3), update("Busy", DEC=4), update("Ok"), SAID]
    changes = [json.loads(line) for line in watch(scripted, said, "--json", pattern)]
    assert [(change["kind"], list(change["vector"]["members"])) for change in changes] == found


def test_what_has_no_vector_for_machines(scripted: Scripted) -> None:
    lines = watch(scripted, [DEFINED, SAID, DELETED, DEFINED, DEVICE_DELETED], "--json", "Mount")
    changes = [json.loads(line) for line in lines]
    assert [(change["kind"], change["name"]) for change in changes] == [
        ("defined", "COORD"),
        ("message", None),
        ("deleted", "COORD"),
        ("defined", "COORD"),
        ("deleted", None),
    ]
    assert changes[1]["message"] == "hello"


def test_what_never_changes_cannot_be_watched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "-p", "1", "Mount.COORD._LABEL"]) == 2
    assert capsys.readouterr().err.endswith("_LABEL cannot be watched, only _STATE and members can\n")
