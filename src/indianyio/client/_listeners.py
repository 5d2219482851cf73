"""Who waits for what: tasks of a client that are told of every change, and of the loss of the server.

No task polls. A listener is a function that is called with each change, by the task that reads; it must neither
wait nor raise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import anyio
import anyio.lowlevel

from indianyio.client._changes import Change
from indianyio.exceptions import ConnectionLostError

__all__ = ["Listener", "Listeners"]

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
