"""FITS files: one image of plain numbers with its header, as bytes.

They have the basic form that every reader knows: cards of 80 characters in blocks of 2880 bytes, then the pixels,
most significant byte first. FITS has no unsigned numbers except bytes; unsigned pixels are written as signed ones
with BZERO, as everybody does. This only flips their first bit.
"""

from __future__ import annotations

import math
import re
import sys
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, Union, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Array", "Card", "CardValue", "Image", "Pixels", "card_of", "fits_file", "pixels_of", "require_keyword"]

CardValue: TypeAlias = bool | int | float | str


class Array(Protocol):
    """One of numpy's arrays; numpy need not be installed."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The attribute by which numpy's arrays are recognised."""


Image: TypeAlias = Union["Buffer", Array]
"""Pixels: one of numpy's arrays, an ``array.array``, a memoryview, or bytes for 8-bit pixels."""

_BLOCK_BYTES = 2880
_CARD_BYTES = 80
_TEXT_CHARS = 68  # between the quotes of a card
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_UNWRITABLE = re.compile(r"[^ -~]")
# These say how the file is built; another value would damage it.
_STRUCTURE = re.compile(r"SIMPLE|BITPIX|NAXIS\d*|EXTEND|BZERO|BSCALE|BLANK|END|CONTINUE|XTENSION|[PG]COUNT|GROUPS")
_COMMENTARY = frozenset({"COMMENT", "HISTORY"})
_TURNED = bytes(byte ^ 0x80 for byte in range(256))
_SWAPPED_AS = {2: "H", 4: "I", 8: "Q"}


class Card(NamedTuple):
    """One line of a header.

    :ivar keyword: at most eight characters: capital letters, digits, ``-`` and ``_``.
    :ivar value: a text is cut to 68 characters; characters other than printable ASCII become ``?``.
    :ivar comment: for people; what does not fit on the line is left out.
    """

    keyword: str
    value: CardValue
    comment: str = ""


class Pixels(NamedTuple):
    """An image.

    :ivar data: the pixels, row by row, in the byte order that ``is_big_endian`` says.
    :ivar shape: the number of pixels in each dimension, the fastest-varying last: rows and columns.
    :ivar bits: bits of a pixel, as in BITPIX: -32 and -64 for floating point.
    :ivar is_biased: whether FITS lacks this type of number, so that they are written with a BZERO.
    :ivar is_big_endian: whether the most significant byte of a pixel comes first.
    """

    data: memoryview
    shape: tuple[int, ...]
    bits: int
    is_biased: bool
    is_big_endian: bool


def pixels_of(image: Image, rows: int, columns: int) -> Pixels:
    """Return the pixels of an image.

    :param image: a flat buffer of ``rows * columns`` pixels, or an array with the image's own dimensions, the
        columns last.
    :param rows: the number of rows, if the image is a flat buffer.
    :param columns: the number of columns, likewise.
    :raises TypeError: the image is not a buffer.
    :raises ValueError: it has another number of pixels, or FITS has no numbers of this type.
    """
    try:
        view = memoryview(cast("Buffer", image))
    except TypeError:
        kind = type(image).__name__
        raise TypeError(f"an image must be a buffer of numbers, such as a numpy array, not {kind}") from None
    order, code = view.format[:-1], view.format[-1:]
    if order not in ("", "<", ">", "!", "=", "@") or code not in "bBhHiIlLqQfd":
        raise ValueError(f"an image must consist of whole or floating point numbers, not of {view.format!r}")
    if not 1 <= view.ndim <= 3:
        raise ValueError(f"an image has rows, columns and perhaps colours, not {view.ndim} dimensions")
    if view.ndim == 1 and len(view) != rows * columns:
        raise ValueError(f"an image of {columns} x {rows} pixels has {rows * columns} of them, not {len(view)}")
    if view.nbytes == 0:
        raise ValueError("an image must have at least one pixel")
    bits = 8 * view.itemsize
    return Pixels(
        view if view.c_contiguous else memoryview(view.tobytes()),
        (rows, columns) if view.ndim == 1 else tuple(view.shape or ()),
        -bits if code in "fd" else bits,
        code in "HILQ" or code == "b",
        order in (">", "!") or (order in ("", "@", "=") and sys.byteorder == "big"),
    )


def fits_file(pixels: Pixels, cards: Iterable[Card]) -> bytes:
    """Return a FITS file with one image.

    :param pixels: the image.
    :param cards: its header, without the lines that say how the file is built. Of two cards with the same keyword
        the later one counts, in the place of the first.
    :raises ValueError: a keyword is not legal, or a value is not finite.
    """
    written: dict[object, Card] = {}
    for number, card in enumerate(cards):
        require_keyword(card.keyword)
        written[number if card.keyword in _COMMENTARY else card.keyword] = card
    lines = [_line(card) for card in (*_structure(pixels), *written.values())]
    header = "".join((*lines, f"{'END':<{_CARD_BYTES}}")).encode("ascii")
    data = _big_endian(pixels)
    return b"".join((_padded(header, b" "), _padded(data, b"\0")))


def card_of(keyword: str, text: str, comment: str = "") -> Card:
    """Return a card whose value a client has written as a text; a text that looks like a number becomes one.

    :raises ValueError: the keyword is not legal.
    """
    value: CardValue = text
    try:
        value = float(text) if re.search("[.eE]", text) else int(text)
    except ValueError:
        pass  # a text, then
    else:
        if not math.isfinite(value) or "_" in text:
            value = text
    return Card(require_keyword(keyword.strip().upper()), value, comment)


def require_keyword(keyword: str) -> str:
    """Return a keyword if it may be used in a header.

    :raises ValueError: it is not a legal keyword, or is one of those that say how the file is built.
    """
    if not _KEYWORD.fullmatch(keyword):
        raise ValueError(f"a FITS keyword has up to 8 of A-Z, 0-9, - and _; {keyword!r} is not one")
    if _STRUCTURE.fullmatch(keyword):
        raise ValueError(f"{keyword} says how the file is built, so it cannot be set")
    return keyword


def _structure(pixels: Pixels) -> Iterator[Card]:
    yield Card("SIMPLE", True, "a FITS file")
    yield Card("BITPIX", pixels.bits, "bits of a pixel")
    yield Card("NAXIS", len(pixels.shape), "dimensions of the image")
    for number, length in enumerate(reversed(pixels.shape), 1):
        yield Card(f"NAXIS{number}", length)
    if pixels.is_biased:
        yield Card("BZERO", -128 if pixels.bits == 8 else 1 << (pixels.bits - 1), "to be added to each pixel")
        yield Card("BSCALE", 1)


def _line(card: Card) -> str:
    comment = _UNWRITABLE.sub("?", card.comment)
    if card.keyword in _COMMENTARY:
        line = f"{card.keyword:<8}{_UNWRITABLE.sub('?', str(card.value))}"
    else:
        line = f"{card.keyword:<8}= {_value(card):>20}" + (f" / {comment}" if comment else "")
    return f"{line[:_CARD_BYTES]:<{_CARD_BYTES}}"


def _value(card: Card) -> str:
    value = card.value
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"FITS cannot express {card.keyword} = {value}")
        text = f"{value:.15G}"
        mantissa, e, exponent = text.partition("E")
        return text if "." in mantissa else f"{mantissa}.0{e}{exponent}"
    return _quoted(value)


def _quoted(text: str) -> str:
    """Return a text in quotes; one that is too long is cut, but never within a doubled quote."""
    doubled = [char.replace("'", "''") for char in _UNWRITABLE.sub("?", text)]
    while sum(map(len, doubled)) > _TEXT_CHARS:
        doubled.pop()
    return "'{:<8}'".format("".join(doubled)).ljust(20)


def _big_endian(pixels: Pixels) -> bytes | bytearray:
    size = abs(pixels.bits) // 8
    data: bytes | bytearray = pixels.data.tobytes()
    if size > 1 and not pixels.is_big_endian:
        swapped = array(_SWAPPED_AS[size], data)
        swapped.byteswap()
        data = swapped.tobytes()
    if pixels.is_biased:
        data = bytearray(data)
        data[::size] = data[::size].translate(_TURNED)
    return data


def _padded(data: bytes | bytearray, filler: bytes) -> bytes | bytearray:
    missing = -len(data) % _BLOCK_BYTES
    return data + filler * missing if missing else data
