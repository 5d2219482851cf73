"""Be a server that sends what was recorded with indianyio record to each client that connects, until Ctrl-C.

A recording that was killed is replayed as far as it goes.
"""

from __future__ import annotations

import argparse
import math
import sys

import anyio

from indianyio._environment import THIS_MACHINE
from indianyio.commands._wire import add_backend, complain, run_until_interrupted, say
from indianyio.exceptions import INDIError
from indianyio.streams._base import Accepted
from indianyio.testing import read_recording, replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("file", help="the recording")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("-p", "--port", type=int, default=7624, help="the port; 0 for any (default: %(default)s)")
    parser.add_argument("--unix", metavar="PATH", help="a unix socket instead; @NAME for an abstract one")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times as fast; 0 for everything at once")
    parser.add_argument("--once", action="store_true", help="end when one client has got everything")
    add_backend(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the file is not a recording or cannot be played here, or the speed or the port is not legal.
    :raises OSError: the file cannot be read, or the address cannot be listened on.
    """
    if not options.speed >= 0:
        raise ValueError(f"--speed is {options.speed:g}, but must be positive, or 0 for everything at once")
    _require_playable(options)
    run_until_interrupted(options, _serve, options)
    return 0


def _require_playable(options: argparse.Namespace) -> None:
    """Read the whole file, so that anything wrong with it is reported before a client connects."""
    attached = False
    for piece in read_recording(options.file, on_cut=complain):
        attached = attached or bool(piece.attachments and piece.direction == "received")
    if attached and options.unix is None:
        raise ValueError(
            f"{options.file} has BLOBs that came as descriptors, which cannot go over TCP; play it with --unix PATH"
        )


async def _serve(options: argparse.Namespace) -> None:
    async def play(accepted: Accepted) -> None:
        if await _play(options, accepted) and options.once:
            tasks.cancel_scope.cancel("one client has heard everything")

    listeners = await THIS_MACHINE.listen(None if options.unix else options.host, options.port, options.unix)
    try:
        for listener in listeners:
            say(f"listening at {listener.address}")
        sys.stdout.flush()  # whoever started this waits for it
        async with anyio.create_task_group() as tasks:
            for listener in listeners:
                tasks.start_soon(listener.accept_forever, play, tasks)
    finally:
        for listener in listeners:
            listener.close()


async def _play(options: argparse.Namespace, accepted: Accepted) -> bool:
    """Play the recording to one client; return whether it got everything. Errors concern this client only."""
    stream = await accepted.open()
    if stream is None:
        return False
    try:
        # A last line that is cut was reported at the start.
        await replay(options.file, stream, speed=options.speed or math.inf, on_cut=lambda _: None)
        while (await stream.receive()).data:
            pass  # the client ends the connection, as it would with any server
    except (INDIError, OSError, ValueError) as error:
        complain(" ".join(str(error).split()))
        return False
    return True
