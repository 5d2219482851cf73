from __future__ import annotations

import io
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio._model import BLOBMember, BLOBValue, LightMember, Member, NumberMember, SwitchMember, TextMember
from indianyio.protocol._elements import DefBLOB, DefLight, DefNumber, DefSwitch, DefText, OneBLOB, OneNumber
from indianyio.protocol._numbers import parse_number


class Shared:
    """An attachment that does not need a descriptor."""

    def read(self, length: int) -> bytes:
        return b"\0" * length

    def close(self) -> None:
        pass


KINDS: list[type[Member[object]]] = [SwitchMember, LightMember, TextMember, NumberMember, BLOBMember]


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_has_a_name_and_is_new(kind: type[SwitchMember]) -> None:
    member = kind("m")
    assert (member.name, member.label, member.changed) == ("m", "m", True)
    assert kind("m", "").label == "m"
    assert kind("m", "Größe").label == "Größe"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", "ä", "a\nb", "x" * 64])
def test_names_that_peers_cannot_read_are_refused(kind: type[SwitchMember], name: str) -> None:
    with pytest.raises(ValueError, match="name of a member"):
        kind(name)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_checked_at_assignment(kind: type[SwitchMember]) -> None:
    member = kind("m")
    with pytest.raises(ValueError, match="label of member 'm'"):
        member.label = "bell\x07"
    with pytest.raises(TypeError, match="label of member 'm'"):
        member.label = 5  # type: ignore[assignment]
    assert member.label == "m"
    member.label = "other"
    assert member.label == "other"


@pytest.mark.parametrize(
    ("member", "value", "error"),
    [
        (SwitchMember("m"), "on", ValueError),
        (SwitchMember("m"), "", ValueError),
        (SwitchMember("m"), True, TypeError),
        (SwitchMember("m"), None, TypeError),
        (LightMember("m"), "Green", ValueError),
        (LightMember("m"), 1, TypeError),
        (TextMember("m"), "bell\x07 nul\x00", ValueError),
        (TextMember("m"), "\ud800", ValueError),
        (TextMember("m"), 5, TypeError),
        (TextMember("m"), None, TypeError),
    ],
)
def test_d16_what_cannot_be_sent_is_refused_where_it_is_assigned(
    member: Member[str], value: object, error: type[Exception]
) -> None:
    before = member.membervalue
    member.changed = False
    with pytest.raises(error, match="value of member 'm'"):
        member.membervalue = value
    assert (member.membervalue, member.changed) == (before, False)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("banana", ValueError),
        ("", ValueError),
        ("nan", ValueError),
        ("-inf", ValueError),
        ("1e999", ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (10**400, ValueError),
        (Decimal("Infinity"), ValueError),
        (None, TypeError),
        (True, TypeError),
        (np.bool_(True), TypeError),
        (b"5", TypeError),
        (1j, TypeError),
    ],
)
@pytest.mark.parametrize("attribute", ["membervalue", "min", "max", "step"])
def test_d17_what_is_no_finite_number_is_refused(attribute: str, value: object, error: type[Exception]) -> None:
    member = NumberMember("m", membervalue="1", min="1", max="1", step="1")
    with pytest.raises(error, match="of member 'm'"):
        setattr(member, attribute, value)
    assert getattr(member, attribute) == "1"
    with pytest.raises(error, match="of member 'm'"):
        NumberMember("m", **{attribute: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "stored", "wire"),
    [
        ("5", "5", "5"),
        (" 5.50\n", "5.50", "5.50"),
        ("12:30:36", "12:30:36", "12.51"),
        ("-0:30", "-0:30", "-0.5"),
        (5, "5", "5"),
        (-2.5, "-2.5", "-2.5"),
        (0.1, "0.1", "0.1"),
        (np.float64(0.1), "0.1", "0.1"),
        (np.float32(0.5), "0.5", "0.5"),
        (np.int32(7), "7", "7"),
        (Decimal("1.25"), "1.25", "1.25"),
    ],
)
def test_numbers_are_kept_as_text_and_sent_as_decimals(value: str | float, stored: str, wire: str) -> None:
    member = NumberMember("m", membervalue=value)
    assert member.membervalue == stored
    assert member.report() == OneNumber(name="m", value=wire)
    assert member.getfloatvalue() == pytest.approx(float(wire))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_arrives_as_the_same_float(value: float) -> None:
    assert parse_number(NumberMember("m", membervalue=value).report().value) == value


def test_changed_means_that_the_stored_text_is_another() -> None:
    member = NumberMember("m", membervalue="5")
    member.sent()
    assert not member.changed
    member.membervalue = 5
    assert not member.changed
    member.membervalue = 6
    assert member.changed


def test_limits_can_change_and_travel_with_one_update() -> None:
    member = NumberMember("m", min=0, max=10, step="0:30", membervalue=1)
    member.sent()
    member.max = 10
    assert not member.changed
    member.max = "20:30"
    assert member.max == "20:30"
    assert member.changed
    assert member.report() == OneNumber(name="m", min="0", max="20.5", step="0.5", value="1")
    member.sent()
    assert member.report() == OneNumber(name="m", value="1")


def test_d22_a_number_without_format_is_sent_and_printed_as_g() -> None:
    member = NumberMember("m", membervalue="0.5")
    assert member.format == ""
    assert member.definition().format == "%g"
    assert member.getformattedvalue() == "0.5"


def test_formats_are_checked_at_the_definition() -> None:
    with pytest.raises(ValueError, match="format of member 'm'"):
        NumberMember("m", format="%s")
    with pytest.raises(ValueError, match="format of member 'm'"):
        NumberMember("m", format="%d %d")
    member = NumberMember("m", format="%9.6m", membervalue="0.9999999")
    assert member.getformattedvalue() == "  1:00:00"
    assert member.format_number(-0.5) == " -0:30:00"


def test_definitions() -> None:
    assert SwitchMember("m", "L", "On").definition() == DefSwitch(name="m", label="L", value="On")
    assert LightMember("m", None, "Busy").definition() == DefLight(name="m", label="m", value="Busy")
    assert TextMember("m", "L", " t ").definition() == DefText(name="m", label="L", value=" t ")
    assert BLOBMember("m", "L", blobformat=".fits").definition() == DefBLOB(name="m", label="L")
    assert NumberMember("m", "L", "%.2f", "0:30", 10, "1", 2).definition() == DefNumber(
        name="m", label="L", format="%.2f", min="0.5", max="10", step="1", value="2"
    )


def test_words_are_stored_as_plain_strings() -> None:
    from indianyio._vocabulary import Light, Switch

    assert type(SwitchMember("m", membervalue=Switch.ON).membervalue) is str
    assert type(LightMember("m", membervalue=Light.BUSY).membervalue) is str


def test_members_show_themselves() -> None:
    assert repr(SwitchMember("m", "L", "On")) == "SwitchMember('m', 'L', membervalue='On')"
    assert len(repr(BLOBMember("m", membervalue=b"x" * 10_000))) < 100


# -- BLOBs -----------------------------------------------------------------------------------------------------


class Asynchronous:
    """A file that has to be awaited."""

    async def read(self, size: int = -1, /) -> bytes:
        return b""


GOOD_BLOBS: list[BLOBValue] = [
    b"x",
    bytearray(b"x"),
    memoryview(b"x"),
    "dark.fits",
    Path("dark.fits"),
    io.BytesIO(),
    Asynchronous(),
    None,
]


@pytest.mark.parametrize("value", GOOD_BLOBS)
def test_blob_values_are_kept_unread(value: BLOBValue) -> None:
    assert BLOBMember("m", membervalue=value).membervalue is value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"", ValueError),
        (bytearray(), ValueError),
        (memoryview(b""), ValueError),
        ("", ValueError),
        ("a\0b", ValueError),
        (io.StringIO("text"), TypeError),
        (5, TypeError),
        ([1, 2], TypeError),
    ],
)
def test_blob_values_that_cannot_be_sent_are_refused(value: object, error: type[Exception]) -> None:
    member = BLOBMember("m", membervalue=b"x")
    with pytest.raises(error, match="value of member 'm'"):
        member.membervalue = value
    assert member.membervalue == b"x"


def test_a_path_of_bytes_is_refused() -> None:
    class BytesPath:
        def __fspath__(self) -> bytes:
            return b"dark.fits"

    with pytest.raises(TypeError, match="path of text"):
        BLOBMember("m").check(BytesPath())


def test_each_blob_assigned_is_a_new_one() -> None:
    member = BLOBMember("m", membervalue=b"x")
    member.sent()
    assert not member.changed
    member.membervalue = b"x"
    assert member.changed


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("dark.fits", ".fits"),
        (Path("/data/M31.2024-01-01.fits.fz"), ".fits.fz"),
        ("a.tar.GZ", ".tar.GZ"),
        ("only.gz", ".gz"),
        ("M31.2024.fits", ".fits"),
        ("noend", ".bin"),
        (".hidden", ".bin"),
        ("odd.na me", ".bin"),
        ("zlib.fits.z", ".bin"),
        (b"x", ".bin"),
    ],
)
def test_d22_a_blob_always_has_a_format(value: BLOBValue, expected: str) -> None:
    assert BLOBMember("m", membervalue=value).content(1).format == expected
    assert BLOBMember("m", blobformat=".xisf", membervalue=value).content(1).format == ".xisf"


def test_content_travels_as_base64_or_beside_the_xml() -> None:
    member = BLOBMember("m", blobsize=99, blobformat=".fits.fz")
    assert member.content(3, data=b"abc") == OneBLOB(name="m", size="99", format=".fits.fz", data=b"abc")
    shared = Shared()
    assert member.content(3, attachment=shared) == OneBLOB(
        name="m", size="99", format=".fits.fz", len="3", attached="true", attachment=shared
    )


def test_d7_the_size_belongs_to_one_send_and_the_format_stays() -> None:
    member = BLOBMember("m", blobsize=99, blobformat=".z")
    member.sent()
    assert [member.content(length).size for length in (10, 20, 3000)] == ["10", "20", "3000"]
    assert member.content(10).format == ".z"


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), ("5", TypeError), (True, TypeError), (1.5, TypeError)]
)
def test_blob_sizes_are_checked(size: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="blobsize of member 'm'"):
        BLOBMember("m", blobsize=size)


def test_blob_formats_are_checked() -> None:
    with pytest.raises(ValueError, match="blobformat of member 'm'"):
        BLOBMember("m", blobformat=".\x00")


def test_a_member_shows_its_declared_size_and_format() -> None:
    member = BLOBMember("m", blobsize=5, blobformat=".fits")
    assert (member.blobsize, member.blobformat) == (5, ".fits")
