"""Frames to messages, by the shortest way: ``_plain_decoder`` for plain ones, an XML parser for all others.

The parser is imported when it is needed first: many a program never sees a message that is not plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indianyio._vocabulary import Limits
from indianyio.protocol._elements import WireMessage
from indianyio.protocol._frames import Frame, Unusable
from indianyio.protocol._messages import MESSAGES
from indianyio.protocol._plain import is_plain_in_order
from indianyio.protocol._plain_decoder import canonical_message, quoted_message
from indianyio.protocol._plain_frames import CONTENT_TAGS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["decode", "parse_element"]


def decode(frame: Frame, limits: Limits = Limits()) -> WireMessage | Unusable:  # noqa: B008 - frozen
    """Return the message in a frame; it is kept there, so asking again costs nothing.

    A frame that is found unusable keeps its attachments; whoever drops it closes them.

    :param frame: an element as it was received, with the attachments that belong to it.
    :param limits: how deep and how long the peer's messages may be.
    :return: the message, or why it cannot be used. Values are text as on the wire, BLOBs are decoded from base64
        and not inflated.
    :raises RemoteProtocolError: the peer exceeds ``limits.depth`` or ``limits.members``; whether it is to be
        disconnected, the caller decides. The frame is as before, so asking again raises again. Nothing else is
        raised, whatever the bytes.
    """
    if frame.decoded is None:
        frame.decoded = _plain_message(frame, limits) or _by_parser(frame, limits)
    return frame.decoded


def _plain_message(frame: Frame, limits: Limits) -> WireMessage | None:
    """Return the message if one of the shortcuts finds it: most often the first."""
    if frame.plain is False or frame.tag in CONTENT_TAGS or frame.tag not in MESSAGES:
        return None
    if frame.plain or frame.data.isascii():
        message = canonical_message(frame, limits)
        if message is not None:
            frame.plain = True
            return message
    if frame.plain is None:
        frame.plain = is_plain_in_order(frame.tag, frame.data, limits.members)
    return quoted_message(frame, limits) if frame.plain else None


def _by_parser(frame: Frame, limits: Limits) -> WireMessage | Unusable:
    from indianyio.protocol._xml import RefusalError
    from indianyio.protocol._xml_decoder import parsed_message

    try:
        return parsed_message(frame, limits)
    except RefusalError as refusal:
        return Unusable.made_of(frame, str(refusal))


def parse_element(data: bytes) -> Element:
    """Return an element as :mod:`xml.etree.ElementTree` has it, for code that wants to read the XML itself.

    :param data: the bytes of a frame.
    :raises ValueError: it is not well-formed and cannot be repaired, or declares a document type or an entity.
    """
    from indianyio.protocol import _xml_decoder

    return _xml_decoder.parse_element(data)
