"""The INDI wire format: bytes to frames to messages, and back to bytes. No I/O, no clock; usable alone.

Feed bytes to a :class:`Framer` as they arrive, cut anywhere. It returns frames, each of which is one whole element,
and for any bytes that are not part of a message an :class:`Unusable`, which says why. :func:`decode` turns a frame
into a message, or returns an :class:`Unusable` too. :func:`encode` turns a message into bytes.

>>> from indianyio.protocol import AnyMessage, Framer, Unusable, decode, encode
>>> framer = Framer()
>>> framer.feed(b"<setNumberVector device='Scope' name='RATE' state='Ok'><oneNumber name='N'>1.5</one")
[]
>>> for found in framer.feed(b"Number></setNumberVector> stray </end> <getProperties device='Dome'/>"):
...     if isinstance(found, Unusable):
...         print(found.reason, found.excerpt)
...     else:
...         print(found.tag, found.device, decode(found).tag)
setNumberVector Scope setNumberVector
not part of any message b'stray </end>'
getProperties Dome getProperties
>>> [ping] = framer.feed(b"<pingRequest uid='7'></pingRequest>")
>>> decode(ping)
PingRequest(uid='7')
>>> print(encode(decode(ping)).decode(), end="")
<pingRequest uid="7"/>

Messages are frozen structs of msgspec: :func:`msgspec.structs.replace` makes a changed copy of one, and
:mod:`msgspec.json` reads and writes them as JSON.

>>> import msgspec
>>> msgspec.json.decode(msgspec.json.encode(decode(ping)), type=AnyMessage)
PingRequest(uid='7')

When a peer exceeds the limits, :attr:`Framer.failure` is set, or :func:`decode` raises
:exc:`~indianyio.exceptions.RemoteProtocolError`. Disconnect that peer, unless it stands for many others and its
framer is a forgiving one. Nothing else is raised, whatever the bytes.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from indianyio._vocabulary import Limits
from indianyio.protocol._decoder import decode
from indianyio.protocol._elements import (
    Attachment,
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
from indianyio.protocol._encoder import encode
from indianyio.protocol._framer import Framer
from indianyio.protocol._frames import Frame, Unusable
from indianyio.protocol._messages import (
    AnyMessage,
    DefBLOBVector,
    DefLightVector,
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    DefVector,
    DelProperty,
    EnableBLOB,
    GetProperties,
    Message,
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    PingReply,
    PingRequest,
    SetBLOBVector,
    SetLightVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
    SetVector,
)
from indianyio.protocol._numbers import format_number, parse_number
from indianyio.protocol._text import format_timestamp, parse_timestamp

__all__ = [
    "AnyMessage",
    "Attachment",
    "DefBLOB",
    "DefBLOBVector",
    "DefLight",
    "DefLightVector",
    "DefNumber",
    "DefNumberVector",
    "DefSwitch",
    "DefSwitchVector",
    "DefText",
    "DefTextVector",
    "DefVector",
    "DelProperty",
    "EnableBLOB",
    "Frame",
    "Framer",
    "GetProperties",
    "Limits",
    "Message",
    "NewBLOBVector",
    "NewNumberVector",
    "NewSwitchVector",
    "NewTextVector",
    "NewVector",
    "OneBLOB",
    "OneLight",
    "OneNumber",
    "OneSwitch",
    "OneText",
    "PingReply",
    "PingRequest",
    "SetBLOBVector",
    "SetLightVector",
    "SetNumberVector",
    "SetSwitchVector",
    "SetTextVector",
    "SetVector",
    "Unusable",
    "WireMember",
    "WireMessage",
    "decode",
    "encode",
    "format_number",
    "format_timestamp",
    "parse_number",
    "parse_timestamp",
]

# What this package exported before its public names were chosen, and the modules that hold it. These names are
# removed in the next version.
_DROPPED = {
    "Base64Encoder": "_blobs",
    "CONTENT_TAGS": "_messages",
    "MEMBERS": "_messages",
    "MESSAGES": "_messages",
    "MakeAttachment": "_blob_forms",
    "SharedAttachment": "_blobs",
    "WireElement": "_elements",
    "WritableAttachment": "_blob_forms",
    "attached_bytes": "_blob_forms",
    "blob_form": "_blob_forms",
    "decode_base64": "_blobs",
    "encode_base64": "_blobs",
    "encode_blob_parts": "_encoder",
    "encode_parts": "_encoder",
    "escape_attribute": "_text",
    "escape_text": "_text",
    "getfloat": "_numbers",
    "inflate": "_blobs",
    "is_stream": "_blob_forms",
    "number_text": "_numbers",
    "parse_element": "_decoder",
    "relayable": "_relayable",
    "replace_uncarried": "_text",
    "require_name": "_text",
    "require_number_format": "_numbers",
    "require_xml_text": "_text",
}

if not TYPE_CHECKING:  # type checkers already report these names as missing

    def __getattr__(name: str) -> object:
        module = _DROPPED.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        instead = "; indianyio.getfloat stays" if name == "getfloat" else ""
        warnings.warn(
            f"{__name__}.{name} is internal and will be removed in the next version{instead}",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(import_module(f"{__name__}.{module}"), name)
