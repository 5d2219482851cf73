"""What is not XML costs nobody an answer, and what a driver sends is never what a server would refuse."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indianyio import (
    Device,
    IPyDriver,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    newTextVector,
)
from indianyio.driver import NewEvent
from indianyio.exceptions import LocalProtocolError, WriteRefusedError
from indianyio.protocol import Frame, Framer, Limits, Message, PingReply, SetNumberVector, SetTextVector
from indianyio.protocol._relayable import relayable
from indianyio.streams import memory_pair
from indianyio.testing import Peer, running
from tests.driver.gadget import Gadget, new_number

pytestmark = pytest.mark.anyio

MESSAGE_BYTES = 254


def write(text: bytes, attributes: bytes = b"name='TEXT'") -> bytes:
    return b"<newTextVector device='Gadget' %b><oneText name='word'>%b</oneText></newTextVector>" % (
        attributes,
        text,
    )


async def settle(peer: Peer) -> None:
    await peer.send('<pingRequest uid="settled"/>')
    await peer.expect(PingReply)
    await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (write(b"NGC\x1b[A 7000"), "NGC[A 7000"),
        (write(b"M31 \x00"), "M31 "),
        (write(b"a ]]> b"), "a ]]> b"),
        (write(b"&#7;"), "&#7;"),
        (write(b"a & b"), "a & b"),
        (write(b"x", b"name='TEXT' message='a < b'"), "x"),
        (write(b"x", b"message='a < b'name='TEXT'"), "x"),
    ],
)
async def test_a_write_that_can_be_repaired_is_carried_out(data: bytes, expected: str) -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send(data)
        await settle(peer)
        [event] = driver.events
        assert isinstance(event, newTextVector)
        assert dict(event) == {"word": expected}
        assert event.root.attrib["name"] == "TEXT"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (write(b"a < b"), "cannot be repaired"),
        (write(b"a", b"name='TEXT' x=1"), "cannot be repaired"),
        (write(b"<a><b><c><d/></c></b></a>"), "more than 3 deep"),
        (write(b"</x>"), "closed by another end tag"),
    ],
)
async def test_a_write_that_cannot_be_read_is_answered_with_alert(data: bytes, reason: str) -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send(data)
        answer = await peer.expect(SetTextVector, name="TEXT", state="Alert")
        assert "the request cannot be read" in str(answer.message)
        assert reason in str(answer.message)
        assert [one.value for one in answer.members] == ["hello"]
        assert driver.events == []


PING = b'<pingRequest uid="next"/>'

# Writes that the framer gives up as soon as the next message begins (docs/decisions/0003).
BROKEN_OFF = {
    "a quote that nobody closed": write(b"x", b"name='TEXT"),
    "the same in another attribute": write(b"x", b"name='TEXT' timestamp='2026"),
    "a known tag inside a text": write(b"see <message to M31"),
    "no end tag": write(b"x").removesuffix(b"</newTextVector>"),
    "no end of the start tag": b"<newTextVector device='Gadget' name='TEXT' ",
}


@pytest.mark.parametrize("broken", BROKEN_OFF.values(), ids=BROKEN_OFF)
async def test_a_write_that_is_broken_off_is_answered_with_alert(
    broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send(broken + PING)
        answer = await peer.expect(SetTextVector, name="TEXT", state="Alert")
        assert "the request cannot be read: another message begins inside a newTextVector" in str(answer.message)
        assert [one.value for one in answer.members] == ["hello"]
        await peer.expect(PingReply)
        assert driver.events == []
    logged = [record.getMessage() for record in caplog.records]
    assert sum("dropped" in text and "begins inside a newTextVector" in text for text in logged) == 1


class Brief(Gadget):
    wire_limits = Limits(message_bytes=200, attributes_bytes=200)


async def test_a_write_beyond_the_limits_is_answered_with_alert() -> None:
    driver = Brief()
    async with running(driver) as peer:
        await peer.send(write(b"x" * 200) + PING)
        answer = await peer.expect(SetTextVector, name="TEXT", state="Alert")
        assert "a newTextVector is longer than 200 bytes" in str(answer.message)
        await peer.expect(PingReply)
        assert driver.events == []


async def test_an_unreadable_write_to_a_vector_that_is_not_there_is_answered_too() -> None:
    async with running(Gadget()) as peer:
        await peer.send(write(b"a < b", b"name='OTHER'"))
        assert "no property OTHER" in str((await peer.expect(Message)).message)
        await peer.send(write(b"a < b", b""))  # nobody can say what this was for
        await settle(peer)


async def test_a_number_with_a_control_character_in_it_is_no_number() -> None:
    async with running(Gadget()) as peer:
        await peer.send(new_number("1\x072"))
        answer = await peer.expect(SetNumberVector, state="Alert")
        assert "must be a number" in str(answer.message)


# -- the text of an error --------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["x", "é", "星", "\U0001f52d", "\x07", "<"])
async def test_the_text_of_an_error_is_cut_and_logged_whole(letter: str, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(driver: Gadget, event: NewEvent) -> None:
        raise ValueError("unexpected reply: " + letter * 70_000)

    driver = Gadget(on_write=fail)
    async with running(driver) as peer:
        await peer.send(new_number(1))
        answer = await peer.expect(SetNumberVector, state="Alert")
        text = str(answer.message)
        assert text.startswith("ValueError: unexpected reply: ")
        assert text.endswith("...")
        assert MESSAGE_BYTES - 4 < len(text.encode()) <= MESSAGE_BYTES
    assert any(letter * 70_000 in str(record.exc_info and record.exc_info[1]) for record in caplog.records)


class WordlessError(OSError):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class WordlessRefusalError(WriteRefusedError):
    """A refusal that cannot say why."""

    __str__ = WordlessError.__str__


@pytest.mark.parametrize("error", [WordlessError(), WordlessRefusalError("")])
async def test_an_error_whose_text_cannot_be_had_is_answered_with_its_name(error: Exception) -> None:
    async def fail(driver: Gadget, event: NewEvent) -> None:
        raise error

    async with running(Gadget(on_write=fail)) as peer:
        await peer.send(new_number(1))
        answer = await peer.expect(SetNumberVector, state="Alert")
        assert answer.message == type(error).__name__


async def test_a_reason_for_a_refusal_is_cut_and_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(driver: Gadget, event: NewEvent) -> None:
        await anyio.sleep(0.01)  # nothing waits behind a handler that does not wait itself
        driver.refuse_waiting(driver.number, "é" * 1000)

    caplog.set_level(logging.WARNING)
    driver = Gadget(on_write=refuse)
    async with running(driver) as peer:
        await peer.send(new_number(1) + new_number(2))
        answer = await peer.expect(SetNumberVector, state="Alert")
        assert str(answer.message) == "é" * 125 + "..."
        await settle(peer)
    assert "é" * 1000 in caplog.text


async def test_values_that_are_too_long_keep_no_client_waiting(caplog: pytest.LogCaptureFixture) -> None:
    async def overdo(driver: Gadget, event: NewEvent) -> None:
        driver.text["word"] = "x" * 1_100_000
        await driver.text.send_setVector()

    driver = Gadget(on_write=overdo)
    async with running(driver) as peer:
        await peer.send(write(b"x"))
        answer = await peer.expect(SetTextVector, state="Alert")
        assert answer.members == ()
        assert "setTextVector would have" in str(answer.message)
    assert "Gadget.TEXT: answered without values" in caplog.text


# -- what no server would take ---------------------------------------------------------------------------------


async def test_what_is_too_long_is_told_to_whoever_sends_it() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        driver.text["word"] = "x" * 1_100_000
        with pytest.raises(LocalProtocolError, match=r"setTextVector would have 1100\d+ bytes, more than 1048576"):
            await driver.text.send_setVector()
        with pytest.raises(LocalProtocolError, match="start tag of a message would be longer than 65536 bytes"):
            await driver.send_message("x" * 70_000)
        driver.text["word"] = "short"
        await driver.text.send_setVector()
        assert (await peer.expect(SetTextVector)).members[0].value == "short"


async def test_a_definition_that_is_too_long_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    driver = Gadget()
    driver.text.label = "x" * 70_000
    async with running(driver) as peer:
        await peer.get_properties()
        await settle(peer)
        assert sorted(name for _, name in peer.definitions) == ["ABORT", "IMAGE", "LIGHT", "NUMBER"]
    assert "an answer cannot be sent: the start tag of a defTextVector" in caplog.text


class Recorder(IPyDriver):
    """Sends what it is told to, and what cannot be sent it leaves."""

    def __init__(self, label: str, value: str, message: str, members: int) -> None:
        self.text = TextVector("T", label, label, "rw", "Ok", [TextMember("a", label, value)])
        switches = [SwitchMember(f"s{number}", label) for number in range(members)]
        self.switches = SwitchVector("S", label, "g", "rw", "AnyOfMany", "Ok", switches)
        self.words = message
        super().__init__(Device("D", [self.text, self.switches]))

    async def rxevent(self, event: NewEvent) -> None:
        sends: list[Callable[[], Awaitable[None]]] = [
            partial(self.send_message, self.words),
            partial(self["D"].send_device_message, self.words),
            partial(self.text.send_setVector, message=self.words),
            partial(self.switches.send_setVector, message=self.words),
            partial(self.text.send_defVector, message=self.words),
            partial(self.switches.send_delProperty, message=self.words),
        ]
        for send in sends:
            with suppress(LocalProtocolError):
                await send()
        raise ValueError(self.words)

    async def rxerror(self, event: NewEvent, exc: Exception) -> None:
        try:
            await super().rxerror(event, exc)
        finally:
            self.shutdown()


async def said_by(driver: IPyDriver, request: bytes) -> bytes:
    """Return all that a driver sends until it ends."""
    near, far = memory_pair(names=("driver", "test"))
    said = bytearray()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(driver.asyncrun, far)
        await near.send(request)
        while data := (await near.receive()).data:
            said += data
    await near.aclose()
    return bytes(said)


def carried(alphabet: str, most: int) -> st.SearchStrategy[str]:
    lengths = st.sampled_from([1, 10, 300, most // 6, most])
    return st.one_of(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=50),
        st.builds(lambda letter, count: letter * count, st.sampled_from(alphabet), lengths),
    )


@pytest.mark.long
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    label=carried('x<&"é]\t\n\x7f', 70_000),
    value=carried("x<&]>é\n", 1_100_000),
    message=carried('x<&">é\t\n', 70_000),
    members=st.sampled_from([1, 50, 10_001]),
)
def test_nothing_that_a_driver_sends_is_what_a_server_refuses(
    label: str, value: str, message: str, members: int
) -> None:
    # Each limit is exceeded by itself; all at once would be hundreds of megabytes.
    members = max(1, min(members, 4_000_000 // (len(label) + len(value) + 1)))
    driver = Recorder(label, value, message, members)
    request = write(b"x").replace(b"Gadget", b"D").replace(b"TEXT", b"T").replace(b"word", b"a")
    framer = Framer()
    found = framer.feed(anyio.run(said_by, driver, b"<getProperties version='1.7'/>" + request))
    assert framer.failure is None
    assert found
    for item in found:
        assert isinstance(item, Frame), item
        assert isinstance(relayable(item), Frame), relayable(item)
