"""A command and its server in one event loop, in virtual time; the server says what a test wants."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import TypeAlias

import anyio
import pytest
from trio.testing import MockClock

from indianyio.client import open_client
from indianyio.commands import main
from indianyio.exceptions import ConnectionLostError
from indianyio.streams import ByteStream, memory_pair
from indianyio.testing import Peer

Script: TypeAlias = Callable[[Peer], Coroutine[object, object, None]]
Function: TypeAlias = Callable[..., Awaitable[object]]


class Scripted:
    """Runs commands whose server is a function; returns status, lines and errors.

    :ivar seconds: how long the last command took.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.seconds = 0.0
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, script: Script, command: str, *arguments: str) -> tuple[int, list[str], str]:
        """Run a command.

        :param script: what the server does, which is cancelled when the command has ended.
        """
        module = importlib.import_module(f"indianyio.commands._{command}")
        self._monkeypatch.setattr(module, "run_until_interrupted", self._runner(script, module))
        status = main([command, *arguments])
        shown = self._capsys.readouterr()
        return status, shown.out.splitlines(), shown.err

    def _runner(self, script: Script, module: ModuleType) -> Callable[..., object]:
        async def beside(function: Function, *args: object) -> object:
            near, far = memory_pair(names=("the command", "the server"))

            async def serve(stream: ByteStream) -> None:
                # As an old server it is not asked for a sign of life.
                with suppress(ConnectionLostError):
                    await script(Peer(stream, answer_pings=False))

            async def connect(options: argparse.Namespace) -> ByteStream:
                return far

            self._monkeypatch.setattr("indianyio.commands._wire.connect", connect)
            opened = partial(open_client, stream=far)
            self._monkeypatch.setattr(module, "open_client", lambda *_, **__: opened(), raising=False)
            start = anyio.current_time()
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(serve, near)
                    result = await function(*args)
                    tasks.cancel_scope.cancel("the command has ended")
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from None
            finally:
                self.seconds = anyio.current_time() - start
                await near.aclose()
            return result

        def run(options: argparse.Namespace, function: Function, *args: object) -> object:
            clock = MockClock(autojump_threshold=0)
            return anyio.run(beside, function, *args, backend="trio", backend_options={"clock": clock})

        return run


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Scripted:
    """Return what runs a command beside a scripted server."""
    return Scripted(monkeypatch, capsys)
