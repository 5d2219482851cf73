"""Whatever arrives at a driver: no exception escapes, and the next good message is answered."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indianyio import SnoopEvent, newTextVector
from indianyio.protocol import PingReply
from indianyio.testing import Peer, running
from tests.driver.gadget import DEVICE, Gadget, new_abort, new_number

CAPTURES = sorted((Path(__file__).parent.parent / "captures").glob("*.xml"))
TOKENS = [
    b"<", b">", b"/", b"&", b"&amp;", b"'", b'"', b"=", b"<!--", b"-->", b"<![CDATA[", b"]]>",
    b"<?xml version='1.0'?>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"\x00", b"\xff", b"\xe9", b"</newNumberVector>", b"<newNumberVector ",
    b"<oneNumber", b"<oneBLOB size='-1' format='.z' attached='true'>", b"device=", b"nan", b"1e999", b"enclen='9'",
]  # fmt: skip


class Curious(Gadget):
    """Snoops everything, so that everything is decoded, and looks at all that it gets."""

    async def snoopevent(self, event: SnoopEvent) -> None:
        assert event.devicename is None or isinstance(event.devicename, str)


async def is_answered(*inputs: bytes) -> None:
    """Feed each input to one driver and see that it still answers afterwards."""
    driver = Curious()
    async with running(driver) as peer:
        await driver.send_getProperties()
        for number, data in enumerate(inputs):
            await peer.send(data)
            await peer.send(f'<pingRequest uid="{number}"/>')
            await answer(peer, str(number))


async def answer(peer: Peer, uid: str) -> None:
    while (await peer.expect(PingReply)).uid != uid:
        pass


@settings(max_examples=150)
@given(data=st.binary(max_size=500), backend=st.sampled_from(["asyncio", "trio"]))
def test_any_bytes(data: bytes, backend: str) -> None:
    anyio.run(is_answered, data, backend=backend)


@pytest.mark.long
@settings(max_examples=150)
@given(parts=st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)), max_size=30))
def test_any_tokens(parts: list[bytes]) -> None:
    anyio.run(is_answered, b"".join(parts), backend="trio")


@functools.cache
def material() -> bytes:
    """Return everything that was recorded, with the names of the driver under test in it here and there."""
    recorded = b"".join(path.read_bytes() for path in CAPTURES)
    ours = (new_number(5) + new_abort() + f'<getProperties version="1.7" device="{DEVICE}"/>').encode()
    return recorded + (ours + b"\n") * 200


def mutated(chance: random.Random) -> bytes:
    """Return a window of the material with a few things wrong in it."""
    source = material()
    start = chance.randrange(len(source))
    data = bytearray(source[start : start + chance.randrange(1, 1500)])
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data) + 1)
        size = chance.randrange(1, 40)
        match chance.randrange(4):
            case 0:
                data[at : at + size] = b""
            case 1:
                data[at:at] = chance.choice(TOKENS)
            case 2:
                data[at:at] = data[at : at + size]
            case _:
                data[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(data)


def fuzz(seed: int, cases: int) -> None:
    """Send so many mutations, a hundred to a driver."""
    chance = random.Random(seed)
    for batch in range(cases // 100):
        inputs = [mutated(chance) for _ in range(100)]
        anyio.run(is_answered, *inputs, backend="asyncio" if batch % 2 else "trio")


@pytest.mark.long
def test_mutated_captures() -> None:
    fuzz(seed=1, cases=2000)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("cases", [25_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_mutated_captures_at_length(cases: int) -> None:
    fuzz(seed=2, cases=cases)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
@pytest.mark.parametrize("cut", [pytest.param(1, marks=pytest.mark.long), 4096])
def test_a_driver_hears_every_recorded_stream(path: Path, cut: int) -> None:
    recorded = path.read_bytes()

    async def hear() -> None:
        driver = Gadget()
        async with running(driver, cut=cut) as peer:
            await driver.send_getProperties()
            await peer.send(recorded)
            await peer.send('<pingRequest uid="end"/>')
            await answer(peer, "end")
            await anyio.wait_all_tasks_blocked()
        assert len(driver.snooped) > 5

    anyio.run(hear)


OPEN = f'<newTextVector device="{DEVICE}" name="TEXT"'
WORD = '<oneText name="word">a</oneText>'
OVER_A_LIMIT = {
    "attributes": f'{OPEN} label="{"x" * 70_000}"><oneText name="word">a</oneText></newTextVector>',
    "text": f'{OPEN}><oneText name="word">{"x" * 1_100_000}</oneText></newTextVector>',
    "members": f"{OPEN}>{WORD * 10_001}</newTextVector>",
    "depth": f'{OPEN}><oneText name="word"><a><b>deep</b></a></oneText></newTextVector>',
    "unusable messages": '<newTextVector device="x"/>' * 300,
    "openings": "<message>" * 300,
    "garbage": "garbage " * 300_000,
    "no end": f'{OPEN}><oneText name="word">{"x" * 3_000_000}',
}


@pytest.mark.parametrize("text", OVER_A_LIMIT.values(), ids=OVER_A_LIMIT.keys())
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_client_over_a_limit_costs_the_others_nothing(text: str, backend: str) -> None:
    """The peer of a driver is a server, which hands on what any client sends."""

    async def main() -> None:
        driver = Gadget()
        async with running(driver) as peer:
            await peer.send(text)
            await peer.send(new_number(5) + '<pingRequest uid="after"/>')
            await answer(peer, "after")
            await anyio.wait_all_tasks_blocked()
            assert not driver.stop
        assert [event.vectorname for event in driver.events] == ["NUMBER"]

    anyio.run(main, backend=backend)


LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">
<!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<newTextVector device="Gadget" name="TEXT"><oneText name="word">&lol2;</oneText></newTextVector>"""
EXTERNAL = b"""<!DOCTYPE a [<!ENTITY passwd SYSTEM "file:///etc/passwd">]>
<newTextVector device="Gadget" name="TEXT"><oneText name="word">&passwd;</oneText></newTextVector>"""


@pytest.mark.parametrize("attack", [LAUGHS, EXTERNAL], ids=["billion laughs", "external entity"])
def test_entities_are_not_resolved(attack: bytes) -> None:
    async def main() -> None:
        driver = Gadget()
        async with running(driver) as peer:
            await peer.send(attack)
            await peer.send('<pingRequest uid="after"/>')
            await answer(peer, "after")
            await anyio.wait_all_tasks_blocked()
        [event] = driver.events
        assert isinstance(event, newTextVector)
        assert event["word"] in ("&lol2;", "&passwd;")  # as it stands there

    anyio.run(main)
