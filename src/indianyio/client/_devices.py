"""A device, as a client sees it: its vectors by name, and what a script does with it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

import anyio

from indianyio._vocabulary import BLOBHandling, State
from indianyio.client._actions import Actions, Written
from indianyio.client._blobs import OnProgress
from indianyio.client._coming import Coming
from indianyio.client._members import NamedThings
from indianyio.client._settle_table import OnCancel
from indianyio.client._vectors import AnyVector, BLOBVector, SwitchVector
from indianyio.exceptions import ConnectionLostError, INDIError, UnknownVectorError

__all__ = ["LOG_LINES", "Device"]

logger = logging.getLogger(__name__)

LOG_LINES = 200
"""How many lines a log keeps, of a device and of the server."""

# How long a device may take to disconnect when the block ends in which it was connected.
_DISCONNECT_SECONDS = 10.0


class Device(NamedThings[AnyVector]):
    """A device: its vectors by name.

    It can be kept as long as one likes: a driver that ends and is started again has the same devices.

    :ivar name: its name.
    :ivar messages: its latest messages, the oldest first, each with its timestamp as the driver wrote it.
    """

    def __init__(self, name: str, actions: Actions) -> None:
        self.name = name
        self.messages: deque[tuple[str, str]] = deque(maxlen=LOG_LINES)
        self._actions = actions
        self._present: dict[str, AnyVector] = {}

    # -- what it is ------------------------------------------------------------------------------------------------

    def __getitem__(self, vector: str) -> AnyVector:
        try:
            return self._present[vector]
        except KeyError:
            raise UnknownVectorError(self.name, vector, tuple(self._present)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._present)

    def __len__(self) -> int:
        return len(self._present)

    def __repr__(self) -> str:
        return f"<Device {self.name}: {len(self._present)} vectors>"

    def is_on(self, vector: str, switch: str) -> bool:
        """Return whether a switch is On; ``False`` where there is no such switch."""
        found = self._present.get(vector)
        return isinstance(found, SwitchVector) and bool(found.get(switch))

    @property
    def is_connected(self) -> bool:
        """Whether the driver has its instrument: CONNECT is On, and the vector neither Busy nor Alert."""
        connection = self._present.get("CONNECTION")
        return (
            connection is not None
            and self.is_on("CONNECTION", "CONNECT")
            and connection.state not in (State.BUSY, State.ALERT)
            and not connection.stale
        )

    @property
    def is_fresh(self) -> bool:
        """Whether anything of it was told since the server was connected the last time."""
        return any(not vector.stale for vector in self._present.values())

    def snapshot(self) -> dict[str, object]:
        """Return all of it as plain data, ready for JSON."""
        return {name: vector.snapshot() for name, vector in self._present.items()}

    # -- what a script does with it --------------------------------------------------------------------------------

    async def vector(self, name: str, timeout: float | None = None) -> AnyVector:
        """Wait until the device has a vector of this name, and return it; at once if it has it already.

        :param name: its name.
        :param timeout: for how long at the most, in seconds.
        :raises TimeoutError: there is no such vector; the text says what there is instead.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        await self._actions.wait_until(
            lambda: name in self._present and not self._present[name].stale,
            what=lambda: f"no {self.name}.{name} within {timeout:g} s; there is {_listed(self._present)}",
            timeout=timeout,
        )
        return self._present[name]

    async def wait_for(self, predicate: Callable[[Self], bool], *, timeout: float | None = None) -> Self:
        """Wait until a condition holds for this device; return at once if it does already.

        :param predicate: gets the device, after each change.
        :param timeout: for how long at the most, in seconds.
        :raises TimeoutError: it did not hold within that time.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        await self._actions.wait_until(
            lambda: predicate(self),
            what=lambda: f"{self.name}: the condition did not hold within {timeout:g} s; it is {self!r}",
            timeout=timeout,
        )
        return self

    async def set(
        self,
        vector: str,
        values: Mapping[str, Written] | None = None,
        /,
        *,
        timeout: float | None = None,
        start_timeout: float = 2.0,
        wait: bool = True,
        on_cancel: OnCancel | None = None,
        validate: bool | None = None,
        **members: Written,
    ) -> AnyVector:
        """Write a vector, and wait until the device has done what was asked; see :meth:`Vector.set`.

        A vector that is not there yet is waited for as long as the driver may take to answer, because a device that
        has just been connected defines most of its vectors a moment later.

        :raises UnknownVectorError: there is no such vector.
        """
        target = await self._defined(vector, start_timeout)
        await self._actions.set(
            target,
            {**(values or {}), **members},
            timeout=timeout,
            start_timeout=start_timeout,
            wait=wait,
            on_cancel=on_cancel,
            validate=validate,
        )
        return target

    @asynccontextmanager
    async def next(
        self, vector: str, member: str | None = None, *, progress: OnProgress | None = None
    ) -> AsyncGenerator[Coming]:
        """Ask for the BLOBs of a vector for as long as the block lasts, and get the next one.

        ::

            async with camera.next("CCD1") as image:
                await camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5)
                await image.save("m31.fits")

        The server is asked before the block begins, so the image of an exposure that is started in it cannot be
        missed. Large images go into a file as they come, and never lie in memory as a whole.

        :param vector: the name of a BLOB vector; waited for as :meth:`set` does.
        :param member: which member; the first that comes if absent.
        :param progress: is told how far the content has come.
        :raises UnknownVectorError: there is no such vector.
        :raises TypeError: it is not a BLOB vector.
        """
        found = await self._defined(vector, 2.0)
        if not isinstance(found, BLOBVector):
            raise TypeError(f"{self.name}.{vector} is a {found.kind} vector, which brings no BLOBs")
        async with self._actions.next_blob(found, member, progress) as coming:
            yield coming

    async def enable_blobs(self, vector: str, policy: BLOBHandling | str = BLOBHandling.ALSO) -> None:
        """Tell the server whether the BLOBs of a vector are wanted, for whoever watches.

        There is no need for it with :meth:`next`.

        :param vector: the vector's name.
        :param policy: ``Also`` or ``Never``; ``Only`` is the same as ``Also`` for a single vector.
        """
        await self._actions.enable_blobs(self.name, vector, BLOBHandling(policy))

    @asynccontextmanager
    async def connected(self, timeout: float | None = None) -> AsyncGenerator[Self]:
        """Have the driver connected to its instrument for as long as the block lasts.

        If it was not connected before, it is disconnected again when the block ends, however that comes about.

        :param timeout: how long the driver may take to connect, in seconds.
        :raises RefusedError: the driver cannot connect; the text is its own.
        :raises TimeoutError: it did not within that time.
        """
        connection = await self._defined("CONNECTION", 2.0)
        if self.is_connected:
            yield self
            return
        try:
            await connection.set(CONNECT=True, timeout=timeout, on_cancel="leave")
            yield self
        finally:
            # Cancelled in between, the driver may be about to connect, though it has not said anything yet.
            with anyio.move_on_after(_DISCONNECT_SECONDS, shield=True) as limit:
                await self._disconnect(connection)
            if limit.cancelled_caught:
                logger.warning("%s has not disconnected within %g s", self.name, _DISCONNECT_SECONDS)

    async def _disconnect(self, connection: AnyVector) -> None:
        """Disconnect, unless the driver has failed to connect, or is not there any more."""
        if not connection.exists or connection.state is State.ALERT:
            return
        try:
            await connection.set(DISCONNECT=True, on_cancel="leave", validate=False)
        except ConnectionLostError:
            pass  # whoever waits for anything else is told
        except (INDIError, TimeoutError) as error:
            logger.warning("%s could not be disconnected: %s", self.name, error)

    async def _defined(self, name: str, seconds: float) -> AnyVector:
        try:
            return await self.vector(name, seconds)
        except TimeoutError:
            raise UnknownVectorError(self.name, name, tuple(self._present)) from None


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "nothing"
