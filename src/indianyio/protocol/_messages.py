"""The elements that stand alone on the stream, one dataclass each, and the tables derived from them.

How a class is made is told in ``_elements``; which attributes an element has, in protocol.md 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from indianyio._vocabulary import PROTOCOL_VERSION, Permission, Rule, State
from indianyio.protocol._elements import (
    DefBLOB,
    DefLight,
    DefNumber,
    DefSwitch,
    DefText,
    OneBLOB,
    OneLight,
    OneNumber,
    OneSwitch,
    OneText,
    WireMember,
    WireMessage,
)

__all__ = [
    "MEMBERS",
    "MESSAGES",
    "DefBLOBVector",
    "DefLightVector",
    "DefNumberVector",
    "DefSwitchVector",
    "DefTextVector",
    "DefVector",
    "DelProperty",
    "EnableBLOB",
    "GetProperties",
    "Message",
    "NewBLOBVector",
    "NewNumberVector",
    "NewSwitchVector",
    "NewTextVector",
    "NewVector",
    "PingReply",
    "PingRequest",
    "SetBLOBVector",
    "SetLightVector",
    "SetNumberVector",
    "SetSwitchVector",
    "SetTextVector",
    "SetVector",
]


# -- definitions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DefTextVector(WireMessage):
    """A driver has this text vector."""

    device: str
    name: str
    label: str | None = None
    group: str | None = None
    state: State | None = None
    perm: Permission | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[DefText, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefNumberVector(WireMessage):
    """A driver has this number vector."""

    device: str
    name: str
    label: str | None = None
    group: str | None = None
    state: State | None = None
    perm: Permission | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[DefNumber, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefSwitchVector(WireMessage):
    """A driver has this switch vector."""

    device: str
    name: str
    label: str | None = None
    group: str | None = None
    state: State | None = None
    perm: Permission | None = None
    rule: Rule | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[DefSwitch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefLightVector(WireMessage):
    """A driver has this light vector; nobody may write one, so it has no permission."""

    device: str
    name: str
    label: str | None = None
    group: str | None = None
    state: State | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[DefLight, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefBLOBVector(WireMessage):
    """A driver has this BLOB vector."""

    device: str
    name: str
    label: str | None = None
    group: str | None = None
    state: State | None = None
    perm: Permission | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[DefBLOB, ...] = ()


# -- updates from a driver -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTextVector(WireMessage):
    """A text vector has these values now; members not named keep theirs."""

    device: str
    name: str
    state: State | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneText, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNumberVector(WireMessage):
    """A number vector has these values now."""

    device: str
    name: str
    state: State | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneNumber, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSwitchVector(WireMessage):
    """A switch vector has these values now."""

    device: str
    name: str
    state: State | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneSwitch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLightVector(WireMessage):
    """A light vector has these values now."""

    device: str
    name: str
    state: State | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneLight, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBLOBVector(WireMessage):
    """A BLOB vector delivers content."""

    device: str
    name: str
    state: State | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneBLOB, ...] = ()


# -- commands from a client ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTextVector(WireMessage):
    """A client wants these texts."""

    device: str
    name: str
    timestamp: str | None = None
    members: tuple[OneText, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNumberVector(WireMessage):
    """A client wants these numbers."""

    device: str
    name: str
    timestamp: str | None = None
    members: tuple[OneNumber, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSwitchVector(WireMessage):
    """A client wants these switches."""

    device: str
    name: str
    timestamp: str | None = None
    members: tuple[OneSwitch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBLOBVector(WireMessage):
    """A client sends this content."""

    device: str
    name: str
    timestamp: str | None = None
    members: tuple[OneBLOB, ...] = ()


# -- everything else -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class GetProperties(WireMessage):
    """Define your vectors, please; from a driver: let me snoop them."""

    version: str | None = PROTOCOL_VERSION
    device: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableBLOB(WireMessage):
    """Whether I want BLOBs: ``Never``, ``Also`` or ``Only``; other words are to be ignored."""

    device: str | None = None
    name: str | None = None
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(WireMessage):
    """A line for people to read; without ``device`` it is for everybody."""

    device: str | None = None
    timestamp: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DelProperty(WireMessage):
    """A vector is gone, or without ``name`` the whole device."""

    device: str
    name: str | None = None
    timestamp: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRequest(WireMessage):
    """Answer with the same uid once everything before this has been dealt with."""

    uid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PingReply(WireMessage):
    """The answer to a :class:`PingRequest`."""

    uid: str | None = None


DefVector: TypeAlias = DefTextVector | DefNumberVector | DefSwitchVector | DefLightVector | DefBLOBVector
SetVector: TypeAlias = SetTextVector | SetNumberVector | SetSwitchVector | SetLightVector | SetBLOBVector
NewVector: TypeAlias = NewTextVector | NewNumberVector | NewSwitchVector | NewBLOBVector

# Which member element each vector is made of: the rest of its tag, after def for definitions, after one for others.
MEMBERS: dict[type[WireMessage], type[WireMember]] = {
    DefTextVector: DefText,
    DefNumberVector: DefNumber,
    DefSwitchVector: DefSwitch,
    DefLightVector: DefLight,
    DefBLOBVector: DefBLOB,
    SetTextVector: OneText,
    SetNumberVector: OneNumber,
    SetSwitchVector: OneSwitch,
    SetLightVector: OneLight,
    SetBLOBVector: OneBLOB,
    NewTextVector: OneText,
    NewNumberVector: OneNumber,
    NewSwitchVector: OneSwitch,
    NewBLOBVector: OneBLOB,
}

_LONE: tuple[type[WireMessage], ...] = (GetProperties, EnableBLOB, Message, DelProperty, PingRequest, PingReply)

MESSAGES: dict[str, type[WireMessage]] = {cls.tag: cls for cls in (*MEMBERS, *_LONE)}
"""Every tag that may stand alone on the stream, and the class of what it opens."""
