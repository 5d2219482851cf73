"""Where images go: to clients, into files, or both; how they are compressed."""

from __future__ import annotations

import errno
import io
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from indianyio import RefusedError, State
from indianyio.client import Blob
from indianyio.client import Device as ClientDevice
from indianyio.instrument.camera import _upload
from indianyio.instrument.camera._fits import fits_file, pixels_of
from indianyio.instrument.camera._image_files import ImageFile, folder_of, require_prefix, save, tiled
from indianyio.simulators import camera
from tests.instrument.test_camera import Broken, connected, opened, shoot

pytest_plugins = ("indianyio.testing.pytest_plugin",)

NOON = datetime(2026, 1, 2, 12, 30, 15, tzinfo=UTC)
# Virtual time does not see the threads that write files.
LONG = 1e6


def images(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def same(path: str, blob: Blob) -> bool:
    return Path(path).read_bytes() == blob.content()


# -- names ---------------------------------------------------------------------------------------------------------


def test_numbers_go_on_after_the_greatest_whatever_the_suffix(tmp_path: Path) -> None:
    file = ImageFile(b"x")
    for taken in ("M31_007.fits.fz", "M31_003.fits", "M31_abc.fits", "M3_100.fits", "xM31_200.fits"):
        (tmp_path / taken).touch()
    assert save(file, tmp_path, "M31_XXX", NOON).name == "M31_008.fits"
    assert save(file, tmp_path, "M31_XXX", NOON).name == "M31_009.fits"
    assert save(file, tmp_path / "new" / "folder", "M31_XXX_L", NOON).name == "M31_001_L.fits"


def test_the_time_is_in_the_name_and_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    file = ImageFile(b"new", ".fits.fz")
    names = [save(file, tmp_path, "Dark_ISO8601", NOON).name for _ in range(3)]
    stem = "Dark_2026-01-02T12-30-15"
    assert names == [f"{stem}.fits.fz", f"{stem}_001.fits.fz", f"{stem}_002.fits.fz"]
    assert images(tmp_path) == sorted(names)


@pytest.mark.parametrize("prefix", ["../x", "a/b", "/etc/passwd", ".hidden", "", "a\0b", "a\nb", "..", "a\\b"])
def test_a_prefix_is_no_path(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a prefix is a name, not a path"):
        require_prefix(prefix)
    with pytest.raises(ValueError, match="a prefix is a name"):
        save(ImageFile(b"x"), tmp_path, prefix, NOON)
    assert images(tmp_path) == []


def test_a_folder_is_absolute_and_below_the_root_if_there_is_one(tmp_path: Path) -> None:
    root = tmp_path / "images"
    (root / "in").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    assert folder_of(str(root / "in"), root) == root / "in"
    assert folder_of(str(tmp_path), None) == tmp_path
    assert folder_of("~/x", None) == Path.home() / "x"
    for outside in (str(tmp_path), str(root / ".." / "x"), str(root / "out" / "x")):
        with pytest.raises(ValueError, match="only be saved below"):
            folder_of(outside, root)
    for relative in ("", "images", "../images", "/a\0b"):
        with pytest.raises(ValueError, match="must be an absolute path"):
            folder_of(relative, root)


def test_where_the_disk_has_no_links_a_name_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(path: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    (tmp_path / "a_001.fits").write_bytes(b"old")
    assert save(ImageFile(b"new"), tmp_path, "a_XXX", NOON).read_bytes() == b"new"
    (tmp_path / "b.fits").write_bytes(b"old")
    assert save(ImageFile(b"new"), tmp_path, "b", NOON).name == "b_001.fits"
    assert images(tmp_path) == ["a_001.fits", "a_002.fits", "b.fits", "b_001.fits"]
    assert (tmp_path / "b.fits").read_bytes() == b"old"


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(ImageFile(b"new"), tmp_path, "a_XXX", NOON)
    assert images(tmp_path) == []


@pytest.mark.parametrize(("data", "suffix"), [(b"", ".fits"), (b"x", "fits"), (b"x", "./fits"), (b"x", "")])
def test_what_is_no_file_of_an_image(data: bytes, suffix: str) -> None:
    with pytest.raises(ValueError, match=r"must not be empty|a suffix consists of"):
        ImageFile(data, suffix)


# -- the camera ----------------------------------------------------------------------------------------------------


async def save_to(device: ClientDevice, folder: Path, mode: str) -> None:
    await device["UPLOAD_SETTINGS"].set(UPLOAD_DIR=str(folder), UPLOAD_PREFIX="M31_XXX")
    await device["UPLOAD_MODE"].set({mode: True})
    await device.vector("CCD_FILE_PATH", timeout=5)


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_local_images_are_files_whose_path_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    async with connected(camera(width=16, height=8)) as (device, _):
        await save_to(device, folder, "UPLOAD_LOCAL")
        for number in (1, 2):
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1, timeout=LONG)
            path = device["CCD_FILE_PATH"]["FILE_PATH"]
            assert path == str(folder / f"M31_00{number}.fits")
            assert device["CCD_FILE_PATH"].state is State.OK
            assert fits.getdata(path).shape == (8, 16)
        assert device["CCD1"]["CCD1"] is None
        assert images(folder) == ["M31_001.fits", "M31_002.fits"]
        await device["UPLOAD_MODE"].set(UPLOAD_CLIENT=True)
        await device.wait_for(lambda it: "CCD_FILE_PATH" not in it, timeout=5)


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_both_are_the_same_image(tmp_path: Path) -> None:
    async with connected(camera(width=16, height=8)) as (device, _):
        await save_to(device, tmp_path, "UPLOAD_BOTH")
        async with device.next("CCD1") as image:
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1, timeout=LONG)
            blob = await image.get(timeout=LONG)
        saved = device["CCD_FILE_PATH"]["FILE_PATH"]
    assert same(saved, blob)


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_an_image_that_cannot_be_saved_reaches_clients_and_is_alert(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    async with connected(camera(width=16, height=8)) as (device, _):
        await save_to(device, blocked / "folder", "UPLOAD_BOTH")
        async with device.next("CCD1") as image:
            with pytest.raises(RefusedError, match="NotADirectoryError"):
                await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1, timeout=LONG)
            await image.get(timeout=5)
        assert device["CCD_FILE_PATH"].state is State.ALERT


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_names_from_the_network_are_no_paths(tmp_path: Path) -> None:
    class Kept(camera):
        upload_root: Path | None = tmp_path / "images"

    async with connected(Kept(width=16, height=8)) as (device, _):
        assert device["UPLOAD_SETTINGS"]["UPLOAD_DIR"] == str(tmp_path / "images")
        for wish, reason in (
            ({"UPLOAD_PREFIX": "../../x"}, "a prefix is a name, not a path"),
            ({"UPLOAD_DIR": "/etc"}, "can only be saved below"),
            ({"UPLOAD_DIR": "images"}, "must be an absolute path"),
        ):
            with pytest.raises(RefusedError, match=reason):
                await device["UPLOAD_SETTINGS"].set(wish)
        assert device["UPLOAD_SETTINGS"]["UPLOAD_PREFIX"] == "IMAGE_XXX"


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_images_are_compressed_tile_by_tile_where_astropy_is_there() -> None:
    async with connected(camera(width=64, height=32)) as (device, _):
        await device["CCD_COMPRESSION"].set(INDI_ENABLED=True)
        async with device.next("CCD1") as image:
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1, timeout=LONG)
            blob = await image.get(timeout=5)
        assert blob.format == ".fits.fz"
        header, data = opened(blob, 1)
        assert (header["EXPTIME"], data.shape, data.dtype) == (1, (32, 64), np.uint16)


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_images_are_zlib_streams_where_it_is_not_but_never_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_upload, "has_tile_compression", lambda: False)
    async with connected(camera(width=64, height=32)) as (device, _):
        await device["CCD_COMPRESSION"].set(INDI_ENABLED=True)
        blob = await shoot(device)
        assert (blob.format, blob.size) == (".fits.z", len(blob.content()))
        assert blob.length < blob.size
        assert opened(blob)[1].shape == (32, 64)
        await save_to(device, tmp_path / "images", "UPLOAD_BOTH")
        await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1, timeout=LONG)
        assert images(tmp_path / "images") == ["M31_001.fits"]


@pytest.mark.parametrize("kind", ["u1", "u2", "i4", "i8", "f4", "f8"])
def test_compressed_pixels_are_what_they_were(kind: str) -> None:
    image = (np.random.default_rng(1).normal(size=(32, 32)) * 1e3 + 100).astype(kind)
    packed = tiled(ImageFile(fits_file(pixels_of(image, 0, 0), [])))
    assert packed.suffix == ".fits.fz"
    with fits.open(io.BytesIO(packed.data)) as file:
        assert np.array_equal(file[1].data, image)


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
async def test_a_file_that_astropy_does_not_understand_is_sent_nevertheless(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected(Broken(ImageFile(b"no FITS file"))) as (device, _):
        await device["CCD_COMPRESSION"].set(INDI_ENABLED=True)
        async with device.next("CCD1") as image:
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=1, timeout=LONG)
            blob = await image.get(timeout=5)
    assert (blob.format, blob.content()) == (".fits.z", b"no FITS file")
    assert "sent as a zlib stream instead" in caplog.text


@pytest.mark.anyio
async def test_a_large_image_is_made_in_a_thread_while_others_have_their_turns() -> None:
    image = np.arange(1500 * 1500, dtype="u4").reshape(1500, 1500).astype("u2")

    class Large(Broken):
        width, height, bits = 1500, 1500, 16

    async with connected(Large(image)) as (device, _):
        async with device.next("CCD1") as coming:
            await device["CCD_EXPOSURE"].set(CCD_EXPOSURE_VALUE=0.01)
            blob = await coming.get(timeout=10)
        assert np.array_equal(opened(blob)[1], image)
