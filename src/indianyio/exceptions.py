"""The errors that indianyio raises, in one small tree.

A caller's mistake is a plain :class:`TypeError`, :class:`ValueError` or :class:`KeyError`, raised where it is
made. The classes here are for what those cannot say; each carries as attributes what a caller would otherwise
have to read out of its text.
"""

from __future__ import annotations

__all__ = [
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
    "WriteRefusedError",
]


class INDIError(Exception):
    """Base of every error that is indianyio's own."""


class ProtocolError(INDIError):
    """A rule of the INDI protocol was broken; raised only as one of its two subclasses."""


class LocalProtocolError(ProtocolError):
    """Something that the INDI protocol cannot carry was to be sent."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol beyond what can be survived; its connection is finished."""


class ConnectionLostError(INDIError):
    """The peer has gone; nothing more can be sent to it or received from it."""


class ServerFailedError(INDIError):
    """A server has nothing left to serve, or has failed itself; the cause tells how."""


class NumberFormatError(INDIError, ValueError, TypeError):
    """A text is not a number as INDI writes numbers.

    It is a :class:`ValueError`; it is a :class:`TypeError` too, because that is what drivers written for
    indipydriver catch around ``getfloat``.
    """


class _NamedLookupError(INDIError, KeyError):
    """A look-up by name that found nothing."""

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

    The text is meant for the client: it becomes the message of the answer.

    :ivar device: the device written to.
    :ivar vector: the vector written to.
    :ivar member: the member at fault, or ``None`` where the whole write is.
    """

    def __init__(self, reason: str, *, device: str, vector: str, member: str | None = None) -> None:
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
    """What a client asked for has begun, and was stopped before it was done.

    :ivar device: the device written to.
    :ivar vector: the vector written to.
    :ivar message: the driver's text, or what was seen instead.
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


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names) if names else "none"
