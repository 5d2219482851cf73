"""Be a server that tells what was recorded with indianyio record, to each client that connects, until Ctrl-C."""

from __future__ import annotations

import argparse
import math
import socket
import sys
from contextlib import suppress

import anyio

from indianyio.commands._wire import add_backend, complain, run_until_interrupted, say
from indianyio.exceptions import ConnectionLostError
from indianyio.streams import SocketStream
from indianyio.testing import read_recording, replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("file", help="the recording")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("-p", "--port", type=int, default=7624, help="the port; 0 for any (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times as fast; 0 for at once")
    parser.add_argument("--once", action="store_true", help="end when one client has heard everything")
    add_backend(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the file is no recording.
    """
    for _ in read_recording(options.file):
        pass  # damaged files are refused before anybody has connected
    run_until_interrupted(options, _serve, options)
    return 0


async def _serve(options: argparse.Namespace) -> None:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.create_server((options.host, options.port), family=family) as listener:
        listener.setblocking(False)
        say(f"listening at {options.host}:{listener.getsockname()[1]}")
        sys.stdout.flush()  # whoever started this waits for it
        async with anyio.create_task_group() as tasks:

            async def play(sock: socket.socket) -> None:
                await _play(options, sock)
                if options.once:
                    tasks.cancel_scope.cancel("one client has heard everything")

            while True:
                await anyio.wait_readable(listener)
                with suppress(BlockingIOError, ConnectionError):  # it has gone again meanwhile
                    tasks.start_soon(play, listener.accept()[0])


async def _play(options: argparse.Namespace, sock: socket.socket) -> None:
    sock.setblocking(False)
    stream = SocketStream(sock, name="a client")
    try:
        await replay(options.file, stream, speed=options.speed or math.inf)
        while (await stream.receive()).data:
            pass  # the client ends the connection, as it would with any server
    except ConnectionLostError as error:
        complain(str(error))
    finally:
        stream.close()
