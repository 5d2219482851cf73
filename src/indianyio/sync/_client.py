"""The client as :mod:`indianyio.client` has it, with calls that wait, and the block in which it lives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio
from anyio.from_thread import start_blocking_portal

from indianyio import client
from indianyio._vocabulary import State
from indianyio.streams import ByteStream
from indianyio.sync._bridge import Bridge
from indianyio.sync._devices import Change, Device, change_from
from indianyio.sync._vectors import Shown

__all__ = ["Client", "Watch", "open_client"]


class Watch:
    """An iterator of changes, as :class:`indianyio.client.Watch`; it ends with its block or the client's."""

    def __init__(self, inner: client.Watch, bridge: Bridge) -> None:
        self._inner = inner
        self._bridge = bridge

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Watch no more; what waits can still be had."""
        if self._bridge.is_usable:
            self._bridge.call_now(self._inner.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        return self.next()

    def next(self, timeout: float | None = None) -> Change:
        """Wait for the next change and return it, as iteration does.

        An asynchronous program puts a timeout around its ``async for`` instead.

        :param timeout: for how long at the most, in seconds.
        :raises TimeoutError: nothing has changed within that time.
        :raises StopIteration: the watch is closed, and nothing waits any more.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """

        async def following() -> client.Change | None:
            with anyio.fail_after(timeout):
                return await anext(self._inner, None)

        change = self._bridge.call(following)
        if change is None:
            raise StopIteration
        return change_from(change, self._bridge)


class Client(Mapping[str, Device]):
    """The devices of a server by name, as :class:`indianyio.client.Client`; :func:`open_client` makes one.

    Any thread may use it, and several at a time.
    """

    is_connected = Shown[bool]()

    def __init__(self, inner: client.Client, bridge: Bridge) -> None:
        self._inner = inner
        self._bridge = bridge

    def __getitem__(self, device: str) -> Device:
        return Device(self._inner[device], self._bridge)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._inner))

    def __len__(self) -> int:
        return len(self._inner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client) and self._inner is other._inner

    def __hash__(self) -> int:
        return hash(self._inner)

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def messages(self) -> list[tuple[str, str]]:
        """The server's latest messages that belong to no device, the oldest first, each with its timestamp."""
        return list(self._inner.messages)

    def snapshot(self) -> dict[str, object]:
        """Return everything, of one moment, as plain data; see :meth:`indianyio.client.Client.snapshot`."""
        return self._bridge.call_now(self._inner.snapshot)

    def device(self, name: str, timeout: float | None = None) -> Device:
        """Wait until the server has a device of this name; see :meth:`indianyio.client.Client.device`."""
        return Device(self._bridge.call(lambda: self._inner.device(name, timeout)), self._bridge)

    def wait_for(self, predicate: Callable[[Self], bool], *, timeout: float | None = None) -> Self:
        """Wait until a condition holds; see :meth:`indianyio.client.Client.wait_for`."""
        self._bridge.call(lambda: self._inner.wait_for(lambda _: predicate(self), timeout=timeout))
        return self

    def watch(
        self, device: str | None = None, vector: str | None = None, state: State | str | None = None
    ) -> Watch:
        """Watch what changes, from now on; see :meth:`indianyio.client.Client.watch`."""
        return Watch(self._bridge.call_now(lambda: self._inner.watch(device, vector, state)), self._bridge)


@contextmanager
def open_client(
    host: str = "localhost",
    port: int = 7624,
    *,
    unix: str | None = None,
    stream: ByteStream | None = None,
    device: str | None = None,
    reconnect: bool = False,
    timeout: float = 10.0,
    validate: bool = True,
    folder: str | os.PathLike[str] | None = None,
    backend: str = "asyncio",
) -> Iterator[Client]:
    """Be the client of an INDI server for as long as the block lasts; see :func:`indianyio.client.open_client`.

    If the server is lost, the call that waits for it raises :exc:`ConnectionLostError`; if none does, the next one,
    or the end of the block.

    :param backend: the event loop of the client's thread: ``"asyncio"`` or ``"trio"``.
    """
    with start_blocking_portal(backend) as portal:
        bridge = Bridge(portal)
        try:
            with bridge.block(
                lambda: client.open_client(
                    host,
                    port,
                    unix=unix,
                    stream=stream,
                    device=device,
                    reconnect=reconnect,
                    timeout=timeout,
                    validate=validate,
                    folder=folder,
                )
            ) as inner:
                yield Client(inner, bridge)
        finally:
            bridge.close()
