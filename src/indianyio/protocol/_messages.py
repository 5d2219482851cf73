"""The elements that stand alone on the stream, one class each, and the tables derived from them.

``_elements`` says how the classes are made, protocol.md 1.2 which attributes an element has.
"""

from __future__ import annotations

from typing import TypeAlias, get_args

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
    "CONTENT_TAGS",
    "MEMBERS",
    "MESSAGES",
    "SET_VECTORS",
    "AnyMessage",
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


class DefTextVector(WireMessage, frozen=True, kw_only=True):
    """A driver announces a text vector."""

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


class DefNumberVector(WireMessage, frozen=True, kw_only=True):
    """A driver announces a number vector."""

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


class DefSwitchVector(WireMessage, frozen=True, kw_only=True):
    """A driver announces a switch vector."""

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


class DefLightVector(WireMessage, frozen=True, kw_only=True):
    """A driver announces a light vector; nobody may write one, so it has no permission."""

    device: str
    name: str
    label: str | None = None
    group: str | None = None
    state: State | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[DefLight, ...] = ()


class DefBLOBVector(WireMessage, frozen=True, kw_only=True):
    """A driver announces a BLOB vector."""

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


class SetTextVector(WireMessage, frozen=True, kw_only=True):
    """A text vector now has these values; members that are not named keep theirs."""

    device: str
    name: str
    state: State | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneText, ...] = ()


class SetNumberVector(WireMessage, frozen=True, kw_only=True):
    """A number vector now has these values."""

    device: str
    name: str
    state: State | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneNumber, ...] = ()


class SetSwitchVector(WireMessage, frozen=True, kw_only=True):
    """A switch vector now has these values."""

    device: str
    name: str
    state: State | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneSwitch, ...] = ()


class SetLightVector(WireMessage, frozen=True, kw_only=True):
    """A light vector now has these values."""

    device: str
    name: str
    state: State | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneLight, ...] = ()


class SetBLOBVector(WireMessage, frozen=True, kw_only=True):
    """A BLOB vector delivers content."""

    device: str
    name: str
    state: State | None = None
    timeout: str | None = None
    timestamp: str | None = None
    message: str | None = None
    members: tuple[OneBLOB, ...] = ()


# -- commands from a client ------------------------------------------------------------------------------------


class NewTextVector(WireMessage, frozen=True, kw_only=True):
    """A client asks for these texts."""

    device: str
    name: str
    timestamp: str | None = None
    members: tuple[OneText, ...] = ()


class NewNumberVector(WireMessage, frozen=True, kw_only=True):
    """A client asks for these numbers."""

    device: str
    name: str
    timestamp: str | None = None
    members: tuple[OneNumber, ...] = ()


class NewSwitchVector(WireMessage, frozen=True, kw_only=True):
    """A client asks for these switches."""

    device: str
    name: str
    timestamp: str | None = None
    members: tuple[OneSwitch, ...] = ()


class NewBLOBVector(WireMessage, frozen=True, kw_only=True):
    """A client sends this content."""

    device: str
    name: str
    timestamp: str | None = None
    members: tuple[OneBLOB, ...] = ()


# -- everything else -------------------------------------------------------------------------------------------


class GetProperties(WireMessage, frozen=True, kw_only=True):
    """From a client: please define your vectors. From a driver: let me snoop on them."""

    version: str | None = PROTOCOL_VERSION
    device: str | None = None
    name: str | None = None


class EnableBLOB(WireMessage, frozen=True, kw_only=True):
    """Whether the sender wants BLOBs: ``Never``, ``Also`` or ``Only``; receivers ignore other words."""

    device: str | None = None
    name: str | None = None
    value: str = ""


class Message(WireMessage, frozen=True, kw_only=True):
    """A line for people to read; without ``device`` it is for everybody."""

    device: str | None = None
    timestamp: str | None = None
    message: str | None = None


class DelProperty(WireMessage, frozen=True, kw_only=True):
    """A vector no longer exists, or without ``name`` the whole device."""

    device: str
    name: str | None = None
    timestamp: str | None = None
    message: str | None = None


class PingRequest(WireMessage, frozen=True, kw_only=True):
    """Asks for an answer with the same uid once everything before this has been dealt with."""

    uid: str | None = None


class PingReply(WireMessage, frozen=True, kw_only=True):
    """The answer to a :class:`PingRequest`."""

    uid: str | None = None


DefVector: TypeAlias = DefTextVector | DefNumberVector | DefSwitchVector | DefLightVector | DefBLOBVector
"""What a driver says about a vector that clients do not know yet."""

SetVector: TypeAlias = SetTextVector | SetNumberVector | SetSwitchVector | SetLightVector | SetBLOBVector
"""What a driver says about a vector that has changed."""

NewVector: TypeAlias = NewTextVector | NewNumberVector | NewSwitchVector | NewBLOBVector
"""What a client wants a vector to become."""

AnyMessage: TypeAlias = (
    DefVector | SetVector | NewVector | GetProperties | EnableBLOB | Message | DelProperty | PingRequest | PingReply
)
"""Every kind of message; for ``msgspec.json.decode(data, type=AnyMessage)``."""

SET_VECTORS = frozenset(get_args(SetVector))
"""The classes in :data:`SetVector`, as a set for fast look-up."""

# The member element of each vector: the rest of its tag, after "def" in definitions and after "one" in all others.
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
"""Every tag that may stand alone on the stream, and the class of the element that it begins."""

CONTENT_TAGS = frozenset({SetBLOBVector.tag, NewBLOBVector.tag})
"""The tags of messages that carry BLOBs and may therefore be as long as these."""
