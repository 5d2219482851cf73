"""Numbers against the tables of protocol.md 1.3, and against the C library where there is one."""

from __future__ import annotations

import ctypes
import math
import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indianyio.exceptions import NumberFormatError
from indianyio.protocol._numbers import format_number, getfloat, number_text, parse_number, require_number_format

FINITE = st.floats(allow_nan=False, allow_infinity=False)

needs_c = pytest.mark.skipif(sys.platform != "linux", reason="compares with the C library of Linux")

# ---- reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12:30:36", 12.51),
        ("12h30m36s", 12.51),
        ("12;30;36", 12.51),
        ("12/30/36", 12.51),
        ("12 30 36", 12.51),
        ("12\u00b030\u203236\u2033", 12.51),
        ("-12:30:36", -12.51),
        ("12\n30", 12.5),
        ("-0:30", -0.5),
        ("- 0:30", -0.5),
        ("-0 30", -0.5),
        ("12:-30", 12.5),
        ("12-30", 12.5),
        ("12::36", 12.6),
        ("12:30.5", 12 + 30.5 / 60),
        ("1,5", 1 + 5 / 60),
        ("1e-3", 0.001),
        ("1E-3", 0.001),
        ("1e2:30", 100.5),
        ("12abc", 12.0),
        ("12:75", 13.25),
        ("12:30:60", 12 + 31 / 60),
        ("0x10", 16.0),
        ("0x1.8p1:30", 3.5),
        ("0x1p99999", math.inf),
        ("1e999", math.inf),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("+5", 5.0),
        ("+ 5", 5.0),
        ("  \t\n 12.5 \r\n", 12.5),
        ("\n-5:30", -5.5),
        ("--5:30", 4.5),
        ("1_000", 1.0),
        ("12:30:36:59", 12.51),
        ("1e:30", 1.5),
        ("12:0x:30", 12.0),
        ("0." + "0" * 124 + "19", 1e-125),
    ],
)
def test_numbers_are_read(text: str, number: float) -> None:
    assert parse_number(text) == pytest.approx(number, rel=1e-15, abs=0)


def test_minus_zero_keeps_its_sign() -> None:
    assert math.copysign(1, parse_number("-0")) == -1


def test_nan_is_read() -> None:
    assert math.isnan(parse_number("NaN"))


@pytest.mark.parametrize("text", [":30", "::36", "", " ", "-", "--", "abc", ".", "0x", "infi", "e5", "- - -", "१२"])
def test_what_does_not_begin_with_a_number_is_refused(text: str) -> None:
    with pytest.raises(NumberFormatError, match="is not a number"):
        parse_number(text)


def test_the_error_shows_the_input_but_not_a_megabyte_of_it() -> None:
    with pytest.raises(NumberFormatError, match=r"^'x{40}'\.\.\. is not a number$"):
        parse_number("x" * 1_000_000)


@given(st.text() | st.text("0123456789:.-+ exinfap\n"))
@example("0x1p" + "9" * 100)
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        number = parse_number(text)
    except NumberFormatError:
        return
    assert isinstance(number, float)


def scanned_by_c(text: str) -> float | None:
    """Read as libindi does, which has C's scanner do the work after a leading minus is gone."""
    fields = [ctypes.c_double(0) for _ in range(3)]
    libc = ctypes.CDLL(None)
    places = [ctypes.byref(field) for field in fields]
    unsigned = text.removeprefix("-").encode()
    if libc.sscanf(unsigned, b"%lf%*[^0-9]%lf%*[^0-9]%lf", *places) < 1:
        return None
    units, minutes, seconds = (field.value for field in fields)
    number = units + minutes / 60 + seconds / 3600
    return -number if text.startswith("-") else number


# What begins an exponent, or hexadecimal digits, and has none. A newer glibc (2.43) reads no number there, as the
# standard has it; the older ones read what stands before, and so do we.
CUT_SHORT = re.compile(r"[0-9.a-f][ep][-+]?(?![-+0-9])|0x(?![0-9a-f])", re.IGNORECASE)


@needs_c
@given(st.text("0123456789:.-+eExXpinfa;h", max_size=20))
def test_reading_agrees_with_c(text: str) -> None:
    if scanned_by_c("0E") is None and CUT_SHORT.search(text):
        return
    expected = scanned_by_c(text)
    if expected is None:
        with pytest.raises(NumberFormatError):
            parse_number(text)
    else:
        assert parse_number(text) == pytest.approx(expected, rel=1e-15, abs=0, nan_ok=True)


@pytest.mark.parametrize(("value", "number"), [(5, 5.0), (-0.25, -0.25), ("12:30", 12.5)])
def test_getfloat_takes_numbers_and_texts(value: str | float, number: float) -> None:
    result = getfloat(value)
    assert (type(result), result) == (float, number)


@pytest.mark.parametrize("value", [True, None, b"5", [5], 5j])
def test_getfloat_takes_nothing_else(value: object) -> None:
    with pytest.raises(TypeError, match=r"^a number must be"):
        getfloat(value)  # type: ignore[arg-type]


def test_getfloat_refuses_integers_beyond_floats() -> None:
    with pytest.raises(NumberFormatError, match="too large"):
        getfloat(10**400)


# ---- writing for the wire ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (0.1, "0.1"),
        (5.0, "5.0"),
        (1e22, "1e+22"),
        (2**53, "9007199254740992"),
        (2**53 + 2, "9007199254740994.0"),
        (" 12.50\n", "12.50"),
        ("+1e-3", "+1e-3"),
        ("12:30:36", "12.51"),
        ("12 30", "12.5"),
        ("-0:30", "-0.5"),
        ("0x10", "16.0"),
    ],
)
def test_the_wire_gets_plain_decimals(value: str | float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize("value", ["banana", "", "nan", "inf", "-inf", "1e999", math.nan, math.inf, "1" * 128])
def test_d17_numbers_that_are_none_are_refused(value: str | float) -> None:
    with pytest.raises(ValueError, match=r"is not a (finite )?number|more than 127"):
        number_text(value)


@pytest.mark.parametrize("value", [None, True, b"5"])
def test_d17_values_that_are_no_numbers_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        number_text(value)  # type: ignore[arg-type]


@given(FINITE | st.integers(-(10**30), 10**30))
def test_what_is_written_reads_back_exactly(value: float) -> None:
    text = number_text(value)
    assert parse_number(text) == float(value)
    assert float(text) == float(value)
    assert number_text(text) == text


# ---- writing for people --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "format_text", "text"),
    [
        (0.0172, "%9.6m", "  0:01:02"),
        (-5.5, "%010.6m", "  -5:30:00"),
        (-123.75, "%7.3m", "-123:45"),
        (1.9999, "%8.5m", "  2:00.0"),
        (-12.3456, "%012.8m", " -12:20:44.2"),
        (-0.5, "%9.6m", " -0:30:00"),
        (5.5, "%9.4m", "    5:30"),
        (12.51, "%11.9m", "12:30:36.00"),
        (-0.0001, "%9.6m", " -0:00:00"),
        (-0.0, "%9.6m", "  0:00:00"),
        (5.5, "%+9.6m", "  5:30:00"),
        (5.5, "%9.6m hours", "  5:30:00"),
        (-0.5, "%-9.6m", "-0             :30:00"),
        (123456.5, "%3.3m", "123456:30"),
    ],
)
def test_sexagesimals_are_printed(value: float, format_text: str, text: str) -> None:
    assert format_number(value, format_text) == text


@pytest.mark.parametrize(
    ("value", "format_text", "text"),
    [
        (0.9999999, "%9.6m", "  1:00:00"),
        (1.9999, "%8.5m", "  2:00.0"),
        (1.9999, "%6.3m", "  2:00"),
        (23.999999, "%9.6m", " 24:00:00"),
        (-0.9999999, "%9.6m", " -1:00:00"),
        (9.9999999, "%11.8m", " 10:00:00.0"),
        (0.99999999, "%12.9m", "  1:00:00.00"),
    ],
)
def test_d9_sexagesimal_output_carries(value: float, format_text: str, text: str) -> None:
    assert format_number(value, format_text) == text


@given(st.floats(-1e6, 1e6), st.sampled_from([3, 5, 6, 8, 9]))
def test_a_sexagesimal_reads_back_within_half_a_division(value: float, fraction: int) -> None:
    divisions = {3: 60, 5: 600, 6: 3600, 8: 36000, 9: 360000}[fraction]
    printed = format_number(value, f"%20.{fraction}m")
    assert len(printed) == 20
    assert parse_number(printed) == pytest.approx(value, rel=1e-15, abs=0.5000001 / divisions)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308])
def test_sexagesimals_are_finite(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be printed as a sexagesimal"):
        format_number(value, "%9.6m")


@pytest.mark.parametrize(
    ("value", "format_text", "text"),
    [
        (1.5, "", "1.5"),
        (0.1, "%g", "0.1"),
        (2, "%lf", "2.000000"),
        (21.456, "%.1f C", "21.5 C"),
        (50.0, "%3.0f%%", " 50%"),
        (21.25, "%5.1f°", " 21.2°"),
        (math.inf, "%g", "inf"),
        (-math.inf, "%08.3f", "    -inf"),
        (math.nan, "%5.2f", "  nan"),
        (7.6, "%d", "8"),
        (-0.4, "%4i", "   0"),
        (7.0, "%03d", "007"),
        (math.nan, "%d", "nan"),
    ],
)
def test_printf_formats_are_printed(value: float, format_text: str, text: str) -> None:
    assert format_number(value, format_text) == text


def printed_by_c(value: float, format_text: str) -> str:
    buffer = ctypes.create_string_buffer(2048)
    ctypes.CDLL(None).snprintf(buffer, ctypes.sizeof(buffer), format_text.encode(), ctypes.c_double(value))
    return buffer.value.decode()


@needs_c
@given(
    FINITE | st.sampled_from([math.inf, -math.inf]),
    st.text("-+ #0", max_size=3),
    st.sampled_from(["", "5", "12", "63"]),
    st.sampled_from(["", ".", ".0", ".3", ".20"]),
    st.sampled_from("eEfFgG"),
)
def test_printing_agrees_with_c(value: float, flags: str, width: str, precision: str, conversion: str) -> None:
    format_text = f"%{flags}{width}{precision}{conversion}"
    assert format_number(value, format_text) == printed_by_c(value, format_text)[:64]


def test_a_printed_number_has_at_most_64_bytes() -> None:
    assert format_number(1e300, "%f") == f"{1e300:f}"[:64]
    assert format_number(1.0, "%100.60m") == " " * 39 + "1:00"
    assert format_number(1.0, "%100.3m") == " " * 64
    assert format_number(0.0, "%62.0f°°") == " " * 61 + "0°"


BAD_FORMATS = [
    "g",
    "deg",
    "%",
    "%s",
    "%n",
    "%*d",
    "%.6m",
    "%9m",
    "%g %g",
    "%1000f",
    "%9999.6m",
    "%c",
    "%%",
    "%" + "0" * 63,
]


@pytest.mark.parametrize("format_text", BAD_FORMATS)
def test_other_formats_are_refused_when_they_are_defined(format_text: str) -> None:
    with pytest.raises(ValueError, match=r"^RA format: number format "):
        require_number_format(format_text, "RA format")
    with pytest.raises(ValueError, match=r"^number format "):
        format_number(1.0, format_text)


@pytest.mark.parametrize("format_text", ["", "%g", "%010.6m", "%.2f deg", "%4.0f", "%'.2f", "%d"])
def test_good_formats_come_back_as_they_are(format_text: str) -> None:
    assert require_number_format(format_text, "format") == format_text


def test_a_format_is_a_text_that_xml_can_carry() -> None:
    with pytest.raises(ValueError, match=r"format has U\+0007"):
        require_number_format("%g\x07", "format")
    with pytest.raises(TypeError, match="format must be a str"):
        require_number_format(None, "format")  # type: ignore[arg-type]


@given(FINITE, st.text("%0123456789.-+ #'lmfegd°", max_size=12))
def test_no_format_raises_anything_but_value_error(value: float, format_text: str) -> None:
    try:
        printed = format_number(value, format_text)
    except ValueError:
        return
    assert len(printed.encode()) <= 64
