"""Which device is whose: one owner each, learnt from what drivers and other servers define (protocol.md S8).

Under indiserver several drivers may claim a device and all of them are commanded. Here the first one that defines
it has it, and what a second one says of it is a conflict. An owner that has deleted the device still gets what is
meant for it, because that may be the request to define it again; but then any other may take it over.

While a driver is being started again its devices are kept for it: nobody has them, and nobody else may speak for
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Ownership"]

_OwnerT = TypeVar("_OwnerT")


class Ownership(Generic[_OwnerT]):
    """The devices of all drivers and remote servers."""

    def __init__(self) -> None:
        self._owners: dict[str, _OwnerT] = {}
        self._given_up: set[str] = set()
        self._kept: dict[str, _OwnerT] = {}

    def owner(self, device: str) -> _OwnerT | None:
        """Return who gets what is sent for the device: who has it, or had it last and has deleted it."""
        return self._owners.get(device)

    def holder(self, device: str) -> _OwnerT | None:
        """Return who has the device and has not given it up, if anybody."""
        return None if device in self._given_up else self._owners.get(device)

    def kept_for(self, device: str) -> _OwnerT | None:
        """Return whose the device was until it ended, if it is kept for the next life of that one."""
        return self._kept.get(device)

    def take(self, owner: _OwnerT, device: str) -> None:
        """Give the device to this owner; the caller has made sure that nobody else may have it."""
        self._owners[device] = owner
        self._given_up.discard(device)
        self._kept.pop(device, None)

    def give_up(self, device: str) -> None:
        """Let others take the device; until one does, its owner gets what is meant for it."""
        self._kept.pop(device, None)
        if device in self._owners:
            self._given_up.add(device)

    def devices(self, owner: _OwnerT) -> tuple[str, ...]:
        """Return the devices of an owner, in the order in which they became known."""
        return tuple(device for device, other in self._owners.items() if other is owner)

    def release(self, owner: _OwnerT, *, keep: bool = False) -> tuple[str, ...]:
        """Forget an owner, and return the devices that it had.

        :param keep: whether those that it has not given up are kept for it, as it is to be back soon.
        """
        devices = self.devices(owner)
        for device in devices:
            del self._owners[device]
            if keep and device not in self._given_up:
                self._kept[device] = owner
        self._given_up.difference_update(devices)
        return devices

    def keep_no_more(self, is_meant: Callable[[_OwnerT], bool]) -> None:
        """Let others have what is kept.

        :param is_meant: tells of an earlier owner whether it will not be back.
        """
        self._kept = {device: owner for device, owner in self._kept.items() if not is_meant(owner)}
