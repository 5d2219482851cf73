"""A hub that lets others look at what passes: the log of traffic (``-vv``), and the drivers' messages (``-l``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from indianyio._vocabulary import Limits
from indianyio.indiserver._console_log import TRAFFIC_LOGGER
from indianyio.indiserver._message_log import MessageLog
from indianyio.model import PeerKind
from indianyio.protocol import Frame
from indianyio.server._hub import Hub, Port

__all__ = ["WatchedHub", "Watcher", "keeping_messages", "log_traffic"]

Watcher: TypeAlias = Callable[[Port, PeerKind, Frame], None]
"""Called with each message that a peer sent and that can be used; must neither wait nor raise."""

logger = logging.getLogger(TRAFFIC_LOGGER)

# A definition whole, of a BLOB enough to recognise it.
_SHOWN_BYTES = 4096


class WatchedHub(Hub):
    """A hub with watchers.

    :param limits: what a message that is handed on may be.
    :param watchers: who looks at each message, before it goes on its way.
    """

    def __init__(self, limits: Limits, watchers: Sequence[Watcher]) -> None:
        super().__init__(limits)
        self._watchers = watchers

    def hand_on(self, port: Port, frame: Frame, *, more: bool = False) -> None:
        """Show a frame to the watchers, and hand it on."""
        self._show(port, frame)
        super().hand_on(port, frame, more=more)

    async def hand_on_heavy(self, port: Port, frame: Frame) -> None:
        """Show a large frame to the watchers, and hand it on."""
        self._show(port, frame)
        await super().hand_on_heavy(port, frame)

    def _show(self, port: Port, frame: Frame) -> None:
        if self._watchers:
            kind = self.router.kind(port)
            for watch in self._watchers:
                watch(port, kind, frame)


def keeping_messages(log: MessageLog) -> Watcher:
    """Return a watcher that keeps what drivers and other servers say to people."""

    def watch(port: Port, kind: PeerKind, frame: Frame) -> None:
        if kind is not PeerKind.CLIENT:
            log.note(frame)

    return watch


def log_traffic(port: Port, kind: PeerKind, frame: Frame) -> None:
    """Log what a message is, or all of it, as the verbosity has it."""
    if logger.isEnabledFor(logging.DEBUG):
        text = frame.data[:_SHOWN_BYTES].decode("utf-8", "replace")
        rest = len(frame.data) - _SHOWN_BYTES
        logger.debug("%s: read %s%s", kind.title(port.name), text, f" ... {rest} bytes more" if rest > 0 else "")
    elif logger.isEnabledFor(logging.INFO):
        said = f"{frame.tag} {frame.device or ''} {frame.name or ''}"
        logger.info("%s: read %s", kind.title(port.name), said)
