"""The few frames that a server writes itself, and the path that a request takes through several servers.

Requests to other servers carry an attribute of ours, ``via``: the marks of the servers that have passed them on, as
in ``via="5f0c91.1 d3a7e4.2"``. A server that finds its own mark has been asked by itself: what it asks of that
other server comes back through the peer that sent this request. indiserver passes on attributes it does not know
(protocol.md W16), and everybody else ignores them, so a circle is found through servers of any make.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from indianyio._routing._subscriptions import addresses_all
from indianyio._vocabulary import PROTOCOL_VERSION, BLOBHandling, State
from indianyio.protocol._decoder import decode, parse_element
from indianyio.protocol._elements import WireMessage, required_of
from indianyio.protocol._encoder import encode
from indianyio.protocol._frames import Frame, Unusable
from indianyio.protocol._lilxml import attribute
from indianyio.protocol._messages import (
    MESSAGES,
    DelProperty,
    EnableBLOB,
    GetProperties,
    Message,
    NewBLOBVector,
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    PingReply,
    SetBLOBVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
    SetVector,
)
from indianyio.protocol._text import brief, escape_attribute, format_timestamp, replace_uncarried

__all__ = [
    "LONGEST_NAME",
    "LONGEST_PATH",
    "blob_request",
    "deletion",
    "passed_on",
    "path_of",
    "ping_reply",
    "policy_in",
    "refusal",
    "remark",
    "request",
    "unroutable",
]

LONGEST_PATH = 16
"""More servers in a row than this are taken for a circle, like the 15 hops that routing protocols allow."""

LONGEST_NAME = 255
"""Names are kept in tables, so their length is limited; libindi's have at most 63 bytes (protocol.md W15)."""

_POLICIES = {str(policy): policy for policy in BLOBHandling}
# The tag with which each kind of write is answered.
_ANSWERS: Mapping[str, type[SetVector]] = {
    NewTextVector.tag: SetTextVector,
    NewNumberVector.tag: SetNumberVector,
    NewSwitchVector.tag: SetSwitchVector,
    NewBLOBVector.tag: SetBLOBVector,
}
# For each tag, whether it must name a device and a vector: whether these fields have no default.
_ADDRESSES = {
    tag: ("device" in required, "name" in required)
    for tag, required in ((tag, required_of(cls)) for tag, cls in MESSAGES.items())
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARK = re.compile(r"[A-Za-z0-9]{1,64}\.[0-9]{1,9}")


def framed(message: WireMessage) -> Frame:
    """Return a message as a frame, as if it had been received."""
    return Frame.of(message, encode(message))


def deletion(device: str) -> Frame:
    """Return the deletion of a whole device."""
    return framed(DelProperty(device=replace_uncarried(device)))


def remark(device: str, text: str) -> Frame:
    """Return a line about a device, for people to read."""
    return framed(Message(device=replace_uncarried(device), message=brief(text)))


def refusal(frame: Frame, reason: str, now: datetime) -> Frame | None:
    """Return the frame that tells a client that its write came to nothing: the state Alert and no values.

    :param frame: what the client sent.
    :param reason: why, for people; cut to the length that INDI's readers take.
    :param now: the time.
    :return: ``None`` if it is not a write, or does not say to what.
    """
    answer = _ANSWERS.get(frame.tag)
    if answer is None or unroutable(frame) is not None:
        return None
    device, name = (replace_uncarried(text or "") for text in (frame.device, frame.name))
    stamp = format_timestamp(now)
    return framed(answer(device=device, name=name, state=State.ALERT, timestamp=stamp, message=brief(reason)))


def blob_request(device: str, name: str, policy: BLOBHandling) -> Frame:
    """Return the BLOB policy for one vector."""
    return framed(EnableBLOB(device=replace_uncarried(device), name=replace_uncarried(name), value=policy))


def request(device: str = "", name: str = "", path: tuple[str, ...] = ()) -> Frame:
    """Return a request for definitions.

    :param device: the device; ``"*"`` for all, as servers ask each other; empty for all.
    :param name: the vector; empty for all of the device.
    :param path: the marks of the servers that have passed it on, ours last.
    """
    message = GetProperties(device=_or_absent(device), name=_or_absent(name if device else ""))
    frame = framed(message)
    if path:
        frame.data = frame.data.removesuffix(b"/>") + f' via="{" ".join(path)}"/>'.encode()
    return frame


def passed_on(frame: Frame) -> Frame:
    """Return a request in the form that drivers get: unchanged, if that is safe for them.

    libindi's drivers exit on a request without a version and on versions they do not know (protocol.md S20), so any
    other version is replaced by the one that everybody speaks. ``*`` is used between servers; a driver need not
    know it.
    """
    version, via = (attribute(frame.data, len(frame.tag) + 1, word) for word in (b"version", b"via"))
    device = frame.device or ""
    everything = addresses_all(device)
    if version == PROTOCOL_VERSION and via is None and (not device or not everything):
        return frame
    return request() if everything else request(device, frame.name or "")


def path_of(frame: Frame) -> tuple[str, ...]:
    """Return the marks of the servers that have passed on a request."""
    written = attribute(frame.data, len(frame.tag) + 1, b"via") or ""
    return tuple(mark for mark in written.split() if _MARK.fullmatch(mark))


def ping_reply(frame: Frame) -> Frame | None:
    """Return the answer to a pingRequest, with all its attributes (protocol.md 2.10); ``None`` if it is broken.

    :raises RemoteProtocolError: the frame exceeds a limit.
    """
    if isinstance(decode(frame), Unusable):
        return None
    attributes = parse_element(frame.data).attrib.items()
    # libindi cannot read attributes with other names (protocol.md W3).
    carried = ((name, value) for name, value in attributes if _NAME.fullmatch(name))
    written = "".join(f' {name}="{escape_attribute(value)}"' for name, value in carried)
    return Frame(PingReply.tag, f"<{PingReply.tag}{written}/>".encode())


def unroutable(frame: Frame) -> str | None:
    """Return why a frame cannot have a destination: it must name a device or a vector, and does not.

    :return: the reason in words for a log line, or ``None`` if all is well.
    """
    needed = _ADDRESSES.get(frame.tag)
    if needed is None:
        return f"a {frame.tag} is not an INDI message"
    device, name = frame.device or "", frame.name or ""
    if needed[0] and addresses_all(device):
        return f"a {frame.tag} names no device"
    if needed[1] and not name:
        return f"a {frame.tag} names no vector"
    if len(device) > LONGEST_NAME or len(name) > LONGEST_NAME:
        return f"a {frame.tag} has a name of more than {LONGEST_NAME} characters"
    return None


def policy_in(frame: Frame) -> BLOBHandling | None:
    """Return what an enableBLOB says, or ``None`` if that is not a word of the standard (protocol.md 1.2).

    :raises RemoteProtocolError: the frame exceeds a limit.
    """
    message = decode(frame)
    return _POLICIES.get(message.value) if isinstance(message, EnableBLOB) else None


def _or_absent(text: str) -> str | None:
    return replace_uncarried(text) if text else None
