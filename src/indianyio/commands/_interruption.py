"""How a command is interrupted: what is under way is stopped first, and then nothing keeps the command from ending.

A plain signal handler is used, not the event loop's own: it runs even while a line is being printed that nobody
reads, and while the loop, at its end, waits for a thread that looks up the name of a host.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from types import FrameType
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

from indianyio._block import at_work
from indianyio.commands._output import go_on_saying, stop_saying

__all__ = ["run_until_interrupted"]

_INTERRUPTED = 128 + signal.SIGINT

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Programs that pass a Ctrl-C on do so within milliseconds; people who press it again take longer.
_AGAIN_SECONDS = 1.0
# How long the event loop may take to end once everything has been stopped.
_LOOP_SECONDS = 1.0

T = TypeVar("T")
ArgsT = TypeVarTuple("ArgsT")


def run_until_interrupted(
    options: argparse.Namespace, function: Callable[[Unpack[ArgsT]], Awaitable[T]], *args: *ArgsT
) -> T:
    """Run the asynchronous part of a command, and return what it returns.

    Ctrl-C, SIGTERM and SIGHUP cancel it, so that what moves is stopped when a shell, a time-out or a service ends
    the command. Another signal, more than a second later, ends the process at once. Signals that the process
    ignores stay ignored, as nohup wants it.

    :raises KeyboardInterrupt: a signal has cancelled it, and it has ended.
    """
    if threading.current_thread() is not threading.main_thread():
        return anyio.run(function, *args, backend=options.backend)  # only the main thread gets signals
    with _Interruption() as interruption:
        return anyio.run(interruption.awaited, function, args, backend=options.backend)


class _Interruption(ExitStack):
    """Takes the signals that end a command, for as long as the block lasts."""

    def __init__(self) -> None:
        super().__init__()
        self._first_at: float | None = None
        self._receiver, self._sender = socket.socketpair()
        for end in (self._receiver, self._sender):
            end.setblocking(False)
            self.enter_context(end)
        self._last_resort = threading.Timer(_LOOP_SECONDS, os._exit, (_INTERRUPTED,))
        self._last_resort.daemon = True
        self.callback(self._last_resort.cancel)
        self.callback(go_on_saying)
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.callback(signal.signal, number, signal.signal(number, self._take))

    def _take(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
            self._sender.send(b"!")
            stop_saying()
        elif now > self._first_at + _AGAIN_SECONDS:
            os._exit(_INTERRUPTED)

    async def awaited(self, function: Callable[[Unpack[ArgsT]], Awaitable[T]], args: tuple[*ArgsT]) -> T:
        """Call a function, and cancel it when a signal comes.

        :raises KeyboardInterrupt: a signal has come.
        """
        listening = anyio.CancelScope()

        async def listen(ready: Callable[[], None]) -> None:
            ready()
            with listening:
                await anyio.wait_readable(self._receiver)
                raise KeyboardInterrupt

        async def end() -> None:  # noqa: ASYNC124 - what a block calls
            listening.cancel("the command has ended")

        try:
            async with at_work(listen, end, what="the command", failed=lambda failure: failure):
                return await function(*args)
        except KeyboardInterrupt:
            self._last_resort.start()
            raise
