"""Checking a driver against the rules: whatever it is, a class, a program or the other end of a stream."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import anyio

from indianyio._environment import THIS_MACHINE
from indianyio.driver import IPyDriver
from indianyio.exceptions import ConnectionLostError
from indianyio.server._processes import DriverProcess
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing._check_answers import ANSWER_RULES
from indianyio.testing._check_classes import CLASS_RULES
from indianyio.testing._check_rules import WIRE_RULES, Rule, Severity
from indianyio.testing._examination import Bounds, Evidence, examine

__all__ = ["RULES", "Bounds", "Finding", "Rule", "check_driver"]

logger = logging.getLogger(__name__)

RULES: tuple[Rule, ...] = WIRE_RULES + ANSWER_RULES + CLASS_RULES
"""The rules, in the order in which they are looked at."""

End: TypeAlias = Callable[[], Awaitable[bool | None]]


@dataclass(frozen=True, slots=True)
class Finding:
    """How a driver breaks a rule.

    :ivar rule: the short name of the rule.
    :ivar sentence: what the rule says.
    :ivar what: how it is broken.
    :ivar data: the bytes that show it: of the driver, or what it has not answered.
    :ivar severity: ``error`` if clients misunderstand the driver for it, ``warning`` if they manage.
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
    driver: IPyDriver | Callable[[], IPyDriver] | Sequence[str | os.PathLike[str]] | ByteStream,
    *,
    bounds: Bounds | None = None,
    writes: bool = True,
    rules: Sequence[Rule] = RULES,
) -> list[Finding]:
    """Find out which rules of INDI a driver breaks.

    ::

        assert await check_driver(MyDriver()) == []
        assert await check_driver(["indi_simulator_ccd"]) == []

    The driver is asked for its definitions in every way. Unless ``writes`` is ``False`` its devices are connected,
    written to in ways that must be refused (out of range, unknown members, no numbers, to what is read-only),
    exposed for a tenth of a second if they are cameras, and disconnected. **A driver that does not refuse such
    writes obeys them: check it with a simulated instrument.**

    That BLOBs come without ``enableBLOB`` is not a fault: a server filters them, not the driver.

    :param driver: the driver, what makes one, a program with its arguments, or a stream to a driver, which is
        closed afterwards.
    :param bounds: how long the driver may take; the defaults are for real time.
    :param writes: whether it is told anything but to define what it has.
    :param rules: the rules.
    :return: what was found; nothing, if the driver keeps all rules. What is found more than once is there once.
    :raises OSError: the program cannot be started.
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
    driver: IPyDriver | Callable[[], IPyDriver] | Sequence[str | os.PathLike[str]] | ByteStream,
    bounds: Bounds,
    failures: list[str],
) -> AbstractAsyncContextManager[tuple[ByteStream, End]]:
    if isinstance(driver, IPyDriver):
        return _in_memory(driver, bounds, failures)
    if isinstance(driver, Sequence):
        return _as_process([os.fspath(word) for word in driver], bounds, failures)
    if callable(driver):
        return _in_memory(driver(), bounds, failures)
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
    near, far = memory_pair(names=("driver", "check"))
    ended = anyio.Event()

    async def run() -> None:
        try:
            await driver.asyncrun(far)
        except Exception as error:  # noqa: BLE001 - it is found, and told in the findings
            failures.append(repr(error))
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

        async def drain() -> None:
            """Read what it still says, so that it is not held up in its end."""
            try:
                while received := await process.stream.receive():
                    for attachment in received.attachments:
                        attachment.close()
                    if not received.data:
                        return
            except ConnectionLostError:
                return

        async def end() -> bool:
            process.close_input()
            tasks.start_soon(drain)
            with anyio.move_on_after(bounds.end):
                await process.exited.wait()
            if not process.exited.is_set():
                failures.append(f"it runs on {bounds.end:g} s after the end of its input")
            return process.exited.is_set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process.reap)
            tasks.start_soon(process.log_errors, logger)
            try:
                yield process.stream, end
            finally:
                with anyio.move_on_after(5, shield=True):
                    process.close_input()
                    if not process.exited.is_set():
                        await process.end(1.0)
                tasks.cancel_scope.cancel("the check is over")
