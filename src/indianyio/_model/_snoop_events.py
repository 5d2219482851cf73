# The events are named after the wire's tags; drivers written for the family use these in isinstance() and match.
# ruff: noqa: N801
"""What ``snoopevent`` receives: the traffic of other devices.

Other people's drivers leave out whatever the standard lets them leave out, and some more. A missing part never
costs the event: ``state``, ``perm`` and ``rule`` are then ``None``, texts are empty, the label is the name, a
number's format is ``%g`` and its limits are 0. An update without members is an empty mapping with a state. If two
members have the same name, the later one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar, get_args

from indianyio._model._events import DEFAULT_LIMITS, Event, SizeFormat, ValuesEvent, event_table, read_blobs
from indianyio._model._number_members import DEFAULT_FORMAT
from indianyio._vocabulary import Limits
from indianyio.protocol import _messages as wire
from indianyio.protocol._elements import DefNumber
from indianyio.protocol._numbers import parse_number

__all__ = [
    "Message",
    "NumberLabel",
    "SnoopEvent",
    "SnoopMessage",
    "defBLOBVector",
    "defLightVector",
    "defNumberVector",
    "defSwitchVector",
    "defTextVector",
    "delProperty",
    "setBLOBVector",
    "setLightVector",
    "setNumberVector",
    "setSwitchVector",
    "setTextVector",
    "snoop_event",
]

SnoopMessage: TypeAlias = wire.Message | wire.DelProperty | wire.DefVector | wire.SetVector

_WritableDef: TypeAlias = wire.DefTextVector | wire.DefNumberVector | wire.DefSwitchVector | wire.DefBLOBVector
_WritableSet: TypeAlias = wire.SetTextVector | wire.SetNumberVector | wire.SetSwitchVector | wire.SetBLOBVector

DefT = TypeVar("DefT", bound=wire.DefVector)
WritableDefT = TypeVar("WritableDefT", bound=_WritableDef)
SetT = TypeVar("SetT", bound=wire.SetVector)
WritableSetT = TypeVar("WritableSetT", bound=_WritableSet)
LabelT = TypeVar("LabelT")
ValueT_co = TypeVar("ValueT_co", covariant=True)

NumberLabel: TypeAlias = tuple[str, str, str, str, str]
"""For a number: label, format, min, max and step."""


# -- messages and deletions ------------------------------------------------------------------------------------


class Message(Event):
    """A device says something to people; or a driver or server does, if ``devicename`` is ``None``.

    :ivar message: the text.
    :ivar vectorname: always ``None``.
    """

    def __init__(
        self, message: wire.Message, *, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(message.device, None, message.timestamp, data, now)
        self.message = message.message or ""


class delProperty(Event):
    """A vector no longer exists; or a whole device, if ``vectorname`` is ``None``.

    :ivar message: a text for people, usually empty.
    """

    devicename: str  # type: ignore[mutable-override]  # read-only, as in VectorEvent

    def __init__(
        self, message: wire.DelProperty, *, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(message.device, message.name, message.timestamp, data, now)
        self.message = message.message or ""


# -- definitions -----------------------------------------------------------------------------------------------


class _Definition(ValuesEvent[str], Generic[DefT, LabelT]):
    """What all definitions have in common.

    :ivar label: the text that people read; the name if there is none.
    :ivar group: the page on which to show it.
    :ivar state: ``None`` if it is missing or not a state.
    :ivar message: a text for people, usually empty.
    :ivar memberlabels: the text that people read for each member.
    """

    def __init__(self, message: DefT, *, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(message.device, message.name, message.timestamp, data, now)
        self.label = message.label or message.name
        self.group = message.group or ""
        self.state = message.state
        self.message = message.message or ""
        self._values = self._read(message)
        self.memberlabels = self._labels(message)

    def _read(self, message: DefT) -> Mapping[str, str]:
        raise NotImplementedError

    def _labels(self, message: DefT) -> dict[str, LabelT]:
        raise NotImplementedError


class _WritableDefinition(_Definition[WritableDefT, LabelT]):
    """What all definitions except those of lights have in common.

    :ivar perm: ``None`` if it is missing or not a permission.
    :ivar timeout: seconds as text; ``"0"``, which means that nobody knows, if it is missing.
    """

    def __init__(
        self, message: WritableDefT, *, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(message, data=data, now=now, limits=limits)
        self.perm = message.perm
        self.timeout = message.timeout or "0"


class defSwitchVector(_WritableDefinition[wire.DefSwitchVector, str]):
    """A device has these switches.

    :ivar rule: ``None`` if it is missing or not a rule.
    """

    def __init__(
        self, message: wire.DefSwitchVector, *, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(message, data=data, now=now, limits=limits)
        self.rule = message.rule

    def _read(self, message: wire.DefSwitchVector) -> dict[str, str]:
        return {member.name: member.value.strip() for member in message.members}

    def _labels(self, message: wire.DefSwitchVector) -> dict[str, str]:
        return {member.name: member.label or member.name for member in message.members}


class defTextVector(_WritableDefinition[wire.DefTextVector, str]):
    """A device has these texts."""

    def _read(self, message: wire.DefTextVector) -> dict[str, str]:
        return {member.name: member.value for member in message.members}

    def _labels(self, message: wire.DefTextVector) -> dict[str, str]:
        return {member.name: member.label or member.name for member in message.members}


class defNumberVector(_WritableDefinition[wire.DefNumberVector, NumberLabel]):
    """A device has these numbers; the values are the texts that it sent."""

    def _read(self, message: wire.DefNumberVector) -> dict[str, str]:
        return {member.name: member.value.strip() for member in message.members}

    def _labels(self, message: wire.DefNumberVector) -> dict[str, NumberLabel]:
        return {member.name: _number_label(member) for member in message.members}

    def getfloatvalue(self, membername: str) -> float:
        """Return a member's number.

        :raises UnknownMemberError: the message does not name it.
        :raises NumberFormatError: it is not a number.
        """
        return parse_number(self[membername])


class defLightVector(_Definition[wire.DefLightVector, str]):
    """A device has these lights."""

    def _read(self, message: wire.DefLightVector) -> dict[str, str]:
        return {member.name: member.value.strip() for member in message.members}

    def _labels(self, message: wire.DefLightVector) -> dict[str, str]:
        return {member.name: member.label or member.name for member in message.members}


class defBLOBVector(_WritableDefinition[wire.DefBLOBVector, str]):
    """A device has these BLOBs; as a mapping it is empty, because a definition has no content."""

    def _read(self, message: wire.DefBLOBVector) -> dict[str, str]:
        return {}

    def _labels(self, message: wire.DefBLOBVector) -> dict[str, str]:
        return {member.name: member.label or member.name for member in message.members}


# -- updates ---------------------------------------------------------------------------------------------------


class _Update(ValuesEvent[ValueT_co], Generic[SetT, ValueT_co]):
    """What all updates have in common.

    :ivar state: ``None`` if it is missing or not a state.
    :ivar message: a text for people, usually empty.
    """

    def __init__(self, message: SetT, *, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(message.device, message.name, message.timestamp, data, now)
        self.state = message.state
        self.message = message.message or ""
        self._values = self._read(message, limits)

    def _read(self, message: SetT, limits: Limits) -> Mapping[str, ValueT_co]:
        raise NotImplementedError


class _WritableUpdate(_Update[WritableSetT, ValueT_co]):
    """What all updates except those of lights have in common.

    :ivar timeout: seconds as text; ``"0"``, which means that nobody knows, if it is missing.
    """

    def __init__(
        self, message: WritableSetT, *, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(message, data=data, now=now, limits=limits)
        self.timeout = message.timeout or "0"


class setSwitchVector(_WritableUpdate[wire.SetSwitchVector, str]):
    """Switches are now ``On`` or ``Off``."""

    def _read(self, message: wire.SetSwitchVector, limits: Limits) -> dict[str, str]:
        return {one.name: one.value.strip() for one in message.members}


class setTextVector(_WritableUpdate[wire.SetTextVector, str]):
    """Texts now have these values."""

    def _read(self, message: wire.SetTextVector, limits: Limits) -> dict[str, str]:
        return {one.name: one.value for one in message.members}


class setNumberVector(_WritableUpdate[wire.SetNumberVector, str]):
    """Numbers now have these values, which are the texts that were sent."""

    def _read(self, message: wire.SetNumberVector, limits: Limits) -> dict[str, str]:
        return {one.name: one.value.strip() for one in message.members}

    def getfloatvalue(self, membername: str) -> float:
        """Return a member's number.

        :raises UnknownMemberError: the message does not name it.
        :raises NumberFormatError: it is not a number.
        """
        return parse_number(self[membername])


class setLightVector(_Update[wire.SetLightVector, str]):
    """Lights now show these states."""

    def _read(self, message: wire.SetLightVector, limits: Limits) -> dict[str, str]:
        return {one.name: one.value.strip() for one in message.members}


class setBLOBVector(_WritableUpdate[wire.SetBLOBVector, bytes]):
    """A device delivers BLOBs.

    A BLOB of size 0 only says that there is none (docs/protocol.md 1.5), so it is not in the mapping.

    :ivar sizeformat: for each member, the announced size and the file suffix.
    :raises ValueError: the content cannot be read.
    """

    sizeformat: dict[str, SizeFormat]

    def _read(self, message: wire.SetBLOBVector, limits: Limits) -> dict[str, bytes]:
        filled = [one for one in message.members if one.attachment is not None or len(one.data)]
        contents, self.sizeformat = read_blobs(filled, limits)
        return contents


SnoopEvent: TypeAlias = (
    Message
    | delProperty
    | defSwitchVector
    | defTextVector
    | defNumberVector
    | defLightVector
    | defBLOBVector
    | setSwitchVector
    | setTextVector
    | setNumberVector
    | setLightVector
    | setBLOBVector
)
"""What ``snoopevent`` receives."""

_EVENTS: Mapping[str, Callable[..., SnoopEvent]] = event_table(get_args(SnoopEvent))


def snoop_event(message: SnoopMessage, data: bytes, now: datetime, limits: Limits = DEFAULT_LIMITS) -> SnoopEvent:
    """Return the event for a message of another device.

    :param message: the message.
    :param data: the bytes of the message, which are parsed again only if somebody asks for ``root``.
    :param now: the time of arrival, aware and in UTC.
    :param limits: how large a BLOB may become.
    :raises ValueError: the content of a BLOB cannot be read.
    """
    return _EVENTS[message.tag](message, data=data, now=now, limits=limits)


def _number_label(member: DefNumber) -> NumberLabel:
    return (
        member.label or member.name,
        member.format or DEFAULT_FORMAT,
        member.min or "0",
        member.max or "0",
        member.step or "0",
    )
