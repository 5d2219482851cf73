"""Timestamps: text on the wire to an aware moment, and back (protocol.md 1.4).

Everything on the wire is UTC; what carries an offset all the same is converted, and what carries a zone that is not
understood is not read at all, for a moment that is hours off is worse than none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from indianyio.protocol._patterns import LazyPattern

__all__ = ["format_timestamp", "parse_timestamp"]

_TIMESTAMP = LazyPattern(
    r"""
    (?P<year> [0-9]{4} ) [-/] (?P<month> [0-9]{1,2} ) [-/] (?P<day> [0-9]{1,2} )
    (?: T | \s+ )
    (?P<hour> [0-9]{1,2} ) : (?P<minute> [0-9]{2} )
    (?: : (?P<second> [0-9]{2} ) (?: [.,] (?P<fraction> [0-9]+ ) )? )?
    \s* (?: Z | (?P<sign> [-+] ) (?P<hours> [0-9]{2} ) (?: :? (?P<minutes> [0-5][0-9] ) )? )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def parse_timestamp(text: str) -> datetime | None:
    """Read a timestamp; one without a zone is UTC.

    Beyond ``YYYY-MM-DDTHH:MM:SS`` a fraction of any length (cut to microseconds), ``Z``, an offset, ``/`` in the
    date, a blank for the ``T``, missing seconds and blanks around it are understood.

    :param text: any text at all.
    :return: the moment, aware and in UTC, or ``None`` where the text cannot be read.
    """
    found = _TIMESTAMP.fullmatch(text.strip())
    if found is None:
        return None
    names = ("year", "month", "day", "hour", "minute", "second")
    year, month, day, hour, minute, second = (int(found[name] or 0) for name in names)
    microsecond = int((found["fraction"] or "")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    try:
        moment = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
        return moment + offset if found["sign"] == "-" else moment - offset
    except (ValueError, OverflowError):  # no such day or time, or an offset that leaves the years 1 to 9999
        return None


def format_timestamp(moment: datetime) -> str:
    """Return a moment as the wire has it: UTC, whole seconds, no zone letter.

    :param moment: aware, in any zone, or naive and then UTC; the fraction of a second is dropped.
    :return: ``YYYY-MM-DDTHH:MM:SS``.
    :raises TypeError: it is not a :class:`~datetime.datetime`.
    :raises ValueError: in UTC it is outside the years 1 to 9999.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"a timestamp must be a datetime, not {type(moment).__name__}")
    if moment.tzinfo is UTC:
        return moment.isoformat(timespec="seconds").removesuffix("+00:00")
    # Not astimezone(): it would take a naive moment for local time.
    offset = moment.utcoffset() or timedelta(0)
    try:
        return (moment.replace(tzinfo=None) - offset).isoformat(timespec="seconds")
    except OverflowError:
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC") from None
