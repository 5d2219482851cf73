"""What changes, who is told, and who watches.

No task polls. A listener is a function that is called with each change, by the task that reads; it must neither
wait nor raise.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, TypeAlias

import anyio
import anyio.lowlevel

from indianyio._vocabulary import State
from indianyio.exceptions import ConnectionLostError

if TYPE_CHECKING:
    from indianyio.client._vectors import AnyVector

__all__ = ["Change", "ChangeKind", "Listener", "Listeners", "Watch"]

# How many vectors may have a change that waits. There are that many where a server defines and deletes without end.
_MOST_WAITING = 10_000

ChangeKind: TypeAlias = Literal["defined", "updated", "deleted", "message", "lost", "back"]


class Change(NamedTuple):
    """What has changed.

    :ivar kind: what has happened: a vector was defined, updated or deleted, a message for people came, the
        connection was lost or is back.
    :ivar device: the device's name; ``None`` where all are concerned.
    :ivar vector: the vector, as it is now; ``None`` where a device is concerned as a whole.
    :ivar state: the vector's state after this change.
    :ivar members: the members that an update names.
    :ivar message: the driver's text, or "".
    :ivar left_out: how many changes of the same vector were left out before this one, because whoever watches was
        slower than they came.
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
    """Those who are told.

    :ivar ended: why nothing more will come, once that is so; ``None`` until then.
    """

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}
        self.ended: str | None = None

    def add(self, listener: Listener) -> object:
        """Have a function called with each change from now on; return what :meth:`remove` needs."""
        key = object()
        self._listeners[key] = listener
        return key

    def remove(self, key: object) -> None:
        """Call that function no more; twice does nothing."""
        self._listeners.pop(key, None)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Have a function called with each change for as long as the block lasts."""
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
        """Take note that nothing more will come, and tell all."""
        if self.ended is None:
            self.ended = reason
            self.tell(Change("lost", message=reason))

    def require_more(self) -> None:
        """Raise :exc:`ConnectionLostError` if nothing more will come."""
        if self.ended is not None:
            raise ConnectionLostError(self.ended)

    async def wait_for(
        self, predicate: Callable[[], bool], *, seconds: float | None, what: Callable[[], str]
    ) -> None:
        """Wait until a condition holds, looking after each change; return at once if it does already.

        :param predicate: the condition. What it raises comes out of here.
        :param seconds: for how long at the most; ``None`` for ever.
        :param what: says what was waited for and what there was instead.
        :raises TimeoutError: it has not held within that time.
        :raises ConnectionLostError: the server was lost, and will not be connected again.
        """
        self.require_more()
        if predicate():
            await anyio.lowlevel.checkpoint()
            return
        held = anyio.Event()
        failure: Exception | None = None

        def look(_: Change) -> None:
            nonlocal failure
            if held.is_set():
                return  # it held; what comes before the waiting task has its turn does not count
            try:
                if self.ended is None and not predicate():
                    return
            except Exception as error:  # noqa: BLE001 - of the caller's own function; raised to the caller below
                failure = error
            held.set()

        with self.listening(look), anyio.move_on_after(math.inf if seconds is None else seconds):
            await held.wait()
        if failure is not None:
            raise failure
        if not held.is_set():
            raise TimeoutError(what())
        await anyio.lowlevel.checkpoint_if_cancelled()  # in the client's block, that ends with this very error
        self.require_more()


class Watch:
    """An iterator of changes; :meth:`indianyio.client.Client.watch` makes one.

    It watches from the moment on at which it is made. It never delays the reader and never grows: of each vector
    only the newest change waits, and says how many it has replaced. It ends with its block, or when it is
    forgotten.

    :param listeners: tells of changes.
    :param device: only of this device; of all if ``None``.
    :param vector: only of vectors of this name.
    :param state: only when a vector is in this state.
    """

    def __init__(
        self, listeners: Listeners, *, device: str | None, vector: str | None, state: State | None
    ) -> None:
        queue = self._queue = _Queue(device, vector, state)
        self._listeners = listeners
        # The queue is listening, not the watch: so whoever forgets a watch is not listened for any more.
        self._close = weakref.finalize(self, listeners.remove, listeners.add(queue.put))

    async def __aenter__(self) -> Self:
        await anyio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Watch no more; what waits can still be had."""
        self._close()
        self._queue.filled.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        queue = self._queue
        await anyio.lowlevel.checkpoint()
        while not queue.waiting:
            if not self._close.alive:
                raise StopAsyncIteration
            if self._listeners.ended is not None:
                raise ConnectionLostError(self._listeners.ended)
            await queue.filled.wait()
        return queue.take()


class _Queue:
    """What waits to be looked at: the newest change of each vector, in the order of their first."""

    def __init__(self, device: str | None, vector: str | None, state: State | None) -> None:
        self.waiting: dict[tuple[str | None, ...], Change] = {}
        self.filled = anyio.Event()
        self._device = device
        self._vector = vector
        self._state = state

    def put(self, change: Change) -> None:
        """Take a change, if it is one that is wanted."""
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
        """Return what has waited longest."""
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
