"""Our server as a process of its own, handled like an indiserver; and what a process costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from indianyio.protocol import EnableBLOB, PingReply, PingRequest, SetBLOBVector, WireMessage
from tests.libindi.libindi_harness import START_SECONDS, Client, IndiServer, alive, wait_until

__all__ = [
    "ROOT",
    "content",
    "cpu_seconds",
    "executables",
    "fence",
    "ours",
    "remote",
    "resident_bytes",
    "set_policy",
    "until",
]

ROOT = Path(__file__).parents[2]
END_SECONDS = 60.0
_LISTENING = re.compile(r"listening on [^ ]*:(\d+)")

M = TypeVar("M", bound=WireMessage)


@contextmanager
def ours(home: Path, *arguments: str, backend: str = "asyncio", port: int = 0) -> Iterator[IndiServer]:
    """Run ``python -m indianyio.run`` as a server; after the block neither it nor its children may be left.

    :param home: a new folder is made in it, for the log and for what drivers keep.
    :param arguments: what it is to serve.
    """
    folder = home / f"ours {len(list(home.iterdir()))}"
    folder.mkdir()
    log = folder / "log"
    command = [sys.executable, "-m", "indianyio.run", "--backend", backend, "--port", str(port), *arguments]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            cwd=ROOT,
            env={**os.environ, "HOME": str(folder)},
        )
    children: list[int] = []
    try:
        assert wait_until(lambda: _LISTENING.search(_text(log)) is not None or ended(process), START_SECONDS)
        found = _LISTENING.search(_text(log))
        assert found is not None, _text(log)
        server = IndiServer(process, int(found[1]), "", folder, log)
        yield server
        children = [] if ended(process) else server.drivers()
        process.terminate()
        assert wait_until(lambda: ended(process), END_SECONDS), _text(log)
        assert wait_until(lambda: not any(map(alive, children)), END_SECONDS), f"outlived it: {children}"
    finally:
        process.kill()
        process.wait()


def remote(*servers: IndiServer) -> list[str]:
    """Return the arguments by which a server of ours serves what these have."""
    return [word for server in servers for word in ("--remote", f"127.0.0.1:{server.port}")]


def executables(*programs: str | Path) -> list[str]:
    """Return the arguments by which a server of ours runs these drivers."""
    return [word for program in programs for word in ("--exec", str(program))]


def ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


# -- what clients do -------------------------------------------------------------------------------------------


def until(client: Client, kind: type[M], device: str, fits: Callable[[M], bool] = lambda message: True) -> M:
    """Skip messages until one is of this kind, about this device and as wanted."""
    while True:
        message = client.expect(kind)
        if getattr(message, "device", None) == device and fits(message):
            return message


def fence(client: Client) -> list[WireMessage]:
    """Return everything that was queued for the client so far and has not been taken yet."""
    client.send(PingRequest(uid="fence"))
    taken = []
    while not isinstance(message := client.receive(), PingReply):
        taken.append(message)
    return taken


def set_policy(client: Client, device: str, policy: str, name: str | None = None) -> None:
    """Set the BLOB policy, and return when the server has it."""
    client.send(EnableBLOB(device=device, name=name, value=policy))
    fence(client)


def content(message: SetBLOBVector) -> bytes:
    """Return what the first member of a BLOB vector carries."""
    return bytes(message.members[0].data or b"")


# -- what a process costs --------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """Return the time that a process has computed so far, in hundredths of seconds as the kernel counts."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int, *, most: bool = False) -> int:
    """Return the memory that a process has now, or the most that it ever had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"^{'VmHWM' if most else 'VmRSS'}:\s*(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10
