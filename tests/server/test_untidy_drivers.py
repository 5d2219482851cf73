"""A driver that prints, overdoes it or sends what is no XML stays; so does everything of it that can be read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from indianyio.protocol import (
    DefTextVector,
    EnableBLOB,
    Message,
    SetBLOBVector,
    SetNumberVector,
    SetTextVector,
)
from tests.driver.gadget import DEVICE
from tests.server.network import Echo, fence, listening
from tests.server.programs import Programs
from tests.server.watching import feeding, new_hub, texts

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at processes as Linux shows them"),
]

END = """
say('<message device="Box" message="END"/>')
while True: hear()
"""
SET = '<setTextVector device="Box" name="T" state="Ok"><oneText name="t">%s</oneText></setTextVector>'
UNTIDY = {
    "prints of 3 MB": "say('usb_poll: status 0x00, nothing to do\\\\n' * 80_000)",
    "prints between messages": "for n in range(500): say('poll ' * 1000); show(n)",
    "a text of 1.1 MB": "show('x' * 1_100_000)",
    "a start tag of 70 kB": "say('<message device=\"Box\" message=\"%s\"/>' % ('x' * 70_000))",
    "too deep": "show('<a><b><c/></b></a>')",
    "20000 members": "show('</oneText><oneText name=\"a\">' * 20_000)",
    "1000 messages that are none": "say('<setTextVector device=Box/>' * 1000)",
}


@pytest.mark.parametrize("body", UNTIDY.values(), ids=UNTIDY)
async def test_an_untidy_driver_stays(body: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    driver = Programs(tmp_path).driver(body.replace("\\\\n", "\\n") + END)
    async with feeding(new_hub(), driver) as watcher:
        assert (await watcher.expect(Message)).message == "END"
        assert driver.restarts_done == 0
        assert watcher.refused == []
    dropped = [text for text in texts(caplog, logging.WARNING) if "dropped" in text]
    assert 1 <= len(dropped) <= 11, "ten lines a minute, and the sum"


SAID = """
say('''<setTextVector device="Box" name="T" state="Ok"><oneText name="t">\\x06ver T3C</oneText></setTextVector>
<setTextVector device='Box' name='T' message='sensor 2 < sensor 1'><oneText name='t'>1</oneText></setTextVector>
<setTextVector device='Box' name='T' state='Ok' message='beep\\x07'><oneText name='t'>2</oneText></setTextVector>
''')
"""


async def test_what_lilxml_reads_is_passed_on(tmp_path: Path) -> None:
    async with feeding(new_hub(), Programs(tmp_path).driver(SAID + END)) as watcher:
        await watcher.expect(DefTextVector)
        updates = [await watcher.expect(SetTextVector) for _ in range(3)]
    assert [(one.members[0].value, one.message) for one in updates] == [
        ("ver T3C", None),
        ("1", "sensor 2 < sensor 1"),
        ("2", "beep"),
    ]


STATELESS = """
number = "<setNumberVector device='Box' name='N'>%s<oneNumber name='a'>%d</oneNumber></setNumberVector>"
blob = "<setBLOBVector device='Box' name='B'><oneBLOB name='b' size='21' format='.fits'%s>" \\
       "MDEyMzQ1Njc4OTAxMjM0NTY3ODkK</oneBLOB></setBLOBVector>"
say(number % ("", 2) + number % ("<!-- c -->", 3))
say(blob % "" + blob % " enclen='28'" + blob % " enclen='29'")
"""


async def test_a_set_without_state_passes_also_where_it_is_written_anew(tmp_path: Path) -> None:
    async with feeding(new_hub(), Programs(tmp_path).driver(STATELESS + END)) as watcher:
        watcher.say(EnableBLOB(device="Box", value="Also"))
        numbers = [await watcher.expect(SetNumberVector) for _ in range(2)]
        assert [(one.state, one.members[0].value) for one in numbers] == [(None, "2"), (None, "3")]
        blobs = [await watcher.expect(SetBLOBVector) for _ in range(3)]
        assert {(one.state, bytes(one.members[0].data)) for one in blobs} == {(None, b"01234567890123456789\n")}


# -- what clients write ----------------------------------------------------------------------------------------


async def test_a_client_whose_write_cannot_be_read_is_told_and_no_other() -> None:
    driver = Echo()
    async with listening(driver) as (network, _):
        client, other = await network.greeted(), await network.greeted()
        await client.send(
            b"<newTextVector device='Gadget' name='TEXT'><oneText name='word'>a < b</oneText></newTextVector>"
        )
        answer = await client.expect(SetTextVector, name="TEXT")
        assert (answer.device, answer.state, answer.members) == (DEVICE, "Alert", ())
        assert "the request cannot be read" in str(answer.message)
        assert len(str(answer.message).encode()) <= 254
        before = len(other.received)
        await fence(other)
        assert len(other.received) == before + 1
    assert driver.events == []


@pytest.mark.parametrize(
    "broken",
    [
        b"<newTextVector device='Gadget' name='TEXT><oneText name='word'>a</oneText></newTextVector>",
        b"<newTextVector device='Gadget' name='TEXT'><oneText name='word'>see <message </oneText></newTextVector>",
    ],
    ids=["a quote that nobody closed", "a known tag inside a text"],
)
async def test_a_client_whose_write_is_broken_off_is_told_and_no_other(broken: bytes) -> None:
    driver = Echo()
    async with listening(driver) as (network, _):
        client, other = await network.greeted(), await network.greeted()
        before = len(other.received)
        await client.send(broken + b"<getProperties version='1.7' device='nobody'/>")
        answer = await client.expect(SetTextVector, name="TEXT")
        assert (answer.device, answer.state, answer.members) == (DEVICE, "Alert", ())
        assert "another message begins inside a newTextVector" in str(answer.message)
        await fence(client)
        await fence(other)
        assert len(other.received) == before + 1
    assert driver.events == []


async def test_a_client_whose_write_can_be_repaired_gets_it_done() -> None:
    async with listening(Echo()) as (network, _):
        client = await network.greeted()
        for text, expected in ((b"NGC\x1b[A 7000", "NGC[A 7000"), (b"M31 \x00", "M31 "), (b"a ]]> b", "a ]]> b")):
            write = b"<newTextVector device='Gadget' name='TEXT'><oneText name='word'>%b</oneText></newTextVector>"
            await client.send(write % text)
            answer = await client.expect(SetTextVector, name="TEXT")
            assert (answer.state, answer.members[0].value) == ("Ok", expected)


async def test_an_unreadable_message_that_is_no_write_is_not_answered() -> None:
    async with listening(Echo()) as (network, _):
        client = await network.greeted()
        before = len(client.received)
        await client.send(b"<getProperties version=1/><newTextVector name='TEXT' x=1/><enableBLOB x=1/>")
        await fence(client)
        assert len(client.received) == before + 1
