"""The meaning of INDI's messages, without any I/O: members, vectors, events, snooping, the outbox, the routing.

Nothing here waits, opens, logs or reads a clock; moments are arguments.
"""

from __future__ import annotations

from indianyio.model._blob_members import (
    DEFAULT_BLOB_FORMAT,
    BLOBFile,
    BLOBMember,
    BLOBValue,
)
from indianyio.model._deliveries import (
    Delivery,
    Routed,
)
from indianyio.model._driver_outbox import DriverOutbox, Rank, rank_of
from indianyio.model._events import (
    DEFAULT_LIMITS,
    Event,
    SizeFormat,
    ValuesEvent,
    VectorEvent,
    event_table,
    read_blobs,
)
from indianyio.model._fair_queue import HOLDING_BYTES, SHARE_BYTES, FairQueue, Room
from indianyio.model._fanout import (
    DROP_STREAM_BYTES,
    OUTBOX_BYTES,
    PeerOutbox,
    PeerStatistics,
    Traffic,
    Verdict,
)
from indianyio.model._kinds import (
    BLOBVectorModel,
    LightVectorModel,
    NumberVectorModel,
    SwitchVectorModel,
    TextVectorModel,
    WordVectorModel,
)
from indianyio.model._members import (
    LightMember,
    Member,
    SwitchMember,
    TextMember,
    WordMember,
)
from indianyio.model._number_members import (
    DEFAULT_FORMAT,
    NumberMember,
)
from indianyio.model._outbox import (
    Outbox,
    Outgoing,
)
from indianyio.model._relay import PlainRelay, Relay, Relayed
from indianyio.model._router_frames import refusal
from indianyio.model._routes import PeerKind
from indianyio.model._routing import Router
from indianyio.model._snoop_events import (
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
from indianyio.model._snooping import (
    AT_ONCE,
    SHORTEST_TIMEOUT_SECONDS,
    SnoopTable,
)
from indianyio.model._vectors import (
    AnyVector,
    Kind,
    VectorModel,
)

__all__ = [
    "AT_ONCE",
    "DEFAULT_BLOB_FORMAT",
    "DEFAULT_FORMAT",
    "DEFAULT_LIMITS",
    "DROP_STREAM_BYTES",
    "HOLDING_BYTES",
    "OUTBOX_BYTES",
    "SHARE_BYTES",
    "SHORTEST_TIMEOUT_SECONDS",
    "AnyVector",
    "BLOBFile",
    "BLOBMember",
    "BLOBValue",
    "BLOBVectorModel",
    "Delivery",
    "DriverOutbox",
    "Event",
    "FairQueue",
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
    "PeerKind",
    "PeerOutbox",
    "PeerStatistics",
    "PlainRelay",
    "Rank",
    "Relay",
    "Relayed",
    "Room",
    "Routed",
    "Router",
    "SizeFormat",
    "SnoopEvent",
    "SnoopMessage",
    "SnoopTable",
    "SwitchMember",
    "SwitchVectorModel",
    "TextMember",
    "TextVectorModel",
    "Traffic",
    "ValuesEvent",
    "VectorEvent",
    "VectorModel",
    "Verdict",
    "WordMember",
    "WordVectorModel",
    "defBLOBVector",
    "defLightVector",
    "defNumberVector",
    "defSwitchVector",
    "defTextVector",
    "delProperty",
    "event_table",
    "rank_of",
    "read_blobs",
    "refusal",
    "setBLOBVector",
    "setLightVector",
    "setNumberVector",
    "setSwitchVector",
    "setTextVector",
    "snoop_event",
]
