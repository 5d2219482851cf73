"""Standard input and output replaced within this process, for what a child process cannot show."""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import Received, SharedMemory, describe_stdio, open_stdio

pytestmark = pytest.mark.anyio


@contextmanager
def standard(stdin: int, stdout: int) -> Iterator[None]:
    """Make these descriptors 0 and 1 for a while, and take them over."""
    kept = [os.dup(0), os.dup(1)]
    os.dup2(stdin, 0)
    os.dup2(stdout, 1)
    for taken in {stdin, stdout}:
        os.close(taken)
    try:
        yield
    finally:
        for descriptor, original in enumerate(kept):
            os.dup2(original, descriptor)
            os.close(original)


@contextmanager
def standard_socket() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    shared = theirs.detach()
    with ours, standard(shared, shared):
        yield ours


def identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_a_socket_both_ways_with_attachments() -> None:
    with standard_socket() as peer:
        async with open_stdio() as stream:
            assert (stream.name, stream.carries_attachments) == ("stdin/stdout", True)
            memory = SharedMemory.create("x")
            await stream.send(b"<x/>", [memory])
            memory.close()
            data, (descriptor,), _, _ = socket.recv_fds(peer, 10, 16)
            socket.send_fds(peer, [data], [descriptor])
            os.close(descriptor)
            received = await stream.receive()
            assert received.data == b"<x/>"
            received.attachments[0].close()
            peer.shutdown(socket.SHUT_WR)
            assert await stream.receive() == Received(b"")


async def test_d27_descriptors_come_back_on_every_way_out() -> None:
    with standard_socket():
        before, count = (identity(0), identity(1)), open_descriptors()
        async with open_stdio() as stream:
            assert identity(0) == identity_of_null()
            assert identity(1) == identity(2)
            assert os.get_inheritable(1)
        assert (identity(0), identity(1)) == before
        with pytest.raises(ConnectionLostError):
            await stream.send(b"too late")
        with pytest.raises(LookupError):
            await leave_by_error()
        assert (identity(0), identity(1)) == before
        with anyio.CancelScope() as scope:
            async with open_stdio() as stream:
                scope.cancel()
                await stream.receive()
        assert (identity(0), identity(1)) == before
        assert open_descriptors() == count


async def leave_by_error() -> None:
    async with open_stdio() as stream:
        await stream.aclose()
        raise LookupError("on purpose")


def identity_of_null() -> tuple[int, int]:
    status = os.stat(os.devnull)
    return status.st_dev, status.st_ino


async def test_the_streams_own_descriptors_are_not_inherited() -> None:
    with standard_socket():
        wire = identity(0)
        async with open_stdio():
            mine = [int(name) for name in os.listdir("/proc/self/fd") if is_socket(int(name), wire)]
            assert mine
            assert not any(os.get_inheritable(descriptor) for descriptor in mine)


def is_socket(descriptor: int, wire: tuple[int, int]) -> bool:
    try:
        return identity(descriptor) == wire
    except OSError:  # the listing's own, closed by now
        return False


async def test_d1_a_default_timeout_sets_no_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    with standard_socket() as peer:
        socket.setdefaulttimeout(30)
        try:
            async with open_stdio() as stream:
                await stream.send(b"<x/>")
        finally:
            socket.setdefaulttimeout(None)
        assert os.get_blocking(0)
        assert peer.recv(10) == b"<x/>"


async def test_pipes() -> None:
    (stdin, feeding), (reading, stdout) = os.pipe(), os.pipe()
    with standard(stdin, stdout):
        async with open_stdio() as stream:
            assert not stream.carries_attachments
            os.write(feeding, b"<in/>")
            assert await stream.receive() == Received(b"<in/>")
            await stream.send(b"<out/>")
            assert os.read(reading, 10) == b"<out/>"
    os.close(feeding)
    os.close(reading)


async def test_a_terminal_is_not_made_nonblocking_for_others() -> None:
    ours, theirs = os.openpty()
    with standard(theirs, theirs):
        async with open_stdio() as stream:
            with anyio.move_on_after(0.05) as scope:
                await stream.send(b"<x/>\n" * 100_000)
            assert scope.cancelled_caught
        assert os.get_blocking(0)
        assert os.get_blocking(1)
    os.close(ours)


async def test_a_terminal_that_cannot_be_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    monkeypatch.setattr(os, "ttyname", lambda descriptor: "/nonexistent")
    with standard(theirs, theirs):
        async with open_stdio() as stream:
            await stream.send(b"<x/>\n")
    assert os.read(ours, 10) == b"<x/>\r\n"
    os.close(ours)


async def test_what_is_not_open_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with standard_socket():
        kept = os.dup(1)
        os.close(1)
        assert describe_stdio() == "standard input is a socket, standard output is closed"
        with pytest.raises(OSError, match="standard output is not open"):
            await open_and_close()
        os.dup2(kept, 1)
        os.close(kept)
        monkeypatch.setattr(sys, "__stdin__", None)
        with pytest.raises(OSError, match="standard input was closed when the program started"):
            await open_and_close()


async def test_what_carries_no_bytes_is_refused() -> None:
    epoll = select.epoll()
    with epoll, standard(os.dup(epoll.fileno()), os.open(os.devnull, os.O_WRONLY)):
        assert describe_stdio() == "standard input is of no usable kind, standard output is a device"
        with pytest.raises(OSError, match="standard input is neither"):
            await open_and_close()
        with pytest.raises(OSError, match="standard input is neither"):  # and not "already open"
            await open_and_close()


async def test_it_is_open_once_at_a_time() -> None:
    with standard_socket():
        async with open_stdio():
            with pytest.raises(RuntimeError, match="already open"):
                await open_and_close()
        await open_and_close()


async def open_and_close() -> None:
    async with open_stdio():
        pass


async def test_without_standard_error_prints_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stderr__", None)
    monkeypatch.setattr(sys, "stdout", None)
    with standard_socket():
        async with open_stdio():
            assert identity(1) == identity_of_null()


async def test_no_descriptor_left_leaves_everything_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with standard_socket():
        before, count = (identity(0), identity(1)), open_descriptors()
        for allowed in range(4):
            with monkeypatch.context() as patched:
                patched.setattr(os, "dup", failing_after(allowed))
                with pytest.raises(OSError, match="none left"):
                    await open_and_close()
            assert (identity(0), identity(1)) == before
            assert open_descriptors() == count
        await open_and_close()


def failing_after(allowed: int) -> object:
    dup, calls = os.dup, iter(range(allowed))

    def limited(descriptor: int) -> int:
        if next(calls, None) is None:
            raise OSError("none left")
        return dup(descriptor)

    return limited
