"""One descriptor, many receivers: it is closed when the last of them has released it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Protocol, runtime_checkable

import msgspec

from indianyio.protocol._elements import Attachment

__all__ = ["SharedAttachment", "slices_of"]


@runtime_checkable
class _SlicedAttachment(Protocol):
    """An attachment that can be read in slices."""

    def slices(self, length: int, slice_bytes: int) -> Iterator[bytes]:
        """Yield the first ``length`` bytes, at most ``slice_bytes`` at a time."""


def slices_of(attachment: Attachment, length: int, slice_bytes: int) -> Iterator[bytes]:
    """Yield the first ``length`` bytes of an attachment, in slices if it can be read that way.

    :raises ValueError: there are fewer; perhaps after some slices.
    """
    if isinstance(attachment, _SlicedAttachment):
        return attachment.slices(length, slice_bytes)
    return iter((attachment.read(length),))


class _Common(msgspec.Struct):
    attachment: Attachment
    holders: int = 1


class SharedAttachment:
    """One holder's share of an attachment; itself an :class:`Attachment`.

    A holder may close its share at any time, which closes nothing else. A share that is lost without being closed
    keeps the attachment open as long as there is a reference to the share, and no longer. All holders must be in
    one thread.

    :param attachment: what is shared; from now on it belongs to the holders.
    """

    __slots__ = ("_common",)

    def __init__(self, attachment: Attachment) -> None:
        self._common: _Common | None = _Common(attachment)

    @property
    def attachment(self) -> Attachment:
        """What is shared.

        :raises ValueError: this holder is closed.
        """
        return self._open().attachment

    def share(self) -> SharedAttachment:
        """Return another share of the same attachment.

        :raises ValueError: this one is closed.
        """
        self._open().holders += 1
        return copy(self)

    def read(self, length: int) -> bytes:
        """Return the first ``length`` bytes.

        :raises ValueError: there are fewer, or this holder is closed.
        """
        return self._open().attachment.read(length)

    def slices(self, length: int, slice_bytes: int) -> Iterator[bytes]:
        """Yield the first ``length`` bytes, at most ``slice_bytes`` at a time if the attachment can do that.

        :raises ValueError: there are fewer, or this holder is closed.
        """
        return slices_of(self._open().attachment, length, slice_bytes)

    def close(self) -> None:
        """Release this share; closing twice does nothing."""
        common, self._common = self._common, None
        if common is None:
            return
        common.holders -= 1
        if not common.holders:
            common.attachment.close()

    def _open(self) -> _Common:
        if self._common is None:
            raise ValueError("the attachment is closed")
        return self._common
