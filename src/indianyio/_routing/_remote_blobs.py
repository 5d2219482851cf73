"""What another server was told about its BLOBs.

A policy outlives the vector that it is for: a server that was told "Also" about a camera still sends its images
when the camera was unplugged and is back. So what was said is remembered here for as long, and forgotten only when
the last word was "Never", because a server that was told nothing sends none either (protocol.md 2.7).
"""

from __future__ import annotations

from collections.abc import Iterator

from indianyio._vocabulary import BLOBHandling

__all__ = ["MAX_BLOB_VECTORS", "RemoteBLOBs"]

MAX_BLOB_VECTORS = 1_000
"""How many BLOB vectors another server may have; each has a policy there, which we keep up."""


class RemoteBLOBs:
    """The BLOB vectors of another server, each with the policy that it was told last."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], BLOBHandling] = {}
        # Those of them that do not exist at the moment, the one that was deleted first at the front.
        self._deleted: dict[tuple[str, str], None] = {}

    def __iter__(self) -> Iterator[tuple[tuple[str, str], BLOBHandling]]:
        """Iterate over device and vector, and what was told last; deleted ones are among them."""
        return iter(tuple(self._told.items()))

    def has(self, device: str, name: str) -> bool:
        """Tell whether this vector exists."""
        return (device, name) in self._told and (device, name) not in self._deleted

    @property
    def is_full(self) -> bool:
        """Whether there may be no more vectors."""
        return len(self._told) - len(self._deleted) >= MAX_BLOB_VECTORS

    def add(self, device: str, name: str) -> None:
        """Take note that a vector exists; of a new one nothing was said, which means "Never"."""
        self._deleted.pop((device, name), None)
        self._told.setdefault((device, name), BLOBHandling.NEVER)

    def tell(self, device: str, name: str, policy: BLOBHandling) -> None:
        """Take note that the server is told this now."""
        self._told[device, name] = policy
        self._forget_if_settled((device, name))

    def delete(self, device: str, name: str) -> list[tuple[str, str]]:
        """Take note that a vector, or all of a device, exists no more.

        :param name: the vector, or nothing for all of the device.
        :return: device and vector of what is to be told "Never" now, as too many of those that were deleted would
            have to be remembered otherwise.
        """
        for known in [known for known in self._told if known[0] == device and name in ("", known[1])]:
            self._deleted.setdefault(known)
            self._forget_if_settled(known)
        return list(self._deleted)[: max(0, len(self._deleted) - MAX_BLOB_VECTORS)]

    def _forget_if_settled(self, known: tuple[str, str]) -> None:
        if known in self._deleted and self._told[known] is BLOBHandling.NEVER:
            del self._told[known], self._deleted[known]
