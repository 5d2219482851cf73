"""What devices and vectors need from their client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from indianyio._vocabulary import BLOBHandling

if TYPE_CHECKING:
    from indianyio.client._blobs import OnProgress
    from indianyio.client._changes import Change
    from indianyio.client._coming import Coming
    from indianyio.client._vectors import BLOBVector, Vector
    from indianyio.standard._settle_table import OnCancel

__all__ = ["Actions", "Upload", "Written"]


class Upload(NamedTuple):
    """A value for a BLOB member together with its format.

    :ivar content: the bytes, or the path of a file with them.
    :ivar format: a file suffix with its leading dot, such as ``.fits``.
    """

    content: bytes | os.PathLike[str]
    format: str = ".bin"


Written: TypeAlias = float | bool | str | bytes | os.PathLike[str] | Upload
"""A value to write to a member: a number, also as a text such as ``-0:30:15``; a bool for a switch; a text; for a
BLOB bytes, an :class:`Upload`, or the path of a file, whose suffix is the format."""


class Actions(Protocol):
    """The ways to write to the server and to hear from it."""

    async def set(
        self,
        vector: Vector[Any],
        values: Mapping[str, Written],
        *,
        timeout: float | None,
        start_timeout: float,
        wait: bool,
        on_cancel: OnCancel | None,
        validate: bool | None,
    ) -> None:
        """Write, and wait for the outcome."""

    async def wait_until(
        self, predicate: Callable[[], bool], *, what: Callable[[], str], timeout: float | None
    ) -> None:
        """Wait until a condition holds, testing it after each change; ``what`` makes the timeout error's text."""

    def listening(self, listener: Callable[[Change], None]) -> AbstractContextManager[None]:
        """Call a function with each change while the block lasts; it must neither wait nor raise."""

    def next_blob(
        self, vector: BLOBVector, member: str | None, progress: OnProgress | None
    ) -> AbstractAsyncContextManager[Coming]:
        """Ask for the BLOBs of a vector for as long as the block lasts."""

    async def enable_blobs(self, device: str, vector: str, policy: BLOBHandling) -> None:
        """Tell the server whether the BLOBs of a vector are wanted."""
