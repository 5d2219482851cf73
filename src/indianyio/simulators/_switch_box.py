"""A simulated switch box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from indianyio.instrument.switch_box import SwitchBox

__all__ = ["SimulatedSwitchBox"]


class SimulatedSwitchBox(SwitchBox):
    """Four relays."""

    outputs: ClassVar[Sequence[str]] = ("Mount", "Camera", "Dome light", "Dew heater")

    def __init__(self, devicename: str = "Switch Box Simulator") -> None:
        super().__init__(devicename)
        self.on: set[int] = set()

    async def switch_output(self, number: int, on: bool) -> None:
        """Switch a relay."""
        (self.on.add if on else self.on.discard)(number)
