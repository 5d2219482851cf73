"""Domes and roll-off roofs: what is between a telescope and the rain."""

from __future__ import annotations

from indianyio.instrument.dome._dome import Dome

__all__ = ["Dome"]
