"""How far it is from a client's bytes to the bytes of the answer: modules passed, and calls made."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Self

import anyio
import pytest

import indianyio
from indianyio import Device, IPyDriver, NewEvent, NumberMember, NumberVector, newNumberVector
from indianyio.streams import SocketStream

pytestmark = pytest.mark.anyio

HOME = str(Path(indianyio.__file__).parent)
# As many as there are now, with those of the timestamp that is made anew every second; whoever adds one has to
# think about it.
MODULES, CALLS = 14, 52


class Echo(IPyDriver):
    """Answers a write at once."""

    def __init__(self) -> None:
        self.number = NumberVector("ECHO", "Echo", "Main", "rw", "Idle", [NumberMember("VALUE", max=1e9)])
        super().__init__(Device("Bench", [self.number]))

    async def rxevent(self, event: NewEvent) -> None:
        assert isinstance(event, newNumberVector)
        self.number["VALUE"] = event["VALUE"]
        await self.number.send_setVector(state="Ok")


class Walk:
    """Notes every call of a function of this package, in every task; resuming a coroutine is a call too."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        # What follows the answer is the next wait.
        sent = max(number for number, (_, name) in enumerate(self.calls) if name.endswith(".send_now"))
        del self.calls[sent + 1 :]

    @property
    def modules(self) -> list[str]:
        """The modules in the order in which they were first passed."""
        return list(dict.fromkeys(module for module, _ in self.calls))

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(HOME):
            self.calls.append((frame.f_code.co_filename[len(HOME) + 1 :], frame.f_code.co_qualname))

    def check(self, capsys: pytest.CaptureFixture[str], *, modules: int, calls: int) -> None:
        """Print how long the walk was, which is what the test is for; fail if it was longer than this."""
        with capsys.disabled():
            print(f"\n{len(self.modules)} modules, {len(self.calls)} calls")  # noqa: T201
            if os.environ.get("SHOW_WALK"):
                print("\n".join(" ".join(call) for call in self.calls))  # noqa: T201
        assert len(self.modules) <= modules
        assert len(self.calls) <= calls


def write(value: int) -> bytes:
    number = f'<oneNumber name="VALUE">{value}</oneNumber>'
    return f'<newNumberVector device="Bench" name="ECHO">{number}</newNumberVector>\n'.encode()


async def answer(near: socket.socket) -> bytes:
    await anyio.wait_readable(near)
    return near.recv(1 << 16)


async def test_a_write_and_its_answer_take_few_modules_and_calls(capsys: pytest.CaptureFixture[str]) -> None:
    near, far = socket.socketpair()
    with near:
        async with anyio.create_task_group() as tasks:
            await tasks.start(Echo().asyncrun, SocketStream(far))
            for value in range(5):  # patterns are compiled, names are known
                near.send(write(value))
                await answer(near)
            with Walk() as walk:
                near.send(write(7))
                answered = await answer(near)
            near.close()
    assert b">7</oneNumber>" in answered
    walk.check(capsys, modules=MODULES, calls=CALLS)
