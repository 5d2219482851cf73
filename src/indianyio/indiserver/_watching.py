"""Those who look at what passes a hub: the log of traffic (``-vv``), and the drivers' messages (``-l``)."""

from __future__ import annotations

import logging

from indianyio._routing import PeerKind
from indianyio.indiserver._console_log import TRAFFIC_LOGGER
from indianyio.indiserver._message_log import MessageLog
from indianyio.protocol import Frame
from indianyio.server._hub import Direction, Port, Tap

__all__ = ["keeping_messages", "log_traffic"]

logger = logging.getLogger(TRAFFIC_LOGGER)

# A definition whole, of a BLOB enough to recognise it.
_SHOWN_BYTES = 4096


def keeping_messages(log: MessageLog) -> Tap:
    """Return what keeps what drivers and other servers say to people."""

    def watch(_: Port, kind: PeerKind, direction: Direction, frame: Frame) -> None:
        if direction is Direction.RECEIVED and kind is not PeerKind.CLIENT:
            log.note(frame)

    return watch


def log_traffic(port: Port, kind: PeerKind, direction: Direction, frame: Frame) -> None:
    """Log what a message that was read is, or all of it, as the verbosity has it."""
    if direction is not Direction.RECEIVED:
        return
    if logger.isEnabledFor(logging.DEBUG):
        text = frame.data[:_SHOWN_BYTES].decode("utf-8", "replace")
        rest = len(frame.data) - _SHOWN_BYTES
        logger.debug("%s: read %s%s", kind.title(port.name), text, f" ... {rest} bytes more" if rest > 0 else "")
    elif logger.isEnabledFor(logging.INFO):
        said = f"{frame.tag} {frame.device or ''} {frame.name or ''}"
        logger.info("%s: read %s", kind.title(port.name), said)
