"""Whatever a server sends, its client goes on, and understands the next good message."""

from __future__ import annotations

import json
import random
from pathlib import Path

import anyio
import pytest

from indianyio.client import open_client
from indianyio.streams import memory_pair
from tests.client.scripted import DEVICE, numbers
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


CAPTURES = {path.stem: path.read_bytes() for path in (Path(__file__).parent.parent / "captures").glob("*.xml")}
ALPHABET = b"<>\"'&=/! \n\x00\xff01AZaz.:-"


def mangled(data: bytes, dice: random.Random) -> bytes:
    """Return a piece of a stream with some bytes changed, left out, doubled and moved."""
    start = dice.randrange(len(data))
    piece = bytearray(data[start : start + dice.randrange(1, 20_000)])
    for _ in range(dice.randrange(0, 60)):
        at = dice.randrange(len(piece) + 1)
        match dice.randrange(4):
            case 0:
                piece[at : at + 1] = bytes([dice.choice(ALPHABET)])
            case 1:
                del piece[at : at + dice.randrange(40)]
            case 2:
                piece[at:at] = piece[at : at + dice.randrange(200)]
            case _:
                other = dice.randrange(len(data))
                piece[at:at] = data[other : other + dice.randrange(300)]
    return bytes(piece)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("capture", sorted(CAPTURES))
async def test_a_client_survives_any_bytes(capture: str, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(seed)
    data = CAPTURES[capture]
    near, far = memory_pair(capacity_bytes=1 << 22)
    far.cut = dice.choice([None, 1000, 37])
    with anyio.fail_after(30):
        async with open_client(stream=far) as client, client.watch() as changes:
            for _ in range(5):
                await near.send(mangled(data, dice))
            # Behind all that a good message is understood.
            await near.send(b"'\">-->]]>" + numbers("AFTER", "Ok", X=seed).encode() + b"\n")
            device = await client.device(DEVICE, timeout=10)
            assert (await device.vector("AFTER", timeout=10))["X"] == seed
            json.dumps(client.snapshot())
            assert all(repr(vector) for one in client.values() for vector in one.values())
            await anext(changes)
    assert not [record for record in caplog.records if record.exc_info]
    await near.aclose()
