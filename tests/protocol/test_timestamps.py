"""Timestamps: what is understood, and that everything is UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.protocol._text import format_timestamp, parse_timestamp

NOON = datetime(2024, 3, 5, 12, 0, 7, tzinfo=UTC)


class NoOffset(tzinfo):
    """A zone that does not know its offset, which makes a datetime naive."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-05T12:00:07",
        "2024-03-05t12:00:07z",
        "2024-03-05 12:00:07",
        "2024/03/05T12:00:07",
        "2024-3-5T12:00:07Z",
        "\n 2024-03-05T12:00:07 \n",
        "2024-03-05T14:00:07+02:00",
        "2024-03-05T14:00:07 +0200",
        "2024-03-05T07:00:07-05",
        "2024-03-04T22:30:07-13:30",
    ],
)
def test_d23_zones_and_offsets_are_understood(text: str) -> None:
    assert parse_timestamp(text) == NOON


@pytest.mark.parametrize(
    ("fraction", "microsecond"),
    [(".5", 500_000), (".123456", 123_456), (".1234569", 123_456), (",25Z", 250_000), (".000000001Z", 0)],
)
def test_d23_fractions_of_any_length_are_understood(fraction: str, microsecond: int) -> None:
    assert parse_timestamp(f"2024-03-05T12:00:07{fraction}") == NOON.replace(microsecond=microsecond)


def test_seconds_may_be_missing() -> None:
    assert parse_timestamp("2024-03-05T12:00Z") == NOON.replace(second=0)


def test_what_is_read_is_in_utc() -> None:
    moment = parse_timestamp("2024-03-05T14:00:07+02:00")
    assert moment is not None
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-03-05",
        "2024-02-30T12:00:00",
        "2024-03-05T12:00:07.",
        "2024-03-05T25:00:00",
        "2024-03-05T12:00:61",
        "0000-01-01T00:00:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2024-03-05T12:00:07 EST",
        "2024-03-05T12:00:07+02:60",
        "\uff12\uff10\uff12\uff14-03-05T12:00:07",
    ],
)
def test_what_cannot_be_read_is_none(text: str) -> None:
    assert parse_timestamp(text) is None


@given(st.text() | st.text("0123456789-/T:.Z+ ", max_size=40))
def test_no_text_raises(text: str) -> None:
    moment = parse_timestamp(text)
    assert moment is None or moment.tzinfo is UTC


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        NOON.replace(tzinfo=None),
        NOON.replace(tzinfo=NoOffset()),
        NOON.replace(tzinfo=ZoneInfo("UTC")),
        NOON.astimezone(ZoneInfo("America/Santiago")),
        NOON.astimezone(timezone(timedelta(hours=2))),
        NOON.replace(microsecond=999_999),
    ],
)
def test_d23_every_moment_is_written_in_utc(moment: datetime) -> None:
    assert format_timestamp(moment) == "2024-03-05T12:00:07"


def test_early_years_have_four_digits() -> None:
    assert format_timestamp(datetime(33, 4, 3)) == "0033-04-03T00:00:00"


@pytest.mark.parametrize("moment", [None, "2024-03-05T12:00:07", 0, date(2024, 3, 5)])
def test_only_moments_are_written(moment: object) -> None:
    with pytest.raises(TypeError, match=r"^a timestamp must be a datetime"):
        format_timestamp(moment)  # type: ignore[arg-type]


def test_moments_beyond_the_calendar_are_refused() -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    with pytest.raises(ValueError, match="outside the years"):
        format_timestamp(first)


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_reads_back_to_the_second(moment: datetime) -> None:
    assert parse_timestamp(format_timestamp(moment)) == moment.replace(microsecond=0)
