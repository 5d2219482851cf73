"""Checking a driver against the rules, be it a class, a program or the other end of a stream."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import anyio

from indianyio._environment import THIS_MACHINE
from indianyio._failures import FAILURES, failure_in
from indianyio.driver import IPyDriver
from indianyio.exceptions import ConnectionLostError, RemoteProtocolError
from indianyio.server._processes import DriverProcess
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing._check_answers import ANSWER_RULES
from indianyio.testing._check_blobs import BLOB_RULES
from indianyio.testing._check_classes import CLASS_RULES
from indianyio.testing._check_rules import WIRE_RULES, Rule, Severity
from indianyio.testing._examination import Bounds, Evidence, examine
from indianyio.testing._running import begin_anew, require_driver

__all__ = ["RULES", "Bounds", "Finding", "Rule", "check_driver"]

logger = logging.getLogger(__name__)

# How long a program may take to end after its input has, and again after SIGTERM; and how long all of it may take.
_SIGNAL_SECONDS = 1.0
_END_SECONDS = 5.0

RULES: tuple[Rule, ...] = WIRE_RULES + BLOB_RULES + ANSWER_RULES + CLASS_RULES
"""The rules, in the order in which they are checked."""

Checked: TypeAlias = (
    IPyDriver | Callable[[], IPyDriver] | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | ByteStream
)
"""A driver, a function that makes one, a program, a program with its arguments, or a stream to a driver."""

End: TypeAlias = Callable[[], Awaitable[bool | None]]


@dataclass(frozen=True, slots=True)
class Finding:
    """How a driver breaks a rule.

    :ivar rule: the short name of the rule.
    :ivar sentence: what the rule says.
    :ivar what: how it is broken.
    :ivar data: the bytes that show it: the driver's, or those that it has not answered.
    :ivar severity: ``error`` if clients misunderstand the driver because of it, ``warning`` if they cope.
    :ivar source: where the rule is written.
    :ivar times: how often this was found; the bytes are those of the first time.
    """

    rule: str
    sentence: str
    what: str
    data: bytes
    severity: Severity
    source: str
    times: int = 1

    def __str__(self) -> str:
        often = f" ({self.times} times)" if self.times > 1 else ""
        shown = self.data[:400].decode(errors="replace").strip()
        return f"{self.severity}: {self.rule}: {self.what}{often}. {self.sentence} ({self.source})\n  {shown}"


async def check_driver(
    driver: Checked,
    *,
    bounds: Bounds | None = None,
    writes: bool = True,
    rules: Sequence[Rule] = RULES,
) -> list[Finding]:
    """Find out which rules of INDI a driver breaks.

    ::

        assert await check_driver(MyDriver()) == []
        assert await check_driver("indi_simulator_ccd") == []

    The driver is asked for its definitions in every way. Unless ``writes`` is ``False`` its devices are connected,
    and get writes that they must refuse (values out of range, unknown members, texts that are not numbers, and
    writes to something read-only). Cameras take an image of a tenth of a second. Then the devices are
    disconnected. **A driver that does not refuse such writes obeys them: check it with a simulated instrument.**
    The writes go to ``POLLING_PERIOD``, or else to a property that seems to move nothing. Only if a device has no
    other do they go to one that moves something; then each write is followed by the switch that stops it, even if
    this is cancelled.

    It is not a fault if BLOBs come without ``enableBLOB``: the server filters them, not the driver.

    :param driver: the driver; or a function that makes one; or a program, alone or in a list with its arguments;
        or a stream to a driver, which is closed afterwards.
    :param bounds: how long the driver may take; the defaults are for real time.
    :param writes: whether the driver gets anything besides requests for its definitions.
    :param rules: the rules.
    :return: the findings; an empty list if the driver keeps all rules. A repeated finding is listed once.
    :raises OSError: the program cannot be started.
    :raises TypeError: ``driver`` is none of these.
    :raises ValueError: the list is empty.
    """
    bounds = bounds or Bounds()
    failures: list[str] = []
    async with _opened(driver, bounds, failures) as (stream, end):
        evidence = await examine(stream, end, bounds, writes=writes)
    evidence.failure = "; ".join(failures)
    return _judged(evidence, rules)


def _judged(evidence: Evidence, rules: Sequence[Rule]) -> list[Finding]:
    findings: dict[tuple[str, str], Finding] = {}
    for rule in rules:
        for what, data in rule.look(evidence):
            before = findings.get((rule.id, what))
            if before is not None:
                data = before.data
            times = 1 if before is None else before.times + 1
            finding = Finding(rule.id, rule.sentence, what, data, rule.severity, _source(rule), times)
            findings[rule.id, what] = finding
    return list(findings.values())


def _source(rule: Rule) -> str:
    return f"docs/protocol.md {rule.source}"


def _opened(
    driver: Checked, bounds: Bounds, failures: list[str]
) -> AbstractAsyncContextManager[tuple[ByteStream, End]]:
    if isinstance(driver, IPyDriver):
        return _in_memory(driver, bounds, failures)
    if isinstance(driver, str | os.PathLike):
        driver = [driver]
    if isinstance(driver, Sequence):
        if not driver:
            raise ValueError("there is no program in an empty list")
        return _as_process([os.fspath(word) for word in driver], bounds, failures)
    if callable(driver):
        made = driver()
        require_driver(made)
        return _in_memory(made, bounds, failures)
    if not hasattr(driver, "receive"):
        raise TypeError(f"{driver!r} is neither a driver nor a program nor a stream")
    return _over_a_stream(driver)


@asynccontextmanager
async def _over_a_stream(stream: ByteStream) -> AsyncGenerator[tuple[ByteStream, End]]:
    async def end() -> None:
        await stream.aclose()

    try:
        yield stream, end
    finally:
        with anyio.CancelScope(shield=True):
            await stream.aclose()


@asynccontextmanager
async def _in_memory(
    driver: IPyDriver, bounds: Bounds, failures: list[str]
) -> AsyncGenerator[tuple[ByteStream, End]]:
    begin_anew(driver)
    near, far = memory_pair(names=("driver", "check"))
    ended = anyio.Event()

    async def run() -> None:
        try:
            await driver.asyncrun(far)
        except FAILURES as error:  # it becomes a part of the findings
            failures.append(repr(failure_in(error)))
        finally:
            ended.set()
            with anyio.CancelScope(shield=True):
                await far.aclose()

    async def end() -> bool:
        await near.aclose()
        with anyio.move_on_after(bounds.end):
            await ended.wait()
        return ended.is_set() and not failures

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            yield near, end
        finally:
            tasks.cancel_scope.cancel("the check is over")


@asynccontextmanager
async def _as_process(
    command: list[str], bounds: Bounds, failures: list[str]
) -> AsyncGenerator[tuple[ByteStream, End]]:
    name = command[0]
    with DriverProcess(THIS_MACHINE.launch(command, None, name=name), name=name) as process:

        async def end() -> bool:
            process.close_input()
            tasks.start_soon(_drain, process.stream)
            with anyio.move_on_after(bounds.end):
                await process.exited.wait()
            if not process.exited.is_set():
                failures.append(f"it was still running {bounds.end:g} s after the end of its input")
                return False
            status = process.status or 0
            if status:
                failures.append(process.outcome)
            # A status above 0 is not a fault: libindi's drivers exit with 1 when their input ends. A crash is one.
            return status >= 0

        # Whoever cancels the check still waits for the end of the program.
        reaping = anyio.CancelScope(shield=True)

        async def reap() -> None:
            with reaping:
                await process.reap()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reap)
            tasks.start_soon(process.log_errors, logger)
            try:
                yield process.stream, end
            finally:
                with anyio.move_on_after(_END_SECONDS, shield=True):
                    process.close_input()
                    if not process.exited.is_set():
                        await process.end(_SIGNAL_SECONDS)
                reaping.cancel("the check is over")
                tasks.cancel_scope.cancel("the check is over")


async def _drain(stream: ByteStream) -> None:
    """Read what a program still says, so that it is not held up in its end."""
    try:
        while received := await stream.receive():
            for attachment in received.attachments:
                attachment.close()
            if not received.data:
                return
    except (ConnectionLostError, RemoteProtocolError):
        return
