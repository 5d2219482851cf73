"""What a client is told of: a message of the server, or its loss, has changed something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from indianyio._vocabulary import State

if TYPE_CHECKING:
    from indianyio.client._vectors import AnyVector

__all__ = ["Change", "ChangeKind"]

ChangeKind: TypeAlias = Literal["defined", "updated", "deleted", "message", "lost", "back"]


class Change(NamedTuple):
    """What has changed.

    :ivar kind: what has happened: a vector was defined, updated or deleted, a message for people came, the
        connection was lost or is back.
    :ivar device: the device's name; ``None`` where all are concerned.
    :ivar vector: the vector, as it is now; ``None`` where a device is concerned as a whole.
    :ivar state: the vector's state after this change.
    :ivar members: the members that an update names.
    :ivar message: the driver's text, or "".
    :ivar left_out: how many changes of the same vector were left out before this one, because whoever watches was
        slower than they came.
    """

    kind: ChangeKind
    device: str | None = None
    vector: AnyVector | None = None
    state: State | None = None
    members: frozenset[str] = frozenset()
    message: str = ""
    left_out: int = 0
