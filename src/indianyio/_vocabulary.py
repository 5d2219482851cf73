"""The words of the INDI standard, and the limits and defaults of this implementation.

The enumerations are strings spelled as on the wire, so ``vector.state == "Ok"`` holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "MAX_DESCRIPTORS",
    "PROTOCOL_VERSION",
    "BLOBHandling",
    "Light",
    "Limits",
    "Permission",
    "Rule",
    "State",
    "Switch",
]

PROTOCOL_VERSION = "1.7"
"""The version in every getProperties that we send; libindi's drivers exit without one. We accept any version."""

MAX_DESCRIPTORS = 16
"""The most descriptors that indiserver and libindi send or take in one call (docs/protocol.md W37)."""


class State(StrEnum):
    """What a vector is doing: nothing known, done, in progress, failed."""

    IDLE = "Idle"
    OK = "Ok"
    BUSY = "Busy"
    ALERT = "Alert"


# A light shows one of the same four words. It has its own name because it is a member's value, not a vector's
# state.
Light = State


class Switch(StrEnum):
    """The two values of a switch member."""

    ON = "On"
    OFF = "Off"


class Permission(StrEnum):
    """What a client may do with a vector: read, write or both."""

    RO = "ro"
    WO = "wo"
    RW = "rw"


class Rule(StrEnum):
    """How many members of a switch vector may be On at a time."""

    ONE_OF_MANY = "OneOfMany"
    AT_MOST_ONE = "AtMostOne"
    ANY_OF_MANY = "AnyOfMany"


class BLOBHandling(StrEnum):
    """Whether a peer gets BLOBs: not at all, with everything else, or nothing but BLOBs."""

    NEVER = "Never"
    ALSO = "Also"
    ONLY = "Only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one peer may make us hold (in bytes, unless it says otherwise).

    A client that exceeds one of these is disconnected. When a driver or a server exceeds one, only that message is
    lost, except for a BLOB vector beyond ``blob_bytes``.

    :ivar message_bytes: a message that is not a BLOB vector.
    :ivar blob_bytes: a BLOB vector, base64 and all; also the most that one compressed BLOB may inflate to.
    :ivar attributes_bytes: the start tag of an element, attributes and all.
    :ivar depth: how deep elements may nest: a vector, its member, and one more level for unknown elements.
    :ivar members: the members of one vector (a count).
    :ivar dropped_in_a_row: consecutive unusable messages (a count).
    :ivar garbage_bytes: consecutive bytes without a good message.
    """

    message_bytes: int = 1 << 20
    blob_bytes: int = 1 << 30
    attributes_bytes: int = 64 << 10
    depth: int = 3
    members: int = 10_000
    dropped_in_a_row: int = 100
    garbage_bytes: int = 1 << 20
