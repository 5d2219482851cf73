"""Outputs that are switched one by one, although clients write them together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from indianyio.instrument._framework._property import BoundProperty

__all__ = ["carry_out_changes", "channels"]

ValueT = TypeVar("ValueT", bool, float)


def channels(prefix: str, labels: Mapping[int, str]) -> dict[str, str]:
    """Return the labels of channels by their names on the wire.

    :param prefix: what the names begin with.
    :param labels: the labels, by the channels' numbers.
    """
    return {f"{prefix}_{number}": label for number, label in labels.items()}


async def carry_out_changes(
    bound: BoundProperty[Any],
    attribute: str,
    wanted: Mapping[str, ValueT],
    change: Callable[[int, ValueT], Awaitable[object]],
) -> None:
    """Change the channels that differ from what is wanted, one after the other.

    Each change is stored at once, so that clients see the true state if a later one fails.

    :param bound: the property.
    :param attribute: the attribute of its mapping of channels.
    :param wanted: the wanted values, by names on the wire.
    :param change: changes one channel, given its number, counted from 1.
    """
    present: Mapping[str, ValueT] = getattr(bound.value, attribute)
    for number, name in enumerate(bound.vector, 1):
        if name in wanted and wanted[name] != present[name]:
            await change(number, wanted[name])
            bound.take(**{attribute: {name: wanted[name]}})
