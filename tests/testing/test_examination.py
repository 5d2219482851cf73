"""What check_driver tells a driver, and in which order; what it leaves moving: nothing."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import anyio
import pytest
import trio.testing

from indianyio.examples.thermostat import Thermostat
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import DefVector, Framer, decode
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing import Bounds, check_driver
from indianyio.testing._probes import Key, abort_of, refusals
from tests.testing.scripted_driver import ANSWERS
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio

virtual = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})], ids=["trio"]
)

virtual_on_both = pytest.mark.parametrize(
    "anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")], ids=["asyncio", "trio"]
)


def defined(
    name: str, *, kind: str = "Number", group: str = "Other", perm: str = "rw", limits: str = "0 10"
) -> str:
    """Return the definition of a vector of device D."""
    low, high = limits.split()
    member = {
        "Number": f'<defNumber name="M" format="%g" min="{low}" max="{high}" step="0">0</defNumber>',
        "Switch": '<defSwitch name="ABORT">Off</defSwitch>',
        "Text": '<defText name="M">text</defText>',
        "Light": '<defLight name="M">Ok</defLight>',
    }[kind]
    rule = 'rule="AtMostOne"' if kind == "Switch" else ""
    head = f'<def{kind}Vector device="D" name="{name}" group="{group}" state="Idle" perm="{perm}" {rule}>'
    return f"{head}{member}</def{kind}Vector>"


def known(*definitions: str) -> dict[Key, DefVector]:
    vectors = [decode(frame) for frame in Framer().feed("".join(definitions).encode()) if frame.tag]  # type: ignore[arg-type]
    return {(one.device, one.name): one for one in vectors if isinstance(one, DefVector)}


def written_to(*definitions: str) -> dict[str, str]:
    """Return which vector each of the writes is to."""
    return {probe.what: probe.key[1] for probe in refusals("D", known(*definitions))}


MOVER = defined("EQUATORIAL_EOD_COORD", group="Main Control")


@pytest.mark.parametrize(
    ("definitions", "number", "member"),
    [
        ([MOVER, defined("SPEED"), defined("POLLING_PERIOD")], "POLLING_PERIOD", "POLLING_PERIOD"),
        ([MOVER, defined("SPEED"), defined("DEBUG", kind="Switch")], "SPEED", "DEBUG"),
        ([MOVER, defined("SPEED"), defined("LIMITS", group="Options")], "LIMITS", "LIMITS"),
        ([MOVER, defined("GOAL", group="Main Control"), defined("SPEED")], "SPEED", "SPEED"),
        ([MOVER, defined("GOAL", group="Main Control")], "GOAL", "GOAL"),
        ([MOVER, defined("JOYSTICK", kind="Switch", group="Options"), defined("GOAL")], "GOAL", "GOAL"),
        ([MOVER, defined("NAMES", kind="Text")], "EQUATORIAL_EOD_COORD", "NAMES"),
        ([defined("CCD_TEMPERATURE"), MOVER], "EQUATORIAL_EOD_COORD", "EQUATORIAL_EOD_COORD"),
        ([MOVER, defined("SPEED", perm="ro"), defined("RATE", perm="odd")], *["EQUATORIAL_EOD_COORD"] * 2),
    ],
)
def test_what_moves_nothing_is_written_to_first(definitions: list[str], number: str, member: str) -> None:
    found = written_to(*definitions)
    assert (found["range"], found["number"], found["member"]) == (number, number, member)


def test_a_vector_with_limits_is_sought_but_none_that_moves_more() -> None:
    assert written_to(defined("POLLING_PERIOD", limits="0 0"), defined("SPEED"))["range"] == "SPEED"
    assert "range" not in written_to(defined("POLLING_PERIOD", limits="0 0"), MOVER)
    assert "range" not in written_to(defined("SPEED", limits="0 1e308"), defined("RATE", limits="nan inf"))


def test_what_is_read_only_is_written_to_once() -> None:
    found = written_to(
        defined("EQUATORIAL_EOD_COORD", perm="ro"),
        defined("L", kind="Light"),
        defined("DRIVER_INFO", kind="Text", perm="ro"),
    )
    assert found == {"read-only": "DRIVER_INFO"}
    assert written_to(defined("L", kind="Light")) == {}


def test_what_stops_it() -> None:
    key = ("D", "EQUATORIAL_EOD_COORD")
    abort = abort_of(key, known(MOVER, defined("TELESCOPE_ABORT_MOTION", kind="Switch")))
    assert abort is not None
    assert abort.key == ("D", "TELESCOPE_ABORT_MOTION")
    assert b'<oneSwitch name="ABORT">On</oneSwitch>' in abort.sent
    assert abort_of(key, known(MOVER)) is None
    assert abort_of(key, known(MOVER, defined("TELESCOPE_ABORT_MOTION"))) is None  # it has no such member
    assert abort_of(("D", "POLLING_PERIOD"), known(MOVER)) is None


class Liar:
    """Announces a limit, goes beyond it, and says nothing of where it goes."""

    def __init__(self, stream: ByteStream) -> None:
        self.moving = False
        self.moved = anyio.Event()
        self.written: list[str] = []
        self._stream = stream

    async def run(self) -> None:
        define = MOVER + defined("TELESCOPE_ABORT_MOTION", kind="Switch")
        try:
            while data := (await self._stream.receive()).data:
                for text in data.decode(errors="replace").splitlines():
                    if "<getProperties" in text:
                        await self._stream.send(define.encode())
                    elif found := re.search(r'<new\w+ device="D" name="(\w+)"', text):
                        self.written.append(found[1])
                        self.moving = found[1] != "TELESCOPE_ABORT_MOTION"
                        if self.moving:
                            self.moved.set()
        except ConnectionLostError:
            pass
        await self._stream.aclose()


@virtual
async def test_a_driver_that_obeys_is_stopped_after_each_write() -> None:
    near, far = memory_pair()
    liar = Liar(far)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(liar.run)
        findings = await check_driver(near)
    assert {"refuses-range", "refuses-member", "refuses-number"} < {finding.rule for finding in findings}
    assert liar.written == ["EQUATORIAL_EOD_COORD", "TELESCOPE_ABORT_MOTION"] * 3
    assert not liar.moving


@virtual_on_both
async def test_a_check_that_is_cancelled_stops_what_it_has_begun() -> None:
    near, far = memory_pair()
    liar = Liar(far)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(liar.run)
            async with anyio.create_task_group() as checking:
                checking.start_soon(lambda: check_driver(near, bounds=Bounds(start=0.05, quiet=0.05)))
                await liar.moved.wait()
                checking.cancel_scope.cancel("Ctrl-C")
    assert liar.written == ["EQUATORIAL_EOD_COORD", "TELESCOPE_ABORT_MOTION"]


SLOW_IMAGE = ANSWERS["image"].partition("<setBLOBVector")


@virtual
@pytest.mark.parametrize(("seconds", "aborted"), [(3.0, False), (30.0, True)])
async def test_an_image_is_waited_for_and_stopped_if_it_does_not_come(seconds: float, aborted: bool) -> None:
    """A camera takes seconds to read out; that is no reason to disconnect it."""
    near, far = memory_pair()
    asked: list[str] = []

    async def camera() -> None:
        abort = defined("CCD_ABORT_EXPOSURE", kind="Switch")
        try:
            while data := (await far.receive()).data:
                for text in data.decode(errors="replace").splitlines():
                    asked.append(text)
                    if "<getProperties" in text:
                        await far.send((ANSWERS["exposure"] + ANSWERS["ccd"] + abort).encode())
                    elif ">0.1<" in text:
                        await far.send(SLOW_IMAGE[0].encode())
                        tasks.start_soon(read_out)
        except ConnectionLostError:
            tasks.cancel_scope.cancel()

    async def read_out() -> None:
        await anyio.sleep(seconds)
        await far.send("".join(SLOW_IMAGE[1:]).encode())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(camera)
        await check_driver(near)
        tasks.cancel_scope.cancel()
    after = asked[next(number for number, text in enumerate(asked) if ">0.1<" in text) + 1 :]
    assert any("CCD_ABORT_EXPOSURE" in text for text in after) == aborted


@virtual
async def test_every_ping_is_answered_however_it_is_cut() -> None:
    near, far = memory_pair()
    near.cut = 7
    replies: list[str] = []

    async def pinging() -> None:
        await far.send(b'<pingRequest uid="a"/><pingRequest uid="b"/>' + defined("SPEED").encode())
        try:
            while data := (await far.receive()).data:
                replies.extend(re.findall(r'<pingReply uid="(\w)"', data.decode(errors="replace")))
        except ConnectionLostError:
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pinging)
        await check_driver(near, writes=False)
    assert replies == ["a", "b"]


# -- what can be checked ---------------------------------------------------------------------------------------


async def test_a_program_that_is_killed_at_its_end() -> None:
    program = (
        "import os, signal, sys; sys.stdout.write(sys.argv[1]); sys.stdout.flush(); sys.stdin.read();"
        " os.kill(os.getpid(), signal.SIGSEGV)"
    )
    bounds = Bounds(start=60, quiet=0.1)
    findings = await check_driver([sys.executable, "-c", program, defined("SPEED")], bounds=bounds, writes=False)
    [ends] = [finding for finding in findings if finding.rule == "ends"]
    assert "it was killed by SIGSEGV" in ends.what
    assert ends.data


@pytest.mark.parametrize("program", ["no_such_program", Path("no_such_program")])
async def test_a_program_alone_needs_no_list(program: str | Path) -> None:
    with pytest.raises(FileNotFoundError, match="no_such_program"):
        await check_driver(program)


@virtual_on_both
async def test_a_driver_that_fails_while_it_is_cancelled_is_a_finding() -> None:
    class Failing(Thermostat):
        async def hardware(self) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                raise RuntimeError("the sensor is gone")

    findings = await check_driver(Failing(), bounds=Bounds(start=0.2, quiet=0.05))
    assert "the sensor is gone" in findings[-1].what
