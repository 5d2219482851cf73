"""shutdown() from any thread or signal handler, before, within and after a run, also while the loop is blocked."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import anyio.to_thread
import pytest

from indianyio.server import IPyServer
from indianyio.streams import memory_pair
from indianyio.testing import running
from tests.driver.gadget import Gadget

RUNS = 100


@contextmanager
def another_thread_calls(shutdown: Callable[[], None], when: threading.Event) -> Iterator[None]:
    """Have a thread call this again and again while the event is set; what it raises comes out of the block."""
    enough = threading.Event()
    failures: list[BaseException] = []

    def call() -> None:
        try:
            while not enough.is_set():
                if when.wait(0.01):
                    shutdown()
        except BaseException as failure:  # noqa: BLE001 - raised below
            failures.append(failure)

    thread = threading.Thread(target=call)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that the thread comes in between any two lines
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join(10)
        sys.setswitchinterval(interval)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


async def run_driver(driver: Gadget) -> None:
    _, far = memory_pair()
    with anyio.fail_after(10):
        await driver.asyncrun(far)


async def run_server(server: IPyServer) -> None:
    with anyio.fail_after(10):
        await server.asyncrun()


class Working(Gadget):
    """Sets an event while it is at work, and leaves it set until the run is over."""

    def __init__(self) -> None:
        super().__init__()
        self.began = threading.Event()

    async def hardware(self) -> None:
        self.began.set()
        await anyio.sleep_forever()


@pytest.mark.parametrize("always", [True, False], ids=["always", "from within the run"])
def test_a_driver_may_be_shut_down_at_any_moment(backend: str, always: bool) -> None:
    driver = Working()
    with another_thread_calls(driver.shutdown, driver.began):
        for _ in range(RUNS):
            if always:
                driver.began.set()
            anyio.run(run_driver, driver, backend=backend)
            driver.began.clear()


@pytest.mark.long
@pytest.mark.parametrize("always", [True, False], ids=["always", "from within the run"])
def test_a_server_may_be_shut_down_at_any_moment(backend: str, always: bool) -> None:
    driver = Working()
    server = IPyServer(driver, port=0)
    with another_thread_calls(server.shutdown, driver.began):
        for _ in range(RUNS):
            if always:
                driver.began.set()
            anyio.run(run_server, server, backend=backend)
            driver.began.clear()


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["at work", "leaving"])
async def test_a_thread_may_shut_down_a_driver_that_waits_for_the_thread(when: str) -> None:
    """As where leave() joins the thread that talks to the instrument, which has failed and says so."""
    waited_for = threading.Event()

    def fail() -> None:
        waited_for.wait(10)
        driver.shutdown()

    thread = threading.Thread(target=fail)

    class Joining(Gadget):
        async def hardware(self) -> None:
            if when == "at work":
                self.join()
            await anyio.sleep_forever()

        async def leave(self) -> None:
            if when == "leaving":
                self.join()
            self.left += 1

        def join(self) -> None:
            waited_for.set()
            thread.join(10)
            assert not thread.is_alive(), "shutdown() waited for the event loop"

    driver = Joining()
    thread.start()
    with anyio.fail_after(15):
        async with running(driver):
            if when == "at work":
                await driver.stopped.wait()
    assert driver.left == 1


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["driver", "server"])
async def test_a_signal_handler_of_the_program_may_call_it_while_the_loop_sleeps(what: str) -> None:
    driver = Working()
    server = IPyServer(driver, port=0)
    shutdown = driver.shutdown if what == "driver" else server.shutdown
    before = signal.signal(signal.SIGUSR1, lambda *_: shutdown())
    main = threading.get_ident()

    def send() -> None:
        driver.began.wait(10)
        time.sleep(0.2)  # by now the loop sleeps
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=send)
    thread.start()
    began = time.monotonic()
    try:
        await (run_driver(driver) if what == "driver" else run_server(server))
    finally:
        thread.join(10)
        signal.signal(signal.SIGUSR1, before)
    assert driver.left == 1
    assert time.monotonic() - began < 9, "only a timer has woken the loop"


@pytest.mark.anyio
async def test_somebody_who_waits_for_the_end_before_the_run_is_woken_by_it() -> None:
    driver = Gadget(work=lambda _: anyio.sleep_forever())
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(driver.shutdownrequested.wait)
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(driver.shutdown)
            assert driver.stop
            tasks.start_soon(run_driver, driver)
