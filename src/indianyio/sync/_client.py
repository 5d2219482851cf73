"""The client of one server for programs without an event loop."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from indianyio import client
from indianyio._vocabulary import State
from indianyio.client import ChangeKind
from indianyio.client._members import NamedThings
from indianyio.exceptions import ConnectionLostError
from indianyio.sync._calls import Calls, calls_in_a_thread
from indianyio.sync._devices import Device, device_of
from indianyio.sync._vectors import AnyVector, vector_of

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Change", "Client", "Watch", "open_client"]


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

    def __init__(self, calls: Calls, original: client.Watch) -> None:
        self._calls = calls
        self._original = original

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching; changes that are waiting can still be read."""

        async def close() -> None:  # noqa: ASYNC124
            self._original.close()

        with suppress(ConnectionLostError):  # then nothing is watched any more
            self._calls.call(close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        async def change() -> client.Change | None:
            return await anext(self._original, None)

        found = self._calls.call(change)
        if found is None:
            raise StopIteration
        vector = None if found.vector is None else vector_of(self._calls, found.vector)
        return Change._make(found)._replace(vector=vector)


class Client(NamedThings[Device]):
    """The devices of a server by name; :func:`open_client` makes one.

    Any thread may use it.

    :ivar messages: the server's latest messages that do not belong to a device, the oldest first, each with its
        timestamp.
    """

    def __init__(self, calls: Calls, original: client.Client) -> None:
        self._calls = calls
        self._original = original

    # -- what there is ---------------------------------------------------------------------------------------------

    def __getitem__(self, device: str) -> Device:
        return device_of(self._calls, self._original[device])

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._original))

    def __len__(self) -> int:
        return len(self._original)

    def __repr__(self) -> str:
        return self._calls.read(lambda: repr(self._original))

    @property
    def messages(self) -> deque[tuple[str, str]]:
        """The latest messages until now that do not belong to a device."""
        return self._original.messages.copy()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the server now."""
        return self._original.is_connected

    def snapshot(self) -> dict[str, object]:
        """Return everything as plain data, ready for JSON."""
        return self._calls.read(self._original.snapshot)

    # -- waiting and watching --------------------------------------------------------------------------------------

    def device(self, name: str, timeout: float | None = None) -> Device:
        """Wait until the server has a device of this name, and return it; at once if it already has it.

        :param name: its name.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: there is no such device; the text says which there are instead.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        return device_of(self._calls, self._calls.call(lambda: self._original.device(name, timeout)))

    def wait_for(self, predicate: Callable[[Self], bool], *, timeout: float | None = None) -> Self:
        """Wait until a condition holds; return at once if it already holds.

        :param predicate: gets this client, after each change; runs in the client's own thread, so it
            may look, but neither wait nor write.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: it did not hold within that time.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        self._calls.call(lambda: self._original.wait_for(lambda _: predicate(self), timeout=timeout))
        return self

    def watch(
        self, device: str | None = None, vector: str | None = None, state: State | str | None = None
    ) -> Watch:
        """Watch what changes, from now on.

        ::

            with indi.watch("Dome", "DOME_SHUTTER") as changes:
                for change in changes:
                    print(change.vector)

        A loop that is slower than the changes gets the newest one of each vector, and is told how many were left
        out.

        :param device: watch only this device; all devices if absent.
        :param vector: watch only vectors of this name.
        :param state: watch only changes after which a vector is in this state.
        """

        async def watch() -> client.Watch:  # noqa: ASYNC124
            return self._original.watch(device, vector, state)

        return Watch(self._calls, self._calls.call(watch))


@contextmanager
def open_client(
    host: str = "localhost",
    port: int = 7624,
    *,
    unix: str | None = None,
    tls: bool | SSLContext = False,
    device: str | None = None,
    reconnect: bool = False,
    timeout: float = 10.0,
    validate: bool = True,
    folder: str | os.PathLike[str] | None = None,
    backend: Literal["asyncio", "trio"] = "asyncio",
) -> Generator[Client]:
    """Be the client of an INDI server for as long as the block lasts.

    ::

        with open_client("observatory") as indi:
            camera = indi.device("CCD Simulator", timeout=5)
            ...

    What the block raises comes out of it unchanged. If the server is lost, and the client does not
    reconnect, the call under way or the next one raises :exc:`ConnectionLostError`, or else the block's end.

    When the block begins there is a connection, but the server may not have reported any device yet.

    :param host: the server's name or address.
    :param port: its TCP port.
    :param unix: its unix socket instead: a path, or for an abstract one ``@`` and its name. BLOBs then arrive as
        descriptors.
    :param tls: whether the connection is encrypted: ``True`` trusts whom this machine trusts; a context (made by
        :func:`ssl.create_default_context`) says whom to trust, and may hold the client's own certificate.
    :param device: the only device that is wanted; all if absent.
    :param reconnect: whether to reconnect when the server is lost, for as long as that takes. What was known about
        it stays, and is marked as stale until the server has sent it again. An operation that was in progress
        raises :exc:`ConnectionLostError` nevertheless, and is never repeated automatically.
    :param timeout: how long connecting may take, in seconds.
    :param validate: whether writes are checked before they are sent, unless a single write says otherwise.
    :param folder: where large BLOBs are kept as long as somebody has them; where temporary files go if absent.
    :param backend: the event loop in the client's own thread.
    :raises OSError: the server cannot be reached, or its certificate is not accepted; the text says which, and why.
    :raises ConnectionLostError: it was lost.
    :raises RemoteProtocolError: it defines more than a client can keep.
    :raises ValueError: TLS is wanted for a unix socket.
    :raises RuntimeError: an event loop runs in this thread; use :func:`indianyio.open_client` there.
    """

    def open_original() -> AbstractAsyncContextManager[client.Client]:
        return client.open_client(
            host,
            port,
            unix=unix,
            tls=tls,
            device=device,
            reconnect=reconnect,
            timeout=timeout,
            validate=validate,
            folder=folder,
        )

    with calls_in_a_thread(backend) as calls:
        with calls.client_block(open_original, lambda opened: opened._listeners.ended) as original:
            yield Client(calls, original)
