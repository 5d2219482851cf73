"""The next BLOB of a vector, that is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from indianyio._vocabulary import State
from indianyio.client._blobs import Blob, OnProgress, Progress
from indianyio.client._changes import Change
from indianyio.client._spooling import SpoolProgress
from indianyio.client._vectors import BLOBVector
from indianyio.exceptions import ConnectionLostError, OperationAbortedError, RefusedError

__all__ = ["Coming"]


class WaitUntil(Protocol):
    """Waits until a condition holds."""

    async def __call__(
        self, predicate: Callable[[], bool], *, what: Callable[[], str], timeout: float | None
    ) -> None:
        """See :meth:`indianyio.client._actions.Actions.wait_until`."""


class Coming:
    """The next content of a BLOB vector, from the moment on at which it was asked for.

    :param vector: the vector.
    :param member: which member; the first that comes if ``None``.
    :param wait_until: waits.
    :param progress: is told how far the content has come.
    """

    def __init__(
        self, vector: BLOBVector, member: str | None, wait_until: WaitUntil, progress: OnProgress | None
    ) -> None:
        self._vector = vector
        self._member = member
        self._wait_until = wait_until
        self._progress = [] if progress is None else [progress]
        self._blob: Blob | None = None
        self._failure: Exception | None = None

    @property
    def blob(self) -> Blob | None:
        """What has come; ``None`` as long as nothing has."""
        return self._blob

    async def get(self, timeout: float | None = None) -> Blob:
        """Wait for the content and return it, every time the same.

        :param timeout: for how long at the most, in seconds.
        :raises TimeoutError: nothing came within that time.
        :raises RefusedError: the driver says Alert of this vector.
        :raises OperationAbortedError: the vector was deleted.
        :raises ConnectionLostError: the server was lost; what it was about to send is lost too.
        """
        vector = self._vector
        await self._wait_until(
            lambda: self._blob is not None or self._failure is not None,
            what=lambda: f"{vector.device}.{vector.name}: no BLOB came within {timeout:g} s; it is {vector.state}",
            timeout=timeout,
        )
        if self._failure is not None:
            raise self._failure
        assert self._blob is not None
        return self._blob

    async def save(
        self, path: str | os.PathLike[str], *, timeout: float | None = None, progress: OnProgress | None = None
    ) -> Path:
        """Wait for the content and write it into a file, as :meth:`Blob.save` does.

        :param path: where.
        :param timeout: how long to wait for it at the most, in seconds; the writing may take longer.
        :param progress: is told how far the content has come.
        :return: the path.
        """
        writing = progress if self._blob is not None else None  # then there is only the writing left to tell of
        if progress is not None:
            self._progress.append(progress)
        blob = await self.get(timeout)
        return await blob.save(path, progress=writing)

    def _notice(self, change: Change) -> None:
        """Look whether a change brings the content, or says that none will come."""
        if self._blob is not None or self._failure is not None:
            return
        vector = self._vector
        if change.kind == "lost":
            self._failure = ConnectionLostError(f"{vector.device}.{vector.name}: {change.message}")
        elif not vector.exists:
            self._failure = OperationAbortedError("it was deleted", device=vector.device, vector=vector.name)
        elif change.vector is vector and change.kind == "updated":
            self._look(change)

    def _notice_progress(self, progress: SpoolProgress) -> None:
        """Pass on how far a large BLOB has come, if it is one of this vector."""
        vector = self._vector
        if self._blob is None and (progress.device, progress.vector) == (vector.device, vector.name):
            self._tell(Progress(progress.done, progress.total))

    def _look(self, change: Change) -> None:
        vector = self._vector
        came = [name for name in vector.members if name in change.members and self._member in (None, name)]
        if came:
            self._blob = vector[came[0]]
            if self._blob is not None:
                self._tell(Progress(self._blob.length, self._blob.length))
        elif change.state is State.ALERT:
            reason = change.message or "the driver says Alert and gives no reason"
            self._failure = RefusedError(reason, device=vector.device, vector=vector.name)

    def _tell(self, progress: Progress) -> None:
        try:
            for tell in self._progress:
                tell(progress)
        except Exception as error:  # noqa: BLE001 - of the caller's own function; get() raises it
            self._progress.clear()
            self._failure = error
