"""Slow work on large frames before they are forwarded: which frames need it, and the threads that do it.

Most of this work holds the interpreter's lock (GIL), which changes hands every five milliseconds by default. The
event loop releases it at each system call and would then wait that long, several times for one message. So the
switch interval is shortened for as long as there is such work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn, TypeVar

import anyio

from indianyio._environment import Environment
from indianyio._vocabulary import Limits
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import Frame
from indianyio.protocol._blob_forms import attached_bytes
from indianyio.protocol._messages import CONTENT_TAGS
from indianyio.protocol._relayable import is_relayable_as_it_is

__all__ = ["HeavyWork", "is_heavy"]

# Frames above these sizes take some milliseconds: the first is for elements, the second for base64 and attachments.
# A BLOB vector that turns out to be markup or garbage takes as long as elements do.
_HEAVY_BYTES = 16 << 10
_HEAVY_CONTENT_BYTES = 1 << 20
# However short, each BLOB takes some 20 µs to look at, and as long again to decode. A camera sends five or so.
_HEAVY_BLOBS = 100

# More threads would only take turns at the interpreter's lock.
_THREADS = 2

_SWITCH_SECONDS = 0.0005

_ResultT = TypeVar("_ResultT")


def is_heavy(frame: Frame, limits: Limits) -> bool:
    """Tell whether a frame takes so long that a thread must do it.

    :param limits: the largest message that is forwarded.
    """
    if frame.plain:
        return False
    if frame.tag not in CONTENT_TAGS:
        return len(frame.data) > _HEAVY_BYTES
    # The length and the count first, because what follows looks at every BLOB.
    if len(frame.data) > _HEAVY_CONTENT_BYTES or frame.data.count(b"<oneBLOB") > _HEAVY_BLOBS:
        return True
    if attached_bytes(frame) > _HEAVY_CONTENT_BYTES:
        return True
    return len(frame.data) > _HEAVY_BYTES and not is_relayable_as_it_is(frame, limits)


class HeavyWork:
    """The threads of one server.

    :param environment: runs the calls in threads.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._limiter = anyio.CapacityLimiter(_THREADS)
        self._running = 0
        self._usual_seconds = 0.0

    async def do(self, call: Callable[..., _ResultT], *args: object) -> _ResultT:
        """Call a function in a thread and return what it returns.

        Cancelled, it waits for the function all the same: what that works on is the caller's again afterwards.
        """
        if not self._running:
            self._usual_seconds = sys.getswitchinterval()
            sys.setswitchinterval(min(_SWITCH_SECONDS, self._usual_seconds))
        self._running += 1
        try:
            return await self._environment.blocking(call, *args, limiter=self._limiter)
        finally:
            self._running -= 1
            if not self._running:
                sys.setswitchinterval(self._usual_seconds)

    async def look_at(
        self, call: Callable[[Frame, Limits], _ResultT], frame: Frame, limits: Limits
    ) -> Callable[[], _ResultT]:
        """Look at a frame in a thread; return a function that returns its result, or raises its error."""
        return await self.do(_caught, call, frame, limits)

    async def joined(self, parts: Sequence[bytes]) -> bytes:
        """Return the parts of a message joined; in a thread if that takes long."""
        if sum(map(len, parts)) > _HEAVY_CONTENT_BYTES:
            return await self.do(b"".join, parts)
        return b"".join(parts)


def _caught(call: Callable[[Frame, Limits], _ResultT], frame: Frame, limits: Limits) -> Callable[[], _ResultT]:
    try:
        result = call(frame, limits)
    except RemoteProtocolError as error:
        return partial(_raise, error)
    return lambda: result


def _raise(error: Exception) -> NoReturn:
    raise error
