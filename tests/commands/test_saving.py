"""BLOBs that get and snap save: however they come, whole or not at all, in nobody's place."""

from __future__ import annotations

import base64
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from indianyio.client import Blob
from indianyio.commands import main
from indianyio.commands._saving import safe_suffix, save
from indianyio.protocol import EnableBLOB, GetProperties, NewNumberVector
from indianyio.testing import Peer
from tests.commands.observatory import CAMERA, IMAGE, Observatory, observatory
from tests.commands.scripted import Scripted, scripted
from tests.patience import again_and_again

__all__ = ["scripted"]

DEFINED = '<defBLOBVector device="Cam" name="CCD1" state="Idle" perm="ro"><defBLOB name="CCD1"/></defBLOBVector>'


def set_blob(content: bytes, suffix: str = ".fits", size: object = None) -> str:
    length = len(content) if size is None else size
    text = base64.b64encode(content).decode()
    one = f'<oneBLOB name="CCD1" size="{length}" format="{suffix}">{text}</oneBLOB>'
    return f'<setBLOBVector device="Cam" name="CCD1" state="Ok">{one}</setBLOBVector>'


async def defined(peer: Peer) -> None:
    await peer.expect(GetProperties)
    await peer.send(DEFINED)
    await peer.expect(EnableBLOB)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def night() -> Iterator[Observatory]:
    with observatory() as running:
        yield running


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_image_that_comes_as_a_descriptor(
    night: Observatory, backend: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ["--unix", night.unix, "--backend", backend]
    expose = ["set", *server, f"{CAMERA}.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=0.01"]
    with again_and_again(lambda: main(expose), 0.3):  # it is not known when the command has asked for images
        status = main(["get", *server, "-t", "60", f"{CAMERA}.CCD1.CCD1"])
    assert status == 0, capsys.readouterr().err
    assert (folder / f"{CAMERA}.CCD1.CCD1.fits").read_bytes() == IMAGE


def test_an_image_that_keeps_coming_is_waited_for(scripted: Scripted, folder: Path) -> None:
    async def slow(peer: Peer) -> None:
        await defined(peer)
        xml = set_blob(IMAGE).encode()
        for start in range(0, len(xml), 1000):
            await anyio.sleep(1.9)
            await peer.send(xml[start : start + 1000])

    assert scripted(slow, "get", "-t", "2", "Cam.CCD1.CCD1") == (0, [], "Wrote Cam.CCD1.CCD1.fits\n")
    assert (folder / "Cam.CCD1.CCD1.fits").read_bytes() == IMAGE
    assert scripted.seconds > 10


def test_silence_is_not_waited_for(scripted: Scripted, folder: Path) -> None:
    async def silent(peer: Peer) -> None:
        await defined(peer)
        await peer.send(set_blob(IMAGE)[:1000])
        while True:
            await anyio.sleep(1)
            await peer.send('<message device="Cam" message="still there"/>')

    status, _, errors = scripted(silent, "get", "-t", "2", "Cam.CCD1.CCD1")
    assert (status, errors) == (1, "No Cam.CCD1.CCD1 from localhost:7624\n")
    assert scripted.seconds == pytest.approx(2)
    assert not list(folder.iterdir())


def test_rubbish_is_not_waited_for(scripted: Scripted) -> None:
    async def rubbish(peer: Peer) -> None:
        while True:
            await anyio.sleep(1)
            await peer.send(b"rubbish " * 40_000)

    status, _, errors = scripted(rubbish, "get", "-t", "2", "Cam.CCD1.CCD1")
    assert (status, errors) == (1, "No Cam.CCD1.CCD1 from localhost:7624\n")
    assert scripted.seconds < 20


def test_what_is_there_is_kept_unless_asked(scripted: Scripted, folder: Path) -> None:
    async def camera(peer: Peer) -> None:
        await defined(peer)
        await peer.send(set_blob(b"new"))

    file = folder / "Cam.CCD1.CCD1.fits"
    file.write_bytes(b"old")
    assert scripted(camera, "get", "Cam.CCD1.CCD1") == (0, [], "Wrote Cam.CCD1.CCD1-1.fits\n")
    assert (file.read_bytes(), (folder / "Cam.CCD1.CCD1-1.fits").read_bytes()) == (b"old", b"new")
    assert scripted(camera, "get", "--overwrite", "Cam.CCD1.CCD1") == (0, [], f"Wrote {file.name}\n")
    assert file.read_bytes() == b"new"
    assert len(list(folder.iterdir())) == 2


def test_monitoring_keeps_every_image(scripted: Scripted, folder: Path) -> None:
    async def camera(peer: Peer) -> None:
        await defined(peer)
        for number in range(3):
            await peer.send(set_blob(b"%d" % number))

    assert scripted(camera, "get", "-m", "-t", "1", "Cam.CCD1.CCD1")[0] == 0
    names = ["Cam.CCD1.CCD1.fits", "Cam.CCD1.CCD1-1.fits", "Cam.CCD1.CCD1-2.fits"]
    assert [(folder / name).read_bytes() for name in names] == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("xml", "told"),
    [
        (set_blob(b"no zlib stream", ".fits.z"), "a compressed BLOB is damaged"),
        (set_blob(zlib.compress(b"x" * 9), ".fits.z", 8), "holds more than the 8 bytes it announced"),
    ],
)
def test_a_damaged_image_costs_itself(scripted: Scripted, folder: Path, xml: str, told: str) -> None:
    async def camera(peer: Peer) -> None:
        await defined(peer)
        await peer.send(xml)
        await peer.send(set_blob(b"good"))

    status, _, errors = scripted(camera, "get", "Cam.CCD1.CCD1")
    assert (status, errors.count("\n")) == (0, 2)
    assert told in errors.splitlines()[0]
    assert (folder / "Cam.CCD1.CCD1.fits").read_bytes() == b"good"
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_written(scripted: Scripted, folder: Path) -> None:
    async def camera(peer: Peer) -> None:
        await defined(peer)
        await peer.send(set_blob(b"an image"))

    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    status, _, errors = scripted(camera, "get", "Cam.CCD1.CCD1")
    assert status == 1
    assert errors == "indianyio get: Cam.CCD1.CCD1.fits cannot be written: No such file or directory\n"


# -- snap ----------------------------------------------------------------------------------------------------------

CAMERA_DEFINED = (
    '<defSwitchVector device="Cam" name="CONNECTION" state="Ok" perm="rw" rule="OneOfMany">'
    '<defSwitch name="CONNECT">On</defSwitch><defSwitch name="DISCONNECT">Off</defSwitch></defSwitchVector>'
    '<defNumberVector device="Cam" name="CCD_EXPOSURE" state="Idle" perm="rw">'
    '<defNumber name="CCD_EXPOSURE_VALUE" format="%g" min="0" max="3600" step="0">0</defNumber></defNumberVector>'
    f"{DEFINED}"
)


def exposure(state: str, left: float) -> str:
    one = f'<oneNumber name="CCD_EXPOSURE_VALUE">{left}</oneNumber>'
    return f'<setNumberVector device="Cam" name="CCD_EXPOSURE" state="{state}">{one}</setNumberVector>'


async def exposing(peer: Peer, *more: str) -> None:
    await peer.expect(GetProperties)
    for xml in (CAMERA_DEFINED, *more):
        await peer.send(xml)
    await peer.expect(NewNumberVector)


def test_snap_waits_for_an_image_that_keeps_coming(scripted: Scripted, folder: Path) -> None:
    async def slow(peer: Peer) -> None:
        await exposing(peer)
        await peer.send(exposure("Busy", 100))
        await anyio.sleep(105)
        await peer.send(exposure("Ok", 0))
        xml = set_blob(IMAGE).encode()
        for start in range(0, len(xml), 1000):
            await anyio.sleep(9)
            await peer.send(xml[start : start + 1000])

    assert scripted(slow, "snap", "Cam", "100", "-t", "10", "--save", "a{format}") == (0, ["a.fits"], "")
    assert (folder / "a.fits").read_bytes() == IMAGE
    assert scripted.seconds > 200


@pytest.mark.parametrize(
    ("said", "seconds", "told"),
    [
        ([], 10, "Cam.CCD_EXPOSURE: the driver does not answer"),
        ([exposure("Busy", 100)], 110, "nothing about CCD_EXPOSURE and CCD1 for 10 s; state: Busy, Idle"),
        ([exposure("Busy", 100), exposure("Ok", 0)], 110, "Cam has said nothing about CCD1 for 10 s; state: Idle"),
        ([exposure("Busy", 100), exposure("Ok", 0), set_blob(IMAGE)[:2000]], 110, "nothing about CCD1 for 10 s"),
    ],
)
def test_snap_does_not_wait_for_a_silent_camera(
    scripted: Scripted, folder: Path, said: list[str], seconds: float, told: str
) -> None:
    async def silent(peer: Peer) -> None:
        await exposing(peer)
        for xml in said:
            await peer.send(xml)
        while True:  # what else is said does not count
            await anyio.sleep(1)
            if not said or "BLOB" not in said[-1]:
                await peer.send('<message device="Cam" message="still there"/>')

    status, lines, errors = scripted(silent, "snap", "Cam", "100", "-t", "10", "--save", "a{format}")
    assert (status, lines, errors.count("\n")) == (1, [], 1)
    assert told in errors
    assert scripted.seconds == pytest.approx(seconds, abs=1)
    assert not list(folder.iterdir())


def test_snap_waits_for_ever_if_asked(scripted: Scripted, folder: Path) -> None:
    async def slow(peer: Peer) -> None:
        await exposing(peer)
        await anyio.sleep(80_000)
        await peer.send(exposure("Ok", 0))
        await anyio.sleep(80_000)
        await peer.send(set_blob(IMAGE))

    assert scripted(slow, "snap", "Cam", "0", "-t", "0", "--save", "a") == (0, ["a"], "")


def test_a_camera_that_keeps_its_images_is_not_exposed(scripted: Scripted, folder: Path) -> None:
    async def local(peer: Peer) -> None:
        await exposing(
            peer,
            '<defSwitchVector device="Cam" name="UPLOAD_MODE" state="Ok" perm="rw" rule="OneOfMany">'
            '<defSwitch name="UPLOAD_LOCAL">On</defSwitch></defSwitchVector>',
        )
        pytest.fail("it was exposed")

    status, _, errors = scripted(local, "snap", "Cam", "1", "--save", "a")
    assert status == 1
    assert "Cam does not send its images; indianyio set 'Cam.UPLOAD_MODE.UPLOAD_CLIENT=On' makes" in errors


def test_images_of_one_second_do_not_replace_each_other(scripted: Scripted, folder: Path) -> None:
    async def fast(peer: Peer) -> None:
        await exposing(peer)
        for number in range(3):
            await peer.send(exposure("Ok", 1))
            image = set_blob(b"%d" % number)
            await peer.send(image.replace('state="Ok"', 'state="Ok" timestamp="2026-11-26T01:02:03"'))
            await peer.expect(NewNumberVector)

    (folder / "20261126T010203").write_bytes(b"old")
    arguments = ["--count", "3", "--overwrite", "--save", "{time}"]
    names = ["20261126T010203", "20261126T010203-1", "20261126T010203-2"]
    status, lines, errors = scripted(fast, "snap", "Cam", "1", *arguments)
    assert (status, lines) == (0, names)
    assert errors.count("saved under another name") == 2
    assert [(folder / name).read_bytes() for name in names] == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{nonsense}", "only {number}, {number:03}, {time} and {format} can be in braces"),
        ("{number.x}", "can be in braces"),
        ("{number[0]}", "can be in braces"),
        ("{number!r}{number}", "can be in braces"),
        ("{number:999}", "can be in braces"),
        ("{number:{number}}", "can be in braces"),
        ("{number:x}", "can be in braces"),
        ("{time:%H}", "can be in braces"),
        ("{format:>9}", "can be in braces"),
        ("{}", "can be in braces"),
        ("{0}", "can be in braces"),
        ("{number", "expected '}'"),
        ("a}", "Single '}'"),
        ("", "names no file"),
        ("new/", "names no file"),
        ("folder{number}", "folder2 is a folder"),
        ("night{number}/..", "is a folder"),
        ("{number}" + "x" * 255, "File name too long"),
        ("none/{number}", "nothing can be saved in none: No such file or directory"),
        ("file/{number}", "nothing can be saved in file: Not a directory"),
        ("night{number}/a", "nothing can be saved in night2: No such file or directory"),
        ("{time}/a", "in the name of a folder only {number} is allowed"),
        ("{format}/a", "in the name of a folder only {number} is allowed"),
        ("a{format}", "is one name for 2 images; put {number} into it"),
        ("taken{number}", "taken2 exists already; --overwrite replaces it"),
        ("dangling{number}", "dangling2 exists already"),
    ],
)
def test_nothing_is_exposed_if_nothing_can_be_saved(
    pattern: str, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "folder2").mkdir()
    (folder / "night1").mkdir()
    (folder / "file").touch()
    (folder / "taken2").touch()
    (folder / "dangling2").symlink_to("nowhere")
    before = sorted(folder.rglob("*"))
    # There is no server: its error would be another one.
    assert main(["snap", "-H", "127.0.0.1", "-p", "1", "Cam", "1", "--count", "2", "--save", pattern]) == 2
    errors = capsys.readouterr().err
    assert (told in errors, errors.count("\n")) == (True, 1), errors
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "pattern", ["{number}", "{time}", "a{number:03d}{format}", "night{number}/{time}", "{{}}{time}"]
)
def test_patterns(pattern: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        (folder / f"night{number}").mkdir()
    assert main(["snap", "-H", "127.0.0.1", "-p", "1", "Cam", "1", "--count", "2", "--save", pattern]) == 2
    assert "Connection refused" in capsys.readouterr().err


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "suffix"),
    [
        (".fits", ".fits"),
        (".fits.z", ".fits"),
        (".fits.fz", ".fits.fz"),
        ("fits", ".fits"),
        (".z", ""),
        ("", ""),
        ("..", ""),
        ("./../../etc/cron.d/x", ".etc.cron.d.x"),
        (".a\x1b[2Jb\u202e", ".a.2Jb"),
        ("." + "x" * 300, "." + "x" * 19),
        (".abcdefghijklmnopqr..b", ".abcdefghijklmnopqr"),
    ],
)
def test_suffixes(told: str, suffix: str) -> None:
    assert safe_suffix(Blob("CCD1", told, 0)) == suffix


@pytest.mark.anyio
@pytest.mark.parametrize("has_links", [True, False])
async def test_two_that_save_at_the_same_time(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    saved: list[Path] = []

    async def one(number: int) -> None:
        content = b"%d" % number
        saved.append(await save(Blob("CCD1", ".fits", 1, data=content), tmp_path / "a.fits", overwrite=False))
        assert saved[-1].read_bytes() in {b"%d" % each for each in range(8)}

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(one, number)
    assert sorted(path.name for path in saved) == sorted(os.listdir(tmp_path))
    assert {path.read_bytes() for path in saved} == {b"%d" % number for number in range(8)}
