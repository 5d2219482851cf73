"""Following other devices: their properties, as values of the same classes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from indianyio import delProperty
from indianyio._model import SnoopEvent
from indianyio._model._events import ValuesEvent
from indianyio._vocabulary import State
from indianyio.exceptions import WriteRefusedError
from indianyio.properties import Values

__all__ = ["Followed", "require_another"]

V = TypeVar("V", bound=Values)


def require_another(name: str, own: str) -> None:
    """Refuse to follow the instrument itself.

    :raises WriteRefusedError: the name is the instrument's own.
    """
    if name.strip() == own:
        raise WriteRefusedError(f"{own} is this device itself; name another one")


class Followed(Generic[V]):
    """A property of another device.

    :param values: the class of its values.
    :param changed: awaited at each update, if given.
    :param lost: awaited when the property has been deleted, if given.
    :ivar value: the values heard last; ``None`` until something has been heard, and after the property was deleted.
    :ivar state: the state heard last.
    """

    def __init__(
        self,
        values: type[V],
        changed: Callable[[V, State], Awaitable[object]] | None,
        lost: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.values = values
        self.value: V | None = None
        self.state = State.IDLE
        self._changed = changed
        self._lost = lost
        self._known: dict[str, Any] = {}

    async def hear(self, event: SnoopEvent) -> None:
        """Take in what the other driver has sent."""
        if isinstance(event, delProperty):
            self.forget()
            if self._lost is not None:
                await self._lost()
            return
        if not isinstance(event, ValuesEvent):
            return
        # An update need not carry all members.
        self._known.update(event)
        self.state = State(getattr(event, "state", None) or self.state)
        self.value = self.values.from_wire(self._known)
        if self._changed is not None:
            await self._changed(self.value, self.state)

    def forget(self) -> None:
        """Forget what was heard, because the property has been deleted."""
        self._known.clear()
        self.value, self.state = None, State.IDLE
