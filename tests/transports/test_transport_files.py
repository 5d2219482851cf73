"""The halves that read and write pipes, terminals and files, inside this process."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import Received, SharedMemory
from indianyio.streams._files import FileReader, FileWriter

pytestmark = pytest.mark.anyio

BIG = os.urandom(1 << 20)


@pytest.fixture
def pipe() -> tuple[int, int]:
    return os.pipe()


async def test_a_pipe(pipe: tuple[int, int]) -> None:
    reader, writer = FileReader(pipe[0], "in"), FileWriter(pipe[1], "out")
    data = bytearray()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.send, BIG)
        while len(data) < len(BIG):
            data += (await reader.receive()).data
    writer.close()
    assert data == BIG
    assert await reader.receive() == Received(b"")
    reader.close()


async def test_d1_a_pipe_that_somebody_set_nonblocking(pipe: tuple[int, int]) -> None:
    for descriptor in pipe:
        os.set_blocking(descriptor, False)
    await test_a_pipe(pipe)


async def test_d12_writing_never_waits_outside_the_loop(pipe: tuple[int, int]) -> None:
    reader, writer = FileReader(pipe[0], "in"), FileWriter(pipe[1], "out")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.send, BIG)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert (await reader.receive()).data == BIG[: 64 << 10]
    reader.close()
    writer.close()


async def test_an_other_reader_that_was_faster(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    os.set_blocking(pipe[0], False)
    reader = FileReader(pipe[0], "in")
    answers = iter([True])
    monkeypatch.setattr(reader, "_ready", lambda: next(answers, None) or bool(reader._poll.poll(0)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_write_later, pipe[1])
        assert await reader.receive() == Received(b"late")
    reader.close()
    os.close(pipe[1])


async def _write_later(descriptor: int) -> None:
    await anyio.wait_all_tasks_blocked()
    os.write(descriptor, b"late")


async def test_a_terminal_that_hangs_up() -> None:
    terminal, shared = os.openpty()
    reader = FileReader(terminal, "in")
    os.close(shared)
    with pytest.raises(ConnectionLostError, match="in: Input/output error"):
        await reader.receive()
    reader.close()


async def test_a_descriptor_that_is_ready_and_takes_nothing(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.set_blocking(pipe[1], False)
    writer = FileWriter(pipe[1], "out")
    answers = iter([True] * 20)  # as of a terminal with room for half a line end
    monkeypatch.setattr(writer, "_ready", lambda: next(answers, None) or bool(writer._poll.poll(0)))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.send, bytes(70_000))
        await anyio.wait_all_tasks_blocked()
        reader = FileReader(pipe[0], "in")
        data = b""
        while len(data) < 70_000:
            data += (await reader.receive()).data
    reader.close()
    writer.close()


async def test_a_pipe_that_nobody_reads_any_more(pipe: tuple[int, int]) -> None:
    writer = FileWriter(pipe[1], "out")
    os.close(pipe[0])
    with pytest.raises(ConnectionLostError, match="out: Broken pipe"):
        await writer.send(b"<x/>")
    writer.close()


async def test_closing_wakes_both_waits(pipe: tuple[int, int]) -> None:
    idle, idle_writer = os.pipe()
    reader, writer = FileReader(idle, "in"), FileWriter(pipe[1], "out")
    raised = list[str]()

    async def receive() -> None:
        try:
            await reader.receive()
        except ConnectionLostError as exc:
            raised.append(str(exc))

    async def send() -> None:
        try:
            await writer.send(BIG)
        except ConnectionLostError as exc:
            raised.append(str(exc))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        reader.close()
        writer.close()
    assert sorted(raised) == ["in: closed at this end", "out: closed at this end"]
    await receive()
    await send()
    assert len(raised) == 4
    reader.close()
    os.close(idle_writer)
    os.close(pipe[0])


async def test_a_file_is_read_and_written_directly(tmp_path: Path) -> None:
    path = tmp_path / "session.xml"
    writer = FileWriter(os.open(path, os.O_WRONLY | os.O_CREAT), "out")
    await writer.send(BIG)
    writer.close()
    reader = FileReader(os.open(path, os.O_RDONLY), "in")
    data = b""
    while piece := (await reader.receive()).data:
        data += piece
    assert data == BIG
    reader.close()


async def test_reading_a_file_can_be_cancelled(tmp_path: Path) -> None:
    reader = FileReader(os.open("/dev/zero", os.O_RDONLY), "in")
    with anyio.move_on_after(0.01) as scope:
        while True:
            assert await reader.receive()
    assert scope.cancelled_caught
    reader.close()


async def test_the_null_device() -> None:
    reader, writer = (
        FileReader(os.open("/dev/null", os.O_RDONLY), "in"),
        FileWriter(os.open("/dev/null", os.O_WRONLY), "out"),
    )
    await writer.send(BIG)
    assert await reader.receive() == Received(b"")
    reader.close()
    writer.close()


async def test_a_stopped_terminal_keeps_nobody_busy() -> None:
    terminal, shared = os.openpty()
    os.set_blocking(shared, False)
    writer = FileWriter(shared, "out")
    calls = 0
    write_now = writer._write_now

    def counting(rest: memoryview) -> int:
        nonlocal calls
        calls += 1
        return write_now(rest)

    writer._write_now = counting  # type: ignore[method-assign]
    with anyio.move_on_after(0.3):
        await writer.send(b"\n" * (1 << 20))
    assert calls < 100
    writer.close()
    os.close(terminal)


async def test_pipes_carry_no_attachments(pipe: tuple[int, int]) -> None:
    writer = FileWriter(pipe[1], "out")
    memory = SharedMemory.create("x")
    with pytest.raises(ValueError, match="out carries no attachments"):
        await writer.send(b"<x/>", [memory])
    memory.close()
    writer.close()
    os.close(pipe[0])
