"""The errors that indianyio raises, in one small tree.

A caller's mistake raises a plain :class:`TypeError`, :class:`ValueError` or :class:`KeyError`, where it is made.
The classes here are for everything else; their attributes hold what a caller would otherwise have to parse out of
the text.
"""

from __future__ import annotations

__all__ = [
    "AnswerTooLongError",
    "ConnectionLostError",
    "DriverLoadError",
    "INDIError",
    "LocalProtocolError",
    "NumberFormatError",
    "OperationAbortedError",
    "ProtocolError",
    "RefusedError",
    "RemoteProtocolError",
    "ServerFailedError",
    "UnknownDeviceError",
    "UnknownMemberError",
    "UnknownVectorError",
    "WireBusyError",
    "WireError",
    "WireLostError",
    "WireTimeoutError",
    "WriteRefusedError",
]


class INDIError(Exception):
    """Base of every error that is indianyio's own."""


class ProtocolError(INDIError):
    """A rule of the INDI protocol was broken; raised only as one of its two subclasses."""


class LocalProtocolError(ProtocolError):
    """Our own program tried to send something that the INDI protocol cannot carry."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol beyond what can be survived; its connection is finished."""


class ConnectionLostError(INDIError):
    """The connection is lost; nothing more can be sent or received."""


class ServerFailedError(INDIError):
    """A server has nothing left to serve, or has failed itself; the cause says why."""


class NumberFormatError(INDIError, ValueError, TypeError):
    """A text is not a number as INDI writes numbers.

    It is a :class:`ValueError`; it is a :class:`TypeError` too, because that is what drivers written for
    indipydriver catch around ``getfloat``.
    """


class _NamedLookupError(INDIError, KeyError):
    """A look-up by name found nothing."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which makes a sentence unreadable.
        return str(self.args[0]) if self.args else ""


class UnknownDeviceError(_NamedLookupError):
    """A driver, or a server, has no such device.

    :ivar device: the name it does not have.
    """

    def __init__(self, device: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(f"there is no device {device!r}; there is {_listed(known)}")
        self.device = device


class UnknownVectorError(_NamedLookupError):
    """A device has no such vector.

    :ivar device: the device that was asked.
    :ivar vector: the name it does not have.
    """

    def __init__(self, device: str, vector: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(f"device {device!r} has no vector {vector!r}; it has {_listed(known)}")
        self.device = device
        self.vector = vector


class UnknownMemberError(_NamedLookupError):
    """A vector has no such member.

    :ivar device: the vector's device, empty while the vector belongs to none.
    :ivar vector: the vector that was asked.
    :ivar member: the name it does not have.
    """

    def __init__(self, device: str, vector: str, member: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(f"vector {device}.{vector} has no member {member!r}; it has {_listed(known)}")
        self.device = device
        self.vector = vector
        self.member = member


class WriteRefusedError(INDIError):
    """A client's write breaks a rule of the vector it is aimed at.

    The text is meant for the client: it becomes the message of the answer. A handler raises this to refuse a write.

    :ivar device: the device written to; empty if a handler raised this.
    :ivar vector: the vector written to; empty if a handler raised this.
    :ivar member: the member at fault, or ``None`` if the whole write is.
    """

    def __init__(self, reason: str, *, device: str = "", vector: str = "", member: str | None = None) -> None:
        super().__init__(reason)
        self.device = device
        self.vector = vector
        self.member = member


class RefusedError(INDIError):
    """A driver has answered a client's write with Alert: refused, or failed half-way.

    The text is the driver's own, if it gave one.

    :ivar device: the device written to.
    :ivar vector: the vector written to.
    :ivar message: the driver's text.
    """

    def __init__(self, message: str, *, device: str, vector: str) -> None:
        super().__init__(f"{device}.{vector}: {message}")
        self.device = device
        self.vector = vector
        self.message = message


class OperationAbortedError(INDIError):
    """What a client asked for was begun, but stopped before it was done.

    :ivar device: the device written to.
    :ivar vector: the vector written to.
    :ivar message: the driver's text, or what was observed if it gave none.
    """

    def __init__(self, message: str, *, device: str, vector: str) -> None:
        super().__init__(f"{device}.{vector}: {message}")
        self.device = device
        self.vector = vector
        self.message = message


class DriverLoadError(INDIError):
    """A driver named on the command line cannot be loaded.

    :ivar target: what was asked for, as ``MODULE:NAME``.
    """

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"cannot load {target}: {reason}")
        self.target = target


class WireError(INDIError):
    """The connection of a driver to its instrument cannot be opened or used.

    :ivar wire: which one: the serial port, or the address.
    """

    def __init__(self, wire: str, problem: str) -> None:
        super().__init__(f"{wire}: {problem}")
        self.wire = wire


class WireBusyError(WireError):
    """A serial port belongs to another driver or program."""


class WireLostError(WireError):
    """An instrument was unplugged or has closed the connection, or the wire was closed at this end.

    :ivar sent: how much of the current request had been sent. Unless it is empty, the instrument may have carried
        out the request, and sending it again may move it twice.
    """

    def __init__(self, wire: str, problem: str, *, sent: bytes = b"") -> None:
        super().__init__(wire, problem)
        self.sent = sent


class WireTimeoutError(WireError, TimeoutError):
    """An instrument did not answer, or did not accept a request, in time.

    :ivar sent: the part of the request that had been sent.
    :ivar received: the part of the answer that had arrived.
    """

    def __init__(self, wire: str, problem: str, *, sent: bytes, received: bytes) -> None:
        super().__init__(wire, problem)
        self.sent = sent
        self.received = received


class AnswerTooLongError(WireError):
    """An instrument's answer exceeds the allowed length and has not ended.

    :ivar sent: the request.
    :ivar received: what had arrived.
    """

    def __init__(self, wire: str, problem: str, *, sent: bytes, received: bytes) -> None:
        super().__init__(wire, problem)
        self.sent = sent
        self.received = received


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names) if names else "none"
