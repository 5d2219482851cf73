"""A device as a client sees it: its vectors by name, and the methods for scripts."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Self, TypeVar, overload

import anyio

from indianyio._vocabulary import BLOBHandling, State
from indianyio.client._changes import Actions
from indianyio.client._coming import Coming
from indianyio.client._members import NamedThings, OnProgress, Written
from indianyio.client._vectors import AnyVector, BLOBVector, SwitchVector
from indianyio.client._writes import name_of, values_of, written
from indianyio.exceptions import ConnectionLostError, INDIError, UnknownMemberError, UnknownVectorError
from indianyio.properties import Values
from indianyio.standard._settle_table import OnCancel

__all__ = ["LOG_LINES", "Device"]

ValuesT = TypeVar("ValuesT", bound=Values)

logger = logging.getLogger(__name__)

LOG_LINES = 200
"""How many messages are kept for each device and for the server."""

# How long a device may take to disconnect at the end of the block that connected it.
_DISCONNECT_SECONDS = 10.0


class Device(NamedThings[AnyVector]):
    """A device: its vectors by name, and their values by a class of values.

    You may keep this object as long as you like: when a driver is restarted, its devices are the same objects.
    ``camera["CCD_BINNING"]`` is a vector; ``camera[CcdBinning]`` are its present values, as an instance of that
    class (:mod:`indianyio.properties`). Methods that take the name of a vector also take such a class.

    :ivar name: its name.
    :ivar messages: its latest messages, the oldest first, each with its timestamp as the driver wrote it.
    """

    def __init__(self, name: str, actions: Actions) -> None:
        self.name = name
        self.messages: deque[tuple[str, str]] = deque(maxlen=LOG_LINES)
        self._actions = actions
        self._present: dict[str, AnyVector] = {}
        # How many blocks of connected() are open; the last one disconnects the device, if one of them connected it.
        self._connected_blocks = 0
        self._was_connected_here = False
        self._connecting = anyio.Lock()

    # -- what it is ------------------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, vector: str) -> AnyVector: ...

    @overload
    def __getitem__(self, vector: type[ValuesT]) -> ValuesT: ...

    def __getitem__(self, vector: str | type[ValuesT]) -> AnyVector | ValuesT:
        name = name_of(vector)
        try:
            found = self._present[name]
        except KeyError:
            raise UnknownVectorError(self.name, name, tuple(self._present)) from None
        return found if isinstance(vector, str) else values_of(vector, found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._present)

    def __len__(self) -> int:
        return len(self._present)

    def __repr__(self) -> str:
        return f"<Device {self.name}: {len(self._present)} vectors>"

    def is_on(self, vector: str, switch: str) -> bool:
        """Return whether a switch is On; ``False`` if there is no such switch."""
        found = self._present.get(vector)
        return isinstance(found, SwitchVector) and bool(found.get(switch))

    @property
    def is_connected(self) -> bool:
        """Whether the driver is connected to its instrument: CONNECT is On, its vector neither Busy nor Alert."""
        connection = self._present.get("CONNECTION")
        return (
            connection is not None
            and self.is_on("CONNECTION", "CONNECT")
            and connection.state not in (State.BUSY, State.ALERT)
            and not connection.stale
        )

    @property
    def is_fresh(self) -> bool:
        """Whether the server has reported anything about it since the last connection was made."""
        return any(not vector.stale for vector in self._present.values())

    def snapshot(self) -> dict[str, object]:
        """Return all of it as plain data, ready for JSON."""
        return {name: vector.snapshot() for name, vector in self._present.items()}

    # -- what a script does with it --------------------------------------------------------------------------------

    async def vector(self, name: str | type[Values], timeout: float | None = None) -> AnyVector:
        """Wait until the device has a vector of this name, and return it; at once if it already has it.

        :param name: its name, or a class of its values.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: there is no such vector; the text says what there is instead.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        wanted = name_of(name)
        await self._actions.wait_until(
            lambda: wanted in self._present and not self._present[wanted].stale,
            what=lambda: f"no {self.name}.{wanted} within {timeout:g} s; there is {_listed(self._present)}",
            timeout=timeout,
        )
        return self._present[wanted]

    async def read(self, values: type[ValuesT], timeout: float | None = None) -> ValuesT:
        """Wait until the device has a vector with these values, and return them; at once if it already has it.

        ``camera[CcdBinning]`` does the same without waiting.

        :param values: a class of values.
        :param timeout: how long to wait at most, in seconds.
        :return: the vector's present values, whether or not they are within the limits that the class declares.
        :raises TimeoutError: there is no such vector; the text says what there is instead.
        :raises TypeError: the vector is of another kind than the class.
        :raises ValueError: the content of a BLOB is not available, or is damaged.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        return values_of(values, await self.vector(values, timeout))

    async def wait_for(self, predicate: Callable[[Self], bool], *, timeout: float | None = None) -> Self:
        """Wait until a condition holds for this device; return at once if it already holds.

        :param predicate: gets the device, after each change.
        :param timeout: how long to wait at most, in seconds.
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
        vector: str | Values,
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

        If the vector does not exist yet, this waits for it as long as the driver may take to answer, because a
        device that has just been connected defines most of its vectors a moment later.

        :param vector: its name; or values of a class, instead of a name and members: ``CcdBinning(x=2, y=2)``. Only
            the values that were given are written. Both the device's limits and those of the class apply.
        :raises UnknownVectorError: there is no such vector.
        """
        name, wanted = written(vector, values, members)
        target, timeout = await self._defined_within(timeout, name, start_timeout)
        await self._actions.set(
            target,
            wanted,
            timeout=timeout,
            start_timeout=start_timeout,
            wait=wait,
            on_cancel=on_cancel,
            validate=validate,
        )
        return target

    @asynccontextmanager
    async def next(
        self, vector: str | type[Values], member: str | None = None, *, progress: OnProgress | None = None
    ) -> AsyncGenerator[Coming]:
        """Ask for the BLOBs of a vector for as long as the block lasts, and get the next one.

        ::

            async with camera.next("CCD1") as image:
                await camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5)
                await image.save("m31.fits")

        The server is asked before the block begins, so the image of an exposure that is started in it cannot be
        missed. Large images go into a file as they arrive, and are never held in memory as a whole.

        :param vector: the name of a BLOB vector, or a class of its values; waited for as :meth:`set` does.
        :param member: which member; the first that arrives if absent.
        :param progress: called with the progress of the content.
        :raises UnknownVectorError: there is no such vector.
        :raises UnknownMemberError: the vector has no such member.
        :raises TypeError: it is not a BLOB vector.
        """
        found = await self._defined(name_of(vector), 2.0)
        if not isinstance(found, BLOBVector):
            raise TypeError(f"{self.name}.{found.name} is a {found.kind} vector, which brings no BLOBs")
        if member is not None and member not in found:
            raise UnknownMemberError(self.name, found.name, member, tuple(found))
        async with self._actions.next_blob(found, member, progress) as coming:
            yield coming

    async def enable_blobs(
        self, vector: str | type[Values], policy: BLOBHandling | str = BLOBHandling.ALSO
    ) -> None:
        """Tell the server whether the BLOBs of a vector are wanted, for programs that watch.

        It is not needed with :meth:`next`.

        :param vector: the vector's name, or a class of its values.
        :param policy: ``Also`` or ``Never``; ``Only`` is the same as ``Also`` for a single vector.
        """
        await self._actions.enable_blobs(self.name, name_of(vector), BLOBHandling(policy))

    @asynccontextmanager
    async def connected(self, timeout: float | None = None) -> AsyncGenerator[Self]:
        """Keep the driver connected to its instrument for as long as the block lasts.

        What the driver defines only when it is connected may come a moment after the block has begun: :meth:`set`,
        :meth:`next`, :meth:`vector` and :meth:`read` wait for it, ``camera["CCD_EXPOSURE"]`` does not.

        If it was not connected before, it is disconnected again when the block ends, whatever ends it; if there are
        several such blocks at a time, when the last one ends.

        :param timeout: how long the driver may take to connect, in seconds.
        :raises RefusedError: the driver cannot connect; the text is its own.
        :raises TimeoutError: it has not connected within that time.
        """
        connection, timeout = await self._defined_within(timeout, "CONNECTION", 2.0)
        self._connected_blocks += 1
        try:
            await self._connect(connection, timeout)
            yield self
        finally:
            self._connected_blocks -= 1
            with anyio.move_on_after(_DISCONNECT_SECONDS, shield=True) as limit:
                await self._leave_connected(connection)
            if limit.cancelled_caught:
                logger.warning("%s has not disconnected within %g s", self.name, _DISCONNECT_SECONDS)

    async def _connect(self, connection: AnyVector, timeout: float | None) -> None:
        """Connect the device, unless it is connected once earlier blocks have finished connecting it."""
        with anyio.move_on_after(math.inf if timeout is None else timeout):
            async with self._connecting:
                if self.is_connected:
                    return
                before, self._was_connected_here = self._was_connected_here, True
                # If this is cancelled here, the driver may be about to connect, though it has not said anything
                # yet.
                try:
                    await connection.set(CONNECT=True, on_cancel="leave")
                except (ValueError, LookupError):
                    self._was_connected_here = before  # nothing was sent
                    raise
                return
        raise TimeoutError(f"{self.name}.CONNECTION: not done within {timeout:g} s; it is {connection!r}")

    async def _leave_connected(self, connection: AnyVector) -> None:
        """Disconnect the device, if a block connected it and no block needs it any more."""
        if self._connected_blocks or not self._was_connected_here:
            return
        async with self._connecting:
            if not self._connected_blocks:  # otherwise another block has begun meanwhile, and will do it
                self._was_connected_here = False
                await self._disconnect(connection)

    async def _disconnect(self, connection: AnyVector) -> None:
        """Disconnect, unless the driver has failed to connect, or does not exist any more."""
        if not connection.exists or connection.state is State.ALERT:
            return
        try:
            await connection.set(DISCONNECT=True, on_cancel="leave", validate=False)
        except ConnectionLostError:
            pass  # whoever waits for anything else is told
        except (INDIError, TimeoutError) as error:
            logger.warning("%s could not be disconnected: %s", self.name, error)

    async def _defined_within(
        self, timeout: float | None, name: str, seconds: float
    ) -> tuple[AnyVector, float | None]:
        """Wait for a vector as part of something longer; return it, and what is left of the time for that."""
        if timeout is None or name in self._present:
            return await self._defined(name, seconds), timeout
        began = anyio.current_time()
        found = await self._defined(name, min(seconds, timeout))
        return found, timeout - (anyio.current_time() - began)

    async def _defined(self, name: str, seconds: float) -> AnyVector:
        try:
            return await self.vector(name, seconds)
        except TimeoutError:
            raise UnknownVectorError(self.name, name, tuple(self._present)) from None


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "nothing"
