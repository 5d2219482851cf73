"""Files that are written whole or not at all, whoever writes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from indianyio._whole_files import put, put_at_free_name, put_new
from indianyio.run._executable import make_executable
from indianyio.sync._vectors import Blob


def save(path: Path) -> None:
    Blob("image", ".fits", 3, data=b"new").save(path)


def register(path: Path) -> None:
    make_executable(path, ["indianyio.examples.thermostat:Thermostat"])


WRITERS: list[Callable[[Path], object]] = [
    lambda path: put(path, b"new"),
    lambda path: put_at_free_name(path, b"new", 0o666),
    lambda path: put_new(path.parent, [path.name], b"new"),
    save,
    register,
]


@pytest.mark.parametrize("write", WRITERS)
def test_the_content_is_stored_before_its_name(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, stored, synchronise = tmp_path / "x", list[tuple[bool, bool]](), os.fsync

    def fsync(descriptor: int) -> None:
        stored.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write(path)
    assert stored == [(False, False), (True, True)]
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("write", WRITERS)
def test_a_failure_leaves_nothing(
    write: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="the disk is full"):
        write(tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_stored_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some file systems of other machines."""
    synchronise = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    save(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"new"
