"""A device: the vectors of one instrument under one name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

from indianyio._model import SnoopEvent
from indianyio.driver._events import NewEvent
from indianyio.driver._owners import Background, BackgroundWork, DeviceOwner, send, timestamp_or_now
from indianyio.driver._state import RunState
from indianyio.driver._vectors import AnyVector, Vector
from indianyio.exceptions import UnknownVectorError
from indianyio.protocol import DelProperty, Message, format_timestamp
from indianyio.protocol._numbers import getfloat
from indianyio.protocol._text import require_name, require_xml_text

__all__ = ["Device", "Directory"]

T = TypeVar("T")


class Directory(Mapping[str, T]):
    """A mapping whose entries are fixed when it is made.

    Two of them are equal only if they are the same object; other mappings compare their contents.

    :ivar data: the entries by name.
    """

    def __init__(self) -> None:
        self.data: dict[str, T] = {}

    @abstractmethod
    def _unknown(self, name: str) -> KeyError:
        """Return the error that says what there is instead."""

    def __getitem__(self, name: str) -> T:
        try:
            return self.data[name]
        except KeyError:
            raise self._unknown(name) from None

    def __setitem__(self, name: str, value: T) -> None:
        raise KeyError(f"{name!r} cannot be set: what {self!r} has is given when it is made")

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class Device(Directory[AnyVector]):
    """A device, as a mapping of its vectors by name.

    :param devicename: printable ASCII, at most 63 characters.
    :param properties: its vectors, of different names; a vector belongs to one device only.
    :param devicedata: whatever the device's own methods need, an object that talks to the hardware for instance.
    :raises TypeError: a property is not a vector.
    :raises ValueError: the name cannot be one, two vectors have the same name, or a vector has a device already.

    :ivar devicename: the name.
    :ivar driver: the driver, ``None`` until one takes the device.
    :ivar devicedata: the keyword arguments.
    :ivar enable: while false, whatever arrives for the device is ignored and nothing but deletions is sent.
    """

    indi_number_to_float = staticmethod(getfloat)

    def __init__(self, devicename: str, properties: Iterable[AnyVector], **devicedata: object) -> None:
        super().__init__()
        self.devicename = require_name(devicename, "the device's name")
        self.devicedata = devicedata
        self.driver: DeviceOwner | None = None
        self._run_state = RunState()
        self.enable = True
        self._background = Background()
        vectors = list(properties)
        for vector in vectors:
            self._check(vector)
            self.data[vector.name] = vector
        for vector in vectors:
            vector.device = self
            vector.devicename = self.devicename

    def _check(self, vector: AnyVector) -> None:
        if not isinstance(vector, Vector):
            raise TypeError(f"device {self.devicename!r} takes vectors, not {vector!r}")
        if vector.name in self.data:
            raise ValueError(f"device {self.devicename!r} has two vectors of the name {vector.name!r}; rename one")
        if vector.device is not None:
            raise ValueError(f"vector {vector.name!r} belongs to device {vector.devicename!r} already")

    def _unknown(self, name: str) -> KeyError:
        return UnknownVectorError(self.devicename, name, tuple(self.data))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.devicename!r}>"

    @property
    def stop(self) -> bool:
        """Whether the driver is asked to stop."""
        return self.driver is not None and self.driver.stop

    def properties(self) -> list[AnyVector]:
        """Return the vectors."""
        return list(self.data.values())

    def add_background(self, work: BackgroundWork, *args: object) -> None:
        """Have ``work`` run beside the driver; see :meth:`IPyDriver.add_background`."""
        self._background.add(work, *args)

    def shutdown(self) -> None:
        """Ask the device's driver to stop."""
        if self.driver is not None:
            self.driver.shutdown(f"device {self.devicename} asked for it")

    async def send_device_message(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Send a line for people that names this device; nothing while the device is disabled.

        :param timestamp: when this holds; naive times are UTC; now if absent.
        :raises ValueError: the message cannot be written as XML.
        """
        text = require_xml_text(message, "the message")
        stamp = format_timestamp(timestamp_or_now(timestamp))
        told = Message(device=self.devicename, timestamp=stamp, message=text) if self.enable else None
        await send(self._run_state.sender, told)

    async def send_delProperty(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Tell that the whole device is gone, and disable it.

        To bring it back set ``enable`` and send each vector's definition.

        :raises ValueError: the message cannot be written as XML.
        """
        text = require_xml_text(message, "the message") or None
        stamp = format_timestamp(timestamp_or_now(timestamp))
        self.enable = False
        await send(self._run_state.sender, DelProperty(device=self.devicename, timestamp=stamp, message=text))

    async def devhardware(self, *args: object, **kwargs: object) -> None:
        """Operate this device's hardware; to be overridden, and started by the driver's own code.

        Usually with ``self.add_background(device.devhardware)`` in the driver's ``hardware()``.
        """

    async def devrxevent(self, event: NewEvent, *args: object, **kwargs: object) -> None:
        """Handle a write to this device; to be overridden, and called by the driver's ``rxevent``."""

    async def devsnoopevent(self, event: SnoopEvent, *args: object, **kwargs: object) -> None:
        """Handle what was snooped for this device; to be overridden, and called by the driver's ``snoopevent``."""
