"""A server of ours with a driver in its process that answers, and tells how long its event loop was held.

Arguments: the back end, the port, the name of an abstract unix socket, an external driver's program, and, if there
is one, the port of another server at 127.0.0.1. Starts with a path, so it runs without the package of benchmarks.
"""

from __future__ import annotations

import logging
import sys
import time

import anyio

from indianyio import Device, IPyDriver, NumberMember, NumberVector
from indianyio.server import IPyServer

_TICK_SECONDS = 0.001
_ABSENT_VECTORS = 30


class Dome(IPyDriver):
    """Answers an Abort with its number, and a question for the worst stall, in ms, with that."""

    def __init__(self) -> None:
        self.abort = _number("abort")
        self.stall = _number("stall")
        self.worst_seconds = 0.0
        super().__init__(Device("Dome", [self.abort, self.stall]))
        self.snoop("W", "n", 60)
        for number in range(_ABSENT_VECTORS):
            self.snoop("Absent", f"v{number}", 60)

    async def hardware(self) -> None:
        """Measure how late the event loop is."""
        while True:
            begin = time.perf_counter()
            await anyio.sleep(_TICK_SECONDS)
            self.worst_seconds = max(self.worst_seconds, time.perf_counter() - begin - _TICK_SECONDS)

    async def rxevent(self, event) -> None:  # noqa: ANN001 - any event
        """Answer."""
        if event.vectorname == "abort":
            self.abort["value"] = event["value"]
            await self.abort.send_setVector(state="Ok")
        else:
            self.stall["value"] = self.worst_seconds * 1000
            self.worst_seconds = 0.0
            await self.stall.send_setVector(state="Ok")

    async def snoopevent(self, event) -> None:  # noqa: ANN001 - any event
        """Take it."""


def _number(name: str) -> NumberVector:
    return NumberVector(name, name, "g", "rw", "Ok", [NumberMember("value", format="%.6g", membervalue=0)])


async def main(port: int, unix_name: str, program: str, remote: str) -> None:
    """Serve until this process is ended."""
    server = IPyServer(Dome(), host="127.0.0.1", port=port, unix=f"@{unix_name}")
    server.add_exdriver(program)
    if remote:
        server.add_remote("127.0.0.1", int(remote))
    await server.asyncrun()


if __name__ == "__main__":
    logging.basicConfig(level="WARNING")
    anyio.run(main, int(sys.argv[2]), sys.argv[3], sys.argv[4], (sys.argv[5:] or [""])[0], backend=sys.argv[1])
