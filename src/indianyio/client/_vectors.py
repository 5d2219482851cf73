"""The vectors of a device, as a client sees them: mappings from member names to typed values.

A program may hold a vector for as long as it likes. When it is deleted and defined again, the same object comes
back; meanwhile :attr:`Vector.exists` is ``False`` and the last values stay readable.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

import anyio

from indianyio._vocabulary import Permission, Rule, State, Switch
from indianyio.client._changes import Actions
from indianyio.client._members import (
    Blob,
    Member,
    NamedThings,
    NumberMember,
    Written,
    blob_of,
    number_or,
    shortened,
    state_or,
)
from indianyio.exceptions import UnknownMemberError
from indianyio.protocol import (
    DefBLOB,
    DefLight,
    DefLightVector,
    DefNumber,
    DefSwitch,
    DefSwitchVector,
    DefText,
    DefVector,
    OneBLOB,
    OneLight,
    OneNumber,
    OneSwitch,
    OneText,
    SetVector,
    WireMember,
    parse_timestamp,
)
from indianyio.standard._settle_table import OnCancel

__all__ = [
    "AnyVector",
    "BLOBVector",
    "LightVector",
    "NumberVector",
    "SwitchVector",
    "TextVector",
    "Vector",
]

V = TypeVar("V")

logger = logging.getLogger(__name__)


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

    def __init__(self, device: str, name: str, actions: Actions) -> None:
        self.device = device
        self.name = name
        self.label = name
        self.group = ""
        self.state = State.IDLE
        self.perm = Permission.RO
        self.rule: Rule | None = None
        self.timeout = 0.0
        self.timestamp: datetime | None = None
        self.message = ""
        self.members: dict[str, Member[V]] = {}
        self.exists = True
        self.stale = False
        self._actions = actions
        self._turn = anyio.Lock()  # held by the write that is in progress

    # -- reading ---------------------------------------------------------------------------------------------------

    def __getitem__(self, member: str) -> V:
        try:
            return self.members[member].value
        except KeyError:
            raise UnknownMemberError(self.device, self.name, member, tuple(self.members)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={member.text}" for name, member in self.members.items())
        return f"<{type(self).__name__} {self.device}.{self.name} {self.state}: {values}>"

    def snapshot(self) -> dict[str, object]:
        """Return all of it as plain data, ready for JSON; BLOBs as their format and size.

        A number that is infinite or NaN becomes ``None``.
        """
        plain: dict[str, object] = {
            "kind": self.kind,
            "label": self.label,
            "group": self.group,
            "state": str(self.state),
            "perm": str(self.perm),
            "timestamp": None if self.timestamp is None else self.timestamp.isoformat(),
            "message": self.message,
            "stale": self.stale,
            "members": {name: self._plain(member) for name, member in self.members.items()},
        }
        if self.rule is not None:
            plain["rule"] = str(self.rule)
        return plain

    def _plain(self, member: Member[V]) -> dict[str, object]:
        return {"label": member.label, "value": member.value}

    # -- what the mirror does with it ------------------------------------------------------------------------------

    def _fill(self, message: DefVector) -> None:
        """Become what a definition says, whatever it was before."""
        self.exists, self.stale = True, False
        self.label = message.label or message.name
        self.group = message.group or ""
        self.state = message.state or State.IDLE
        self.timestamp = parse_timestamp(message.timestamp or "")
        self.message = shortened(message.message)
        if not isinstance(message, DefLightVector):
            self.perm = message.perm or Permission.RW
            self.timeout = number_or(message.timeout, 0.0)
        self.rule = (message.rule or Rule.ANY_OF_MANY) if isinstance(message, DefSwitchVector) else None
        self.members = {one.name: self._define(one, self.members.get(one.name)) for one in message.members}

    def _update(self, message: SetVector) -> frozenset[str]:
        """Take an update; members that it names but the vector does not have are ignored.

        :return: the members that it gave a value.
        """
        self.stale = False
        self.state = message.state or self.state
        if message.timestamp:
            self.timestamp = parse_timestamp(message.timestamp) or self.timestamp
        if message.message:
            self.message = shortened(message.message) or self.message
        taken: list[str] = []
        for one in message.members:
            member = self.members.get(one.name)
            if member is not None and self._take(member, one):
                taken.append(one.name)
        return frozenset(taken)

    def _define(self, one: WireMember, before: Member[V] | None) -> Member[V]:
        raise NotImplementedError

    def _take(self, member: Member[V], one: WireMember) -> bool:
        """Give a member its new value; return whether there was one."""
        raise NotImplementedError

    # -- writing and waiting ---------------------------------------------------------------------------------------

    async def set(
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
        await self._actions.set(
            self,
            wanted,
            timeout=timeout,
            start_timeout=start_timeout,
            wait=wait,
            on_cancel=on_cancel,
            validate=validate,
        )
        return self

    async def wait_for(
        self,
        predicate: Callable[[Self], bool],
        *,
        timeout: float | None = None,
    ) -> Self:
        """Wait until a condition holds for this vector; return at once if it already holds.

        While the vector is deleted, or stale because the connection was lost, no condition holds.

        :param predicate: gets the vector, after each update.
        :param timeout: how long to wait at most, in seconds.
        :raises TimeoutError: it did not hold within that time; the text shows the vector.
        :raises ConnectionLostError: the server was lost, and the client does not reconnect.
        """
        await self._actions.wait_until(
            lambda: self.exists and not self.stale and predicate(self),
            what=lambda: f"the condition did not hold within {timeout:g} s; it is {self!r}",
            timeout=timeout,
        )
        return self


class NumberVector(Vector[float]):
    """Numbers."""

    kind = "Number"

    def _plain(self, member: Member[float]) -> dict[str, object]:
        plain: dict[str, object] = {"label": member.label, "value": _finite(member.value)}
        if isinstance(member, NumberMember):
            limits = {"min": member.min, "max": member.max, "step": member.step}
            plain |= {"format": member.format, **{key: _finite(limit) for key, limit in limits.items()}}
        return plain

    def _define(self, one: WireMember, before: Member[float] | None) -> Member[float]:
        assert isinstance(one, DefNumber)
        limits = (number_or(one.min, 0.0), number_or(one.max, 0.0), number_or(one.step, 0.0))
        return NumberMember(
            one.name, one.label or one.name, number_or(one.value, 0.0), one.format or "%g", limits=limits
        )

    def _take(self, member: Member[float], one: WireMember) -> bool:
        assert isinstance(one, OneNumber)
        member.value = number_or(one.value, member.value)
        has_limits = one.min is not None or one.max is not None or one.step is not None
        if has_limits and isinstance(member, NumberMember):
            # This is how libindi announces new limits.
            member.min = number_or(one.min, member.min)
            member.max = number_or(one.max, member.max)
            member.step = number_or(one.step, member.step)
        return True


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None  # JSON has no word for the others


class SwitchVector(Vector[bool]):
    """Switches; :attr:`Vector.rule` says how many may be On."""

    kind = "Switch"

    @property
    def on(self) -> str | None:
        """The name of the first switch that is On, or ``None``."""
        return next((name for name, member in self.members.items() if member.value), None)

    def _define(self, one: WireMember, before: Member[bool] | None) -> Member[bool]:
        assert isinstance(one, DefSwitch)
        return Member(one.name, one.label or one.name, one.value.strip() == Switch.ON)

    def _take(self, member: Member[bool], one: WireMember) -> bool:
        assert isinstance(one, OneSwitch)
        member.value = one.value.strip() == Switch.ON
        return True


class TextVector(Vector[str]):
    """Texts."""

    kind = "Text"

    def _define(self, one: WireMember, before: Member[str] | None) -> Member[str]:
        assert isinstance(one, DefText)
        return Member(one.name, one.label or one.name, one.value)

    def _take(self, member: Member[str], one: WireMember) -> bool:
        assert isinstance(one, OneText)
        member.value = one.value
        return True


class LightVector(Vector[State]):
    """Lights, which nobody can write."""

    kind = "Light"

    def _plain(self, member: Member[State]) -> dict[str, object]:
        return {"label": member.label, "value": str(member.value)}

    def _define(self, one: WireMember, before: Member[State] | None) -> Member[State]:
        assert isinstance(one, DefLight)
        return Member(one.name, one.label or one.name, state_or(one.value, State.IDLE))

    def _take(self, member: Member[State], one: WireMember) -> bool:
        assert isinstance(one, OneLight)
        member.value = state_or(one.value, member.value)
        return True


class BLOBVector(Vector[Blob | None]):
    """BLOBs: the latest content of each member, if the client has asked for any."""

    kind = "BLOB"

    def _plain(self, member: Member[Blob | None]) -> dict[str, object]:
        blob = member.value
        value = None if blob is None else {"format": blob.format, "size": blob.size}
        return {"label": member.label, "value": value}

    def _define(self, one: WireMember, before: Member[Blob | None] | None) -> Member[Blob | None]:
        assert isinstance(one, DefBLOB)
        # A definition never carries content, so the content that came before it is still the latest.
        return Member(one.name, one.label or one.name, None if before is None else before.value)

    def _take(self, member: Member[Blob | None], one: WireMember) -> bool:
        assert isinstance(one, OneBLOB)
        try:
            blob = blob_of(one, self.timestamp)
        except ValueError as error:
            logger.warning("%s.%s: a BLOB cannot be used: %s", self.device, self.name, error)
            return False
        if blob is None:
            return False
        member.value = blob
        return True


AnyVector: TypeAlias = Vector[Any]
"""A vector of any kind; ``isinstance`` tells which, and a type checker then knows the type of the values."""
