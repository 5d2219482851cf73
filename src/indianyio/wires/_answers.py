"""What an instrument's answer looks like, and how bytes are shown to people."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AnswerForm", "answer_form", "check_sendable", "shown"]

# How much of a request or an answer is shown in a log line or an error.
_SHOWN_BYTES = 120


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """Where an answer ends: with certain bytes, or after a number of bytes; if neither, it is a datagram.

    :ivar until: the bytes with which it ends.
    :ivar length: how many bytes it has.
    """

    until: bytes | None = None
    length: int | None = None

    def end_in(self, arrived: bytearray) -> tuple[int, int] | None:
        """Return how many bytes the answer has without and with its end; ``None`` if it is not complete."""
        if self.until is not None:
            found = arrived.find(self.until)
            return None if found < 0 else (found, found + len(self.until))
        if self.length is not None:
            return None if len(arrived) < self.length else (self.length, self.length)
        return (len(arrived), len(arrived)) if arrived else None


def answer_form(until: bytes | None, length: int | None, *, limit_bytes: int, datagrams: bool) -> AnswerForm:
    """Return the form that the arguments of a call describe.

    :param limit_bytes: the longest answer that is accepted.
    :param datagrams: whether an answer may be whatever arrives in one datagram.
    :raises TypeError: both are given, or neither where one is needed.
    :raises ValueError: no answer can have this form.
    """
    if until is not None and length is not None:
        raise TypeError("an answer ends with certain bytes (until) or has a length; give one of them, not both")
    if until is None and length is None and not datagrams:
        raise TypeError(
            "where does the answer end? Give until=b'...' or length=...; if there is no answer, use send()"
        )
    if until == b"":
        raise ValueError("until is empty, so nothing would end the answer")
    if length is not None and not 0 < length <= limit_bytes:
        raise ValueError(f"length is {length}, but must be from 1 to {limit_bytes} (max_answer)")
    return AnswerForm(until, length)


def check_sendable(data: bytes) -> None:
    """Check that something can be sent.

    :raises TypeError: it is not bytes.
    :raises ValueError: it is empty.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"only bytes can be sent, not {type(data).__name__}; a text needs .encode()")
    if not data:
        raise ValueError("there is nothing to send")


def shown(data: bytes | bytearray | memoryview) -> str:
    """Return bytes as log lines show them: if they are long, cut short and with their length."""
    if len(data) <= _SHOWN_BYTES:
        return repr(bytes(data))
    return f"{bytes(data[:_SHOWN_BYTES])!r}... ({len(data)} bytes)"
