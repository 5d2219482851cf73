"""A client for programs without an event loop: what it does as the asynchronous one, and what only it has to."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import assert_type

import pytest

from indianyio import State, client, sync
from indianyio.client import ConnectionLostError, Member, RefusedError
from indianyio.sync import Blob, BLOBVector, Change, Client, Device, NumberVector, open_client
from tests.client.scripted import ends_with
from tests.sync.observatory import CAMERA, IMAGE, Observatory, observatory


@pytest.fixture(scope="module")
def night() -> Iterator[Observatory]:
    with observatory() as running:
        yield running


@pytest.fixture(params=["asyncio", "trio"])
def indi(request: pytest.FixtureRequest, night: Observatory) -> Iterator[Client]:
    with open_client("127.0.0.1", night.port, backend=request.param) as opened:
        yield opened


def test_an_exposure(indi: Client, tmp_path: Path) -> None:
    camera = indi.device(CAMERA, timeout=10)
    told: list[int] = []
    with camera.connected(timeout=10) as same, camera.next("CCD1") as image:
        assert same is camera
        assert camera.is_connected
        assert image.blob is None
        done = camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01)
        assert (done.state, dict(done)) == ("Ok", {"CCD_EXPOSURE_VALUE": 0.01})
        path = image.save(tmp_path / "first.fits", timeout=10, progress=lambda p: told.append(p.done))
        blob = image.get()
        assert image.blob == blob
    assert path.read_bytes() == IMAGE == blob.content() == blob.data == b"".join(blob.slices())
    assert (blob.name, blob.format, blob.size, blob.length, blob.is_compressed) == (
        *("CCD1", ".fits", len(IMAGE), len(IMAGE)),
        False,
    )
    assert told[-1] == len(IMAGE)
    assert blob.save(tmp_path / "second.fits").read_bytes() == IMAGE
    assert not camera.is_connected


def test_what_there_is(indi: Client) -> None:
    camera = indi.device(CAMERA, timeout=10)
    exposure = camera.vector("CCD_EXPOSURE", timeout=10)
    camera.vector("CCD1", timeout=10)
    assert list(indi) == [CAMERA]
    assert len(indi) == 1
    assert indi[CAMERA] == camera
    assert hash(indi[CAMERA]) == hash(camera)
    assert indi == indi
    assert CAMERA in repr(indi)
    assert repr(camera) == f"<Device {CAMERA}: 4 vectors>"
    assert set(camera) == {"CONNECTION", "CCD_EXPOSURE", "CCD_ABORT_EXPOSURE", "CCD1"}
    assert camera["CCD_EXPOSURE"] == exposure
    assert camera["CCD1"] != exposure
    assert isinstance(exposure, NumberVector)
    assert repr(exposure).startswith(f"<NumberVector {CAMERA}.CCD_EXPOSURE ")
    assert (exposure.label, exposure.group, exposure.perm, exposure.rule) == ("Expose", "Main", "rw", None)
    assert list(exposure) == ["CCD_EXPOSURE_VALUE"]
    assert len(exposure) == 1
    assert exposure.members["CCD_EXPOSURE_VALUE"].text == f"{exposure['CCD_EXPOSURE_VALUE']:5.2f}".strip()
    assert exposure.exists
    assert not exposure.stale
    assert camera.is_on("CONNECTION", "DISCONNECT")
    assert camera.is_fresh
    snapshot = indi.snapshot()[CAMERA]
    assert snapshot == camera.snapshot()
    assert isinstance(snapshot, dict)
    assert snapshot["CCD_EXPOSURE"] == exposure.snapshot()
    assert indi.messages == []
    assert camera.messages == []


def test_what_is_not_there(indi: Client) -> None:
    with pytest.raises(TimeoutError, match=f"no device 'Mount' within 0.01 s; there is {CAMERA}"):
        indi.wait_for(lambda client: CAMERA in client).device("Mount", timeout=0.01)
    with pytest.raises(client.UnknownDeviceError, match=CAMERA):
        indi["Mount"]
    with pytest.raises(client.UnknownVectorError):
        indi[CAMERA]["CCD2"]


def test_what_is_refused(indi: Client) -> None:
    camera = indi.device(CAMERA, timeout=10)
    with pytest.raises(RefusedError, match="too warm for that"):
        camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=95)
    with pytest.raises(ValueError, match="100"):
        camera["CCD_EXPOSURE"].set({"CCD_EXPOSURE_VALUE": 101})


def test_waiting_for_a_condition(indi: Client) -> None:
    exposure = indi.device(CAMERA, timeout=10).vector("CCD_EXPOSURE", timeout=10)
    exposure.set(CCD_EXPOSURE_VALUE=0.02, wait=False)
    assert exposure.wait_for(lambda v: v.state == "Ok" and v["CCD_EXPOSURE_VALUE"] == 0.02, timeout=10) is exposure
    with pytest.raises(TimeoutError, match=r"the condition did not hold within 0\.01 s"):
        exposure.wait_for(lambda v: False, timeout=0.01)
    with pytest.raises(ZeroDivisionError):
        exposure.wait_for(lambda v: 1 / 0 > 1)


def test_a_condition_must_not_wait(indi: Client) -> None:
    camera = indi.device(CAMERA, timeout=10)
    with pytest.raises(RuntimeError, match="must not wait for the client"):
        camera.wait_for(lambda same: bool(same.vector("CCD1")))


def test_watching(indi: Client) -> None:
    camera = indi.device(CAMERA, timeout=10)
    camera.vector("CCD1", timeout=10)
    with indi.watch(CAMERA, "CCD_EXPOSURE") as changes:
        camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01)
        change = next(changes)
        assert (change.kind, change.device, change.vector, change.state) == (
            *("updated", CAMERA, camera["CCD_EXPOSURE"]),
            State.OK,
        )
        assert change.left_out == 1
        with pytest.raises(TimeoutError):
            changes.next(timeout=0.01)
    assert list(changes) == []


def test_several_threads(indi: Client) -> None:
    camera = indi.device(CAMERA, timeout=10)
    with ThreadPoolExecutor(8) as threads:
        done = threads.map(lambda n: camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=n / 1000), range(16))
        assert list(done) == [camera["CCD_EXPOSURE"]] * 16


class Interrupted(BaseException):
    """What the signal handler raises, as Python's own does at Ctrl-C."""


@contextmanager
def interrupted_once(when: threading.Event) -> Iterator[None]:
    """Interrupt the main thread once, a moment after an event."""

    def interrupt() -> None:
        if when.wait(20):
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGUSR1)

    def handle(number: int, frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_what_is_interrupted_is_stopped_before_it_ends(indi: Client, night: Observatory) -> None:
    camera = indi.device(CAMERA, timeout=10)
    night.camera.busy.clear()
    with interrupted_once(night.camera.busy), pytest.raises(Interrupted):
        camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=60)
    assert night.camera.aborted.is_set()
    # And it can be used further.
    assert camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01).state == "Ok"


def test_a_block_that_is_interrupted_is_left_in_order(indi: Client, night: Observatory) -> None:
    camera = indi.device(CAMERA, timeout=10)
    entered = threading.Event()
    with interrupted_once(entered), ends_with(Interrupted), camera.connected(timeout=10):
        entered.set()
        time.sleep(20)
    assert not camera.is_connected


def test_a_wait_is_interrupted_and_costs_nothing(indi: Client) -> None:
    begun = threading.Event()
    begun.set()
    with interrupted_once(begun), pytest.raises(Interrupted):
        indi.device("Nobody")
    assert indi.device(CAMERA, timeout=10).name == CAMERA


def test_ctrl_c_ends_a_program(night: Observatory) -> None:
    program = f"""
from indianyio.sync import open_client
with open_client("127.0.0.1", {night.port}) as indi:
    indi.device({CAMERA!r}, timeout=10).set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=60)
"""
    night.camera.busy.clear()
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as running:
        try:
            assert night.camera.busy.wait(20)
            running.send_signal(signal.SIGINT)
            _, shown = running.communicate(timeout=20)
        finally:
            running.kill()
    assert running.returncode == -signal.SIGINT
    assert shown.splitlines()[-1] == "KeyboardInterrupt"
    assert night.camera.aborted.is_set()


def test_nothing_is_left_of_it(night: Observatory) -> None:
    before = threading.active_count()
    with open_client("127.0.0.1", night.port) as indi:
        camera = indi.device(CAMERA, timeout=10)
        exposure = camera.vector("CCD_EXPOSURE", timeout=10)
        changes = indi.watch()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="the client has ended"):
        indi.device(CAMERA)
    with pytest.raises(RuntimeError, match="the client has ended"):
        exposure.set(CCD_EXPOSURE_VALUE=1)
    changes.close()
    assert exposure.name == "CCD_EXPOSURE"


def test_what_the_block_raises_comes_out(night: Observatory) -> None:
    with pytest.raises(ZeroDivisionError), open_client("127.0.0.1", night.port):
        raise ZeroDivisionError


def test_no_server() -> None:
    with (
        pytest.raises(OSError, match=r"127.0.0.1:1: .*is an INDI server running there\?"),
        open_client("127.0.0.1", 1),
    ):
        raise AssertionError


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_server_is_lost(backend: str) -> None:
    with observatory() as night:
        with ends_with(ConnectionLostError), open_client("127.0.0.1", night.port, backend=backend) as indi:
            indi.device(CAMERA, timeout=10)
            night.shut_down()
            indi.wait_for(lambda client: False, timeout=20)
    with observatory() as night:
        # Nobody calls anything, so it comes out at the end.
        with ends_with(ConnectionLostError), open_client("127.0.0.1", night.port, backend=backend) as indi:
            night.shut_down()
            while indi.is_connected:
                time.sleep(0.01)


# -- the same as the asynchronous client ---------------------------------------------------------------------------

PAIRS = [
    (client.Client, sync.Client),
    (client.Device, sync.Device),
    (client.Vector, sync.Vector),
    (client.NumberVector, sync.NumberVector),
    (client.SwitchVector, sync.SwitchVector),
    (client.TextVector, sync.TextVector),
    (client.LightVector, sync.LightVector),
    (client.BLOBVector, sync.BLOBVector),
    (client.Blob, sync.Blob),
    (client.Coming, sync.Coming),
    (client.Watch, sync.Watch),
    (client.Change, sync.Change),
]
# What the tasks behind a client call, and what moves it on.
INTERNAL = {"serve", "end", "notice", "notice_progress"}


def public(cls: type) -> set[str]:
    documented = {name for base in cls.__mro__ for name in re.findall(r":[ic]var (\w+):", base.__doc__ or "")}
    return {name for name in {*dir(cls), *documented} if not name.startswith("_")} - INTERNAL


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=lambda cls: cls.__name__)
def test_the_names_are_the_same(theirs: type, ours: type) -> None:
    more = {"next"} if ours is sync.Watch else set()
    assert public(ours) - more == public(theirs)


def signatures(theirs: type, ours: type) -> Iterator[tuple[inspect.Signature, inspect.Signature]]:
    for name in sorted(public(theirs)):
        function = inspect.getattr_static(theirs, name, None)
        if inspect.isfunction(function) and function.__module__.startswith("indianyio"):
            yield inspect.signature(function), inspect.signature(inspect.getattr_static(ours, name))


@pytest.mark.parametrize(("theirs", "ours"), PAIRS, ids=lambda cls: cls.__name__)
def test_the_signatures_are_the_same(theirs: type, ours: type) -> None:
    for asynchronous, waiting in signatures(theirs, ours):
        assert waiting.parameters == asynchronous.parameters
        assert waiting.return_annotation == asynchronous.return_annotation.replace("AsyncGenerator[", "Iterator[")


def test_opening_takes_the_same() -> None:
    asynchronous = inspect.signature(client.open_client).parameters
    waiting = dict(inspect.signature(open_client).parameters)
    assert waiting.pop("backend").default == "asyncio"
    assert waiting == dict(asynchronous)
    assert set(client.__all__) == set(sync.__all__)


def test_the_types(indi: Client, tmp_path: Path) -> None:
    """What a type checker makes of it; mypy reads this in CI."""
    camera = assert_type(indi.device(CAMERA, timeout=10), Device)
    with assert_type(indi.watch(), sync.Watch) as changes:
        camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01)
        assert_type(next(changes), Change)
    vector = camera.vector("CCD_EXPOSURE", timeout=10)
    assert isinstance(vector, NumberVector)
    assert_type(vector["CCD_EXPOSURE_VALUE"], float)
    assert_type(vector.members, dict[str, Member[float]])
    assert_type(vector.state, State)
    assert_type(vector.set(CCD_EXPOSURE_VALUE=0.01), NumberVector)
    images = camera.vector("CCD1", timeout=10)
    assert isinstance(images, BLOBVector)
    assert_type(images["CCD1"], Blob | None)
    with camera.next("CCD1") as image:
        assert_type(image, sync.Coming)
        camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.01)
        assert_type(image.get(), Blob)
        assert_type(image.save(tmp_path / "a"), Path)
