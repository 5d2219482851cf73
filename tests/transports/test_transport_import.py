"""The package must be importable where Unix's specialities are missing."""

from __future__ import annotations

import subprocess
import sys

WITHOUT_UNIX = """
import functools, os, select, socket, sys
import anyio, asyncio, trio
sys.modules["fcntl"] = None
socket.socketpair = functools.partial(socket.socketpair, socket.AF_UNIX)  # asyncio needs one
for module, names in {
    os: ["memfd_create", "MFD_CLOEXEC", "MFD_ALLOW_SEALING"],
    socket: [
        "AF_UNIX", "SCM_RIGHTS", "CMSG_SPACE", "MSG_DONTWAIT", "MSG_NOSIGNAL", "MSG_CMSG_CLOEXEC", "SOCK_NONBLOCK",
        "SO_PEERCRED",
    ],
    select: ["poll", "PIPE_BUF"],
}.items():
    for name in names:
        delattr(module, name)
os.name = "nt"

from indianyio.streams import SocketStream, attachments_supported, open_stdio

assert not attachments_supported()

async def main():
    try:
        async with open_stdio():
            raise AssertionError("opened")
    except OSError as exc:
        print(exc.strerror)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = SocketStream(socket.create_connection(listener.getsockname()))
        two = SocketStream(listener.accept()[0])
    await one.send(b"<x/>")
    print((await two.receive()).data)
    with anyio.move_on_after(0.01):
        await two.receive()
    await one.aclose()
    await two.aclose()

anyio.run(main)
"""


def test_d26_without_unix_it_can_be_imported_and_tcp_works() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_UNIX], capture_output=True, timeout=60, check=False)
    assert done.stderr == b""
    assert done.stdout.decode().splitlines() == [
        "standard input and output carry INDI on POSIX systems only",
        "b'<x/>'",
    ]
