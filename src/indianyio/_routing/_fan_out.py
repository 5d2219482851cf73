"""Frames on their way to any number of receivers, each of which gets them in a form that it can read.

A conversion is made when the first receiver needs it, and all share the result. They share descriptors too: every
receiver holds a share of each, and releases it when the message has been sent or dropped.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import ClassVar, TypeAlias

import msgspec
from msgspec.structs import replace

from indianyio._model._outbox import Outgoing
from indianyio.protocol import Frame
from indianyio.protocol._blob_forms import MakeAttachment, attached_bytes, blob_form, inline_parts, is_stream
from indianyio.protocol._blobs import SharedAttachment
from indianyio.protocol._frames import line_of, lines_of, parts_of_line
from indianyio.protocol._messages import CONTENT_TAGS

__all__ = ["PlainRelay", "Relay", "Relayed"]


class Relay:
    """A frame that is being forwarded. :meth:`close` ends the relay, but not the receivers' shares.

    :param frame: what :func:`~indianyio.protocol._relayable.relayable` returned. Its attachments now belong to the
        relay.
    :param make: makes the memory for BLOB content that came as base64 and will travel as a descriptor.
    :param sender: who sent it, ``None`` for the server itself.
    :param hands_over: whether the descriptors that came may be forwarded; if not, all receivers get base64.
    """

    def __init__(
        self, frame: Frame, make: MakeAttachment, sender: Hashable = None, *, hands_over: bool = True
    ) -> None:
        self.sender = sender
        self._make = make
        self._hands_over = hands_over
        self._held: list[SharedAttachment] = []
        self._received = self._shared(frame) if frame.attachments else frame
        self._forms: dict[bool, Outgoing] = {}

    @cached_property
    def is_stream(self) -> bool:
        """Whether this is part of a video, which a slow receiver may miss (protocol.md 2.8)."""
        return is_stream(self._received)

    @property
    def received(self) -> Sequence[Frame]:
        """The frames that came, to look at only: the reader does not own their attachments."""
        return (self._received,)

    def frames(self) -> Sequence[Frame]:
        """Return the frames that came, for a receiver that reads either form and closes their attachments."""
        frame = self._received
        return (frame.with_attachments(self._parts(frame)) if frame.attachments else frame,)

    def outgoing(self, *, attach: bool) -> Outgoing:
        """Return the message for one receiver's outbox.

        :param attach: whether the receiver takes descriptors.
        :raises ValueError: an attached BLOB cannot be read, so the message cannot be given this form.
        """
        form = self._form(attach=attach and self._hands_over)
        return replace(form, attachments=self._parts(form)) if form.attachments else form

    def each(self, *, attach: bool) -> Iterator[tuple[Frame, Outgoing]]:
        """Yield each message that came, with its form for one receiver's outbox; see :meth:`outgoing`."""
        yield self._received, self.outgoing(attach=attach)

    def needs_conversion(self, *, attach: bool) -> bool:
        """Return whether a form has to be made for such a receiver, which takes long for a large BLOB."""
        form, attach = self._received, attach and self._hands_over
        return attach not in self._forms and form.tag in CONTENT_TAGS and (attach or form.attached > 0)

    def convert(self, *, attach: bool) -> None:
        """Make the form for such receivers now; may be done in another thread while nobody else uses the relay.

        If this fails, it fails again where the form is needed.
        """
        with suppress(ValueError):
            self._form(attach=attach and self._hands_over)

    def close(self) -> None:
        """Release the attachments: there will be no more receivers. Closing twice does nothing."""
        for held in self._held:
            held.close()

    def _form(self, *, attach: bool) -> Outgoing:
        """Return the message with attachments that are ours; it is made when it is first needed."""
        form = self._forms.get(attach)
        if form is None:
            form = self._forms[attach] = self._made(attach=attach)
        return form

    def _made(self, *, attach: bool) -> Outgoing:
        frame = self._received
        if attach:
            frame = blob_form(frame, attach=True, make=self._make)
            if frame is not self._received:
                frame = self._shared(frame)
        elif frame.attached:
            # In slices from the attachment to the socket, because joined a large BLOB would be held twice.
            return Outgoing(parts_of_line(inline_parts(frame)))
        return Outgoing(parts_of_line((frame.data,)), frame.attachments, attached_bytes(frame))

    def _shared(self, frame: Frame) -> Frame:
        """Return the frame with attachments that can be shared, and keep those that are new."""
        shared: list[SharedAttachment] = []
        for attachment in frame.attachments:
            if isinstance(attachment, SharedAttachment):
                shared.append(attachment)
            else:
                shared.append(SharedAttachment(attachment))
                self._held.append(shared[-1])
        return frame.with_attachments(tuple(shared))

    @staticmethod
    def _parts(of: Frame | Outgoing) -> tuple[SharedAttachment, ...]:
        return tuple(held.share() for held in of.attachments if isinstance(held, SharedAttachment))


class PlainRelay(msgspec.Struct):
    """Plain messages that go to the same receivers one after the other, treated as one.

    Plain messages look the same to everybody and have no attachments, so this is a simple :class:`Relay` of many.

    :ivar received: frames that :func:`~indianyio.protocol._relayable.relayable` returned unchanged or would return
        unchanged; none of them a BLOB vector.
    :ivar sender: who sent them.
    """

    received: Sequence[Frame]
    sender: Hashable = None
    _outgoing: Outgoing | None = None

    is_stream: ClassVar[bool] = False

    def frames(self) -> Sequence[Frame]:
        """Return the frames that came."""
        return self.received

    def outgoing(self, *, attach: bool) -> Outgoing:
        """Return the messages for one receiver's outbox."""
        if self._outgoing is None:
            self._outgoing = Outgoing((lines_of(self.received),), messages=len(self.received))
        return self._outgoing

    def each(self, *, attach: bool) -> Iterator[tuple[Frame, Outgoing]]:
        """Yield each message that came, with its form for one receiver's outbox."""
        for frame in self.received:
            yield frame, Outgoing((line_of(frame),))


Relayed: TypeAlias = Relay | PlainRelay
"""What can be forwarded."""
