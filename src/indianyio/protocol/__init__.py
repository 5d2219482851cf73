"""The INDI wire format: bytes to frames to messages, and back to bytes. No I/O, no clock; usable alone.

Bytes go into a :class:`Framer` as they come, cut anywhere. Out come frames, each one whole element, and for
whatever is none an :class:`Unusable` which says why. :func:`decode` makes a message of a frame; it too may answer
with an :class:`Unusable`. :func:`encode` makes bytes of a message.

>>> from indianyio.protocol import Framer, Unusable, decode, encode
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

A peer that breaks the limits sets :attr:`Framer.failure`, or makes :func:`decode` raise
:exc:`~indianyio.exceptions.RemoteProtocolError`; it is to be disconnected, unless it stands for many and the framer
is a forgiving one. Nothing else is raised, whatever the bytes.
"""

from __future__ import annotations

from indianyio._vocabulary import Limits
from indianyio.protocol._blob_forms import (
    MakeAttachment,
    WritableAttachment,
    attached_bytes,
    blob_form,
    is_stream,
)
from indianyio.protocol._blobs import (
    Base64Encoder,
    decode_base64,
    encode_base64,
    inflate,
)
from indianyio.protocol._decoder import decode, parse_element
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
    WireElement,
    WireMember,
    WireMessage,
)
from indianyio.protocol._encoder import (
    encode,
    encode_blob_parts,
    encode_parts,
)
from indianyio.protocol._framer import (
    CONTENT_TAGS,
    Framer,
)
from indianyio.protocol._frames import (
    Frame,
    Unusable,
)
from indianyio.protocol._messages import (
    MEMBERS,
    MESSAGES,
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
from indianyio.protocol._numbers import (
    format_number,
    getfloat,
    number_text,
    parse_number,
    require_number_format,
)
from indianyio.protocol._relay import relayable, require_size
from indianyio.protocol._shared_attachments import SharedAttachment
from indianyio.protocol._text import (
    brief,
    escape_attribute,
    escape_text,
    replace_uncarried,
    require_name,
    require_xml_text,
)
from indianyio.protocol._timestamps import (
    format_timestamp,
    parse_timestamp,
)

__all__ = [
    "CONTENT_TAGS",
    "MEMBERS",
    "MESSAGES",
    "Attachment",
    "Base64Encoder",
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
    "MakeAttachment",
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
    "SharedAttachment",
    "Unusable",
    "WireElement",
    "WireMember",
    "WireMessage",
    "WritableAttachment",
    "attached_bytes",
    "blob_form",
    "brief",
    "decode",
    "decode_base64",
    "encode",
    "encode_base64",
    "encode_blob_parts",
    "encode_parts",
    "escape_attribute",
    "escape_text",
    "format_number",
    "format_timestamp",
    "getfloat",
    "inflate",
    "is_stream",
    "number_text",
    "parse_element",
    "parse_number",
    "parse_timestamp",
    "relayable",
    "replace_uncarried",
    "require_name",
    "require_number_format",
    "require_size",
    "require_xml_text",
]
