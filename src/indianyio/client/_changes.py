"""What changes, who is told, and who watches; and what devices and vectors need from their client.

No task polls. A listener is a function that the task which reads calls with each change; it must neither wait nor
raise.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self, TypeAlias

import anyio
import anyio.lowlevel

from indianyio._vocabulary import BLOBHandling, State
from indianyio.exceptions import ConnectionLostError

if TYPE_CHECKING:
    from indianyio.client._coming import Coming
    from indianyio.client._members import OnProgress, Written
    from indianyio.client._vectors import AnyVector, BLOBVector, Vector
    from indianyio.standard._settle_table import OnCancel

__all__ = ["Actions", "Change", "ChangeKind", "Listener", "Listeners", "Watch"]

# How many vectors may have a change waiting. Only a server that defines and deletes without end has that many.
_MOST_WAITING = 10_000

ChangeKind: TypeAlias = Literal["defined", "updated", "deleted", "message", "lost", "back"]
"""What has happened to a vector, a device or the connection; :class:`Change` says what each word means."""


class Change(NamedTuple):
    """What has changed.

    :ivar kind: what has happened: a vector was defined, updated or deleted, a message for people arrived, the
        connection was lost or is back.
    :ivar device: the device's name; ``None`` if all devices are concerned.
    :ivar vector: the vector as it is now; ``None`` if a device as a whole is concerned.
    :ivar state: the vector's state after this change.
    :ivar members: the members that an update names.
    :ivar message: the driver's text, or "".
    :ivar left_out: how many changes of the same vector were left out before this one, because they came faster than
        the watcher looked at them.
    """

    kind: ChangeKind
    device: str | None = None
    vector: AnyVector | None = None
    state: State | None = None
    members: frozenset[str] = frozenset()
    message: str = ""
    left_out: int = 0


Listener: TypeAlias = Callable[[Change], None]


class Listeners:
    """Those who are told about changes.

    :ivar ended: why there will be no more changes; ``None`` while there may be some.
    """

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}
        self.ended: str | None = None

    def add(self, listener: Listener) -> object:
        """Call a function with each change from now on; return what :meth:`remove` needs."""
        key = object()
        self._listeners[key] = listener
        return key

    def remove(self, key: object) -> None:
        """Stop calling that function; removing it twice does nothing."""
        self._listeners.pop(key, None)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Call a function with each change for as long as the block lasts."""
        key = self.add(listener)
        try:
            yield
        finally:
            self.remove(key)

    def tell(self, change: Change) -> None:
        """Call them all, in the order in which they began to listen."""
        for listener in tuple(self._listeners.values()):
            listener(change)

    def end(self, reason: str) -> None:
        """Note that there will be no more changes, and tell everybody."""
        if self.ended is None:
            self.ended = reason
            self.tell(Change("lost", message=reason))

    def require_more(self) -> None:
        """Raise :exc:`ConnectionLostError` if there will be no more changes."""
        if self.ended is not None:
            raise ConnectionLostError(self.ended)

    async def wait_for(
        self, predicate: Callable[[], bool], *, seconds: float | None, what: Callable[[], str]
    ) -> None:
        """Wait until a condition holds, checking it after each change; return at once if it already holds.

        :param predicate: the condition. What it raises is raised here.
        :param seconds: how long to wait at most; ``None`` for ever.
        :param what: returns a text that says what was waited for and what there was instead.
        :raises TypeError: the condition is an async function.
        :raises TimeoutError: the condition has not held within that time.
        :raises ConnectionLostError: the server was lost, and the client will not reconnect.
        """
        self.require_more()
        if _holds(predicate):
            await anyio.lowlevel.checkpoint()
            return
        held = anyio.Event()
        failure: Exception | None = None

        def look(_: Change) -> None:
            nonlocal failure
            if held.is_set():
                return  # it held once; changes that come before the waiting task runs do not count
            try:
                if self.ended is None and not _holds(predicate):
                    return
            except Exception as error:  # noqa: BLE001 - from the caller's own function; raised to the caller below
                failure = error
            held.set()

        with self.listening(look), anyio.move_on_after(math.inf if seconds is None else seconds):
            await held.wait()
        if failure is not None:
            raise failure
        if not held.is_set():
            raise TimeoutError(what())
        await anyio.lowlevel.checkpoint_if_cancelled()  # a client's block that ends raises this error itself
        self.require_more()


def _holds(predicate: Callable[[], object]) -> bool:
    result = predicate()
    if isinstance(result, Coroutine):
        result.close()  # every coroutine is true: it would be taken for a condition that holds already
        raise TypeError("a condition must be an ordinary function, not an async one")
    return bool(result)


class Watch:
    """An iterator of changes; :meth:`indianyio.client.Client.watch` makes one.

    It watches from the moment it is made. It never delays the reader and never grows: of each vector only the
    newest change waits, and says how many others it has replaced. It ends with its block, or when nobody refers to
    it any more.

    :param listeners: tells about changes.
    :param device: watch only this device; all devices if ``None``.
    :param vector: watch only vectors of this name.
    :param state: watch only changes after which a vector is in this state.
    """

    def __init__(
        self, listeners: Listeners, *, device: str | None, vector: str | None, state: State | None
    ) -> None:
        queue = self._queue = _Queue(device, vector, state)
        self._listeners = listeners
        # The queue listens, not the watch. So when nobody refers to the watch any more, nobody listens for it
        # either.
        self._close = weakref.finalize(self, listeners.remove, listeners.add(queue.put))

    async def __aenter__(self) -> Self:
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching; changes that are waiting can still be read."""
        self._close()
        self._queue.filled.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        queue = self._queue
        if queue.waiting or not self._close.alive or self._listeners.ended is not None:
            await anyio.lowlevel.checkpoint()  # otherwise the wait below is one
        while not queue.waiting:
            if not self._close.alive:
                raise StopAsyncIteration
            if self._listeners.ended is not None:
                raise ConnectionLostError(self._listeners.ended)
            await queue.filled.wait()
        return queue.take()


class _Queue:
    """The changes that wait to be looked at: the newest of each vector, in the order of their first."""

    def __init__(self, device: str | None, vector: str | None, state: State | None) -> None:
        self.waiting: dict[tuple[str | None, ...], Change] = {}
        self.filled = anyio.Event()
        self._device = device
        self._vector = vector
        self._state = state

    def put(self, change: Change) -> None:
        """Take a change, if it is wanted."""
        if not self._wants(change):
            return
        if change.kind in ("lost", "back"):
            key: tuple[str | None, ...] = ("connection",)
        elif change.vector is None:
            key = (change.kind, change.device)
        else:
            key = ("vector", change.device, change.vector.name)
        before = self.waiting.get(key)
        if before is None and len(self.waiting) >= _MOST_WAITING:
            before = self.take()
        self.waiting[key] = change if before is None else change._replace(left_out=before.left_out + 1)
        self.filled.set()

    def take(self) -> Change:
        """Return the change that has waited longest."""
        change = self.waiting.pop(next(iter(self.waiting)))
        if not self.waiting:
            self.filled = anyio.Event()
        return change

    def _wants(self, change: Change) -> bool:
        if change.kind in ("lost", "back"):
            return True
        if self._device is not None and change.device != self._device:
            return False
        if self._vector is not None and not (
            (change.vector is not None and change.vector.name == self._vector)
            or (change.kind == "deleted" and change.vector is None)
        ):
            return False
        return self._state is None or change.state is self._state


# -- what devices and vectors need from their client -----------------------------------------------------------


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
