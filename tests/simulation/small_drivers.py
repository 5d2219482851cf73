"""Drivers that break one rule each, and one that breaks none."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from contextlib import suppress
from datetime import UTC, date, datetime

import anyio
import anyio.lowlevel
import trio

from indianyio import (
    Device,
    IPyDriver,
    NewEvent,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
)
from indianyio.wires import SerialWire, TcpWire, WireError

PORT = 0
"""Where an instrument listens, for the drivers that connect to one."""


class Good(IPyDriver):
    """A level that can be set, which takes a while, and a switch that stops it."""

    def __init__(self) -> None:
        self.level = NumberVector(
            "LEVEL", "", "", "rw", "Ok", [NumberMember("value", "", "%g", 0, 100, 0, membervalue=0)]
        )
        self.note = TextVector("NOTE", "", "", "rw", "Ok", [TextMember("text", "", "")])
        self.mode = SwitchVector(
            "MODE", "", "", "rw", "OneOfMany", "Ok", [SwitchMember("A", "", "On"), SwitchMember("B", "", "Off")]
        )
        self.stop_switch = SwitchVector("LEVEL_ABORT", "", "", "rw", "AtMostOne", "Ok", [SwitchMember("ABORT")])
        super().__init__(Device("Good", [self.level, self.note, self.mode, self.stop_switch]))

    async def rxevent(self, event: NewEvent) -> None:
        if event.vector is self.level:
            await self.level.send_setVector(state="Busy")
            await anyio.sleep(2)
        if event.vector is not self.stop_switch:
            event.vector.update(event)  # type: ignore[arg-type]
        await event.vector.send_setVector(state="Ok")


class WaitsForEver(Good):
    """Its note waits for a lock that is never released, once it begins with an "a"."""

    async def rxevent(self, event: NewEvent) -> None:
        if event.vector is self.note and self.note["text"].startswith("a"):
            await anyio.sleep_forever()
        await super().rxevent(event)


class LeavesTwice(Good):
    async def hardware(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.leave()


class Fails(Good):
    async def hardware(self) -> None:
        await anyio.sleep(20)
        raise OSError("the instrument is gone")


class TakesItsTime(Good):
    grace = 0.5

    async def hardware(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(30)


class AnswersNoAbort(Good):
    async def rxevent(self, event: NewEvent) -> None:
        if event.vector is not self.stop_switch:
            await super().rxevent(event)


class FailsToAbort(Good):
    """What is to stop it raises, so clients hear Alert, and it goes on."""

    async def rxevent(self, event: NewEvent) -> None:
        if event.vector is self.stop_switch:
            raise KeyError("made up")
        await super().rxevent(event)


class StaysBusy(Good):
    """Its Abort is answered, and ends nothing."""

    async def rxevent(self, event: NewEvent) -> None:
        if event.vector is self.level:
            await self.level.send_setVector(state="Busy")
            await anyio.sleep(1000)
        await event.vector.send_setVector(state="Ok")


class SaysNothing(Good):
    """It changes a text, and tells nobody."""

    async def rxevent(self, event: NewEvent) -> None:
        if event.vector is self.note:
            self.note["text"] = "changed"
        else:
            await super().rxevent(event)


class ChecksNothing(Good):
    """It takes what its definition forbids: what is checked says something else than what clients are told."""

    def __init__(self) -> None:
        super().__init__()
        self.level["value"] = 0

    async def hardware(self) -> None:
        self.level.check_write = lambda write: None  # type: ignore[method-assign,assignment]

    async def rxevent(self, event: NewEvent) -> None:
        await event.vector.send_setVector(state="Ok")


class StartsTasks(Good):
    """It starts a task for each write, which stays."""

    async def hardware(self) -> None:
        async with anyio.create_task_group() as self.tasks:
            await anyio.sleep_forever()

    async def rxevent(self, event: NewEvent) -> None:
        for _ in range(20):
            self.tasks.start_soon(anyio.sleep_forever)
        await super().rxevent(event)


class LeavesATask(Good):
    """What it starts belongs to nobody, so nobody ends it."""

    async def hardware(self) -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)


class DrawsLots(Good):
    """It takes its chance from the machine, which no seed decides."""

    async def hardware(self) -> None:
        self.note["text"] = os.urandom(8).hex()
        await self.note.send_setVector()


class UsesTheClock(Good):
    async def hardware(self) -> None:
        self.began = time.monotonic()
        self.moment = datetime.now(UTC)


class CountsNanoseconds(Good):
    async def hardware(self) -> None:
        self.began = time.monotonic_ns()


class UsesTheCalendar(Good):
    async def hardware(self) -> None:
        self.moments = [
            date.today(),
            datetime.today(),
            time.localtime(),
            time.gmtime(),
            time.ctime(),
        ]
        self.converted = [time.gmtime(0), time.localtime(0), time.ctime(0)]
        assert isinstance(self.moments[0], date)


class ConvertsTimes(Good):
    """It reads no clock."""

    async def hardware(self) -> None:
        self.converted = [time.gmtime(0), time.localtime(0), time.ctime(0), date(2026, 1, 1)]
        assert isinstance(self.converted[-1], date)


class KeepsATemporaryFile(Good):
    """Python's own module opens its descriptor."""

    async def hardware(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"kept")


class OpensADescriptor(Good):
    async def hardware(self) -> None:
        os.close(os.open(os.devnull, os.O_RDONLY))


class RunsACommand(Good):
    async def hardware(self) -> None:
        os.system("true")  # noqa: ASYNC221 - which is what is to be told


class Sleeps(Good):
    async def rxevent(self, event: NewEvent) -> None:
        time.sleep(3600)  # noqa: ASYNC251 - which is what is to be told
        await super().rxevent(event)


class UsesThreads(Good):
    async def hardware(self) -> None:
        await anyio.to_thread.run_sync(len, "")


class StartsAThread(Good):
    async def hardware(self) -> None:
        thread = threading.Thread(target=len, args=("",))
        thread.start()
        thread.join()


class OpensAWire(Good):
    async def hardware(self) -> None:
        async with TcpWire("127.0.0.1", PORT) as wire:
            await wire.send(b"MOVE#")


class OpensASerialPort(Good):
    async def hardware(self) -> None:
        with suppress(WireError):
            await SerialWire("/dev/null").open()


class Connects(Good):
    async def hardware(self) -> None:
        with suppress(OSError):
            async with await anyio.connect_tcp("127.0.0.1", PORT) as stream:
                await stream.send(b"MOVE#")


class NeverWaits(Good):
    """It asks again and again, and lets others have their turn, but never lets time pass."""

    async def hardware(self) -> None:
        while True:
            await anyio.lowlevel.checkpoint()
