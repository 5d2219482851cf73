"""A real indiserver, real clients, and plain sockets to look at what passes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from indianyio.protocol import Frame, Framer, GetProperties, PingReply, PingRequest, decode, encode
from indianyio.protocol._elements import WireMessage
from indianyio.streams import SharedMemory

DRIVERS = Path(__file__).parent / "drivers"
START_SECONDS = 60.0
END_SECONDS = 5.0
RECEIVE_BYTES = 1 << 20

M = TypeVar("M", bound=WireMessage)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look again and again, as nothing tells when another process has got somewhere."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def make_driver(path: Path, target: str, backend: str, folder: Path = DRIVERS, *options: str) -> Path:
    """Write an executable file for a driver; blanks in its path are part of the test."""
    command = [sys.executable, "-m", "indianyio.run", "--folder", str(folder), "--backend", backend]
    command += [*options, "--make-executable", str(path), target]
    subprocess.run(command, check=True, timeout=60)
    return path


@dataclass
class IndiServer:
    """A running indiserver."""

    process: subprocess.Popen[bytes]
    port: int
    unix_name: str
    home: Path
    log: Path

    def tool(self, program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [program, "-p", str(self.port), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=cwd or self.home, stdin=subprocess.DEVNULL
        )

    def getprop(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return self.tool("indi_getprop", *arguments, cwd=cwd)

    def setprop(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.tool("indi_setprop", *arguments)

    def value(self, query: str) -> str:
        return self.getprop("-1", query).stdout.rstrip("\n")

    def drivers(self) -> list[int]:
        """Return the process ids of its drivers, oldest first."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]


@contextmanager
def indiserver(
    home: Path, *drivers: str | Path, options: Sequence[str] = (), port: int = 0
) -> Iterator[IndiServer]:
    """Run indiserver with these drivers, on any port by default; after the block they must all be gone."""
    port, unix_name = port or free_port(), f"indianyio-{uuid.uuid4().hex}"
    command = ["indiserver", "-p", str(port), "-u", unix_name, *options, *map(str, drivers)]
    log = home / "indiserver.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env={**os.environ, "HOME": str(home)},
            start_new_session=True,
        )
    server = IndiServer(process, port, unix_name, home, log)
    children: list[int] = []
    try:
        assert wait_until(lambda: _listens(port) or process.poll() is not None, START_SECONDS)
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        yield server
        children = server.drivers() if process.poll() is None else []
    finally:
        process.terminate()
        process.wait()
        left = [pid for pid in children if not wait_until(lambda pid=pid: not alive(pid), END_SECONDS)]  # type: ignore[misc]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert not left, f"drivers outlived their server: {left}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Client:
    """A blocking client that reads with the package's own reader."""

    sock: socket.socket
    messages: deque[WireMessage] = field(default_factory=deque)
    descriptors: deque[SharedMemory] = field(default_factory=deque)
    framer: Framer = field(default_factory=Framer)

    def send(self, message: WireMessage) -> None:
        self.sock.sendall(encode(message))

    def ask(self, device: str | None = None, name: str | None = None) -> None:
        self.send(GetProperties(device=device, name=name))

    def receive(self) -> WireMessage:
        """Return the next message; whatever is not a good message fails the test."""
        while not self.messages:
            data, ancillary, _, _ = self.sock.recvmsg(RECEIVE_BYTES, 4096)
            assert data, "the server has closed the connection"
            self._take_descriptors(ancillary)
            for item in self.framer.feed(data):
                assert isinstance(item, Frame), item
                self._take(item)
        return self.messages.popleft()

    def expect(self, kind: type[M], name: str | None = None, state: str | None = None) -> M:
        """Skip messages until one is of this kind, name and state."""
        while True:
            message = self.receive()
            if not isinstance(message, kind):
                continue
            if name is not None and getattr(message, "name", None) != name:
                continue
            if state is None or getattr(message, "state", None) == state:
                return message

    def _take_descriptors(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = memoryview(data).cast("i")
                self.descriptors.extend(SharedMemory(number) for number in numbers)

    def _take(self, frame: Frame) -> None:
        frame.attachments = tuple(self.descriptors.popleft() for _ in range(frame.attached))
        message = decode(frame)
        assert isinstance(message, WireMessage), message
        if isinstance(message, PingRequest):
            self.send(PingReply(uid=message.uid))
        else:
            self.messages.append(message)


@contextmanager
def tcp_client(server: IndiServer, seconds: float = 60) -> Iterator[Client]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as sock:
        yield Client(sock)


@contextmanager
def unix_client(server: IndiServer, seconds: float = 60) -> Iterator[Client]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(seconds)
        sock.connect(f"\0{server.unix_name}")
        yield Client(sock)


def installed(program: str) -> bool:
    return shutil.which(program) is not None
