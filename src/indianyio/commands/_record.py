"""Write what a server tells into a file of JSON lines, until Ctrl-C.

The file can be played again with indianyio replay, or with indianyio.testing.replay in a test.
"""

from __future__ import annotations

import argparse

import anyio

from indianyio.client import open_client
from indianyio.commands._wire import add_server, connect, run_until_interrupted
from indianyio.testing import record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("file", help="where to; what is there is replaced")
    parser.add_argument("--device", help="only of this device")
    parser.add_argument("--seconds", type=float, help="for how long (default: until Ctrl-C)")
    add_server(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    run_until_interrupted(options, _record, options)
    return 0


async def _record(options: argparse.Namespace) -> None:
    stream = await connect(options)
    # The client closes the stream, and that the file.
    async with open_client(stream=record(stream, options.file), device=options.device):
        with anyio.move_on_after(options.seconds):
            await anyio.sleep_forever()
