"""Each fault of the bad line really happens, and the same seed gives the same faults."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.peers.proxy import Faults, proxy
from tests.peers.sockets import Address, connect, listen

SECONDS = 60.0
# Longer than this machine may stall between two steps of the test.
STALL_SECONDS = 5.0
TEXT = bytes(range(256)) * 40


@contextmanager
def echo(at: Address = 0) -> Iterator[Address]:
    """Send back what one caller after the other sends."""
    with listen(at) as listener:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with caller:
                    try:
                        while data := caller.recv(1 << 16):
                            caller.sendall(data)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield at or listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def exchange(address: Address, data: bytes = TEXT) -> list[bytes]:
    """Send it, and return the pieces that come back until the connection ends."""
    pieces = []
    with connect(address) as sock:
        sock.settimeout(SECONDS)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(1 << 16):
            pieces.append(piece)
    return pieces


def drain(sock: socket.socket) -> None:
    while sock.recv(1 << 16):
        pass


def fill(sock: socket.socket) -> int:
    """Send until nothing more goes in; return how much went."""
    sent = 0
    while sent < 1 << 28:
        try:
            sent += sock.send(bytes(1 << 16))
        except TimeoutError:
            break
    return sent


def unix_name() -> str:
    return f"@indianyio-{uuid.uuid4().hex}"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_good_line_passes_everything_unchanged(kind: str) -> None:
    here, there = (unix_name(), unix_name()) if kind == "unix" else (0, 0)
    with echo(there) as target, proxy(target, at=here) as line:
        assert b"".join(exchange(line.address)) == TEXT
        assert line.up.passed == line.down.passed == len(TEXT)


def test_it_splits_and_delays_and_loses_nothing() -> None:
    with echo() as target, proxy(target, Faults(piece=500, delay=0.002), Faults(piece=500), seed=1) as line:
        assert b"".join(exchange(line.address)) == TEXT
        assert line.up.pieces > len(TEXT) // 500
        assert line.up.delays > len(TEXT) // 500


def test_a_delay_takes_time() -> None:
    with echo() as target, proxy(target, Faults(piece=100, delay=0.01), seed=1) as line:
        began = time.monotonic()
        exchange(line.address)
        assert time.monotonic() - began > line.up.pieces * 0.01 / 4


def test_it_stalls_at_the_byte_and_goes_on() -> None:
    with (
        echo() as target,
        proxy(target, Faults(stall_at=1000, stall=STALL_SECONDS)) as line,
        connect(line.address) as sock,
    ):
        began = time.monotonic()
        sock.sendall(TEXT)
        got = len(sock.recv(1 << 16))
        assert got == 1000
        assert time.monotonic() - began < STALL_SECONDS
        while got < len(TEXT):
            got += len(sock.recv(1 << 16))
        assert time.monotonic() - began >= STALL_SECONDS
        assert line.up.stalls == 1


def test_it_cuts_in_order_at_the_byte() -> None:
    with echo() as target, proxy(target, down=Faults(cut_at=777)) as line:
        assert b"".join(exchange(line.address)) == TEXT[:777]
        assert line.down.cuts == 1


def test_it_resets() -> None:
    with echo() as target, proxy(target, Faults(cut_at=777, how="rst")) as line, connect(line.address) as sock:
        sock.sendall(TEXT[:777])
        with pytest.raises(ConnectionResetError):
            drain(sock)
        assert line.up.cuts == 1


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_it_is_cut_when_told_and_stays_down_until_mended(how: str) -> None:
    with echo() as target, proxy(target) as line:
        with connect(line.address) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
            line.cut("rst" if how == "rst" else "fin", stay_down=True)
            if how == "fin":
                assert sock.recv(1) == b""
            else:
                with pytest.raises(ConnectionResetError):
                    sock.recv(1)
        with connect(line.address) as refused:
            assert refused.recv(1) == b""
        line.mend()
        assert b"".join(exchange(line.address)) == TEXT


def test_it_garbles_about_as_many_bytes_as_it_is_told() -> None:
    with echo() as target, proxy(target, Faults(garble=100), seed=2) as line:
        got = b"".join(exchange(line.address))
        assert len(got) == len(TEXT)
        assert sum(a != b for a, b in zip(got, TEXT, strict=True)) == line.up.garbled
        assert len(TEXT) / 200 < line.up.garbled < len(TEXT) / 50


def test_a_seed_gives_the_same_faults_again_and_another_seed_others() -> None:
    def garbled(seed: int) -> bytes:
        with echo() as target, proxy(target, Faults(garble=100), seed=seed) as line:
            return b"".join(exchange(line.address))

    assert garbled(3) == garbled(3) != garbled(4)


def test_no_more_waits_in_it_than_64_kib() -> None:
    with listen(0) as deaf, proxy(deaf.getsockname()[1]) as line, connect(line.address) as sock:
        sock.settimeout(0.3)
        assert line.up.passed <= fill(sock) < 1 << 26


def test_the_end_of_the_block_leaves_nothing() -> None:
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    with echo() as target, proxy(target) as line:
        with connect(line.address) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        held = connect(line.address)
        # One that is not accepted yet when the proxy ends would be reset.
        held.sendall(b"y")
        assert held.recv(1) == b"y"
    with held:
        assert held.recv(1) == b""
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_a_target_that_is_not_there_closes_the_caller() -> None:
    with listen(0) as sock:
        port = sock.getsockname()[1]
    with proxy(port) as line, connect(line.address) as caller:
        assert caller.recv(1) == b""
