"""BLOBs in shared memory."""

from __future__ import annotations

import errno
import fcntl
import gc
import mmap
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from indianyio.protocol._elements import Attachment
from indianyio.streams import SharedMemory, attachments_supported

CONTENT = bytes(range(256)) * 100


def filled(content: bytes = CONTENT) -> SharedMemory:
    memory = SharedMemory.create("CCD1.FITS")
    memory.write(content[:100])
    memory.write(memoryview(content)[100:])
    memory.seal()
    return memory


def is_open(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").is_symlink()


def test_it_is_an_attachment() -> None:
    attachment: Attachment = filled()
    assert attachment.read(256) == bytes(range(256))
    assert attachment.read(len(CONTENT)) == CONTENT
    assert attachment.read(0) == b""
    attachment.close()


def test_sealed_memory_cannot_change() -> None:
    memory = filled()
    with pytest.raises(PermissionError):
        memory.write(b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(memory.fileno(), 10)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.fileno(), 1 << 20)
    with pytest.raises(PermissionError):
        mmap.mmap(memory.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    memory.close()


@pytest.mark.parametrize(("error", "sealed"), [(errno.EINVAL, True), (errno.EBUSY, False)])
def test_a_kernel_without_the_newest_seal(monkeypatch: pytest.MonkeyPatch, error: int, sealed: bool) -> None:
    real, refusals = fcntl.fcntl, [OSError(error, "refused")]

    def refusing(descriptor: int, operation: int, argument: int) -> int:
        if refusals:
            raise refusals.pop()
        return real(descriptor, operation, argument)

    monkeypatch.setattr(fcntl, "fcntl", refusing)
    memory = SharedMemory.create("old kernel")
    with nullcontext() if sealed else pytest.raises(OSError, match="refused"):
        memory.seal()
    assert bool(real(memory.fileno(), fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK) is sealed
    memory.close()


def test_sealed_memory_can_be_mapped_as_libindi_does() -> None:
    memory = filled()
    with mmap.mmap(memory.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        assert mapped[:] == CONTENT
    memory.close()


@pytest.mark.parametrize("length", [-1, len(CONTENT) + 1, 1 << 62])
def test_more_than_there_is_cannot_be_read(length: int) -> None:
    memory = filled()
    with pytest.raises(ValueError, match="the attachment has"):
        memory.read(length)
    memory.close()


def test_a_peer_that_truncates_does_no_harm() -> None:
    ours = SharedMemory.create("hostile")
    ours.write(CONTENT)
    received = ours.duplicate()
    os.ftruncate(ours.fileno(), 10)
    with pytest.raises(ValueError, match="has 10"):
        received.read(len(CONTENT))
    assert received.read(10) == CONTENT[:10]
    ours.close()
    received.close()


def test_a_peer_that_truncates_during_the_read_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SharedMemory.create("hostile")
    memory.write(CONTENT)
    monkeypatch.setattr(memory, "_check_readable", lambda descriptor, length: os.ftruncate(descriptor, 10))
    with pytest.raises(ValueError, match="cut to 10 bytes"):
        memory.read(len(CONTENT))
    memory.close()


def test_what_is_no_file_is_refused() -> None:
    for descriptor in (*os.pipe(), os.open("/dev/zero", os.O_RDONLY), os.open("/", os.O_RDONLY)):
        attachment = SharedMemory(descriptor)
        with pytest.raises(ValueError, match="not a file"):
            attachment.read(1)
        attachment.close()


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    attachment = SharedMemory(os.open(path, os.O_WRONLY))
    with pytest.raises(ValueError, match="cannot be read"):
        attachment.read(1)
    attachment.close()


def test_a_duplicate_lives_on_its_own() -> None:
    memory = filled()
    other = memory.duplicate()
    memory.close()
    assert other.size == len(CONTENT)
    assert other.read(len(CONTENT)) == CONTENT
    assert not os.get_inheritable(other.fileno())
    other.close()


def test_closing_is_once_and_final() -> None:
    memory = filled()
    descriptor = memory.fileno()
    memory.close()
    assert not is_open(descriptor)
    with open("/dev/null", "rb") as reused:  # as a rule under the number that is free now
        memory.close()
        assert is_open(reused.fileno())
    for use in (memory.fileno, memory.duplicate, memory.seal, lambda: memory.read(1), lambda: memory.size):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_the_last_reference_closes() -> None:
    memory = filled()
    descriptor = memory.fileno()
    del memory
    gc.collect()
    assert not is_open(descriptor)


def test_any_label_will_do() -> None:
    memory = SharedMemory.create("ä" * 1000)
    memory.close()


def test_this_system_supports_attachments() -> None:
    assert attachments_supported()
