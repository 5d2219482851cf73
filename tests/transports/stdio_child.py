"""A program to be run on pipes, sockets, terminals and files: ``stdio_child.py BACKEND TASK [ARGUMENT]``.

What it has to say goes to standard error, a line each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import anyio

from indianyio.exceptions import ConnectionLostError
from indianyio.streams import SharedMemory, describe_stdio, open_stdio, stdio_is_terminal

LINE = b"<message/>\n"


def say(text: object) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


async def echo(_argument: str) -> None:
    """Send back whatever comes, attachments too, until the stream ends."""
    async with open_stdio() as stream:
        say("open")
        try:
            while (received := await stream.receive()).data:
                await stream.send(received.data, received.attachments)
                for attachment in received.attachments:
                    attachment.close()
        except ConnectionLostError:
            say("lost")
        else:
            say("end")


async def flood(megabytes: str) -> None:
    """Send a lot, and say how the event loop is doing."""
    async with open_stdio() as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(_beat)
        payload = LINE * ((1 << 20) // len(LINE))
        for _ in range(int(megabytes)):
            await stream.send(payload)
        tasks.cancel_scope.cancel()
    say("sent")


async def _beat() -> None:
    while True:
        say("beat")
        await anyio.sleep(0.01)


async def chatter(_argument: str) -> None:
    """Print where a driver should not, before, within and after."""
    print("printed before")  # noqa: T201
    async with open_stdio() as stream:
        await stream.send(b"<wire/>\n")
        print("printed within")  # noqa: T201
        subprocess.run(["echo", "printed by a child"], check=True)  # noqa: ASYNC221
        say(f"child read {subprocess.run(['cat'], check=True, capture_output=True).stdout!r}")  # noqa: ASYNC221
        say(f"received {(await stream.receive()).data!r}")
    print("printed after", flush=True)  # noqa: T201


async def cancelled(_argument: str) -> None:
    """Be cancelled while waiting, then leave."""
    async with open_stdio() as stream:
        with anyio.move_on_after(0.05):
            await stream.receive()
        say("cancelled")
    say("left")


async def failing(_argument: str) -> None:
    """Leave the block by an error, and find everything in its place."""
    try:
        async with open_stdio() as stream:
            await stream.send(b"first\n")
            raise LookupError("on purpose")
    except LookupError:
        pass
    os.write(1, b"second\n")
    say(f"read {os.read(0, 100)!r}")


async def twice(_argument: str) -> None:
    """Open, refuse to open again meanwhile, and open again afterwards."""
    async with open_stdio() as stream:
        await _refused()
        await stream.send(b"first\n")
    async with open_stdio() as stream:
        await stream.send(b"second\n")
        say(f"received {(await stream.receive()).data!r}")


async def _refused() -> None:
    try:
        async with open_stdio():
            say("opened while open")
    except RuntimeError:
        say("refused")


async def attach(count: str) -> None:
    """Send attachments of 100 bytes each."""
    async with open_stdio() as stream:
        say(f"carries attachments: {stream.carries_attachments}")
        memories = [SharedMemory.create(f"blob {number}") for number in range(int(count))]
        for number, memory in enumerate(memories):
            memory.write(bytes([number]) * 100)
            memory.seal()
        await stream.send(LINE, memories)


async def describe(_argument: str) -> None:
    say(describe_stdio())
    say(stdio_is_terminal())


async def try_open(_argument: str) -> None:
    """Say why it cannot be opened."""
    try:
        async with open_stdio() as stream:
            say(f"received {(await stream.receive()).data!r}")
    except OSError as exc:
        say(f"{type(exc).__name__}: {exc}")


TASKS: dict[str, Callable[[str], Awaitable[None]]] = {
    function.__name__: function
    for function in (echo, flood, chatter, cancelled, failing, twice, attach, describe, try_open)
}


if __name__ == "__main__":
    anyio.run(TASKS[sys.argv[2]], (sys.argv[3:] or [""])[0], backend=sys.argv[1])
