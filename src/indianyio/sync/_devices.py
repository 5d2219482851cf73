"""A device for programs without an event loop."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar, overload

from indianyio._vocabulary import BLOBHandling
from indianyio.client import Coming as ClientComing
from indianyio.client import Device as ClientDevice
from indianyio.client._members import NamedThings, OnProgress, Written
from indianyio.properties import Values
from indianyio.standard._settle_table import OnCancel
from indianyio.sync._calls import Calls
from indianyio.sync._vectors import AnyVector, Blob, blob_of, vector_of

__all__ = ["Coming", "Device", "device_of"]

ValuesT = TypeVar("ValuesT", bound=Values)


class Coming:
    """The next content of a BLOB vector after this was created.

    :param vector: the vector.
    :param member: which member; the first that arrives if ``None``.
    :param progress: called with the progress of the content.
    """

    def __init__(self, calls: Calls, original: ClientComing) -> None:
        self._calls = calls
        self._original = original

    @property
    def blob(self) -> Blob | None:
        """The content; ``None`` until it has arrived."""
        blob = self._original.blob
        return None if blob is None else blob_of(self._calls, blob)

    def get(self, timeout: float | None = None) -> Blob:
        """Wait for the content and return it; every call returns the same.

        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: nothing came within that time.
        :raises RefusedError: the driver set this vector to Alert.
        :raises OperationAbortedError: the vector was deleted.
        :raises ConnectionLostError: the server was lost; what it was about to send is lost too.
        :raises RuntimeError: nothing had come when the block of ``next()`` ended.
        """
        return blob_of(self._calls, self._calls.call(lambda: self._original.get(timeout)))

    def save(
        self, path: str | os.PathLike[str], *, timeout: float | None = None, progress: OnProgress | None = None
    ) -> Path:
        """Wait for the content and write it into a file, as :meth:`Blob.save` does.

        :param path: where.
        :param timeout: how long to wait for it at most, in seconds; writing it may take longer.
        :param progress: called with the progress of the content.
        :return: the path.
        """
        return self._calls.call(lambda: self._original.save(path, timeout=timeout, progress=progress))


class Device(NamedThings[AnyVector]):
    """A device: its vectors by name, and their values by a class of values.

    You may keep this object as long as you like: when a driver is restarted, its devices are the same objects.
    ``camera["CCD_BINNING"]`` is a vector; ``camera[CcdBinning]`` are its present values, as an instance of that
    class (:mod:`indianyio.properties`). Methods that take the name of a vector also take such a class.

    :ivar name: its name.
    :ivar messages: its latest messages, the oldest first, each with its timestamp as the driver wrote it.
    """

    def __init__(self, calls: Calls, original: ClientDevice) -> None:
        self._calls = calls
        self._original = original

    # -- what it is ------------------------------------------------------------------------------------------------

    @overload
    def __getitem__(self, vector: str) -> AnyVector: ...

    @overload
    def __getitem__(self, vector: type[ValuesT]) -> ValuesT: ...

    def __getitem__(self, vector: str | type[ValuesT]) -> AnyVector | ValuesT:
        if isinstance(vector, str):
            return vector_of(self._calls, self._original[vector])
        return self._calls.read(lambda: self._original[vector])

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._original))

    def __len__(self) -> int:
        return len(self._original)

    def __repr__(self) -> str:
        return repr(self._original)

    @property
    def name(self) -> str:
        """Its name."""
        return self._original.name

    @property
    def messages(self) -> deque[tuple[str, str]]:
        """Its latest messages until now, the oldest first, each with its timestamp as the driver wrote it."""
        return self._original.messages.copy()

    def is_on(self, vector: str, switch: str) -> bool:
        """Return whether a switch is On; ``False`` if there is no such switch."""
        return self._original.is_on(vector, switch)

    @property
    def is_connected(self) -> bool:
        """Whether the driver is connected to its instrument: CONNECT is On, its vector neither Busy nor Alert."""
        return self._original.is_connected

    @property
    def is_fresh(self) -> bool:
        """Whether the server has reported anything about it since the last connection was made."""
        return self._calls.read(lambda: self._original.is_fresh)

    def snapshot(self) -> dict[str, object]:
        """Return all of it as plain data, ready for JSON."""
        return self._calls.read(self._original.snapshot)

    # -- what a script does with it --------------------------------------------------------------------------------

    def vector(self, name: str | type[Values], timeout: float | None = None) -> AnyVector:
        """Wait until the device has a vector of this name, and return it; at once if it already has it.

        :param name: its name, or a class of its values.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: there is no such vector; the text says what there is instead.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        return vector_of(self._calls, self._calls.call(lambda: self._original.vector(name, timeout)))

    def read(self, values: type[ValuesT], timeout: float | None = None) -> ValuesT:
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
        return self._calls.call(lambda: self._original.read(values, timeout))

    def wait_for(self, predicate: Callable[[Self], bool], *, timeout: float | None = None) -> Self:
        """Wait until a condition holds for this device; return at once if it already holds.

        :param predicate: gets the device, after each change; runs in the client's own thread, so it
            may look, but neither wait nor write.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: it did not hold within that time.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        self._calls.call(lambda: self._original.wait_for(lambda _: predicate(self), timeout=timeout))
        return self

    def set(
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
        wanted = {**(values or {}), **members}
        written = self._calls.call(
            lambda: self._original.set(
                vector,
                wanted,
                timeout=timeout,
                start_timeout=start_timeout,
                wait=wait,
                on_cancel=on_cancel,
                validate=validate,
            )
        )
        return vector_of(self._calls, written)

    @contextmanager
    def next(
        self, vector: str | type[Values], member: str | None = None, *, progress: OnProgress | None = None
    ) -> Generator[Coming]:
        """Ask for the BLOBs of a vector for as long as the block lasts, and get the next one.

        ::

            with camera.next("CCD1") as image:
                camera.set("CCD_EXPOSURE", CCD_EXPOSURE_VALUE=0.5)
                image.save("m31.fits")

        The server is asked before the block begins, so the image of an exposure that is started in it cannot be
        missed. Large images go into a file as they arrive, and are never held in memory as a whole.

        :param vector: the name of a BLOB vector, or a class of its values; waited for as :meth:`set` does.
        :param member: which member; the first that arrives if absent.
        :param progress: called with the progress of the content.
        :raises UnknownVectorError: there is no such vector.
        :raises UnknownMemberError: the vector has no such member.
        :raises TypeError: it is not a BLOB vector.
        """
        with self._calls.block(lambda: self._original.next(vector, member, progress=progress)) as coming:
            yield Coming(self._calls, coming)

    def enable_blobs(self, vector: str | type[Values], policy: BLOBHandling | str = BLOBHandling.ALSO) -> None:
        """Tell the server whether the BLOBs of a vector are wanted, for programs that watch.

        It is not needed with :meth:`next`.

        :param vector: the vector's name, or a class of its values.
        :param policy: ``Also`` or ``Never``; ``Only`` is the same as ``Also`` for a single vector.
        """
        self._calls.call(lambda: self._original.enable_blobs(vector, policy))

    @contextmanager
    def connected(self, timeout: float | None = None) -> Generator[Self]:
        """Keep the driver connected to its instrument for as long as the block lasts.

        What the driver defines only when it is connected may come a moment after the block has begun: :meth:`set`,
        :meth:`next`, :meth:`vector` and :meth:`read` wait for it, ``camera["CCD_EXPOSURE"]`` does not.

        If it was not connected before, it is disconnected again when the block ends, whatever ends it; if there are
        several such blocks at a time, when the last one ends.

        :param timeout: how long the driver may take to connect, in seconds.
        :raises RefusedError: the driver cannot connect; the text is its own.
        :raises TimeoutError: it has not connected within that time.
        """
        with self._calls.block(lambda: self._original.connected(timeout)):
            yield self


def device_of(calls: Calls, original: ClientDevice) -> Device:
    """Return the device that stands for one of the client's."""
    return calls.twin(original, Device)
