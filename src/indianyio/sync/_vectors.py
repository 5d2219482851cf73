"""The vectors of a device for programs without an event loop, and the contents of their BLOBs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

from indianyio._vocabulary import Permission, Rule, State
from indianyio.client import _vectors as client
from indianyio.client._members import Blob as ClientBlob
from indianyio.client._members import Content, Member, NamedThings, OnProgress, Written
from indianyio.exceptions import UnknownMemberError
from indianyio.standard._settle_table import OnCancel
from indianyio.sync._calls import Calls

__all__ = [
    "AnyVector",
    "BLOBVector",
    "Blob",
    "LightVector",
    "NumberVector",
    "SwitchVector",
    "TextVector",
    "Vector",
    "blob_of",
    "vector_of",
]

V = TypeVar("V")


class Blob(Content):
    """The content of a BLOB member, as it arrived.

    Large ones lie in a file without a name, or in the memory that a server on this machine passed on; the content
    is only read when it is asked for. The file or memory is released with the last reference to this object.
    """

    __slots__ = ()

    def save(self, path: str | os.PathLike[str], *, progress: OnProgress | None = None) -> Path:
        """Write the content into a file, which is complete as soon as it appears.

        It is written under another name in the same folder, and then renamed; an existing file is replaced. If this
        is cancelled, it leaves nothing behind.

        :param path: where; nothing that comes from the network becomes part of it.
        :param progress: called with the progress of the writing.
        :return: the path.
        :raises OSError: it cannot be written there.
        :raises ValueError: the content is not available, or is damaged; nothing was written.
        """
        target = Path(path)
        for done in self._saving(target):
            if progress is not None:
                progress(done)
        return target


class Vector(NamedThings[V]):
    """A property of a device: its members' values by name, and its state.

    :cvar kind: which of the five kinds it is, as in the tags: ``Number``, ``Switch``, ``Text``, ``Light``,
        ``BLOB``.
    :ivar device: the device's name.
    :ivar name: the vector's name.
    :ivar label: the text that people read.
    :ivar group: the page on which to show it.
    :ivar state: what it is doing.
    :ivar perm: what a client may do with it; lights are read-only.
    :ivar rule: for a switch vector, how many switches may be On; ``None`` for others.
    :ivar timeout: how long an operation may take at most, in seconds, according to the driver; 0 if it does not
        know.
    :ivar timestamp: when the driver sent the latest update, in UTC; ``None`` if it did not say.
    :ivar message: the text of the latest update that had one.
    :ivar members: the members by name.
    :ivar exists: whether the server has it now.
    :ivar stale: whether the connection was lost after the latest update, so that the values may be old.
    """

    kind: ClassVar[str] = ""

    def __init__(self, calls: Calls, original: client.Vector[Any]) -> None:
        self._calls = calls
        self._original = original

    # -- reading ---------------------------------------------------------------------------------------------------

    def __getitem__(self, member: str) -> V:
        members = self.members
        try:
            return members[member].value
        except KeyError:
            raise UnknownMemberError(self.device, self.name, member, tuple(members)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._original.members)  # this mapping is never changed, only replaced

    def __len__(self) -> int:
        return len(self._original.members)

    def __repr__(self) -> str:
        return repr(self._original)

    @property
    def device(self) -> str:
        """The device's name."""
        return self._original.device

    @property
    def name(self) -> str:
        """The vector's name."""
        return self._original.name

    @property
    def label(self) -> str:
        """What people read."""
        return self._original.label

    @property
    def group(self) -> str:
        """The page on which to show it."""
        return self._original.group

    @property
    def state(self) -> State:
        """What it is doing."""
        return self._original.state

    @property
    def perm(self) -> Permission:
        """What a client may do with it; lights are read-only."""
        return self._original.perm

    @property
    def rule(self) -> Rule | None:
        """Of a switch vector, how many switches may be On; ``None`` for others."""
        return self._original.rule

    @property
    def timeout(self) -> float:
        """How long an operation may take at the most, in seconds, as the driver says; 0 if it does not know."""
        return self._original.timeout

    @property
    def timestamp(self) -> datetime | None:
        """When the driver sent the latest update, in UTC; ``None`` if it did not say."""
        return self._original.timestamp

    @property
    def message(self) -> str:
        """The text of the latest update that had one."""
        return self._original.message

    @property
    def members(self) -> dict[str, Member[V]]:
        """The members by name."""
        return self._original.members

    @property
    def exists(self) -> bool:
        """Whether the server has it now."""
        return self._original.exists

    @property
    def stale(self) -> bool:
        """Whether the connection was lost since the latest update, so that the values may be old."""
        return self._original.stale

    def snapshot(self) -> dict[str, object]:
        """Return all of it as plain data, ready for JSON; BLOBs as their format and size.

        A number that is infinite or NaN becomes ``None``.
        """
        return self._calls.read(self._original.snapshot)

    # -- writing and waiting ---------------------------------------------------------------------------------------

    def set(
        self,
        values: Mapping[str, Written] | None = None,
        /,
        *,
        timeout: float | None = None,
        start_timeout: float = 2.0,
        wait: bool = True,
        on_cancel: OnCancel | None = None,
        validate: bool | None = None,
        **members: Written,
    ) -> Self:
        """Write members, and wait until the device has done what was asked.

        What counts as done is a rule (docs/decisions/0020), with the exceptions of the standard properties. Two
        calls for one vector wait for each other. If the call is cancelled or times out while the device is busy, it
        stops the device, provided that the property has an abort and moving on is not the safer thing: see
        ``on_cancel``.

        :param values: members and their new values: numbers, truth values for switches, texts; for a BLOB bytes, a
            :class:`~pathlib.Path`, or an :class:`Upload`, which says the format. For names that are not Python
            identifiers, or that are parameters here.
        :param members: more of them.
        :param timeout: how long it may take in all, in seconds; ``None`` for as long as it is Busy.
        :param start_timeout: how long the driver may show no sign of the write, in seconds.
        :param wait: ``False`` only sends.
        :param on_cancel: ``"abort"`` or ``"leave"``; by default it depends on the property.
        :param validate: whether permission, members, types, range and rule are checked first; if absent, the
            client's setting.
        :return: the vector.
        :raises ValueError: the driver would refuse this; nothing was sent.
        :raises TypeError: a value is not of the vector's type, or a time is not a number.
        :raises OSError: the file of a BLOB cannot be read.
        :raises RefusedError: the driver says Alert; the text is its own.
        :raises OperationAbortedError: somebody stopped it, or the vector was deleted meanwhile.
        :raises TimeoutError: the time has passed; the text says what was seen.
        :raises ConnectionLostError: the server was lost. It is then not known what the device does.
        """
        wanted = {**(values or {}), **members}
        self._calls.call(
            lambda: self._original.set(
                wanted,
                timeout=timeout,
                start_timeout=start_timeout,
                wait=wait,
                on_cancel=on_cancel,
                validate=validate,
            )
        )
        return self

    def wait_for(
        self,
        predicate: Callable[[Self], bool],
        *,
        timeout: float | None = None,
    ) -> Self:
        """Wait until a condition holds for this vector; return at once if it already holds.

        While the vector is deleted, or stale because the connection was lost, no condition holds.

        :param predicate: gets the vector, after each update; runs in the client's own thread, so it
            may look, but neither wait nor write.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: it did not hold within that time; the text shows the vector.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        self._calls.call(lambda: self._original.wait_for(lambda _: predicate(self), timeout=timeout))
        return self


class NumberVector(Vector[float]):
    """Numbers."""

    kind = "Number"


class SwitchVector(Vector[bool]):
    """Switches; :attr:`Vector.rule` says how many may be On."""

    kind = "Switch"

    @property
    def on(self) -> str | None:
        """The name of the first switch that is On, or ``None``."""
        return next((name for name, member in self.members.items() if member.value), None)


class TextVector(Vector[str]):
    """Texts."""

    kind = "Text"


class LightVector(Vector[State]):
    """Lights, which nobody can write."""

    kind = "Light"


class BLOBVector(Vector[Blob | None]):
    """BLOBs: the latest content of each member, if the client has asked for any."""

    kind = "BLOB"

    @property
    def members(self) -> dict[str, Member[Blob | None]]:
        """The members by name."""
        return {
            name: Member(name, member.label, None if member.value is None else blob_of(self._calls, member.value))
            for name, member in self._original.members.items()
        }


AnyVector: TypeAlias = Vector[Any]
"""A vector of any kind; ``isinstance`` tells which, and a type checker then knows the type of the values."""


def blob_of(calls: Calls, original: ClientBlob) -> Blob:
    """Return the BLOB that stands for one of the client's."""
    return calls.twin(
        original,
        lambda _, one: Blob(
            one.name,
            one.format,
            one.size,
            data=one._data,
            attachment=one._attachment,
            length=one.length,
            timestamp=one.timestamp,
        ),
    )


def vector_of(calls: Calls, original: client.AnyVector) -> AnyVector:
    """Return the vector that stands for one of the client's."""
    return calls.twin(original, lambda owner, one: _KINDS[type(one)](owner, one))


_KINDS: Mapping[type[client.AnyVector], type[AnyVector]] = {
    client.NumberVector: NumberVector,
    client.SwitchVector: SwitchVector,
    client.TextVector: TextVector,
    client.LightVector: LightVector,
    client.BLOBVector: BLOBVector,
}
