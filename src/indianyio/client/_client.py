"""The client of one server: its devices, how they change, and the tasks that keep them up to date."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Self

import anyio
import anyio.lowlevel

from indianyio._environment import THIS_MACHINE, Environment
from indianyio._vocabulary import BLOBHandling, State
from indianyio.client._changes import Change, Listeners, Watch
from indianyio.client._coming import Coming, WantedBLOBs
from indianyio.client._connection import Connection
from indianyio.client._devices import Device
from indianyio.client._members import NamedThings, OnProgress, Written
from indianyio.client._mirror import Mirror
from indianyio.client._operations import Operations, Wishes
from indianyio.client._spooling import SpoolProgress
from indianyio.client._vectors import BLOBVector, Vector
from indianyio.exceptions import ConnectionLostError
from indianyio.protocol import EnableBLOB, GetProperties, WireMessage
from indianyio.standard._settle_table import OnCancel
from indianyio.streams import ByteStream

__all__ = ["Client"]

logger = logging.getLogger(__name__)

# How long the server may take to read the last messages of a client that ends.
_LAST_WORDS_SECONDS = 2.0

# How long to wait before connecting again: at first, and at most. Each wait differs a little from the one before,
# so that the clients of an observatory do not come back in step. What is not defined again after a while no longer
# exists.
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS, _JITTER = 0.5, 30.0, 0.2
_DEFINED_AGAIN_SECONDS = 10.0


class Client(NamedThings[Device]):
    """The devices of a server by name; :func:`open_client` makes one.

    All of it belongs to the event loop in which it was opened.

    :ivar messages: the server's latest messages that do not belong to a device, the oldest first, each with its
        timestamp.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[ByteStream]],
        *,
        name: str,
        device: str | None,
        reconnect: bool,
        validate: bool,
        folder: str | None,
        environment: Environment = THIS_MACHINE,
    ) -> None:
        self._dial = dial
        self._name = name
        self._device = device
        self._reconnect = reconnect
        self._validate = validate
        self._folder = folder
        self._environment = environment
        self._connection: Connection | None = None
        self._ending = False
        self._was_connected = False
        self._life = anyio.CancelScope(shield=True)
        self._wanted_blobs = WantedBLOBs()
        self._coming: list[Coming] = []
        self._listeners = Listeners()
        actions = _Actions(self)
        self._mirror = Mirror(actions, wants_blobs=lambda *key: key in self._wanted_blobs)
        self._operations = Operations(
            self._listeners,
            self._send,
            self._present_connection,
            self._mirror.get,
            lambda: self._present_connection().carries_attachments,
        )

    # -- what there is ---------------------------------------------------------------------------------------------

    def __getitem__(self, device: str) -> Device:
        return self._mirror[device]

    def __iter__(self) -> Iterator[str]:
        return iter(self._mirror)

    def __len__(self) -> int:
        return len(self._mirror)

    def __repr__(self) -> str:
        return f"<Client of {self._name}: {', '.join(self) or 'no devices'}>"

    @property
    def messages(self) -> deque[tuple[str, str]]:
        """The latest messages that do not belong to a device."""
        return self._mirror.messages

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the server now."""
        return self._connection is not None

    def snapshot(self) -> dict[str, object]:
        """Return everything as plain data, ready for JSON."""
        return {name: device.snapshot() for name, device in self.items()}

    # -- waiting and watching --------------------------------------------------------------------------------------

    async def device(self, name: str, timeout: float | None = None) -> Device:
        """Wait until the server has a device of this name, and return it; at once if it already has it.

        :param name: its name.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: there is no such device; the text says which there are instead.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        await self._listeners.wait_for(
            lambda: name in self._mirror and self._mirror[name].is_fresh,
            seconds=timeout,
            what=lambda: f"no device {name!r} within {timeout:g} s; there is {', '.join(self) or 'none'}",
        )
        return self._mirror[name]

    async def wait_for(self, predicate: Callable[[Self], bool], *, timeout: float | None = None) -> Self:
        """Wait until a condition holds; return at once if it already holds.

        :param predicate: gets this client, after each change.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: it did not hold within that time.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        await self._listeners.wait_for(
            lambda: predicate(self),
            seconds=timeout,
            what=lambda: f"the condition did not hold within {timeout:g} s; there is {self!r}",
        )
        return self

    def watch(
        self, device: str | None = None, vector: str | None = None, state: State | str | None = None
    ) -> Watch:
        """Watch what changes, from now on.

        ::

            async with indi.watch("Dome", "DOME_SHUTTER") as changes:
                async for change in changes:
                    print(change.vector)

        A loop that is slower than the changes gets the newest one of each vector, and is told how many were left
        out.

        :param device: watch only this device; all devices if absent.
        :param vector: watch only vectors of this name.
        :param state: watch only changes after which a vector is in this state.
        """
        return Watch(self._listeners, device=device, vector=vector, state=None if state is None else State(state))

    # -- the tasks behind it ---------------------------------------------------------------------------------------

    async def _serve(self, ready: Callable[[], None]) -> None:
        """Connect, and keep the mirror until :meth:`_end` is called.

        :param ready: called as soon as there is a connection.
        :raises OSError: the server cannot be reached.
        :raises ConnectionLostError: the connection was lost, and the client does not reconnect.
        :raises RemoteProtocolError: the server defines more than a client can keep.
        """
        try:
            # The block's code may still have to stop a telescope when it is cancelled, so only _end() ends this
            # task.
            with self._life:
                stream = await self._dial()
                while True:
                    reason = await self._converse(stream, ready)
                    if self._ending:
                        return
                    if not self._reconnect:
                        raise ConnectionLostError(reason)
                    stream = await self._dial_again()
        finally:
            self._listeners.end("the client has ended")
            self._mirror.release_blobs()

    async def _end(self) -> None:
        """Send what waits, and end."""
        self._ending = True
        connection = self._connection
        if connection is not None:
            connection.finish()
            with anyio.move_on_after(_LAST_WORDS_SECONDS, shield=True):
                await connection.ended.wait()
        self._life.cancel("the client ends")

    async def _converse(self, stream: ByteStream, ready: Callable[[], None]) -> str:
        """Keep the mirror over one connection; return why it ended."""
        connection = Connection(stream, self._receive, self._report, self._folder)
        is_back, self._was_connected = self._was_connected, True
        self._connection = connection
        greeting: list[WireMessage] = [GetProperties(device=self._device)]
        greeting += [
            EnableBLOB(device=device, name=vector, value=BLOBHandling.ALSO) for device, vector in self._wanted_blobs
        ]
        if is_back:
            self._listeners.tell(Change("back"))
        ready()
        reason = "the client ends"
        try:
            reason = await connection.run(greeting, self._forget_stale_later if is_back else None)
        finally:
            self._connection = None
            self._lose(f"the connection to {self._name} was lost: {reason}", connection)
        return f"the connection to {self._name} was lost: {reason}"

    async def _forget_stale_later(self) -> None:
        """After a reconnection, treat as deleted what the server has not defined again after a while."""
        await anyio.sleep(_DEFINED_AGAIN_SECONDS)
        for change in self._mirror.forget_stale():
            self._listeners.tell(change)

    def _lose(self, reason: str, connection: Connection) -> None:
        self._mirror.lose()
        if self._ending:
            return
        if connection.failure is not None:
            self._listeners.end(str(connection.failure))
            raise connection.failure
        if self._reconnect:
            self._listeners.tell(Change("lost", message=reason))
        else:
            self._listeners.end(reason)

    async def _dial_again(self) -> ByteStream:
        chance = self._environment.random(f"the client of {self._name}")
        delay = _FIRST_RETRY_SECONDS
        while True:
            await anyio.sleep(delay * (1 + _JITTER * chance.uniform(-1, 1)))
            try:
                return await self._dial()
            except OSError as error:
                logger.info("%s", error)
            delay = min(2 * delay, _LONGEST_RETRY_SECONDS)

    def _receive(self, message: WireMessage) -> None:
        change = self._mirror.receive(message)
        if change is not None:
            self._listeners.tell(change)

    def _report(self, progress: SpoolProgress) -> None:
        for coming in self._coming:
            coming._notice_progress(progress)

    async def _send(
        self,
        message: WireMessage,
        *,
        base64: Mapping[str, Sequence[bytes]] | None = None,
        begun: Callable[[], None] | None = None,
    ) -> None:
        connection = self._present_connection()
        await connection.send(message, base64=base64, begun=begun)
        if base64 is not None and begun is not None:
            await connection.flushed()

    def _present_connection(self) -> Connection:
        self._listeners.require_more()
        if self._connection is None:
            raise ConnectionLostError(f"there is no connection to {self._name} now")
        return self._connection


class _Actions:
    """What the devices and vectors of a client do with it; see :class:`indianyio.client._changes.Actions`."""

    def __init__(self, client: Client) -> None:
        self._client = client

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
        client = self._client
        checked = client._validate if validate is None else validate
        wishes = Wishes(timeout, start_timeout, wait, on_cancel, checked)
        if isinstance(vector, BLOBVector) and wait:
            # A server does not pass on answers about a BLOB vector to a client that has not enabled its BLOBs.
            async with self.next_blob(vector, None, None):
                await client._operations.set(vector, values, wishes)
        else:
            await client._operations.set(vector, values, wishes)

    async def wait_until(
        self, predicate: Callable[[], bool], *, what: Callable[[], str], timeout: float | None
    ) -> None:
        await self._client._listeners.wait_for(predicate, seconds=timeout, what=what)

    def listening(self, listener: Callable[[Change], None]) -> AbstractContextManager[None]:
        return self._client._listeners.listening(listener)

    @asynccontextmanager
    async def next_blob(
        self, vector: BLOBVector, member: str | None, progress: OnProgress | None
    ) -> AsyncGenerator[Coming]:
        # It reads BLOBs and takes a while to load, so load it now, not while a BLOB arrives.
        from indianyio.protocol import _xml_decoder  # noqa: F401

        client = self._client
        key = (vector.device, vector.name)
        coming = Coming(vector, member, progress)
        client._wanted_blobs.wait(key)
        client._coming.append(coming)
        try:
            with self.listening(coming._notice):
                await client._send(EnableBLOB(device=key[0], name=key[1], value=BLOBHandling.ALSO))
                yield coming
        finally:
            client._coming.remove(coming)
            coming._end()
            client._wanted_blobs.wait_no_more(key)
            if key not in client._wanted_blobs and client._connection is not None:
                client._connection.put(EnableBLOB(device=key[0], name=key[1], value=BLOBHandling.NEVER))

    async def enable_blobs(self, device: str, vector: str, policy: BLOBHandling) -> None:
        client, key = self._client, (device, vector)
        if policy is BLOBHandling.NEVER:
            client._wanted_blobs.watch_no_more(key)
        else:
            client._wanted_blobs.watch(key)
        value = BLOBHandling.ALSO if key in client._wanted_blobs else BLOBHandling.NEVER
        await client._send(EnableBLOB(device=device, name=vector, value=value))
