"""The former home of the device model and of routing; kept for one version.

Everything that could be imported from here still can be, with a :exc:`DeprecationWarning`. The public names for
drivers are exported by :mod:`indianyio` itself.
"""

from __future__ import annotations

import warnings
from importlib import import_module

_HOMES = {
    "AT_ONCE": "indianyio._model",
    "AnyVector": "indianyio._model",
    "BLOBFile": "indianyio._model",
    "BLOBMember": "indianyio._model",
    "BLOBValue": "indianyio._model",
    "BLOBVectorModel": "indianyio._model",
    "DEFAULT_BLOB_FORMAT": "indianyio._model",
    "DEFAULT_FORMAT": "indianyio._model",
    "DEFAULT_LIMITS": "indianyio._model",
    "DROP_STREAM_BYTES": "indianyio._routing",
    "Delivery": "indianyio._routing",
    "DriverOutbox": "indianyio._routing",
    "Event": "indianyio._model",
    "FairQueue": "indianyio._routing",
    "HOLDING_BYTES": "indianyio._routing",
    "Kind": "indianyio._model",
    "LightMember": "indianyio._model",
    "LightVectorModel": "indianyio._model",
    "Member": "indianyio._model",
    "Message": "indianyio._model",
    "NumberLabel": "indianyio._model",
    "NumberMember": "indianyio._model",
    "NumberVectorModel": "indianyio._model",
    "OUTBOX_BYTES": "indianyio._routing",
    "Outbox": "indianyio._model",
    "Outgoing": "indianyio._model",
    "PeerKind": "indianyio._routing",
    "PeerOutbox": "indianyio._routing",
    "PeerStatistics": "indianyio._routing",
    "PlainRelay": "indianyio._routing",
    "Rank": "indianyio._routing",
    "Relay": "indianyio._routing",
    "Relayed": "indianyio._routing",
    "Room": "indianyio._routing",
    "Routed": "indianyio._routing",
    "Router": "indianyio._routing",
    "SHARE_BYTES": "indianyio._routing",
    "SHORTEST_TIMEOUT_SECONDS": "indianyio._model",
    "SizeFormat": "indianyio._model",
    "SnoopEvent": "indianyio._model",
    "SnoopMessage": "indianyio._model",
    "SnoopTable": "indianyio._model",
    "SwitchMember": "indianyio._model",
    "SwitchVectorModel": "indianyio._model",
    "TextMember": "indianyio._model",
    "TextVectorModel": "indianyio._model",
    "Traffic": "indianyio._routing",
    "ValuesEvent": "indianyio._model",
    "VectorEvent": "indianyio._model",
    "VectorModel": "indianyio._model",
    "Verdict": "indianyio._routing",
    "WordMember": "indianyio._model",
    "WordVectorModel": "indianyio._model",
    "defBLOBVector": "indianyio._model",
    "defLightVector": "indianyio._model",
    "defNumberVector": "indianyio._model",
    "defSwitchVector": "indianyio._model",
    "defTextVector": "indianyio._model",
    "delProperty": "indianyio._model",
    "event_table": "indianyio._model",
    "rank_of": "indianyio._routing",
    "read_blobs": "indianyio._model",
    "refusal": "indianyio._routing",
    "setBLOBVector": "indianyio._model",
    "setLightVector": "indianyio._model",
    "setNumberVector": "indianyio._model",
    "setSwitchVector": "indianyio._model",
    "setTextVector": "indianyio._model",
    "snoop_event": "indianyio._model",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{__name__}.{name} is internal; the public names are in indianyio", DeprecationWarning, stacklevel=2
    )
    return getattr(import_module(home), name)
