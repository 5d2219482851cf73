"""Devices, the BLOBs that come of them, and changes, as :mod:`indianyio.client` has them, with calls that wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from indianyio import client
from indianyio._vocabulary import BLOBHandling, State
from indianyio.client import ChangeKind, OnProgress
from indianyio.client._actions import Written
from indianyio.client._settle_table import OnCancel
from indianyio.sync._bridge import Bridge
from indianyio.sync._vectors import AnyVector, Blob, Shown, blob_from, vector_from

__all__ = ["Change", "Coming", "Device", "change_from"]


class Change(NamedTuple):
    """What has changed, as :class:`indianyio.client.Change`."""

    kind: ChangeKind
    device: str | None = None
    vector: AnyVector | None = None
    state: State | None = None
    members: frozenset[str] = frozenset()
    message: str = ""
    left_out: int = 0


def change_from(inner: client.Change, bridge: Bridge) -> Change:
    """Return a change of the client with a vector whose calls wait."""
    vector = None if inner.vector is None else vector_from(inner.vector, bridge)
    return Change(
        inner.kind, inner.device, vector, inner.state, inner.members, inner.message, left_out=inner.left_out
    )


class Coming:
    """The next content of a BLOB vector, as :class:`indianyio.client.Coming`."""

    def __init__(self, inner: client.Coming, bridge: Bridge) -> None:
        self._inner = inner
        self._bridge = bridge

    @property
    def blob(self) -> Blob | None:
        """What has come; ``None`` as long as nothing has."""
        return blob_from(self._inner.blob, self._bridge)

    def get(self, timeout: float | None = None) -> Blob:
        """Wait for the content and return it; see :meth:`indianyio.client.Coming.get`."""
        return Blob(self._bridge.call(lambda: self._inner.get(timeout)), self._bridge)

    def save(
        self, path: str | os.PathLike[str], *, timeout: float | None = None, progress: OnProgress | None = None
    ) -> Path:
        """Wait for the content and write it into a file; see :meth:`indianyio.client.Coming.save`."""
        return self._bridge.call(lambda: self._inner.save(path, timeout=timeout, progress=progress))


class Device(Mapping[str, AnyVector]):
    """A device: its vectors by name, as :class:`indianyio.client.Device`.

    Two of these are equal if they stand for the same device.
    """

    name = Shown[str]()
    is_connected = Shown[bool]()
    is_fresh = Shown[bool]()

    def __init__(self, inner: client.Device, bridge: Bridge) -> None:
        self._inner = inner
        self._bridge = bridge

    def __getitem__(self, vector: str) -> AnyVector:
        return vector_from(self._inner[vector], self._bridge)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._inner))

    def __len__(self) -> int:
        return len(self._inner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self._inner is other._inner

    def __hash__(self) -> int:
        return hash(self._inner)

    def __repr__(self) -> str:
        return repr(self._inner)

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Its latest messages, the oldest first, each with its timestamp."""
        return list(self._inner.messages)

    def is_on(self, vector: str, switch: str) -> bool:
        """Return whether a switch is On; ``False`` where there is none of that name."""
        return self._inner.is_on(vector, switch)

    def snapshot(self) -> dict[str, object]:
        """Return all of it, of one moment, as plain data; see :meth:`indianyio.client.Device.snapshot`."""
        return self._bridge.call_now(self._inner.snapshot)

    def vector(self, name: str, timeout: float | None = None) -> AnyVector:
        """Wait until the device has a vector of this name; see :meth:`indianyio.client.Device.vector`."""
        return vector_from(self._bridge.call(lambda: self._inner.vector(name, timeout)), self._bridge)

    def wait_for(self, predicate: Callable[[Self], bool], *, timeout: float | None = None) -> Self:
        """Wait until a condition holds for this device; see :meth:`indianyio.client.Device.wait_for`."""
        self._bridge.call(lambda: self._inner.wait_for(lambda _: predicate(self), timeout=timeout))
        return self

    def set(
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
        """Write a vector, and wait until the device has done it; see :meth:`indianyio.client.Device.set`."""
        written = self._bridge.call(
            lambda: self._inner.set(
                vector,
                values,
                timeout=timeout,
                start_timeout=start_timeout,
                wait=wait,
                on_cancel=on_cancel,
                validate=validate,
                **members,
            )
        )
        return vector_from(written, self._bridge)

    @contextmanager
    def next(
        self, vector: str, member: str | None = None, *, progress: OnProgress | None = None
    ) -> Iterator[Coming]:
        """Ask for the BLOBs of a vector while the block lasts; see :meth:`indianyio.client.Device.next`."""
        with self._bridge.block(lambda: self._inner.next(vector, member, progress=progress)) as coming:
            yield Coming(coming, self._bridge)

    def enable_blobs(self, vector: str, policy: BLOBHandling | str = BLOBHandling.ALSO) -> None:
        """Say whether the BLOBs of a vector are wanted; see :meth:`indianyio.client.Device.enable_blobs`."""
        self._bridge.call(lambda: self._inner.enable_blobs(vector, policy))

    @contextmanager
    def connected(self, timeout: float | None = None) -> Iterator[Self]:
        """Have the driver connected while the block lasts; see :meth:`indianyio.client.Device.connected`."""
        with self._bridge.block(lambda: self._inner.connected(timeout)):
            yield self
