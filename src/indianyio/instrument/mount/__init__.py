"""Mounts: what points a telescope at the sky, and keeps it there."""

from __future__ import annotations

from indianyio.instrument.guider import Direction
from indianyio.instrument.mount._mount import Mount, PierSide
from indianyio.instrument.mount._rates import TrackMode

__all__ = ["Direction", "Mount", "PierSide", "TrackMode"]
