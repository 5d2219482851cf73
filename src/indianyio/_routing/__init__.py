"""Who gets what, without any I/O: the router, ownership, subscriptions, fan-out. Only a server loads it.

Nothing here waits, opens files, logs or reads a clock; times are arguments.
"""

from __future__ import annotations

from indianyio._routing._decisions import Delivery, Routed
from indianyio._routing._fair_queue import HOLDING_BYTES, SHARE_BYTES, FairQueue, Rank, Room, rank_of
from indianyio._routing._fan_out import PlainRelay, Relay, Relayed
from indianyio._routing._outboxes import (
    DROP_STREAM_BYTES,
    OUTBOX_BYTES,
    DriverOutbox,
    PeerOutbox,
    PeerStatistics,
    Traffic,
    Verdict,
)
from indianyio._routing._own_frames import refusal
from indianyio._routing._router import Router
from indianyio._routing._routes import PeerKind

__all__ = [
    "DROP_STREAM_BYTES",
    "HOLDING_BYTES",
    "OUTBOX_BYTES",
    "SHARE_BYTES",
    "Delivery",
    "DriverOutbox",
    "FairQueue",
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
    "Traffic",
    "Verdict",
    "rank_of",
    "refusal",
]
