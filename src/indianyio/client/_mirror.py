"""What a server has told a client: devices, vectors, messages. No I/O, no clock.

:meth:`Mirror.receive` takes a message and returns what it has changed. Nothing that a server sends can make the
mirror grow beyond its limit, and if something in a message is missing or odd, nothing else is lost: a word that is
not a state leaves the state unchanged, a number that cannot be read leaves the value unchanged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from weakref import WeakValueDictionary

from msgspec.structs import replace

from indianyio.client._changes import Actions, Change
from indianyio.client._devices import LOG_LINES, Device
from indianyio.client._members import shortened
from indianyio.client._vectors import (
    AnyVector,
    BLOBVector,
    LightVector,
    NumberVector,
    SwitchVector,
    TextVector,
)
from indianyio.exceptions import RemoteProtocolError, UnknownDeviceError
from indianyio.protocol import (
    DefBLOBVector,
    DefLightVector,
    DefNumberVector,
    DefSwitchVector,
    DefTextVector,
    DefVector,
    DelProperty,
    Message,
    SetBLOBVector,
    SetLightVector,
    SetNumberVector,
    SetSwitchVector,
    SetTextVector,
    SetVector,
    WireMessage,
)

__all__ = ["MIRROR_BYTES", "Mirror"]

MIRROR_BYTES = 64 << 20
"""How much memory the definitions and texts of one server may take."""

# What an object costs besides its texts, roughly; so a million empty members are not free.
_MEMBER_BYTES, _VECTOR_BYTES, _DEVICE_BYTES = 400, 1500, 2500

# How many lines all logs together keep.
_LINES = 5000

# How many members keep their latest BLOB: a small one takes memory, a large one an open file.
_KEPT_BLOBS = 16


class Mirror(Mapping[str, Device]):
    """All devices of a server, by name.

    :param actions: what the vectors use to write.
    :param wants_blobs: whether anybody has asked for the BLOBs of a vector; others are not kept.
    :param limit_bytes: how much may be kept.
    :ivar messages: the server's latest messages that do not belong to a device, the oldest first, each with its
        timestamp.
    """

    def __init__(
        self,
        actions: Actions,
        *,
        wants_blobs: Callable[[str, str], bool] = lambda device, vector: True,
        limit_bytes: int = MIRROR_BYTES,
    ) -> None:
        self.messages: deque[tuple[str, str]] = deque(maxlen=LOG_LINES)
        self._logs: deque[deque[tuple[str, str]]] = deque()
        self._actions = actions
        self._limit_bytes = limit_bytes
        self._present: dict[str, Device] = {}
        # A device that is deleted and defined again is the same object for whoever has kept it.
        self._known: WeakValueDictionary[str, Device] = WeakValueDictionary()
        self._known_vectors: WeakValueDictionary[tuple[str, str], AnyVector] = WeakValueDictionary()
        self._wants_blobs = wants_blobs
        self._with_blobs: dict[tuple[BLOBVector, str], None] = {}
        self._costs: dict[tuple[str, str], int] = {}
        self._held_bytes = 0

    def __getitem__(self, device: str) -> Device:
        try:
            return self._present[device]
        except KeyError:
            raise UnknownDeviceError(device, tuple(self._present)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._present)

    def __len__(self) -> int:
        return len(self._present)

    def receive(self, message: WireMessage) -> Change | None:
        """Take a message of the server; return what it has changed, or ``None`` for nothing.

        :raises RemoteProtocolError: more would have to be kept than the limit allows.
        """
        if isinstance(message, SetVector):
            return self._set(message)
        if isinstance(message, DefVector):
            return self._define(message)
        if isinstance(message, DelProperty):
            return self._delete(message)
        if isinstance(message, Message):
            return self._say(message)
        return None

    def lose(self) -> None:
        """Mark everything as stale, because the connection was lost."""
        for device in self._present.values():
            for vector in device._present.values():
                vector.stale = True

    def release_blobs(self) -> None:
        """Release all contents; whoever holds one keeps it."""
        for vector, name in self._with_blobs:
            if name in vector.members:
                vector.members[name].value = None
        self._with_blobs.clear()

    def forget_stale(self) -> list[Change]:
        """Delete everything that was not defined again after the connection came back."""
        changes: list[Change] = []
        for device in list(self._present.values()):
            for name, vector in list(device._present.items()):
                if vector.stale:
                    changes.append(self._remove(device, name))
        return changes

    # -- the messages ----------------------------------------------------------------------------------------------

    def _define(self, message: DefVector) -> Change | None:
        device = self._known.get(message.device)
        key = (message.device, message.name)
        before = self._known_vectors.get(key)
        self._account(message)
        if device is None:
            device = self._known[message.device] = Device(message.device, self._actions)
        if message.device not in self._present:
            self._held_bytes += _DEVICE_BYTES
            self._present[message.device] = device
        kind = _KINDS[type(message)]
        if before is None or type(before) is not kind:
            if before is not None:
                before.exists = False
            before = self._known_vectors[key] = kind(message.device, message.name, self._actions)
        device._present[message.name] = before
        before._fill(message)
        text = self._log(device, message.timestamp, message.message)
        return Change("defined", device.name, before, before.state, frozenset(before), text)

    def _set(self, message: SetVector) -> Change | None:
        device = self._present.get(message.device)
        vector = None if device is None else device._present.get(message.name)
        # An update of another kind than the definition cannot be understood.
        if device is None or vector is None or _KINDS_OF_SETS[type(message)] is not type(vector):
            return None
        text = self._log(device, message.timestamp, message.message)
        if isinstance(vector, BLOBVector) and not self._wants_blobs(device.name, vector.name):
            message = replace(message, members=())
        taken = vector._update(message)
        if isinstance(vector, TextVector):
            self._account_texts(vector)
        elif isinstance(vector, BLOBVector):
            self._bound_blobs(vector, taken)
        return Change("updated", device.name, vector, vector.state, taken, text)

    def _bound_blobs(self, vector: BLOBVector, taken: frozenset[str]) -> None:
        """Release the oldest BLOBs if too many members have one."""
        for name in taken:
            self._with_blobs.pop((vector, name), None)
            self._with_blobs[vector, name] = None
        while len(self._with_blobs) > _KEPT_BLOBS:
            oldest, name = next(iter(self._with_blobs))
            del self._with_blobs[oldest, name]
            if name in oldest.members:
                oldest.members[name].value = None

    def _delete(self, message: DelProperty) -> Change | None:
        device = self._present.get(message.device)
        if device is None:
            return None
        text = self._log(device, message.timestamp, message.message)
        if message.name is not None:
            if message.name not in device._present:
                return None
            return self._remove(device, message.name)._replace(message=text)
        for name in list(device._present):
            self._remove(device, name)
        self._forget(device)
        return Change("deleted", device.name, message=text)

    def _remove(self, device: Device, name: str) -> Change:
        vector = device._present.pop(name)
        vector.exists = False
        self._held_bytes -= self._costs.pop((device.name, name), 0)
        if not device._present:
            self._forget(device)
        return Change("deleted", device.name, vector)

    def _forget(self, device: Device) -> None:
        if self._present.pop(device.name, None) is not None:
            self._held_bytes -= _DEVICE_BYTES

    def _say(self, message: Message) -> Change | None:
        text = shortened(message.message)
        device = None if message.device is None else self._known.get(message.device)
        if not text:
            return None
        if device is None:
            self._write(self.messages, message.timestamp, text)
        else:
            self._log(device, message.timestamp, text)
        return Change("message", message.device, message=text)

    def _log(self, device: Device, timestamp: str | None, message: str | None) -> str:
        text = shortened(message)
        if text:
            self._write(device.messages, timestamp, text)
        return text

    def _write(self, log: deque[tuple[str, str]], timestamp: str | None, text: str) -> None:
        """Write a line into a log; if all logs together have too many, the oldest line of all is dropped."""
        log.append((shortened(timestamp), text))
        self._logs.append(log)
        if len(self._logs) > _LINES:
            oldest = self._logs.popleft()
            if len(oldest) > 1:
                oldest.popleft()

    # -- the limit -------------------------------------------------------------------------------------------------

    def _account(self, message: DefVector) -> None:
        cost = _VECTOR_BYTES + len(message.name) + len(message.label or "") + len(message.group or "")
        for member in message.members:
            texts = (member.name, member.label, getattr(member, "value", ""), getattr(member, "format", ""))
            cost += _MEMBER_BYTES + sum(len(text or "") for text in texts)
        self._charge((message.device, message.name), cost)

    def _account_texts(self, vector: TextVector) -> None:
        cost = _VECTOR_BYTES + sum(_MEMBER_BYTES + len(name) + len(text) for name, text in vector.items())
        self._charge((vector.device, vector.name), cost)

    def _charge(self, key: tuple[str, str], cost: int) -> None:
        held = self._held_bytes - self._costs.get(key, 0) + cost
        if held > self._limit_bytes:
            raise RemoteProtocolError(
                f"the server defines more than {self._limit_bytes} bytes of properties, last {key[0]}.{key[1]}"
            )
        self._held_bytes = held
        self._costs[key] = cost


_KINDS: Mapping[type[DefVector], type[AnyVector]] = {
    DefNumberVector: NumberVector,
    DefSwitchVector: SwitchVector,
    DefTextVector: TextVector,
    DefLightVector: LightVector,
    DefBLOBVector: BLOBVector,
}

_KINDS_OF_SETS: Mapping[type[SetVector], type[AnyVector]] = {
    SetNumberVector: NumberVector,
    SetSwitchVector: SwitchVector,
    SetTextVector: TextVector,
    SetLightVector: LightVector,
    SetBLOBVector: BLOBVector,
}
