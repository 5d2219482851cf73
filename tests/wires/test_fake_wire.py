"""The scripted wire: it plays its part, and complains about what is not in the script."""

from __future__ import annotations

import re

import anyio
import pytest

from indianyio.wires import FakeWire, Fault, Pause, Transport, Turn, Wire, WireError, WireLostError

pytestmark = pytest.mark.anyio


async def test_an_unexpected_request_says_what_was_expected() -> None:
    wire = FakeWire([(b":GP#", b"1#"), (b":SN5#", None)], name="focuser")
    await wire.open()
    assert await wire.query(b":GP#", until=b"#") == b"1"
    with pytest.raises(AssertionError) as caught:
        await wire.query(b":GT#", until=b"#")
    assert str(caught.value) == (
        "focuser: unexpected request b':GT#': b':SN5#' is expected, number 2 of 2; "
        "the request before it was b':GP#'"
    )
    await wire.send(b":SN5#")  # the script goes on
    with pytest.raises(AssertionError, match="all 2 requests of the dialogue have come already"):
        await wire.send(b":SN6#")
    await wire.close()
    with pytest.raises(AssertionError, match="unexpected request b':GT#'"):
        wire.assert_all_used()


async def ask_for_x(wire: FakeWire) -> None:
    async with wire:
        await wire.send(b"x")


async def ask_for_x_and_do_not_care(wire: FakeWire) -> None:
    async with wire:
        with pytest.raises(AssertionError):
            await wire.send(b"x")


async def test_what_was_not_asked_for_is_an_error_at_the_end_of_the_block() -> None:
    wire = FakeWire([(b"x", None), (re.compile(b"[AB]"), None), (b"y", None)])
    with pytest.raises(AssertionError, match=r"2 of 3 .*; the next is a request that matches b'\[AB\]'"):
        await ask_for_x(wire)


async def test_a_complaint_that_somebody_caught_comes_out_at_the_end() -> None:
    with pytest.raises(AssertionError, match="unexpected request b'x': all 0"):
        await ask_for_x_and_do_not_care(FakeWire([]))


async def test_an_error_in_the_block_is_not_hidden_by_what_was_not_asked_for() -> None:
    with pytest.raises(ZeroDivisionError):
        async with FakeWire([(b"x", None)]):
            raise ZeroDivisionError


async def test_patterns_and_functions() -> None:
    def double(request: bytes) -> bytes:
        return b"%d#" % (2 * int(request[1:]))

    async with FakeWire([Turn(re.compile(rb"D\d+"), double), (re.compile(b"."), b"#")]) as wire:
        assert await wire.query(b"D21", until=b"#") == b"42"
        with pytest.raises(AssertionError, match=r"a request that matches b'\.' is expected"):
            await wire.query(b"D21", until=b"#")
        assert await wire.query(b"?", until=b"#") == b""
        wire._surprise = None


async def test_a_mapping_answers_in_any_order() -> None:
    async with FakeWire({b"A": b"1#", b"B": None}) as wire:
        for _ in range(2):
            await wire.send(b"B")
            assert await wire.query(b"A", until=b"#") == b"1"
        with pytest.raises(AssertionError, match="unexpected request b'C': there are only replies to b'A', b'B'"):
            await wire.send(b"C")
        with pytest.raises(AssertionError, match="b'C'"):
            wire.assert_all_used()
        wire._surprise = None


async def test_a_function_is_a_simulated_instrument() -> None:
    position = 0

    def focuser(request: bytes) -> bytes | None:
        nonlocal position
        if request.startswith(b"M"):
            position = int(request[1:])
            return None
        return b"%d#" % position

    async with FakeWire(focuser) as wire:
        await wire.send(b"M1200")
        assert await wire.query(b"P", until=b"#") == b"1200"


async def test_an_answer_may_be_a_datagram_if_it_is_said() -> None:
    async with FakeWire([(b"?", [b"one", b"two"])], has_datagrams=True) as wire:
        assert await wire.query(b"?") == b"one"
        assert await wire.receive() == b"two"


async def test_faults_happen_in_their_time() -> None:
    async with FakeWire([(b"A", [b"1", Pause(0.01), Fault.UNPLUGGED]), (b"B", b"2#")], forgets=True) as wire:
        with pytest.raises(WireLostError, match="unplugged, as the dialogue says"):
            await wire.query(b"A", until=b"#")
        with pytest.raises(WireError, match="unplugged"):
            await wire.send(b"B")
        wire.plug_in()
        assert await wire.query(b"B", until=b"#") == b"2"


async def test_who_waits_is_told_when_it_is_unplugged() -> None:
    async def unplug(wire: FakeWire) -> None:
        await anyio.wait_all_tasks_blocked()
        wire.unplug()

    async with FakeWire([(b"A", None)]) as wire, anyio.create_task_group() as tasks:
        tasks.start_soon(unplug, wire)
        with pytest.raises(WireLostError):
            await wire.query(b"A", until=b"#")


class Through(Wire):
    """A wire that says only how it connects."""

    def __init__(self, inner: FakeWire) -> None:
        super().__init__("through", late=0)
        self._inner = inner

    async def make_transport(self) -> Transport:
        return await self._inner.make_transport()


async def test_a_wire_of_ones_own_needs_nothing_but_a_transport() -> None:
    inner = FakeWire([(b"A", Fault.LOST), (b"A", b"1#")])
    async with Through(inner) as wire:
        with pytest.raises(WireLostError, match=r"^through: lost"):
            await wire.query(b"A", until=b"#", timeout=5)
        assert await wire.query(b"A", until=b"#") == b"1"
    inner.assert_all_used()
