"""Mistakes of a script: each is told where it is made, before a device begins anything."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from indianyio.client import UnknownMemberError, UnknownVectorError
from tests.client.scripted import blobs, numbers, scripted
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


@pytest.mark.parametrize(
    ("wishes", "error"),
    [
        ({"on_cancel": "abrot"}, ValueError),
        ({"timeout": math.nan}, ValueError),
        ({"timeout": "5"}, TypeError),
        ({"start_timeout": math.nan}, ValueError),
        ({"start_timeout": None}, TypeError),
        ({"start_timeout": "5"}, TypeError),
    ],
    ids=str,
)
async def test_wishes_that_make_no_sense_send_nothing(wishes: dict[str, Any], error: type[Exception]) -> None:
    async with scripted(numbers("POSITION", "Ok", X=1)) as script:
        with pytest.raises(error, match=next(iter(wishes))):
            await script.vector("POSITION").set(X=5, **wishes)
        await script.vector("POSITION").set(X=7, wait=False)
        assert await script.written("POSITION") == {"X": "7.0"}  # and nothing came before it


async def test_an_async_condition_is_refused_and_not_taken_for_true() -> None:
    async def is_open(_: object) -> bool:
        return False

    condition: Any = is_open
    async with scripted(numbers("POSITION", "Ok", X=1)) as script:
        for thing in (script.client, script.device, script.vector("POSITION")):
            with pytest.raises(TypeError, match="ordinary function"):
                await thing.wait_for(condition, timeout=1)


async def test_a_member_that_is_not_there_brings_no_blob() -> None:
    async with scripted(blobs()) as script:
        with pytest.raises(UnknownMemberError, match="it has 'CCD1'"):
            async with script.device.next("CCD1", "CCD2"):
                pytest.fail("there is no such member")


async def test_waiting_for_the_vector_belongs_to_the_time_in_all() -> None:
    async with scripted(numbers("POSITION", "Ok", X=1)) as script:
        device = script.device
        for call in (device.set("LATE", X=5, timeout=0.2), device.connected(timeout=0.2).__aenter__()):
            began = anyio.current_time()
            with pytest.raises(UnknownVectorError):
                await call
            assert anyio.current_time() - began < 1.5  # a vector that is not there is waited for 2 s otherwise


async def test_a_vector_that_comes_late_leaves_less_time_for_the_write() -> None:
    async with scripted(numbers("POSITION", "Ok", X=1)) as script, anyio.create_task_group() as tasks:

        async def write() -> None:
            with pytest.raises(TimeoutError, match=r"LATE: not done within 0\.[1-9]"):
                await script.device.set("LATE", X=5, timeout=1, start_timeout=30)

        began = anyio.current_time()
        tasks.start_soon(write)
        await anyio.sleep(0.1)
        await script.say(numbers("LATE", "Ok", X=1))
    assert anyio.current_time() - began < 1.8
