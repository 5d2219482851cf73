"""What devices and vectors need of the client that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from indianyio._vocabulary import BLOBHandling

if TYPE_CHECKING:
    from indianyio.client._blobs import OnProgress
    from indianyio.client._coming import Coming
    from indianyio.client._listeners import Listener
    from indianyio.client._settle_table import OnCancel
    from indianyio.client._vectors import BLOBVector, Vector

__all__ = ["Actions", "Written"]

Written: TypeAlias = float | bool | str
"""What a member is written as: a number, a truth value for a switch, a text."""


class Actions(Protocol):
    """The ways to the server, and back."""

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
        """Write, and wait for what becomes of it."""

    async def wait_until(
        self, predicate: Callable[[], bool], *, what: Callable[[], str], timeout: float | None
    ) -> None:
        """Wait until a condition holds, looking after each change; ``what`` is the text if it does not in time."""

    def listening(self, listener: Listener) -> AbstractContextManager[None]:
        """Have a function called with each change for as long as the block lasts."""

    def next_blob(
        self, vector: BLOBVector, member: str | None, progress: OnProgress | None
    ) -> AbstractAsyncContextManager[Coming]:
        """Ask for the BLOBs of a vector for as long as the block lasts."""

    async def enable_blobs(self, device: str, vector: str, policy: BLOBHandling) -> None:
        """Tell the server whether the BLOBs of a vector are wanted."""
