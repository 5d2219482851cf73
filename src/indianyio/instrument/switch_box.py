"""Switch boxes: outputs that are on or off, whatever is connected to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from indianyio.instrument._common._outputs import carry_out_changes, channels
from indianyio.instrument._framework._declared import Property
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._framework._interface import Interface
from indianyio.properties import Values, switches

__all__ = ["Outputs", "SwitchBox"]


class Outputs(Values, name="OUTPUTS", label="Outputs", group="Main Control", perm="rw", rule="AnyOfMany"):
    """Which outputs are on. This is not a standard property; clients show it as it is."""

    outputs: Mapping[str, bool] = switches()


class SwitchBox(Instrument):
    """A box of outputs that can be switched; to be subclassed with :meth:`switch_output`.

    ::

        class Relays(SwitchBox):
            outputs = ("Mount", "Camera", "Dew heater")

            async def switch_output(self, number: int, on: bool) -> None:
                await self.wire.send(b"%d%s" % (number, b"+" if on else b"-"))

    Outputs that are on stay on at the end of the driver: a mount that loses its power cannot park.
    """

    interface = Interface.AUX

    outputs: ClassVar[Sequence[str]] = ()
    """What is connected to each output, for people; at least one."""

    switches = Property(Outputs, adapt=lambda box: {"made": box._labels()})

    async def switch_output(self, number: int, on: bool) -> None:
        """Switch one output.

        :param number: which one, counted from 1.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method switch_output(number, on)")

    def _labels(self) -> Mapping[str, str]:
        return channels("OUTPUT", dict(enumerate(self.outputs, 1)))

    @switches.write
    async def _switch(self, wanted: Outputs) -> None:
        await carry_out_changes(self.switches, "outputs", wanted.outputs, self.switch_output)
