"""An exit out of a task of asyncio's own closes its loop there and then, whatever moment that is."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from indianyio.client import open_client
from indianyio.driver import NewEvent
from indianyio.server import IPyServer
from indianyio.testing import running
from tests.driver.gadget import Gadget, new_number

MOMENTS = range(8)


def exit_after(turns: int) -> None:
    """Exit ``turns`` rounds of the event loop later, in a callback that belongs to no task."""
    loop = asyncio.get_running_loop()
    if turns:
        loop.call_soon(exit_after, turns - 1)
    else:
        loop.call_soon(sys.exit, 3)


def never_awaited(main: Callable[[], Coroutine[Any, Any, None]]) -> list[str]:
    """Run a program that exits, and return what Python says of coroutines meanwhile."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(SystemExit):
            asyncio.run(main())
        gc.collect()
    return [text for text in (str(warning.message) for warning in caught) if "never awaited" in text]


async def waits(driver: Gadget) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize("turns", MOMENTS)
def test_no_coroutine_is_left_by_an_exit_at_the_beginning_of_a_run(turns: int) -> None:
    driver = Gadget(work=waits)
    driver.add_background(anyio.sleep_forever())

    async def main() -> None:
        exit_after(turns)
        async with running(driver):
            await anyio.sleep_forever()

    assert never_awaited(main) == []


@pytest.mark.parametrize("turns", MOMENTS)
def test_no_coroutine_is_left_by_an_exit_behind_a_handler_that_waits(turns: int) -> None:
    """The handler keeps its task, and another one, which has not begun yet, is to read on."""

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        exit_after(turns)
        driver.add_background(anyio.sleep_forever())
        await anyio.sleep_forever()

    driver = Gadget(work=waits, on_write=on_write)

    async def main() -> None:
        async with running(driver) as peer:
            await peer.send(new_number(5))
            await anyio.sleep_forever()

    assert never_awaited(main) == []
    assert driver.left == 1


@pytest.mark.parametrize("turns", MOMENTS)
def test_no_coroutine_is_left_by_an_exit_while_a_client_connects(turns: int) -> None:
    driver = Gadget(work=waits)

    async def main() -> None:
        async with IPyServer(driver, host="127.0.0.1", port=0) as server:
            port = int(server.addresses[0].rpartition(":")[2])
            exit_after(turns)
            async with open_client("127.0.0.1", port):
                await anyio.sleep_forever()

    assert never_awaited(main) == []
    assert driver.left == 1
