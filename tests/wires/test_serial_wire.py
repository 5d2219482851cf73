"""Serial wires, on pseudo-terminals: real descriptors and real pyserial."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest
import serial
import serial.tools.list_ports

from indianyio.testing import cancel_at
from indianyio.wires import (
    AnswerTooLongError,
    PortInfo,
    SerialWire,
    Wire,
    WireBusyError,
    WireError,
    WireLostError,
    WireTimeoutError,
    _ports,
    _serial,
    available_ports,
)
from tests.virtual_time import virtual_backend
from tests.wires.terminals import Part, Terminal, answering, terminal

pytestmark = pytest.mark.anyio

TCGETS2 = 0x802C542A
TIOCGEXCL = 0x80045440


async def test_delays_half_lines_and_garbage() -> None:
    def answer(request: bytes) -> list[Part]:
        return [request[:1], 0.005, request[1:], 0.005, b"#rubbish"]

    async with answering(answer) as instrument, SerialWire(instrument.port) as wire:
        instrument.say(b"\xff\x00 noise#")
        assert await wire.query(b"GP1200#", until=b"#") == b"GP1200"
        assert await wire.query(b"GP1300#", until=b"#") == b"GP1300"
        assert await wire.query(b"GP1400#", length=3) == b"GP1"


async def test_half_an_answer_is_a_time_out_that_says_so() -> None:
    with terminal() as instrument:
        async with SerialWire(instrument.port, discard_stale=False) as wire:
            instrument.say(b"x12")
            assert await wire.receive(length=1, timeout=60) == b"x"  # so the rest is there, too
            with pytest.raises(WireTimeoutError) as caught:
                await wire.query(b"GP#", until=b"#", timeout=0.05)
    assert str(caught.value) == f"{instrument.port}: no answer to b'GP#' within 0.05 s; b'12' had arrived"


async def test_the_late_answer_of_a_cancelled_query_is_not_taken_for_the_next() -> None:
    may_answer = anyio.Event()
    async with answering(lambda request: [may_answer, 0.04, request + b"#"]) as instrument:
        async with SerialWire(instrument.port, timeout=60) as wire:
            with anyio.move_on_after(0.01) as scope:
                await wire.query(b"A#", until=b"#")
            assert scope.cancelled_caught
            may_answer.set()
            assert await wire.query(b"B#", until=b"#") == b"B"


async def test_queries_of_many_tasks_get_their_own_answers() -> None:
    async def ask(wire: Wire, number: int) -> None:
        assert await wire.query(b"%d#" % number, until=b"#") == b"%d" % number

    async with answering(lambda request: [request, 0.0, b"#"]) as instrument, SerialWire(instrument.port) as wire:
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(ask, wire, number)


async def test_a_flood_is_an_error_and_stops_nobody() -> None:
    async def flood(instrument: Terminal) -> None:
        while True:
            await instrument.until_sayable()
            instrument.say(b"x" * 1000)

    with terminal() as instrument:
        async with SerialWire(instrument.port, max_answer=20_000) as wire, anyio.create_task_group() as tasks:
            tasks.start_soon(flood, instrument)
            with pytest.raises(AnswerTooLongError):
                await wire.query(b"GP#", until=b"#", timeout=10)
            tasks.cancel_scope.cancel()


async def test_unplugged_in_the_middle_of_an_exchange() -> None:
    async def unplug(instrument: Terminal) -> None:
        assert await instrument.hear(b"#") == b"MOVE"
        instrument.unplug()

    with terminal() as instrument:
        async with SerialWire(instrument.port) as wire, anyio.create_task_group() as tasks:
            tasks.start_soon(unplug, instrument)
            with pytest.raises(WireLostError, match=r"unplugged\?.* may have been carried out") as lost:
                await wire.query(b"MOVE#", until=b"#", repeatable=False)
            assert lost.value.sent == b"MOVE#"
            assert lost.value.wire == instrument.port
            with pytest.raises(WireError, match=f"{instrument.port}: there is no such port"):
                await wire.query(b"GP#", until=b"#")


async def test_unplugged_while_nobody_asks() -> None:
    with terminal() as instrument:
        async with SerialWire(instrument.port) as wire:
            instrument.unplug()
            for call in (wire.query(b"GP#", until=b"#"), wire.send(b"STOP#", urgent=True), wire.receive(length=1)):
                with pytest.raises(WireError, match=f"{instrument.port}: there is no such port"):
                    await call


async def test_the_transport_of_an_unplugged_port_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal() as instrument:
        descriptor = os.open(instrument.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            transport = _serial._transport_over(SimpleNamespace(fd=descriptor, close=lambda: None))
            while transport.write(b"x" * 1000):
                pass  # until nothing more is taken, which is no error
            assert transport.read() == b""
            instrument.unplug()
            with pytest.raises(OSError, match=r"was it unplugged\? \(Input/output error\)"):
                transport.write(b"x")
            with pytest.raises(OSError, match=r"unplugged\?"):
                transport.read()
            monkeypatch.setattr(os, "read", fail_with(errno.EIO))
            with pytest.raises(OSError, match=r"was it unplugged\? \(Input/output error\)"):
                transport.read()
            monkeypatch.setattr(os, "read", fail_with(errno.ENOMEM))
            with pytest.raises(OSError, match="Cannot allocate memory"):
                transport.read()
        finally:
            os.close(descriptor)


def fail_with(number: int) -> Callable[..., bytes]:
    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    return fail


async def test_a_port_that_goes_while_it_is_set_up_is_an_error_of_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise termios.error(errno.EIO, "Input/output error")

    monkeypatch.setattr(termios, "tcgetattr", fail)
    with terminal() as instrument:
        descriptor = os.open(instrument.port, os.O_RDWR | os.O_NOCTTY)
        try:
            with pytest.raises(OSError, match="Input/output error"):
                _serial._finish_settings(descriptor, hang_up=False)
        finally:
            os.close(descriptor)


async def test_plugged_in_again_it_is_opened_again(tmp_path: Path) -> None:
    link = tmp_path / "usb-Focuser-if00"
    with terminal() as first:
        link.symlink_to(first.port)
        async with SerialWire(str(link)) as wire:
            first.unplug()
            async with answering(lambda request: [request + b"#"]) as second:
                link.unlink()
                link.symlink_to(second.port)
                assert await wire.query(b"GP#", until=b"#") == b"GP"


async def test_a_port_belongs_to_one_wire() -> None:
    async with answering(lambda request: [request + b"#"]) as instrument:
        async with SerialWire(instrument.port) as wire:
            other = SerialWire(instrument.port)
            with pytest.raises(WireBusyError, match="in use by another driver or program; 'fuser -v "):
                await other.open()
            assert await wire.query(b"GP#", until=b"#") == b"GP"
        async with other:
            assert await other.query(b"GP#", until=b"#") == b"GP"


async def test_the_port_is_locked_for_those_who_know_only_the_kernels_lock() -> None:
    with terminal() as instrument:
        look = os.open(instrument.port, os.O_RDWR | os.O_NOCTTY)
        try:
            async with SerialWire(instrument.port):
                assert fcntl.ioctl(look, TIOCGEXCL, bytes(4)) == b"\x01\0\0\0"
            assert fcntl.ioctl(look, TIOCGEXCL, bytes(4)) == bytes(4)
        finally:
            os.close(look)


async def test_the_settings_reach_the_port() -> None:
    with terminal() as instrument:
        look = os.open(instrument.port, os.O_RDWR | os.O_NOCTTY)
        try:
            async with SerialWire(instrument.port, 31_250, bytesize=8, parity="E", stopbits=2, rtscts=True):
                _, _, control, local, *_ = termios.tcgetattr(look)
                speeds = array.array("i", [0] * 64)
                fcntl.ioctl(look, TCGETS2, speeds)
            async with SerialWire(instrument.port, hang_up=True):
                hangs_up = termios.tcgetattr(look)[2] & termios.HUPCL
        finally:
            os.close(look)
    assert speeds[9] == speeds[10] == 31_250
    assert control & termios.CSTOPB
    assert control & termios.CRTSCTS
    assert not control & termios.HUPCL
    assert not local & (termios.ICANON | termios.ECHO)
    assert hangs_up


async def test_dtr_and_rts_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(serial.Serial, "_update_dtr_state", lambda port: opened.append(("dtr", port.dtr)))
    monkeypatch.setattr(serial.Serial, "_update_rts_state", lambda port: opened.append(("rts", port.rts)))
    with terminal() as instrument:
        async with SerialWire(instrument.port, dtr=False, rts=True):
            assert opened == [("dtr", False), ("rts", True)]


async def test_an_instrument_that_takes_nothing_is_a_time_out_and_no_half_command_is_left() -> None:
    with terminal() as instrument:
        async with SerialWire(instrument.port) as wire:
            with pytest.raises(WireTimeoutError, match=r"only \d+ of the \d+ bytes .* flow control") as caught:
                await wire.send(b"x" * 2_000_000, timeout=0.3)
            assert 0 < len(caught.value.sent) < 2_000_000
            await wire.send(b"STOP#")
            heard = await instrument.hear(b"#")
            assert heard.lstrip(b"x") == b"STOP"
            assert len(heard) < len(caught.value.sent)  # what the kernel still had is gone


async def test_a_command_of_which_a_part_has_gone_is_sent_wholly_though_it_is_cancelled() -> None:
    sent: list[str] = []

    async def send(wire: Wire) -> None:
        await wire.send(b"x" * 100_000 + b"#", timeout=60)
        sent.append("wholly")
        await wire.send(b"NEVER#")

    with terminal() as instrument:
        async with SerialWire(instrument.port) as wire:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send, wire)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    assert await instrument.hear(b"#") == b"x" * 100_000
            assert sent == ["wholly"]
            await wire.send(b"STOP#")
            assert await instrument.hear(b"#") == b"STOP"


async def test_opening_blocks_nobody_and_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    in_open = serial.Serial.open
    slow = threading.Event()
    kept = []  # so that the garbage collector closes nothing

    def open_slowly(port: serial.Serial) -> None:
        kept.append(port)
        slow.wait(60)
        in_open(port)

    monkeypatch.setattr(serial.Serial, "open", open_slowly)
    with terminal() as instrument:
        wire = SerialWire(instrument.port)
        with anyio.move_on_after(0.02) as scope:
            await wire.open()
        assert scope.cancelled_caught
        assert not wire.is_open
        slow.set()
        with anyio.fail_after(60):
            while True:  # the thread that was late closes what it opens
                try:
                    async with wire:
                        break
                except WireBusyError:
                    await anyio.sleep(0.001)
    assert not open_ports(instrument.device)


@pytest.mark.long
@pytest.mark.parametrize(
    "anyio_backend",
    [virtual_backend(name, idle_seconds=0.1) for name in ("asyncio", "trio")],
    ids=["asyncio", "trio"],
)
async def test_cancelled_at_any_await_the_wire_is_in_step_and_nothing_is_done_twice() -> None:
    moves: list[bytes] = []

    def answer(request: bytes) -> list[Part]:
        if request.startswith(b"MOVE"):
            moves.append(request)
        return [] if request == b"STOP" else [request[:1], 0.001, request[1:] + b"#"]

    async def use(wire: Wire) -> None:
        async with wire:
            move = b"MOVE%d" % number
            assert await wire.query(move + b"#", until=b"#", timeout=0.5) == move
            await wire.send(b"STOP#")
            async with wire.exchange() as exchange:
                await exchange.send(b"STEP#")
                assert await exchange.receive(length=2, timeout=0.5) == b"ST"
                assert await exchange.receive(until=b"#", timeout=0.5) == b"EP"

    number = 0
    cancelled = True
    async with answering(answer) as instrument:
        wire = SerialWire(instrument.port, timeout=0.3, late=0)
        while cancelled:
            number += 1
            cancelled = await cancel_at(number, lambda: use(wire))
            assert not wire.is_open
            with anyio.fail_after(20):
                # The thread of a cancelled opening may have yet to open the port, before it closes it again.
                looks = 0
                while looks < 3:
                    looks = 0 if open_ports(instrument.device) else looks + 1
                    await anyio.sleep(0.002)
    assert len(moves) == len(set(moves))
    assert number > 8


async def test_cancelled_at_any_await_of_a_query_the_next_answer_is_right() -> None:
    async def ask(wire: Wire) -> None:
        assert await wire.query(b"FIRST#", until=b"#") == b"FIRST"

    number = 0
    cancelled = True
    async with answering(lambda request: [request[:1], 0.002, request[1:] + b"#"]) as instrument:
        async with SerialWire(instrument.port, timeout=30) as wire:
            while cancelled:
                number += 1
                cancelled = await cancel_at(number, lambda: ask(wire))
                for request in (b"NEXT", b"LAST"):
                    assert await wire.query(request + b"#", until=b"#") == request
    assert number > 3


async def test_closing_ends_an_exchange_under_way() -> None:
    async def close(wire: Wire, instrument: Terminal) -> None:
        await instrument.hear(b"#")
        await wire.close()

    with terminal() as instrument:
        wire = SerialWire(instrument.port)
        await wire.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close, wire, instrument)
            with anyio.fail_after(60), pytest.raises(WireLostError, match="closed at this end"):
                await wire.query(b"GP#", until=b"#", timeout=120)
    assert not open_ports(instrument.device)


def open_ports(device: str) -> list[str]:
    """Return the descriptors of this process that have a terminal's port open."""
    found = []
    for entry in os.scandir("/proc/self/fd"):
        try:
            target = os.readlink(entry.path)
        except FileNotFoundError:
            continue
        if target.removesuffix(" (deleted)") == device:
            found.append(entry.name)
    return found


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(errno.EBUSY, "busy"), WireBusyError, "in use"),
        (OSError(errno.EAGAIN, "locked"), WireBusyError, "in use"),
        (OSError(errno.EACCES, "no"), WireError, r"permission denied; add yourself to the group '\w+'"),
        (OSError(errno.ENXIO, "no"), WireError, "is it plugged in"),
        (ValueError("Failed to set custom baud rate"), WireError, "cannot be opened as a serial port: Failed"),
    ],
)
def test_what_cannot_be_opened_says_how_to_mend_it(error: Exception, kind: type[WireError], text: str) -> None:
    told = _serial._not_opened("/dev/null", error)
    assert type(told) is kind
    assert re.search(f"^/dev/null: .*{text}", str(told))


async def test_what_is_no_port_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(WireError, match="/dev/null: cannot be opened as a serial port"):
        await SerialWire("/dev/null").open()
    with pytest.raises(WireError, match="ttyUSB7: there is no such port"):
        await SerialWire(str(tmp_path / "ttyUSB7")).open()


async def test_without_pyserial_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(WireError, match=r"pip install 'indianyio\[serial\]'"):
        await SerialWire("/dev/ttyUSB0").open()
    with pytest.raises(WireError, match=r"pip install 'indianyio\[serial\]'"):
        await available_ports()


@pytest.mark.parametrize("options", [{"bytesize": 9}, {"parity": "X"}, {"stopbits": 3}, {"baud_rate": 0}])
def test_wrong_settings_are_refused_at_once(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SerialWire("/dev/ttyUSB0", **options)  # type: ignore[arg-type]


def test_importing_wires_imports_neither_pyserial_nor_a_driver() -> None:
    program = "import sys, indianyio.wires; print([name for name in sys.modules if name in %r])"
    names = ("serial", "termios", "indianyio.driver", "indianyio.server", "indianyio.client")
    done = subprocess.run(
        [sys.executable, "-c", program % (names,)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


async def test_ports_are_found_by_the_path_that_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ttyUSB10", "ttyUSB9", "ttyS0", "ttyODD0"):
        (tmp_path / name).touch()
    (tmp_path / "by-id").mkdir()
    for name in ("ttyUSB9", "ttyODD0"):
        (tmp_path / "by-id" / f"usb-{name}-if00").symlink_to(tmp_path / name)
    found = [
        SimpleNamespace(device=str(tmp_path / name), description=description)
        for name, description in (("ttyUSB10", "n/a"), ("ttyUSB9", "FT232R USB UART"), ("ttyS0", "ttyS0"))
    ]
    monkeypatch.setattr(serial.tools.list_ports, "comports", lambda: found)
    monkeypatch.setattr(_ports, "_BY_ID", str(tmp_path / "by-id"))
    assert await available_ports() == [
        PortInfo(str(tmp_path / "by-id" / "usb-ttyODD0-if00"), "ttyODD0", ""),
        PortInfo(str(tmp_path / "ttyS0"), "ttyS0", ""),
        PortInfo(str(tmp_path / "by-id" / "usb-ttyUSB9-if00"), "ttyUSB9", "FT232R USB UART"),
        PortInfo(str(tmp_path / "ttyUSB10"), "ttyUSB10", ""),
    ]


async def test_the_ports_of_this_machine_can_be_asked_for() -> None:
    assert [port for port in await available_ports() if not os.path.exists(port.path)] == []  # noqa: ASYNC240
