"""What devices are, without any I/O: members, vectors, writes, events, snooping.

Nothing here waits, opens files, logs or reads a clock; times are arguments.
"""

from __future__ import annotations

from indianyio._model._blob_members import DEFAULT_BLOB_FORMAT, BLOBFile, BLOBMember, BLOBValue
from indianyio._model._events import (
    DEFAULT_LIMITS,
    Event,
    SizeFormat,
    ValuesEvent,
    VectorEvent,
    event_table,
    read_blobs,
)
from indianyio._model._kinds import (
    BLOBVectorModel,
    LightVectorModel,
    NumberVectorModel,
    SwitchVectorModel,
    TextVectorModel,
    WordVectorModel,
)
from indianyio._model._members import (
    Kind,
    LightMember,
    Member,
    SwitchMember,
    TextMember,
    WordMember,
)
from indianyio._model._number_members import DEFAULT_FORMAT, NumberMember
from indianyio._model._outbox import Outbox, Outgoing
from indianyio._model._snoop_events import (
    Message,
    NumberLabel,
    SnoopEvent,
    SnoopMessage,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    delProperty,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
    snoop_event,
)
from indianyio._model._snooping import AT_ONCE, SHORTEST_TIMEOUT_SECONDS, SnoopTable
from indianyio._model._vectors import AnyVector, VectorModel

__all__ = [
    "AT_ONCE",
    "DEFAULT_BLOB_FORMAT",
    "DEFAULT_FORMAT",
    "DEFAULT_LIMITS",
    "SHORTEST_TIMEOUT_SECONDS",
    "AnyVector",
    "BLOBFile",
    "BLOBMember",
    "BLOBValue",
    "BLOBVectorModel",
    "Event",
    "Kind",
    "LightMember",
    "LightVectorModel",
    "Member",
    "Message",
    "NumberLabel",
    "NumberMember",
    "NumberVectorModel",
    "Outbox",
    "Outgoing",
    "SizeFormat",
    "SnoopEvent",
    "SnoopMessage",
    "SnoopTable",
    "SwitchMember",
    "SwitchVectorModel",
    "TextMember",
    "TextVectorModel",
    "ValuesEvent",
    "VectorEvent",
    "VectorModel",
    "WordMember",
    "WordVectorModel",
    "defBLOBVector",
    "defLightVector",
    "defNumberVector",
    "defSwitchVector",
    "defTextVector",
    "delProperty",
    "event_table",
    "read_blobs",
    "setBLOBVector",
    "setLightVector",
    "setNumberVector",
    "setSwitchVector",
    "setTextVector",
    "snoop_event",
]
