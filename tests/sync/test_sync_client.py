"""The client without an event loop, against a server that says what the test wants it to say."""

from __future__ import annotations

import base64
import json
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import anyio
import pytest

from indianyio import sync
from indianyio.exceptions import ConnectionLostError, OperationAbortedError, RefusedError, UnknownVectorError
from indianyio.sync import Client, Device, Vector, open_client
from tests.client.scripted import DEVICE, blobs, deleted, ends_with, numbers, set_numbers, set_switches, switches
from tests.sync.server import Scripted

Backend = Literal["asyncio", "trio"]


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return "trio" if request.param == "trio" else "asyncio"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as running:
        yield running


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert not [each for each in threading.enumerate() if each.name == "indianyio client"]
    assert {each for each in threading.enumerate() if not each.daemon} <= before


@contextmanager
def client_of(
    server: Scripted, backend: Backend, *definitions: str, reconnect: bool = False
) -> Generator[tuple[Client, Device]]:
    server.definitions = definitions
    with open_client("127.0.0.1", server.port, backend=backend, reconnect=reconnect) as indi:
        yield indi, indi.device(DEVICE, timeout=60)


def test_what_there_is_can_be_read(server: Scripted, backend: Backend) -> None:
    with client_of(server, backend, numbers("N", X=1.5), switches("S", A=True, B=False)) as (indi, device):
        assert list(indi) == [DEVICE]
        assert indi[DEVICE] is device
        assert (len(indi), indi.is_connected, indi.messages.maxlen) == (1, True, 200)
        number, switch = device["N"], device.vector("S", timeout=60)
        assert isinstance(number, sync.NumberVector)
        assert isinstance(switch, sync.SwitchVector)
        assert (number["X"], dict(number), number.members["X"].text) == (1.5, {"X": 1.5}, "1.5")
        assert (switch.on, switch.rule, switch["B"], device.is_on("S", "A")) == ("A", "OneOfMany", False, True)
        assert device["N"] is number
        assert number == device["N"]
        assert number != switch
        assert (number.state, number.kind, number.exists, number.stale) == ("Idle", "Number", True, False)
        assert repr(number) == f"<NumberVector {DEVICE}.N Idle: X=1.5>"
        assert json.loads(json.dumps(indi.snapshot()))[DEVICE]["N"]["members"]["X"]["value"] == 1.5
        with pytest.raises(UnknownVectorError, match="'N', 'S'"):
            device["T"]
        with pytest.raises(KeyError):
            number["Y"]
        with pytest.raises(TimeoutError, match=r"no device 'other' within 0.01 s; there is Scripted"):
            indi.device("other", timeout=0.01)
    # What was known can still be read, and nothing can be done.
    assert number["X"] == 1.5
    assert DEVICE in indi.snapshot()
    assert not indi.is_connected
    for call in (lambda: number.set(X=2), lambda: indi.device("D"), lambda: indi.watch()):
        with pytest.raises(ConnectionLostError, match="the client has ended"):
            call()


def test_a_write_returns_when_the_device_has_done_it(server: Scripted, backend: Backend) -> None:
    def answer() -> None:
        assert server.written("N") == {"X": "2.0"}
        server.say(set_numbers("N", "Busy", X=1.7), set_numbers("N", "Ok", X=2))
        assert server.written("N") == {"X": "3.0"}
        server.say(set_numbers("N", "Busy", X=2), set_numbers("N", "Alert", X=2, message="it is stuck"))
        assert server.written("N") == {"X": "4.0"}
        server.say(set_numbers("N", "Busy", X=2), set_numbers("N", "Idle", X=2))

    with client_of(server, backend, numbers("N", X=1)) as (_, device), server.meanwhile(answer):
        assert device.set("N", X=2) is device["N"]
        assert device["N"]["X"] == 2
        with pytest.raises(RefusedError, match="it is stuck") as refused:
            device["N"].set({"X": 3})
        assert Path(refused.traceback[-1].path).name == "_calls.py"  # and nothing of the other thread
        with pytest.raises(OperationAbortedError):
            device["N"].set(X=4)
        with pytest.raises(ValueError, match="finite"):
            device["N"].set(X=float("nan"))


def test_conditions_are_waited_for(server: Scripted, backend: Backend) -> None:
    with client_of(server, backend, numbers("N", X=1)) as (indi, device):
        number = device["N"]
        with server.meanwhile(lambda: server.say(set_numbers("N", "Ok", X=5), numbers("M", X=1))):
            assert number.wait_for(lambda vector: vector["X"] > 4, timeout=60) is number
            assert device.wait_for(lambda each: "M" in each, timeout=60) is device
        assert indi.wait_for(lambda each: each[DEVICE]["N"]["X"] > 4) is indi
        with pytest.raises(TimeoutError, match=r"did not hold within 0.01 s"):
            number.wait_for(lambda vector: False, timeout=0.01)
        with pytest.raises(ZeroDivisionError):
            number.wait_for(lambda vector: bool(1 / 0))

        def write(vector: Vector[float]) -> bool:
            return bool(vector.set(X=1))

        with pytest.raises(RuntimeError, match="may read, but neither wait nor write"):
            number.wait_for(write)
        assert number.wait_for(lambda vector: bool(vector.snapshot() and repr(indi)))


def test_changes_are_watched(server: Scripted, backend: Backend) -> None:
    with client_of(server, backend, numbers("N", X=1)) as (indi, device):
        with indi.watch(DEVICE, "N") as changes:
            server.say(set_numbers("N", "Ok", X=2))
            change = next(changes)
            assert (change.kind, change.vector, change.state) == ("updated", device["N"], "Ok")
            assert change.members == {"X"}
            server.say(deleted("N"))
            assert next(changes).kind == "deleted"
        assert list(changes) == []
    changes.close()


def test_an_image_is_saved(server: Scripted, backend: Backend, tmp_path: Path) -> None:
    content = b"SIMPLE  =" + bytes(range(256)) * 8192  # more than stays in memory
    image_of = (
        f'<setBLOBVector device="{DEVICE}" name="CCD1" state="Ok"><oneBLOB name="CCD1" size="{len(content)}" '
        f'format=".fits">{base64.b64encode(content).decode()}</oneBLOB></setBLOBVector>'
    )
    seen: list[int] = []
    with client_of(server, backend, blobs()) as (_, device):
        vector = device["CCD1"]
        assert isinstance(vector, sync.BLOBVector)
        with device.next("CCD1", progress=lambda progress: seen.append(progress.done)) as image:
            assert image.blob is None
            assert vector["CCD1"] is None
            with pytest.raises(TimeoutError, match="no BLOB came within"):
                image.get(timeout=0.01)
            server.say(image_of)
            assert image.save(tmp_path / "a.fits", timeout=60) == tmp_path / "a.fits"
            blob = image.get()
            assert image.blob is blob
            assert vector["CCD1"] is blob
        assert (blob.format, blob.size, blob.content() == content) == (".fits", len(content), True)
        server.say(numbers("N", X=1))
        with ends_with(TypeError, "brings no BLOBs"), device.next("N"):
            pass
    assert seen[-1] == len(content)
    assert (tmp_path / "a.fits").read_bytes() == content
    seen.clear()
    assert blob.save(tmp_path / "b.fits", progress=lambda progress: seen.append(progress.done)).exists()
    assert seen[-1] == len(content)
    assert (tmp_path / "b.fits").read_bytes() == content
    with pytest.raises(ZeroDivisionError):
        blob.save(tmp_path / "c.fits", progress=lambda progress: seen.append(1 // 0))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.fits", "b.fits"]


CONNECTION = switches("CONNECTION", CONNECT=False, DISCONNECT=True)


def test_a_device_is_connected_for_the_block(server: Scripted, backend: Backend) -> None:
    def answer() -> None:
        assert server.written("CONNECTION") == {"CONNECT": "On"}
        server.say(set_switches("CONNECTION", "Ok", CONNECT=True, DISCONNECT=False))
        assert server.written("CONNECTION") == {"DISCONNECT": "On"}
        server.say(set_switches("CONNECTION", "Idle", CONNECT=False, DISCONNECT=True))

    with client_of(server, backend, CONNECTION) as (_, device), server.meanwhile(answer):
        with ends_with(KeyError, "mine"), device.connected(timeout=60) as connected:
            assert connected is device
            assert device.is_connected
            raise KeyError("mine")
        assert not device.is_connected


def test_a_lost_server_is_raised_by_the_call_under_way(server: Scripted, backend: Backend) -> None:
    def answer() -> None:
        server.written("N")
        server.say(set_numbers("N", "Busy", X=1))
        server.drop()

    with server.meanwhile(answer):
        with ends_with(ConnectionLostError, "the connection to .* was lost"):
            with client_of(server, backend, numbers("N", X=1)) as (_, device):
                device.set("N", X=2)


def test_a_lost_server_is_raised_by_the_next_call_or_the_end(server: Scripted, backend: Backend) -> None:
    def lose(call: Callable[[Client], object]) -> None:
        with client_of(server, backend, numbers("N", X=1)) as (indi, _):
            server.drop()
            with pytest.raises(ConnectionLostError):
                indi.wait_for(lambda each: False)
            call(indi)

    with pytest.raises(ConnectionLostError, match="was lost: "):
        lose(lambda indi: None)
    with pytest.raises(ConnectionLostError, match="was lost: "):
        lose(lambda indi: indi.device(DEVICE))
    with pytest.raises(ConnectionLostError, match="was lost: "):
        lose(lambda indi: indi[DEVICE].connected().__enter__())
    with pytest.raises(ZeroDivisionError):
        lose(lambda indi: 1 // 0)


def test_a_server_comes_back(server: Scripted, backend: Backend) -> None:
    with client_of(server, backend, numbers("N", X=1), reconnect=True) as (indi, device):
        with indi.watch() as changes:
            server.drop()
            assert next(changes).kind == "lost"
            assert device["N"].stale
            device["N"].wait_for(lambda vector: not vector.stale, timeout=60)


def test_several_threads_use_one_client(server: Scripted, backend: Backend) -> None:
    results: list[float] = []
    with client_of(server, backend, *(numbers(f"N{each}", X=0) for each in range(8))) as (_, device):
        device.wait_for(lambda each: len(each) == 8, timeout=60)

        def work(number: int) -> None:
            for value in range(1, 20):
                device.set(f"N{number}", X=value)
            results.append(device[f"N{number}"]["X"])

        def answer() -> None:
            for _ in range(8 * 19):
                name, values = server.next_write()
                server.say(set_numbers(name, "Ok", X=float(values["X"])))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        with server.meanwhile(answer):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
    assert results == [19] * 8


def test_what_another_thread_waits_for_ends_with_the_block(server: Scripted, backend: Backend) -> None:
    raised: list[Exception] = []
    definitions = (numbers("CCD_EXPOSURE", X=0), switches("CCD_ABORT_EXPOSURE", ABORT=False, rule="AtMostOne"))

    def expose(device: Device) -> None:
        try:
            device.set("CCD_EXPOSURE", X=5)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    with client_of(server, backend, *definitions) as (_, device):
        device.vector("CCD_ABORT_EXPOSURE", timeout=60)
        thread = threading.Thread(target=expose, args=(device,))
        thread.start()
        server.written("CCD_EXPOSURE")
        server.say(set_numbers("CCD_EXPOSURE", "Busy", X=5))
        device["CCD_EXPOSURE"].wait_for(lambda vector: vector.state == "Busy", timeout=60)

        def answer() -> None:
            assert server.written("CCD_ABORT_EXPOSURE") == {"ABORT": "On"}
            server.say(set_numbers("CCD_EXPOSURE", "Idle", X=0))

        answering = threading.Thread(target=answer)
        answering.start()
    thread.join(60)
    answering.join(60)
    assert isinstance(raised[0], ConnectionLostError)
    assert str(raised[0]) == "the client has ended"


def test_a_server_that_is_not_there_is_named(backend: Backend, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match=f"{port}: Connection refused; is an INDI server"):
        with open_client("127.0.0.1", port, backend=backend):
            pass
    with pytest.raises(FileNotFoundError):
        with open_client(unix=str(tmp_path / "none"), backend=backend):
            pass
    with pytest.raises(LookupError, match="nosuch"):
        with open_client(backend="nosuch"):  # type: ignore[arg-type]
            pass


@pytest.mark.anyio
async def test_it_says_so_where_an_event_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="use 'async with"):
        with open_client():
            pass
    # A notebook runs its cells within an event loop, and may stop it.
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    with Scripted() as server:
        server.definitions = (numbers("N", X=1),)
        with open_client("127.0.0.1", server.port) as indi:
            assert indi.device(DEVICE, timeout=60)["N"]["X"] == 1
    await anyio.lowlevel.checkpoint()
