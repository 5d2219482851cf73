"""Numbers: INDI's texts to floats, and floats to texts for the wire and for people (protocol.md 1.3).

*Reading* follows libindi's scanner: up to three unsigned C numbers, separated by anything but digits, are units,
minutes and seconds, and only a minus in front of everything is a sign. *The wire* always gets plain decimals,
because most readers understand nothing else in a set. *People* get what the member's ``format`` says. That is
either C's ``printf`` for one double, which is close enough to Python's ``%``, or INDI's own ``m`` form. The latter
is rounded once, to a whole number of its smallest division, and then split from the right, so that 59.99 minutes
carry into the hours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache, partial

from indianyio.exceptions import NumberFormatError
from indianyio.protocol._compiled import LazyPattern
from indianyio.protocol._text import require_xml_text

__all__ = [
    "LARGEST_EXACT_INT",
    "LONGEST_NUMBER_TEXT",
    "format_number",
    "getfloat",
    "is_plain_decimal",
    "number_text",
    "parse_number",
    "require_number_format",
    "typed_number",
]

# What C's isspace() accepts; str.strip() alone would also take blanks of other scripts, which libindi does not.
_WHITE_SPACE = " \t\n\r\v\f"

LONGEST_NUMBER_TEXT = 127
"""How many characters of a number are read: libindi's scanner has 128 bytes, the last of them for a NUL."""

LARGEST_EXACT_INT = 2**53
"""The largest number up to which a float can hold every whole number exactly."""

# ---- reading -------------------------------------------------------------------------------------------------

# A C double without its sign. The quantifiers are possessive, and 0x without digits is not a 0, as in C's scanf.
_MAGNITUDE = r"""
    (?: 0x (?: [0-9a-f]++ \.?+ [0-9a-f]*+ | \. [0-9a-f]++ ) (?: p [-+]? [0-9]++ )?
    | (?!0x) (?: [0-9]++ \.?+ [0-9]*+ | \. [0-9]++ ) (?: e [-+]? [0-9]++ )?
    )
"""
_SEXAGESIMAL = LazyPattern(
    rf"""
    (?P<sign> [-+]? ) \x20*
    (?P<units> {_MAGNITUDE} | inf (?: inity | (?!i) ) | nan )
    (?: [^0-9]++ (?P<minutes> {_MAGNITUDE} )
        (?: [^0-9]++ (?P<seconds> {_MAGNITUDE} ) )? )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_PLAIN_DECIMAL = LazyPattern(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")

# Only the last field has a fraction, and minutes and seconds have two digits at the most: 1 000 is no minute.
_SEXAGESIMAL_AS_TYPED = LazyPattern(
    r"""
    [-+]? [0-9]+ (?: \s* [:hd°] \s* | \s+ )
    (?: [0-9]{1,2} (?: \.[0-9]* )? (?: \s* [m'] )?
    |   [0-9]{1,2} (?: \s* [:m'] \s* | \s+ ) [0-9]{1,2} (?: \.[0-9]* )? (?: \s* [s"] )?
    )
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)

is_plain_decimal = _PLAIN_DECIMAL.fullmatch
"""Match a text if it is a number that all readers, and float(), read alike; float() would also read ``1_0``."""


def getfloat(value: str | float) -> float:
    """Return a number, or the text of a number, as a float.

    :param value: a number, or a text as :func:`parse_number` reads it.
    :raises TypeError: it is anything else, a :class:`bool` included.
    :raises NumberFormatError: the text cannot be read, or the integer is too large for a float.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError(f"a number must be a str, an int or a float, not {type(value).__name__}")
    if isinstance(value, str):
        return parse_number(value)
    try:
        return float(value)
    except OverflowError:
        raise NumberFormatError("an integer is too large for a float") from None


def parse_number(text: str) -> float:
    """Read a number as INDI's drivers do, sexagesimal or not (protocol.md 1.3).

    Minutes and seconds may be 60 or more. Trailing text is ignored, as is everything after 127 characters. Unlike
    libindi, which deletes blanks, this takes a blank between two fields as a separator (``12 30 36`` is 12.51).

    :param text: such as ``12.51``, ``-0:30``, ``12h30m36s``, ``1e-3``, ``0x10``, ``inf``.
    :return: the number, which may be infinite or NaN.
    :raises NumberFormatError: the text does not begin with a number.
    """
    trimmed = text.strip(_WHITE_SPACE)[:LONGEST_NUMBER_TEXT]
    if _PLAIN_DECIMAL.fullmatch(trimmed):
        return float(trimmed)
    negative = trimmed.startswith("-")
    found = _SEXAGESIMAL.match(trimmed[1:].lstrip(_WHITE_SPACE) if negative else trimmed)
    if found is None:
        raise NumberFormatError(f"{_shortened(text)} is not a number")
    units = _magnitude(found["units"])
    if found["sign"] == "-":
        units = -units
    number = units + _magnitude(found["minutes"]) / 60 + _magnitude(found["seconds"]) / 3600
    return -number if negative else number


def typed_number(text: str) -> float:
    """Read a number that a person has written, sexagesimal or not, and understand all of it or nothing.

    INDI's own readers take what a text begins with, and anything between two numbers for a separator, so they read
    ``45,5`` as 45 units and 5 minutes. A person who writes that means something else, and the telescope must not
    move there.

    :param text: such as ``45.5``, ``1e-3``, ``-0:30:15``, ``12 30 36``, ``12h30m36.5s``, ``-45°30'``.
    :raises ValueError: it is anything else, even if it begins with a number.
    """
    trimmed = text.strip(_WHITE_SPACE)
    if len(trimmed) <= LONGEST_NUMBER_TEXT and (
        is_plain_decimal(trimmed) or _SEXAGESIMAL_AS_TYPED.fullmatch(trimmed)
    ):
        number = parse_number(trimmed)
        if math.isfinite(number):
            return number
    raise ValueError(f"{text!r} is not a number; write it as 45.5, or with minutes and seconds as -0:30:15")


def _magnitude(field: str | None) -> float:
    if field is None:
        return 0.0
    if field[:2] not in {"0x", "0X"}:
        return float(field)
    try:
        return float.fromhex(field)
    except OverflowError:
        return math.inf  # as float("1e999") and C's strtod do


def _shortened(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}..."


# ---- writing for the wire ------------------------------------------------------------------------------------


def number_text(value: str | float) -> str:
    """Return the text of a number for the wire: plain decimal, and exactly the same float when it is read back.

    :param value: a number, or its text. A text that is plain decimal already is kept as it is written, without
        blanks around it; any other text that :func:`parse_number` reads is converted.
    :raises TypeError: it is anything else, a :class:`bool` included.
    :raises ValueError: it is not finite, or is a text of more than 127 characters, of which readers drop the rest.
    :raises NumberFormatError: it cannot be read as a number.
    """
    if isinstance(value, str):
        trimmed = value.strip(_WHITE_SPACE)
        if len(trimmed) > LONGEST_NUMBER_TEXT:
            raise ValueError(f"{_shortened(trimmed)} has more than {LONGEST_NUMBER_TEXT} characters")
        if _PLAIN_DECIMAL.fullmatch(trimmed):
            _require_finite(float(trimmed), value)
            return trimmed
    number = getfloat(value)
    _require_finite(number, value)
    if isinstance(value, int) and abs(value) <= LARGEST_EXACT_INT:
        return str(int(value))
    return repr(number)


def _require_finite(number: float, value: object) -> None:
    if not math.isfinite(number):
        raise ValueError(f"{_shortened(str(value))} is not a finite number")


# ---- writing for people --------------------------------------------------------------------------------------

# libindi keeps a format in 64 bytes including its NUL, and a printed number in as many.
_LONGEST_FORMAT_BYTES = 63
_LONGEST_RESULT_BYTES = 64

# Scanned like C's "%%%d.%d%c": the numbers may have a sign, and whatever follows the m is ignored. No more than
# three digits, because even those ask for more than 64 bytes can hold.
_M_FORM = LazyPattern(r"%\s*(?P<width>[-+]?[0-9]{1,3})\.\s*(?P<fraction>[-+]?[0-9]{1,3})m", re.ASCII)
_PRINTF = LazyPattern(
    r"""
    (?P<before> (?: [^%] | %% )* )
    % (?P<flags> [-+\x20\#0']* ) (?P<size> [0-9]{0,3} (?: \. [0-9]{0,3} )? ) l{0,2} (?P<conversion> [eEfFgGdiu] )
    (?P<after> (?: [^%] | %% )* )
    """,
    re.VERBOSE,
)

# What follows the whole units, by the number after the dot: its shape, and how many of each unit make one of the
# unit before it.
_SHAPES: dict[int, tuple[str, tuple[int, ...]]] = {
    3: (":%02d", (60,)),
    5: (":%02d.%d", (60, 10)),
    6: (":%02d:%02d", (60, 60)),
    8: (":%02d:%02d.%d", (60, 60, 10)),
    9: (":%02d:%02d.%02d", (60, 60, 100)),
}
_ANY_OTHER_SHAPE = _SHAPES[3]


def format_number(value: float, format_text: str) -> str:
    """Print a number for people, as the ``format`` of its member says (protocol.md 1.3).

    A format is C's ``printf`` for one double (``e``, ``f``, ``g`` with flags, width and precision, and text around
    it) or ``%<w>.<f>m`` for sexagesimals; an empty one means ``%g``. Formats for integers occur in the wild,
    although C does not define them for a double: they print the nearest whole number.

    :param value: the number; printf prints ``inf`` and ``nan``.
    :param format_text: the format.
    :return: at most 64 bytes; anything longer is cut, as libindi does.
    :raises ValueError: the format is neither of these or longer than 63 bytes; or it is of the ``m`` form and the
        value is not finite or too large for it.
    """
    text = _printer(format_text)(value)
    return text.encode()[:_LONGEST_RESULT_BYTES].decode(errors="ignore")


def require_number_format(format_text: str, what: str) -> str:
    """Return ``format_text`` if :func:`format_number` can use it and the wire can carry it.

    :param format_text: the ``format`` of a number member.
    :param what: what the error calls it.
    :raises TypeError: it is not a :class:`str`.
    :raises ValueError: it is not a format of protocol.md 1.3, or is longer than 63 bytes.
    """
    require_xml_text(format_text, what)
    try:
        _printer(format_text)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    return format_text


@lru_cache(maxsize=256)  # a program has a few dozen formats; a client that meets more only becomes slower
def _printer(format_text: str) -> Callable[[float], str]:
    if len(format_text.encode(errors="replace")) > _LONGEST_FORMAT_BYTES:
        raise ValueError(f"number format {_shortened(format_text)} is longer than {_LONGEST_FORMAT_BYTES} bytes")
    found = _M_FORM.match(format_text)
    if found is not None:
        return partial(_print_sexagesimal, int(found["width"]), int(found["fraction"]))
    found = _PRINTF.fullmatch(format_text or "%g")
    if found is None:
        raise ValueError(f"number format {format_text!r} is neither printf's for one double nor %<w>.<f>m")
    # The flag that groups thousands does nothing in the C locale, and Python does not have it.
    flags = found["flags"].replace("'", "")
    return partial(_print_as_c, found["before"], flags, found["size"], found["conversion"], found["after"])


def _print_as_c(before: str, flags: str, size: str, conversion: str, after: str, value: float) -> str:
    printed: float = value
    if not math.isfinite(value):
        # Python would pad inf and nan with zeros, and cannot print them as integers.
        flags = flags.replace("0", "")
        conversion = "F" if conversion.isupper() else "f"
    elif conversion in "diu":
        printed = round(value)
    return f"{before}%{flags}{size}{conversion}{after}" % printed


def _print_sexagesimal(width: int, fraction: int, value: float) -> str:
    shape, radices = _SHAPES.get(fraction, _ANY_OTHER_SHAPE)
    divisions = abs(value) * math.prod(radices) + 0.5
    if not math.isfinite(divisions):
        raise ValueError(f"{value} cannot be printed as a sexagesimal")
    rest = math.floor(divisions)
    parts: list[int] = []
    for radix in reversed(radices):
        rest, part = divmod(rest, radix)
        parts.append(part)
    # The sign stands before the units even if they are 0, and even if everything printed is 0.
    units = f"-{rest}" if value < 0 else str(rest)
    room = width - fraction
    # C's "%*d" takes a negative width as the flag for left alignment.
    aligned = units.rjust(room) if room >= 0 else units.ljust(-room)
    return aligned + shape % tuple(reversed(parts))
