"""A witness of a driver's work: its handlers of writes, operations of instruments, its vectors, and leave()."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import anyio.lowlevel

from indianyio._vocabulary import State, Switch
from indianyio.client import Client
from indianyio.driver import Device, IPyDriver
from indianyio.standard._settle_table import row_for
from indianyio.testing._counting import counting
from indianyio.testing._running import require_driver

__all__ = ["Witness"]

# How many turns of the event loop a message in memory needs to the driver's handler and back, with room to spare.
_TURNS = 50


class Witness:
    """Watches a driver's own methods, which are called through it for as long as the driver lives.

    :ivar left: how often leave() has been called.
    :ivar on_await: called at each await of code that carries out writes: ``rxevent()``, and the writes and
        operations of an :class:`~indianyio.instrument.Instrument`.
    """

    def __init__(self, driver: IPyDriver) -> None:
        require_driver(driver)
        self.left = 0
        self.on_await: Callable[[], None] = _nothing
        self._driver = driver
        self._leave = driver.leave
        self._handled: list[str] = []
        self._tasks: set[int] = set()
        self._changed = anyio.Event()
        driver.leave = self._counted  # type: ignore[method-assign]
        driver._handle_through(self._noted)

    async def wait_until_at_rest(self, client: Client, seconds: float) -> None:
        """Wait until nothing is Busy, for the client and for the driver, and nothing carries out a write.

        :raises AssertionError: this has not happened within this many seconds.
        """
        # A write may still be on its way, in which case nothing is Busy only because nothing has begun.
        for _ in range(_TURNS):
            await anyio.lowlevel.checkpoint()
        with client._listeners.listening(lambda change: self._changed.set()), anyio.move_on_after(seconds):
            while self._at_work(client):
                self._changed = anyio.Event()
                await self._changed.wait()
        self._require_rest(self._at_work(client), f"after {seconds:g} s")

    def require_rest(self) -> None:
        """Check that nothing is Busy for the driver, and that nothing carries out a write.

        :raises AssertionError: something is.
        """
        self._require_rest([*self._busy(frozenset()), *self._handling()], "at the end")

    @staticmethod
    def _require_rest(at_work: list[str], when: str) -> None:
        if at_work:
            raise AssertionError("\n  ".join([f"still Busy {when}:", *at_work]))

    def require_left_once(self) -> None:
        """Check that ``leave()`` has run exactly once.

        :raises AssertionError: it has not.
        """
        if self.left != 1:
            raise AssertionError(f"leave() has run {self.left} times")

    def _at_work(self, client: Client) -> list[str]:
        seen = [
            vector
            for device in client.values()
            for vector in device.values()
            if vector.state is State.BUSY and not _rests_busy(vector.name, device.is_on)
        ]
        named = frozenset((vector.device, vector.name) for vector in seen)
        unseen = [f"{vector}, although the client does not see it" for vector in self._busy(named)]
        return [*map(repr, seen), *unseen, *self._handling()]

    def _busy(self, but: frozenset[tuple[str, str]]) -> list[str]:
        """Return the vectors of the driver that are Busy, except some."""
        return [
            f"{device.devicename}.{vector.name}"
            for device in self._driver.data.values()
            for vector in device.properties()
            if vector.is_enabled
            and vector.state == State.BUSY
            and (device.devicename, vector.name) not in but
            and not _rests_busy(vector.name, partial(_is_on, device))
        ]

    def _handling(self) -> list[str]:
        return [f"{name}, which has not ended" for name in self._handled]

    async def _counted(self) -> None:
        self.left += 1
        await self._leave()

    async def _noted(self, name: str, handle: Callable[[], Awaitable[object]]) -> None:
        task = anyio.get_current_task().id
        if task in self._tasks:  # loading settings makes writes within a write
            await handle()
            return
        self._tasks.add(task)
        self._handled.append(name)
        try:
            await counting(handle, lambda: self.on_await())
        finally:
            self._tasks.discard(task)
            self._handled.remove(name)
            self._changed.set()


def _rests_busy(name: str, is_on: Callable[[str, str], bool]) -> bool:
    """Return whether a property is at rest although it is Busy: by the standard, a tracking mount's is."""
    return row_for(name, is_on).busy_is_done


def _is_on(device: Device, vector: str, switch: str) -> bool:
    found = device.data.get(vector)
    return found is not None and found.get(switch) == Switch.ON


def _nothing() -> None:
    """Note nothing."""
