"""Which device is whose: one owner each, learnt from what drivers and other servers send (protocol.md S8).

Under indiserver several drivers may claim a device and all of them are commanded. Here the first one has it, and
what a second one says of it is a conflict. An owner that has deleted the device still gets what is meant for it,
because that may be the request to define it again; but then any other may take it over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["Ownership"]

_OwnerT = TypeVar("_OwnerT")


class Ownership(Generic[_OwnerT]):
    """The devices of all drivers and remote servers."""

    def __init__(self) -> None:
        self._owners: dict[str, _OwnerT] = {}
        self._given_up: set[str] = set()
        self._kept: dict[str, str] = {}

    def owner(self, device: str) -> _OwnerT | None:
        """Return who has the device, if anybody has."""
        return self._owners.get(device)

    def holds(self, owner: _OwnerT, device: str) -> bool:
        """Tell whether the device is this owner's, and not given up."""
        return self._owners.get(device) is owner and device not in self._given_up

    def rival(self, owner: _OwnerT, device: str) -> _OwnerT | None:
        """Return who else has the device, unless it is given up."""
        other = self._owners.get(device)
        return None if other is owner or device in self._given_up else other

    def take(self, owner: _OwnerT, device: str) -> None:
        """Give the device to this owner; the caller has made sure that there is no rival."""
        self._owners[device] = owner
        self._given_up.discard(device)
        self._kept.pop(device, None)

    def keep(self, devices: Iterable[str], keeper: str) -> None:
        """Keep devices whose owner has gone for somebody, who is to be back soon."""
        self._kept.update(dict.fromkeys(devices, keeper))

    def keep_no_more(self, keeper: str) -> None:
        """Let others have what is kept for somebody, who will not be back."""
        self._kept = {device: other for device, other in self._kept.items() if other != keeper}

    def keeper(self, device: str) -> str | None:
        """Return for whom the device is kept, if it is."""
        return self._kept.get(device)

    def give_up(self, device: str) -> None:
        """Let others take the device; until one does, its owner keeps it."""
        if device in self._owners:
            self._given_up.add(device)

    def devices(self, owner: _OwnerT) -> tuple[str, ...]:
        """Return the devices of an owner, in the order in which they became known."""
        return tuple(device for device, other in self._owners.items() if other is owner)

    def release(self, owner: _OwnerT) -> tuple[str, ...]:
        """Forget an owner, and return the devices that it had."""
        devices = self.devices(owner)
        for device in devices:
            del self._owners[device]
        self._given_up.difference_update(devices)
        return devices
