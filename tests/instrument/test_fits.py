"""FITS files, read by astropy."""

from __future__ import annotations

import io
import math
import re
from array import array
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from indianyio.instrument.camera._fits import Card, CardValue, Image, card_of, fits_file, pixels_of, require_keyword


def read(data: bytes) -> tuple[Any, Any]:
    with fits.open(io.BytesIO(data)) as file:
        file.verify("exception")
        return file[0].header, file[0].data


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", ">u2", ">f4", "<u2"])
def test_pixels_of_every_kind_come_back(kind: str) -> None:
    image = np.arange(-6, 6).astype(kind).reshape(3, 4)
    _, data = read(fits_file(pixels_of(image, 0, 0), []))
    assert data.shape == (3, 4)
    assert np.array_equal(data, image)


def test_pixels_of_64_bits_come_back() -> None:
    image = np.array([[0, 1, 2**63 - 1]], dtype="i8")
    assert np.array_equal(read(fits_file(pixels_of(image, 0, 0), []))[1], image)


def test_a_flat_buffer_has_the_rows_and_columns_that_were_asked_for() -> None:
    _, data = read(fits_file(pixels_of(array("H", [0, 1, 2, 3, 40_000, 65_535]), 2, 3), []))
    assert data.tolist() == [[0, 1, 2], [3, 40_000, 65_535]]


def test_every_second_column_of_an_array_comes_back() -> None:
    image = np.arange(24, dtype="u2").reshape(4, 6)[:, ::2]
    assert np.array_equal(read(fits_file(pixels_of(image, 0, 0), []))[1], image)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (array("H", [1, 2, 3]), "an image of 2 x 2 pixels has 4 of them, not 3"),
        (np.zeros((2, 2), dtype="c8"), "must consist of whole or floating point numbers"),
        (np.zeros((2, 2), dtype="?"), "must consist of whole or floating point numbers"),
        (np.zeros((0, 2), dtype="u2"), "at least one pixel"),
        (np.zeros((1, 1, 1, 1), dtype="u2"), "not 4 dimensions"),
    ],
)
def test_what_is_no_image_is_refused(image: Image, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        pixels_of(image, 2, 2)


@given(
    st.one_of(
        st.booleans(),
        st.integers(-(10**18), 10**18),
        st.floats(-1e300, 1e300).map(lambda value: float(f"{value:.15G}")),
        # astropy, which reads it here, takes a quote before a slash for the end of the text.
        st.text("abc '/&=0123456789", max_size=30).map(str.rstrip).filter(lambda text: not re.search("' */", text)),
    ),
    st.text(" -~/é'", max_size=60),
)
def test_values_come_back_whatever_they_are(value: CardValue, comment: str) -> None:
    header, _ = read(fits_file(pixels_of(b"\0", 1, 1), [Card("KEY", value, comment)]))
    assert header["KEY"] == value
    assert type(header["KEY"]) is type(value)


def test_a_long_text_is_cut_and_never_within_a_quote() -> None:
    header, _ = read(fits_file(pixels_of(b"\0", 1, 1), [Card("KEY", "x" * 67 + "'rest", "lost")]))
    assert header["KEY"] == "x" * 67


def test_of_two_cards_with_one_keyword_the_later_counts_and_comments_stay() -> None:
    cards = [
        Card("COMMENT", "one"),
        Card("A", 1),
        Card("COMMENT", "two"),
        Card("A", "\u03b1"),
    ]
    header, _ = read(fits_file(pixels_of(b"\0", 1, 1), cards))
    assert header["A"] == "?"
    assert list(header["COMMENT"]) == ["one", "two"]


@pytest.mark.parametrize("keyword", ["", "NINECHARS", "a", "A B", "NAXIS1", "END", "BZERO", "SIMPLE", "A\n"])
def test_what_is_no_keyword_is_refused(keyword: str) -> None:
    with pytest.raises(ValueError, match=r"keyword|how the file is built"):
        require_keyword(keyword)


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("-1.5", -1.5), ("1e3", 1000.0), ("1_0", "1_0"), ("nan", "nan"), ("M 31", "M 31")],
)
def test_what_looks_like_a_number_is_one(text: str, value: object) -> None:
    assert card_of(" object", text).value == value
    assert card_of("object", text).keyword == "OBJECT"


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot express KEY = nan"):
        fits_file(pixels_of(b"\0", 1, 1), [Card("KEY", math.nan)])
