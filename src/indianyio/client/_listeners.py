"""Who waits for what: tasks of a client that are told of every change, and of the loss of the server.

No task polls. A listener is a function that is called with each change, by the task that reads; it must neither wait
nor raise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import anyio

from indianyio.client._mirror import Change
from indianyio.exceptions import ConnectionLostError

__all__ = ["Listener", "Listeners"]

Listener: TypeAlias = Callable[[Change], None]


class Listeners:
    """Those who are told.

    :ivar lost: why the server was lost, once it is and will not be connected again; ``None`` until then.
    """

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}
        self.lost: str | None = None

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Have a function called with each change for as long as the block lasts."""
        key = object()
        self._listeners[key] = listener
        try:
            yield
        finally:
            del self._listeners[key]

    def tell(self, change: Change) -> None:
        """Call them all, in the order in which they began to listen."""
        for listener in tuple(self._listeners.values()):
            listener(change)

    def require_server(self) -> None:
        """Raise :exc:`ConnectionLostError` if the server is lost for good."""
        if self.lost is not None:
            raise ConnectionLostError(self.lost)

    async def wait_for(self, predicate: Callable[[], bool], *, seconds: float | None, what: Callable[[], str]) -> None:
        """Wait until a condition holds, looking after each change; return at once if it does already.

        :param predicate: the condition. What it raises comes out of here.
        :param seconds: for how long at the most; ``None`` for ever.
        :param what: says what was waited for and what there was instead.
        :raises TimeoutError: it has not held within that time.
        :raises ConnectionLostError: the server was lost, and will not be connected again.
        """
        held = anyio.Event()
        failure: Exception | None = None

        def look(_: Change) -> None:
            nonlocal failure
            try:
                if self.lost is None and not predicate():
                    return
            except Exception as error:  # noqa: BLE001 - of the caller's own function; raised to the caller below
                failure = error
            held.set()

        self.require_server()
        if predicate():
            return
        with self.listening(look), anyio.move_on_after(math.inf if seconds is None else seconds):
            await held.wait()
        if failure is not None:
            raise failure
        if held.is_set():
            self.require_server()
            return
        raise TimeoutError(what())
