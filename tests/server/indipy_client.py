"""indipyclient as a program that is told what to do; run as ``python -m tests.server.indipy_client PORT``.

It reads commands on standard input, each a line of JSON that names one of its methods and the arguments, and writes
what it hears to standard output, a line of JSON for each event. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Mapping

from indipyclient import IPyClient

COMMANDS = {"send_newVector", "send_enableBLOB", "send_getProperties"}


def text(value: object) -> object:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


class Client(IPyClient):  # type: ignore[misc]  # it has no types
    """Tells of each event."""

    async def rxevent(self, event: object) -> None:
        told = {name: getattr(event, name, None) for name in ("eventtype", "devicename", "vectorname", "message")}
        vector = getattr(event, "vector", None)
        told["state"] = getattr(vector, "state", None)
        told["values"] = {name: text(value) for name, value in event.items()} if isinstance(event, Mapping) else {}
        told["labels"] = getattr(event, "memberlabels", {})
        print(json.dumps(told), flush=True)  # noqa: T201 - the answer

    async def hardware(self) -> None:
        """Do as told; a BLOB is told of as base64."""
        while line := await asyncio.to_thread(sys.stdin.readline):
            command, *arguments = json.loads(line)
            if command not in COMMANDS:
                raise ValueError(f"no command: {line!r}")
            if command == "send_newVector" and arguments[1] == "blob":
                arguments[2] = {name: (base64.b64decode(data), 0, ".dat") for name, data in arguments[2].items()}
            if command == "send_newVector":
                arguments.insert(2, None)  # the time stamp
            await getattr(self, command)(*arguments)
        self.shutdown()


if __name__ == "__main__":
    asyncio.run(Client(indihost="127.0.0.1", indiport=int(sys.argv[1])).asyncrun())
