"""Waiting for the next BLOB of a vector, and which BLOBs a client has asked for."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel

from indianyio._vocabulary import State
from indianyio.client._changes import Change
from indianyio.client._members import Blob, OnProgress, Progress
from indianyio.client._spooling import SpoolProgress
from indianyio.client._vectors import BLOBVector
from indianyio.exceptions import ConnectionLostError, OperationAbortedError, RefusedError

__all__ = ["Coming", "WantedBLOBs"]


class Coming:
    """The next content of a BLOB vector after this was created.

    :param vector: the vector.
    :param member: which member; the first that arrives if ``None``.
    :param progress: called with the progress of the content.
    """

    def __init__(self, vector: BLOBVector, member: str | None, progress: OnProgress | None) -> None:
        self._vector = vector
        self._member = member
        self._progress = [] if progress is None else [progress]
        self._blob: Blob | None = None
        self._failure: Exception | None = None
        self._decided = anyio.Event()

    @property
    def blob(self) -> Blob | None:
        """The content; ``None`` until it has arrived."""
        return self._blob

    async def get(self, timeout: float | None = None) -> Blob:
        """Wait for the content and return it; every call returns the same.

        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: nothing came within that time.
        :raises RefusedError: the driver set this vector to Alert.
        :raises OperationAbortedError: the vector was deleted.
        :raises ConnectionLostError: the server was lost; what it was about to send is lost too.
        :raises RuntimeError: nothing had come when the block of ``next()`` ended.
        """
        vector = self._vector
        with anyio.move_on_after(math.inf if timeout is None else timeout):
            await self._decided.wait()
        if not self._decided.is_set():
            raise TimeoutError(
                f"{vector.device}.{vector.name}: no BLOB came within {timeout:g} s; it is {vector.state}"
            )
        if self._failure is not None:
            await anyio.lowlevel.checkpoint_if_cancelled()  # a client's block that ends has the last word
            raise self._failure
        assert self._blob is not None
        return self._blob

    async def save(
        self, path: str | os.PathLike[str], *, timeout: float | None = None, progress: OnProgress | None = None
    ) -> Path:
        """Wait for the content and write it into a file, as :meth:`Blob.save` does.

        :param path: where.
        :param timeout: how long to wait for it at most, in seconds; writing it may take longer.
        :param progress: called with the progress of the content.
        :return: the path.
        """
        writing = progress if self._blob is not None else None  # then only the writing is left to report
        if progress is not None:
            self._progress.append(progress)
        blob = await self.get(timeout)
        return await blob.save(path, progress=writing)

    def _notice(self, change: Change) -> None:
        """Check whether a change brings the content, or means that none will arrive."""
        if self._blob is not None or self._failure is not None:
            return
        vector = self._vector
        if change.kind == "lost":
            self._fail(ConnectionLostError(f"{vector.device}.{vector.name}: {change.message}"))
        elif not vector.exists:
            self._fail(OperationAbortedError("it was deleted", device=vector.device, vector=vector.name))
        elif change.vector is vector and change.kind == "updated":
            self._look(change)

    def _notice_progress(self, progress: SpoolProgress) -> None:
        """Pass on the progress of a large BLOB, if it belongs to this vector."""
        vector = self._vector
        if self._blob is None and (progress.device, progress.vector) == (vector.device, vector.name):
            self._tell(Progress(progress.done, progress.total))

    def _look(self, change: Change) -> None:
        vector = self._vector
        arrived = [name for name in vector.members if name in change.members and self._member in (None, name)]
        if arrived:
            self._blob = vector[arrived[0]]
            if self._blob is not None:
                self._tell(Progress(self._blob.length, self._blob.length))
                self._decided.set()
        elif change.state is State.ALERT:
            reason = change.message or "the driver says Alert and gives no reason"
            self._fail(RefusedError(reason, device=vector.device, vector=vector.name))

    def _tell(self, progress: Progress) -> None:
        try:
            for tell in self._progress:
                tell(progress)
        except Exception as error:  # noqa: BLE001 - of the caller's own function; get() raises it
            self._progress.clear()
            self._fail(error)

    def _end(self) -> None:
        """Note that nothing will arrive any more: the server was told that the BLOBs are no longer wanted."""
        if self._blob is None and self._failure is None:
            vector = self._vector
            self._fail(RuntimeError(f"{vector.device}.{vector.name}: the block of next() has ended"))

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._decided.set()


class WantedBLOBs:
    """The vectors whose BLOBs a client has asked for, by device and name.

    A block that waits for an image and a policy that a program has set do not know about each other. So neither may
    end what the other has asked for.
    """

    def __init__(self) -> None:
        self._awaited: Counter[tuple[str, str]] = Counter()
        self._watched: set[tuple[str, str]] = set()

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._watched or key in self._awaited

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._watched | self._awaited.keys())

    def wait(self, key: tuple[str, str]) -> None:
        """Note a block that waits; call :meth:`wait_no_more` once for it."""
        self._awaited[key] += 1

    def wait_no_more(self, key: tuple[str, str]) -> None:
        """Note that such a block has ended."""
        self._awaited[key] -= 1
        if not self._awaited[key]:
            del self._awaited[key]

    def watch(self, key: tuple[str, str]) -> None:
        """Note that the program wants them, until it says otherwise."""
        self._watched.add(key)

    def watch_no_more(self, key: tuple[str, str]) -> None:
        """Note that the program does not want them."""
        self._watched.discard(key)
