"""A small server that keeps every rule, or has one flaw, which shows that the rules notice flaws.

``python flawed_program.py PORT UNIX [--flaw FLAW] [--exec DRIVER] [--remote PORT]``. It takes each line for a
message, as box.py and the client of the rules write them, and passes definitions on to everybody.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

# What may wait for a client that does not read.
MOST_WAITING_BYTES = 1 << 23
AGAIN_SECONDS = 0.1


class Client:
    """A client that has connected."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.number, self.writer = number, writer
        self.policies: dict[str, str] = {}

    def wants(self, element: Element, source: Source) -> bool:
        policy = self.policies.get(element.get("device", ""), "Never")
        if element.tag == "setBLOBVector":
            is_remote = isinstance(source, Remote)
            return policy != "Never" or flaw == "BLOBs for all" or (flaw == "remote BLOBs for all" and is_remote)
        if flaw == "no HEARD for the first" and self.number == 0 and element.get("name") == "HEARD":
            return False
        return policy != "Only" or flaw == "texts for Only" or not element.tag.startswith("set")

    def tell(self, line: bytes) -> None:
        self.writer.write(line)
        waiting = self.writer.transport.get_write_buffer_size()
        if waiting > MOST_WAITING_BYTES and flaw != "keeps everything":
            self.writer.transport.abort()


class Source:
    """What has devices: a driver, or another server."""

    def __init__(self) -> None:
        self.devices: set[str] = set()
        self.writer: asyncio.StreamWriter | None = None
        self.held: list[bytes] = []

    async def write(self, line: bytes) -> None:
        if self.writer is not None:
            self.writer.write(line)
            if flaw == "waits for drivers":
                await self.writer.drain()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Pass on what it says until it ends; then its devices are gone."""
        async for line in lines(reader):
            try:
                element = fromstring(line)
            except ParseError:
                self.complain(line)
                continue
            if element.tag.startswith("def"):
                self.devices.add(element.get("device", ""))
                if isinstance(self, Remote):
                    await self.write(f'<enableBLOB device="{element.get("device")}">Also</enableBLOB>\n'.encode())
            await self.pass_on(line, element)
        self.writer = None
        self.lose()

    def complain(self, line: bytes) -> None:
        if flaw == "passes on what is broken":
            tell_all(line)
        elif flaw == "deletes for what is broken":
            tell_all(b'<delProperty device="Box" name="COUNT"/>\n')

    async def pass_on(self, line: bytes, element: Element) -> None:
        if flaw == "swaps updates" and b'<oneText name="t">10</oneText>' in line:
            self.held.append(line)
            return
        for client in [client for client in clients if client.wants(element, self)]:
            for each in (line, *self.held):
                client.tell(each)
            if flaw == "waits for clients":
                await client.writer.drain()
        self.held.clear()

    def lose(self) -> None:
        lost = self.devices
        if flaw == "deletes all":
            lost = {device for source in sources for device in source.devices}
        elif flaw == "deletes nothing":
            lost = set()
        text = "" if flaw == "says nothing" else ' message="it has ended"'
        for device in lost:
            tell_all(f'<delProperty device="{device}"{text}/>\n'.encode())
        self.devices = set()


class Driver(Source):
    """A program that is started again and again."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    async def run(self) -> None:
        while True:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(self.path, stdin=pipe, stdout=pipe, limit=1 << 20)
            assert process.stdout is not None
            self.writer = process.stdin
            await self.serve(process.stdout)
            await process.wait()
            if flaw == "starts nothing again":
                return
            await asyncio.sleep(AGAIN_SECONDS)


class Remote(Source):
    """Another server, which is connected again and again."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port

    async def run(self) -> None:
        while True:
            try:
                reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer = self.writer
                await self.write(b'<getProperties version="1.7"/>\n')
                await self.serve(reader)
                writer.close()
            except OSError:
                self.writer = None
            if flaw == "connects nothing again":
                return
            if flaw == "ends with another server":
                os._exit(1)
            await asyncio.sleep(AGAIN_SECONDS)


async def lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield each whole line until the connection ends."""
    held = b""
    try:
        while data := await reader.read(1 << 18):
            *whole, held = (held + data).split(b"\n")
            if flaw == "completes half a write" and held.endswith(b"half"):
                whole, held = [*whole, held + b"</oneText></newTextVector>"], b""
            for line in whole:
                yield line + b"\n"
    except ConnectionError:
        return


def tell_all(line: bytes) -> None:
    for client in clients:
        client.tell(line)


async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a client."""
    client = Client(next(numbers), writer)
    clients.append(client)
    if flaw == "leaks descriptors":
        os.dup(writer.get_extra_info("socket").fileno())
    async for line in lines(reader):
        try:
            await handle(client, line, fromstring(line))
        except ParseError:
            if flaw == "disconnects for what is broken":
                break
            if flaw == "ends for garbage":
                os._exit(1)
    clients.remove(client)
    writer.close()


async def handle(client: Client, line: bytes, element: Element) -> None:
    """Do what a client asks for."""
    device = element.get("device")
    if element.tag == "enableBLOB":
        client.policies[device or ""] = element.text or ""
    elif element.tag == "getProperties":
        for source in sources:
            await source.write(line)
        if flaw == "shares requests":
            for other in clients:
                if other is not client:
                    other.tell(line)
    elif element.tag.startswith("new"):
        for source in sources:
            if device in source.devices:
                await source.write(line)


def out_of_descriptors(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Take what asyncio would log otherwise; asyncio tries to accept again a second later."""
    if flaw == "ends without descriptors":
        os._exit(1)


async def main(port: int, unix: str) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(out_of_descriptors)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, lambda: None if flaw == "ignores SIGTERM" else ended.set())
    running = [asyncio.create_task(source.run()) for source in sources]
    await asyncio.start_server(welcome, "127.0.0.1", port)
    await asyncio.start_unix_server(welcome, f"\0{unix}")
    await ended.wait()
    del running
    os._exit(0)  # without waiting for whoever does not read


parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("unix")
parser.add_argument("--flaw", default="")
parser.add_argument("--exec", action="append", default=[])
parser.add_argument("--remote", action="append", type=int, default=[])
options = parser.parse_args()

flaw: str = options.flaw
numbers = iter(range(1_000_000))
clients: list[Client] = []
sources: list[Driver | Remote] = [*map(Driver, options.exec), *map(Remote, options.remote)]
asyncio.run(main(options.port, options.unix))
