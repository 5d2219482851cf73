"""Writes: those that need no operation, Aborts, and those that an instrument makes to its own properties."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from indianyio._vocabulary import State
from indianyio.driver import AnyVector, NewEvent
from indianyio.driver._events import new_event
from indianyio.instrument._framework._property import BoundProperty, noting_reports
from indianyio.instrument._running._operations import Operation
from indianyio.properties import Values
from indianyio.protocol import (
    NewNumberVector,
    NewSwitchVector,
    NewTextVector,
    NewVector,
    OneNumber,
    OneSwitch,
    OneText,
    encode,
)

__all__ = ["Method", "carry_out_abort", "carry_out_write", "event_of", "write_of"]

Method = Callable[[Any], Awaitable[object]]
"""A method of the author's, which gets the wanted values."""


async def carry_out_write(bound: BoundProperty[Any], method: Method | None, event: NewEvent) -> None:
    """Have a method carry out a write, and answer Ok unless the method has reported the property itself.

    What others report meanwhile, a poll for instance, does not count as the answer.
    """
    wanted = bound.wanted(event)
    with noting_reports() as reported:
        result = None if method is None else await method(wanted)
    if isinstance(result, Values):
        await bound.report(result, state=State.OK)
    elif bound not in reported:
        await bound.report(wanted, state=State.OK)


async def carry_out_abort(
    bound: BoundProperty[Any],
    method: Method | None,
    aborted: Mapping[Operation[Any], BoundProperty[Any]],
    event: NewEvent,
) -> None:
    """Abort operations: act first, and report afterwards.

    New writes to these properties are held until the hardware has been told to stop: begun earlier, they would be
    stopped as well.

    :param bound: the property that was written to.
    :param method: stops the hardware.
    :param aborted: the operations, with their properties.
    """
    with ExitStack() as held:
        for operation in aborted:
            held.enter_context(operation.held())
            operation.cancel()
        if method is not None:
            await method(bound.wanted(event))
        hanging = [operation.name for operation in aborted if not await operation.abort(keep_waiting=True)]
    for one in aborted.values():
        # The method may have found out where the hardware came to rest only after the operation had ended.
        if one.is_untold and one.vector.is_enabled:
            await one.report()
    for name in bound.vector:
        bound.vector[name] = "Off"
    if hanging:
        await bound.report(state=State.ALERT, message=f"{', '.join(hanging)} did not end")
    else:
        await bound.report(state=State.OK)


_WRITES: Mapping[str, tuple[type[NewVector], type[OneNumber | OneSwitch | OneText]]] = {
    "NumberVector": (NewNumberVector, OneNumber),
    "SwitchVector": (NewSwitchVector, OneSwitch),
    "TextVector": (NewTextVector, OneText),
}


def write_of(vector: AnyVector, values: Mapping[str, object]) -> NewVector:
    """Return the message that writes these values, by their names on the wire; not for BLOB vectors."""
    write, element = _WRITES[vector.vectortype]
    members = tuple(element(name=name, value=str(value)) for name, value in values.items())
    return write(device=vector.devicename, name=vector.name, members=members)  # type: ignore[arg-type]


def event_of(write: NewVector, vector: AnyVector) -> NewEvent:
    """Return the event of a write to a vector, as if the write had arrived now and been accepted."""
    return new_event(write, vector, encode(write), datetime.now(UTC))
