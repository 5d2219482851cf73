"""How far it is from a client's bytes to the bytes of the answer of a driver in the server's own process."""

from __future__ import annotations

import pytest

from tests.driver.test_way import Echo, Walk, write

from .doors import serving

pytestmark = pytest.mark.anyio

# As many as there are now, with those of the client and of the timestamp that is made anew every second; whoever
# adds one has to think about it.
MODULES, CALLS = 18, 91


async def test_a_write_to_an_embedded_driver_and_its_answer_take_few_modules_and_calls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with serving(Echo()) as (door, _):
        client = await door.knock()
        await client.send('<getProperties version="1.7"/>')
        await client.wire.receive()
        for value in range(5):  # patterns are compiled, names and routes are known
            await client.wire.send(write(value))
            await client.wire.receive()
        with Walk() as walk:
            await client.wire.send(write(7))
            answered = (await client.wire.receive()).data
    assert b">7</oneNumber>" in answered
    walk.check(capsys, modules=MODULES, calls=CALLS)
