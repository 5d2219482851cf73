"""A bound to come near to: a driver that does as little as anyio and Python allow.

Run with ``python bare_driver.py asyncio`` or ``trio``. It knows the commands ``ECHO`` and ``BURST`` of ``driver.cpp``
by two patterns, validates little, and keeps no lanes; but it never lets a handler block another one: reading is a
role. Whoever holds it takes a message, gives the role to a parked task, handles the message in place, and parks. So
there is no task for each message and no change of tasks before an answer is out.
"""

from __future__ import annotations

import re
import socket
import sys
from datetime import UTC, datetime

import anyio

__all__ = ["BareDriver"]

_REQUEST = re.compile(
    rb'\s*(?:<newNumberVector[^>]* name="([^"]*)"[^>]*>(.*?)</newNumberVector>|<getProperties[^>]*/>)', re.DOTALL
)
_NUMBER = re.compile(rb'<oneNumber name="([^"]*)">\s*([^<]*?)\s*</oneNumber>')
# Not a definition anybody could use, but what the measuring side waits for.
_DEFINITIONS = b'<defBLOBVector device="Bench" name="IMAGE" state="Idle" perm="ro">\n</defBLOBVector>\n'
_RECEIVE_BYTES = 64 << 10
_JOINED_MESSAGES = 64


class BareDriver:
    """The driver, on the socket that is its standard input."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=0)
        self._received = b""
        self._unsent: list[bytes] = []
        self._parked: list[anyio.Event] = []

    async def run(self) -> None:
        """Answer until the peer closes the socket."""
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                while (request := await self._take()) is not None:
                    if self._parked:
                        self._parked.pop().set()
                    else:
                        tasks.start_soon(work)
                    await self._handle(request)
                    promoted = anyio.Event()
                    self._parked.append(promoted)
                    await promoted.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(work)

    async def _take(self) -> re.Match[bytes] | None:
        while (request := _REQUEST.match(self._received)) is None:
            try:
                data = self._socket.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)
                continue
            if not data:
                return None
            self._received += data
        self._received = self._received[request.end() :]
        return request

    async def _handle(self, request: re.Match[bytes]) -> None:
        if request[1] is None:
            self._unsent.append(_DEFINITIONS)
        elif request[1] == b"BURST":
            await self._burst(int(_NUMBER.findall(request[2])[0][1]))
        else:
            self._put(request[1].decode(), float(_NUMBER.findall(request[2])[0][1]))
        await self._flush()

    async def _burst(self, count: int) -> None:
        for value in range(1, count + 1):
            self._put("READING", value)
            if len(self._unsent) > _JOINED_MESSAGES:
                await self._flush()

    def _put(self, vector: str, value: float) -> None:
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
        start = f'<setNumberVector device="Bench" name="{vector}" state="Ok" timeout="60" timestamp="{now}">\n'
        number = f'<oneNumber name="VALUE">{value:.0f}</oneNumber>\n'
        self._unsent.append(f"{start}{number}</setNumberVector>\n".encode())

    async def _flush(self) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        while data:
            try:
                data = data[self._socket.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)


if __name__ == "__main__":
    anyio.run(BareDriver().run, backend=sys.argv[1])
