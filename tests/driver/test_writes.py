"""What clients write: checked, in order per vector, at the same time for different ones."""

from __future__ import annotations

import logging

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from indianyio import IPyDriver, newBLOBVector, newNumberVector, newSwitchVector
from indianyio._model import ValuesEvent
from indianyio.driver import NewEvent
from indianyio.exceptions import WriteRefusedError
from indianyio.protocol import DefNumberVector, DefTextVector, Message, PingReply, SetNumberVector, SetTextVector
from indianyio.testing import Peer, member_values, running
from tests.driver.gadget import DEVICE, Gadget, new_abort, new_number

pytestmark = pytest.mark.anyio

on_virtual_time = pytest.mark.parametrize(
    "anyio_backend",
    [pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="mock-trio")],
)


def values(event: NewEvent) -> dict[str, object]:
    """Return what a write asks for."""
    assert isinstance(event, ValuesEvent)
    return dict(event)


async def settle(peer: Peer) -> None:
    """Wait until the driver has dealt with everything sent so far."""
    await peer.send('<pingRequest uid="settled"/>')
    await peer.expect(PingReply)
    await anyio.wait_all_tasks_blocked()


async def test_a_write_reaches_rxevent() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send(new_number("12:30:36"))
        await settle(peer)
    (event,) = driver.events
    assert isinstance(event, newNumberVector)
    assert (event.devicename, event.vectorname, event.vector) == (DEVICE, "NUMBER", driver.number)
    assert event["position"] == "12:30:36"
    assert event.getfloatvalue("position") == pytest.approx(12.51)


@pytest.mark.parametrize("cut", [1, 7])
async def test_a_write_may_arrive_in_pieces(cut: int) -> None:
    driver = Gadget()
    async with running(driver, cut=cut) as peer:
        await peer.send(new_number(5))
        await settle(peer)
    assert [values(event) for event in driver.events] == [{"position": "5"}]


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (new_number("1e9"), "range"),
        (new_number("-1"), "range"),
        (new_number("nan"), "number"),
        (new_number("banana"), "banana"),
        (new_number(5, member="nosuch"), "nosuch"),
        (f'<newNumberVector device="{DEVICE}" name="NUMBER"/>', "member"),
        (
            f'<newTextVector device="{DEVICE}" name="NUMBER"><oneText name="position">5</oneText></newTextVector>',
            "",
        ),
    ],
)
async def test_d18_a_wrong_write_is_answered_alert_and_not_handled(write: str, complaint: str) -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.send(write)
        answer = await peer.expect(SetNumberVector, name="NUMBER", state="Alert")
        assert complaint in (answer.message or "")
        assert member_values(answer) == {"position": "10", "free": "0"}
        await peer.send(new_number(5))
        await settle(peer)
    assert [values(event) for event in driver.events] == [{"position": "5"}]


async def test_d3_any_kind_of_write_may_be_aimed_at_any_vector() -> None:
    """A mismatched vector kind costs only itself."""
    driver = Gadget()
    kinds = {"Text": "word", "Number": "5", "Switch": "On", "BLOB": "AAAA"}
    async with running(driver) as peer:
        for kind, value in kinds.items():
            for vector in driver[DEVICE]:
                await peer.send(
                    f'<new{kind}Vector device="{DEVICE}" name="{vector}">'
                    f'<one{kind} name="x" size="3" format=".bin">{value}</one{kind}></new{kind}Vector>'
                )
        await settle(peer)
        await peer.get_properties()
        await peer.expect(DefTextVector)
    assert driver.events == []


async def test_validate_false_hands_everything_through() -> None:
    driver = Gadget()
    driver.number.validate = False
    async with running(driver) as peer:
        await peer.send(new_number("1e9"))
        await settle(peer)
    assert [values(event) for event in driver.events] == [{"position": "1e9"}]


async def test_a_disabled_vector_hears_nothing() -> None:
    driver = Gadget()
    driver.number.enable = False
    async with running(driver) as peer:
        await peer.send(new_number(5))
        await peer.get_properties()
        await settle(peer)
        assert (DEVICE, "NUMBER") not in peer.definitions
        driver.number.enable = True
        driver[DEVICE].enable = False
        await peer.send(new_number(5))
        await settle(peer)
    assert driver.events == []


async def test_an_unknown_vector_is_answered_and_another_driver_s_device_ignored() -> None:
    async with running(Gadget()) as peer:
        await peer.send(new_number(5, device="Another"))
        await peer.send(new_number(5).replace("NUMBER", "NOSUCH"))
        answer = await peer.expect(Message)
        assert "NOSUCH" in (answer.message or "")
        assert len(peer.received) == 1


async def test_d4_a_failing_handler_costs_its_own_event(caplog: pytest.LogCaptureFixture) -> None:
    """The vector goes Alert with the error's text, the traceback is logged, the driver goes on."""

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        if isinstance(event, newNumberVector) and event["position"] == "1":
            raise RuntimeError("gear\x07box jammed")

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        await peer.send(new_number(1))
        answer = await peer.expect(SetNumberVector, state="Alert")
        assert answer.message == "RuntimeError: gear\N{REPLACEMENT CHARACTER}box jammed"
        await peer.send(new_number(2))
        await settle(peer)
    assert len(driver.events) == 2
    assert driver.number.state == "Alert"
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("failure", [WriteRefusedError("not now"), RuntimeError("gearbox jammed")])
async def test_a_flood_of_writes_that_fail_does_not_fill_a_disk(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_write(driver: Gadget, event: NewEvent) -> None:
        raise failure

    async with running(Gadget(on_write=on_write)) as peer:
        for number in range(200):
            await peer.send(new_number(number % 100))
            await peer.expect(SetNumberVector, state="Alert")
        await peer.send(new_abort())
        await settle(peer)
    lines = [line for line in caplog.messages if "refused: not now" in line or "rxevent failed" in line]
    assert [line for line in lines if "ABORT" in line]
    of_numbers = [line for line in lines if "NUMBER" in line]
    assert len(of_numbers) < 50
    left_out = sum(int(line.split("; ")[1].split()[0]) for line in of_numbers if "were left out" in line)
    # The last line in the end stands for one that was left out.
    assert len(of_numbers) + left_out == 200


async def test_rxerror_can_be_overridden_and_may_fail_itself(caplog: pytest.LogCaptureFixture) -> None:
    class Careful(Gadget):
        seen: Exception | None = None

        async def rxerror(self, event: NewEvent, exc: Exception) -> None:
            self.seen = exc
            raise LookupError("and this fails too")

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        raise RuntimeError("first")

    driver = Careful(on_write=on_write)
    async with running(driver) as peer:
        await peer.send(new_number(1))
        await settle(peer)
        await peer.get_properties()
        await peer.expect(DefTextVector)
    assert isinstance(driver.seen, RuntimeError)
    assert "and this fails too" in caplog.text


async def test_d15_writes_to_one_vector_are_handled_one_after_the_other_in_order() -> None:
    running_now = 0
    order: list[str] = []

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        nonlocal running_now
        running_now += 1
        assert running_now == 1
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        assert isinstance(event, newNumberVector)
        order.append(event["position"])
        running_now -= 1

    async with running(Gadget(on_write=on_write)) as peer:
        await peer.send("".join(new_number(value) for value in range(20)))
        while len(order) < 20:
            await settle(peer)
    assert order == [str(value) for value in range(20)]


@on_virtual_time
async def test_a_slow_handler_delays_neither_an_abort_nor_get_properties() -> None:
    aborted_at: list[float] = []

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        if isinstance(event, newSwitchVector):
            aborted_at.append(anyio.current_time())
        else:
            await anyio.sleep(10)

    async with running(Gadget(on_write=on_write)) as peer:
        start = anyio.current_time()
        await peer.send(new_number(5))
        await settle(peer)
        await peer.send(new_abort())
        await peer.get_properties()
        await peer.expect(DefNumberVector)
        await settle(peer)
        assert aborted_at == [start]
        assert anyio.current_time() == start


async def test_d15_an_abort_does_not_overtake_the_slew_before_it() -> None:
    """They arrive in one packet; trio starts the tasks of one moment in any order."""
    for _ in range(50):
        driver = Gadget()
        async with running(driver) as peer:
            await peer.send(new_number(5) + new_abort())
            await settle(peer)
        assert [event.vectorname for event in driver.events] == ["NUMBER", "ABORT"]


async def test_an_abort_can_refuse_the_writes_that_wait() -> None:
    released = anyio.Event()

    async def on_write(driver: Gadget, event: NewEvent) -> None:
        if isinstance(event, newSwitchVector):
            assert driver.refuse_waiting(driver.number, "aborted") == 2
            assert driver.refuse_waiting(driver.number, "aborted") == 0
            released.set()
        else:
            await released.wait()

    driver = Gadget(on_write=on_write)
    assert driver.refuse_waiting(driver.number) == 0
    async with running(driver) as peer:
        await peer.send(new_number(1) + new_number(2) + new_number(3) + new_abort())
        answer = await peer.expect(SetNumberVector, state="Alert")
        assert answer.message == "aborted"
        await settle(peer)
        await peer.send(new_number(4))
        await settle(peer)
    assert [values(event) for event in driver.events if isinstance(event, newNumberVector)] == [
        {"position": "1"},
        {"position": "4"},
    ]


@on_virtual_time
async def test_a_full_lane_answers_alert() -> None:
    async def on_write(driver: Gadget, event: NewEvent) -> None:
        await anyio.sleep(1)

    driver = Gadget(on_write=on_write)
    async with running(driver) as peer:
        await peer.send(new_number(0))
        await settle(peer)
        await peer.send("".join(new_number(value) for value in range(1, 35)))
        answer = await peer.expect(SetNumberVector, state="Alert")
        assert "wait" in (answer.message or "")
        await anyio.sleep(100)
    assert len(driver.events) == 33
    assert [event["position"] for event in driver.events] == [str(value) for value in range(33)]  # type: ignore[index]


async def test_get_properties_may_be_left_to_rxevent() -> None:
    async def on_write(driver: Gadget, event: NewEvent) -> None:
        await event.vector.send_defVector(message="by hand")

    driver = Gadget(on_write=on_write)
    driver.auto_send_def = False
    async with running(driver) as peer:
        await peer.get_properties(DEVICE, "TEXT")
        definition = await peer.expect(DefTextVector)
        assert definition.message == "by hand"
    assert len(driver.events) == 1


@pytest.mark.parametrize(
    "request_text",
    [
        '<getProperties version="1.7"/>',
        "<getProperties/>",
        '<getProperties version="2.0"/>',
        f'<getProperties version="1.7" device="{DEVICE}"/>',
        f'<getProperties version="1.7" device="{DEVICE}" name="TEXT"/>',
        '<getProperties version="1.7" device="*"/>',
        '<?xml version="1.0"?>\n<getProperties version="1.7"></getProperties>',
    ],
)
async def test_every_form_of_get_properties_is_answered(request_text: str) -> None:
    async with running(Gadget()) as peer:
        await peer.send(request_text)
        await peer.expect(DefTextVector, name="TEXT")


async def test_get_properties_for_others_is_not_answered() -> None:
    async with running(Gadget()) as peer:
        await peer.get_properties("Another")
        await peer.get_properties(DEVICE, "NOSUCH")
        await settle(peer)
        assert len(peer.received) == 1


async def test_answers_do_not_pile_up_for_a_peer_that_does_not_read(caplog: pytest.LogCaptureFixture) -> None:
    """While nobody reads, the reader goes on reading, and each definition waits once."""
    caplog.set_level(logging.WARNING)
    driver = Gadget()
    big = "x" * 5000
    driver.text["word"] = big
    async with running(driver) as peer:
        for _ in range(3000):
            await peer.get_properties(DEVICE, "TEXT")
        await peer.send(new_number(5))
        await anyio.wait_all_tasks_blocked()
        assert len(driver.events) == 1, "the write is read although nobody reads the answers"
        await settle(peer)
    texts = [message for message in peer.received if isinstance(message, DefTextVector)]
    assert 0 < len(texts) < 1000
    assert all(text.members[0].value == big for text in texts)


async def test_a_blob_written_by_a_client_arrives() -> None:
    driver = Gadget()
    async with running(driver) as peer:
        await peer.get_properties()
        await settle(peer)
        await peer.write(DEVICE, "IMAGE", a=b"\x00\x01\xff")
        await settle(peer)
    (event,) = driver.events
    assert isinstance(event, newBLOBVector)
    assert event["a"] == b"\x00\x01\xff"


async def test_a_driver_with_no_devices_runs() -> None:
    async with running(IPyDriver()) as peer:
        await peer.get_properties()
        await settle(peer)
        assert len(peer.received) == 1


async def test_text_is_told_as_it_is() -> None:
    """Leading and trailing blanks, quotes and entities in a text survive our own reader."""
    driver = Gadget()
    async with running(driver) as peer:
        driver.text["word"] = "  <&> 'quoted' \"twice\" "
        await driver.text.send_setVector()
        await peer.expect(SetTextVector, word="  <&> 'quoted' \"twice\" ")
