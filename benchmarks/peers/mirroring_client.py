"""How late updates come to whoever waits for them in a client, and whether all come; prints the lateness as JSON.

Arguments: ``asyncio``, ``trio`` or ``indipyclient``; the server's port; how many updates there
are (see ``steady_server.py``). Starts with a path, so it runs without the package of benchmarks.
"""

from __future__ import annotations

import json
import sys
import time

import anyio

from indianyio.client import Watch, open_client

SLOW_SECONDS = 1.0


class Lateness:
    """Of each update that came."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seconds: list[float] = []

    def note(self, sent: float) -> bool:
        """Note an update, and return whether it was the last."""
        self.seconds.append(time.monotonic() - sent)
        return len(self.seconds) == self.count

    def report(self) -> None:
        """Print the median and the 99th percentile, in seconds."""
        if len(self.seconds) != self.count:
            raise ValueError(f"{len(self.seconds)} of {self.count} updates have come")
        ordered = sorted(self.seconds)
        print(json.dumps([ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]]))  # noqa: T201


async def watch(port: int, late: Lateness) -> None:
    """Have a mirror and two watchers, one of which sleeps for a second after each change."""
    async with open_client("127.0.0.1", port) as indi, indi.watch() as fast, indi.watch() as slow:
        over = anyio.Event()
        newest: dict[str, float] = {}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take_slowly, slow, late.count, newest, over)
            async for change in fast:
                if change.kind != "updated":
                    continue
                if change.left_out:
                    raise ValueError("a watcher that does not wait has missed a change")
                newest[change.vector.name] = change.vector["m1"]
                if late.note(change.vector["m0"]):
                    break
            over.set()


async def take_slowly(slow: Watch, count: int, newest: dict[str, float], over: anyio.Event) -> None:
    """Take changes, one in a second until it is over, and return when all are taken or were left out."""
    taken = 0
    async for change in slow:
        if change.kind != "updated":
            continue
        taken += 1 + change.left_out
        if change.vector["m1"] < newest.get(change.vector.name, 0):
            raise ValueError(f"{change.vector.name} is older than what the other watcher has seen")
        if taken == count:
            return
        with anyio.move_on_after(SLOW_SECONDS):
            await over.wait()


async def use_indipyclient(port: int, late: Lateness) -> None:
    """Have its client call ``rxevent``."""
    from indipyclient import IPyClient

    class Client(IPyClient):
        async def rxevent(self, event) -> None:  # noqa: ANN001 - any event
            if event.eventtype == "Set" and late.note(float(event["m0"])):
                self.shutdown()

    await Client("127.0.0.1", port).asyncrun()


def main() -> None:
    """Measure."""
    kind, port, late = sys.argv[1], int(sys.argv[2]), Lateness(int(sys.argv[3]))
    if kind == "indipyclient":
        import asyncio

        asyncio.run(use_indipyclient(port, late))
    else:
        anyio.run(watch, port, late, backend=kind)
    late.report()


if __name__ == "__main__":
    main()
