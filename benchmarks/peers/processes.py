"""Programs that are measured: started, ended by their own id, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

__all__ = ["END_SECONDS", "kept_folder", "program_environment", "running"]

END_SECONDS = 10.0

# What a failed round shows of a program's standard error.
_SHOWN_BYTES = 2000


@cache
def _kept_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="indianyio-bench-")


def kept_folder() -> Path:
    """Return a folder that is removed when this process ends."""
    return Path(_kept_folder().name)


def program_environment() -> dict[str, str]:
    """Return this process's environment, in which Python keeps compiled code, wherever its own may not be written."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(kept_folder() / "pycache")}


@contextmanager
def running(
    command: Sequence[str], *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for the length of the block.

    It has a home of its own, where it finds nobody's settings and leaves nothing behind.

    :param stdin: the descriptor that becomes its standard input; nothing if absent.
    :param stdout: the same for its standard output.
    :raises OSError: it cannot be started. What the block raises is let out with the end of the program's standard
        error as a note.
    """
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile() as log:
        environment = {**program_environment(), "HOME": home}
        process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=log, env=environment, cwd=home, start_new_session=True
        )
        try:
            yield process
        except Exception as exc:
            exc.add_note(_told(process, log))
            raise
        finally:
            _end(process)


def _told(process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    log.seek(max(0, os.fstat(log.fileno()).st_size - _SHOWN_BYTES))
    state = "running" if process.poll() is None else f"ended with status {process.returncode}"
    return f"{process.args!r} is {state}; it said:\n{log.read().decode(errors='replace')}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program, and what it leaves behind: indipydriver outlives the indiserver that has started it."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):  # the rule: there is none left
        os.killpg(process.pid, signal.SIGKILL)
