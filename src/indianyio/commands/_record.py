"""Write what a server sends into a file of JSON lines, until Ctrl-C.

Everything is recorded, including images, also those that other clients take; in the file these need a third more
bytes than by themselves. Give --no-blobs to leave them out.

Each line is written at once, so a recording that was killed can be replayed as far as it goes. The file can be
replayed with indianyio replay, or in a test with indianyio.testing.replay. If images came as descriptors, over a
unix socket (--unix), only replay --unix can play it.
"""

from __future__ import annotations

import argparse

import anyio

from indianyio.client import BLOBVector, Client, open_client
from indianyio.commands._wire import add_server, connect, run_until_interrupted
from indianyio.testing import RecordingStream, record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("file", help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument("--device", help="record only this device")
    parser.add_argument("--no-blobs", action="store_true", help="leave out images and other BLOBs")
    parser.add_argument("--seconds", type=float, help="for how long (default: until Ctrl-C)")
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the file exists already, or the time is not legal.
    """
    if options.seconds is not None and not options.seconds >= 0:
        raise ValueError(f"--seconds is {options.seconds:g}, but must be 0 or more")
    run_until_interrupted(options, _record, options)
    return 0


async def _record(options: argparse.Namespace) -> None:
    # The client closes the stream, which closes the file.
    async with open_client(stream=await _recorded(options), device=options.device) as client:
        with anyio.move_on_after(options.seconds):
            if not options.no_blobs:
                await _ask_for_blobs(client)
            await anyio.sleep_forever()


async def _recorded(options: argparse.Namespace) -> RecordingStream:
    """Connect, and only then open the file, so that there is no file without a server."""
    stream = await connect(options)
    try:
        return record(stream, options.file, overwrite=options.overwrite)
    except OSError as error:
        await stream.aclose()
        if isinstance(error, FileExistsError):
            raise ValueError(f"{options.file} exists already; --overwrite replaces it") from error
        raise


async def _ask_for_blobs(client: Client) -> None:
    """Ask for the BLOBs of every vector that has any, as soon as it is defined; never returns."""
    asked: set[tuple[str, str]] = set()
    # A watch may leave changes out, but never all changes of a vector.
    async with client.watch() as changes:
        vectors = [vector for device in client.values() for vector in device.values()]
        while True:
            for vector in vectors:
                key = (vector.device, vector.name)
                if isinstance(vector, BLOBVector) and key not in asked and vector.device in client:
                    asked.add(key)
                    await client[vector.device].enable_blobs(vector.name)
            change = await anext(changes)
            vectors = [] if change.vector is None else [change.vector]
