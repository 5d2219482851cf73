"""A server that may have few descriptors; run as ``python -m tests.server.crowded_server BACKEND``.

It says its address, greets whoever connects and keeps them until they leave. It ends when standard input does.
"""

from __future__ import annotations

import logging
import resource
import sys

import anyio

from indianyio.streams._base import Accepted
from indianyio.streams._listening import open_listeners

MOST_DESCRIPTORS = 32


async def greet(accepted: Accepted) -> None:
    stream = await accepted.open()
    assert stream is not None
    await stream.send(b"welcome")
    while (await stream.receive()).data:
        pass


async def main() -> None:
    (listener,) = await open_listeners("127.0.0.1", 0, None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.accept_forever, greet, tasks)
        print(listener.address, flush=True)  # noqa: T201 - the answer
        await anyio.wait_readable(sys.stdin)
        tasks.cancel_scope.cancel()
    listener.close()


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(message)s")
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_DESCRIPTORS, MOST_DESCRIPTORS))
    anyio.run(main, backend=sys.argv[1])
