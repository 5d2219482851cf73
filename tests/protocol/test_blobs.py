"""BLOB content: base64 against the standard library's, and streams that claim more than they are."""

from __future__ import annotations

import base64
import tracemalloc
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.protocol._blobs import Base64Encoder, decode_base64, decoded_slices, encode_base64, inflate

SLICE = 1 << 20


def image(length: int) -> bytes:
    return bytes(range(256)) * (length // 256) + bytes(length % 256)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 54, 55, 786_402, 786_403, 3_000_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_slices_joined_are_the_base64(length: int, kind: type) -> None:
    data = image(length)
    slices = encode_base64(kind(data))
    assert b"".join(slices) == base64.b64encode(data)
    assert max(map(len, slices), default=0) <= SLICE


@pytest.mark.parametrize("length", [1, 53, 54, 55, 108, 786_402, 2_000_000])
def test_wrapped_lines_have_72_characters_and_a_newline_each(length: int) -> None:
    text = b"".join(encode_base64(image(length), wrap=True))
    assert text.endswith(b"\n")
    *full, last = text.removesuffix(b"\n").split(b"\n")
    assert {len(line) for line in full} <= {72}
    assert 0 < len(last) <= 72
    assert base64.b64decode(text) == image(length)


def test_nothing_has_no_lines() -> None:
    assert encode_base64(b"", wrap=True) == []


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=">i2").reshape(2, 3, 4),
        np.arange(24, dtype="<f8").reshape(4, 6).T,
        np.asfortranarray(np.arange(6, dtype="u2").reshape(2, 3)),
        np.arange(24, dtype="u1")[::2],
        np.zeros((0, 4), dtype="f4"),
        np.array(5, dtype="i4"),
    ],
)
def test_memory_of_any_layout_is_taken_in_c_order(array: npt.NDArray[np.generic]) -> None:
    assert b"".join(encode_base64(array.data)) == base64.b64encode(array.tobytes())


def test_a_long_blob_is_not_copied_before_it_is_encoded() -> None:
    data = bytearray(8 << 20)
    tracemalloc.start()
    try:
        slices = encode_base64(memoryview(data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < sum(map(len, slices)) + 3 * SLICE


@pytest.mark.parametrize(
    "text",
    [b"aGVsbG8=", b"aGVsbG8", b"aGVs\nbG8=\n", b" \t\r\n\v\faG Vs\r\nbG8", b"aGVsb\nG8\n=", b"aGVsbG8=\n\n"],
)
def test_white_space_and_padding_do_not_matter(text: bytes) -> None:
    assert decode_base64(text) == b"hello"
    assert decode_base64(memoryview(text)) == b"hello"


def test_nothing_decodes_to_nothing() -> None:
    assert decode_base64(b"") == decode_base64(b" \n") == b""


def test_partial_padding_is_completed() -> None:
    assert decode_base64(b"aGVsbA=") == b"hell"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"aGVs\nb!8=", "byte 0x21 at offset 6"),
        (b"aGVs\x00", "byte 0x00 at offset 4"),
        (b"a-_b", "byte 0x2D at offset 1"),
        (b"aGVsb", "ends after 5 characters"),
        (b"aGVs=bG8", "misplaced padding after 4 of 8"),
        (b"aGVsbG8=aGVs", "misplaced padding after 7 of 12"),
        (b"aGVs====", "misplaced padding after 4 of 8"),
        (b"=", "misplaced padding after 0 of 1"),
    ],
)
def test_what_is_no_base64_is_refused_with_its_place(text: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=f"^base64 .*{fault}"):
        decode_base64(text)
    with pytest.raises(ValueError, match=fault):
        decode_base64(memoryview(text))


@given(st.binary())
def test_arbitrary_bytes_raise_only_value_error(text: bytes) -> None:
    try:
        data = decode_base64(text)
    except ValueError:
        return
    assert len(data) <= len(text)


@given(st.binary(max_size=400), st.booleans())
def test_what_is_encoded_decodes(data: bytes, wrap: bool) -> None:
    assert decode_base64(b"".join(encode_base64(data, wrap=wrap))) == data


def test_unwrapped_text_is_decoded_without_a_second_copy() -> None:
    text = base64.b64encode(image(8 << 20))
    tracemalloc.start()
    try:
        data = decode_base64(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The eighth is room into which a growing buffer is not written.
    assert peak < len(data) * 9 / 8 + SLICE


TEXT_SLICE = SLICE // 72 * 72


@pytest.mark.parametrize("width", [None, 72, 71, 1000])
@pytest.mark.parametrize("padded", [True, False])
def test_slices_are_put_together_whatever_lies_at_their_ends(width: int | None, padded: bool) -> None:
    for size in range(TEXT_SLICE // 4 * 3 - 4, TEXT_SLICE // 4 * 3 + 5):
        data = image(size)
        text = base64.b64encode(data)
        if not padded:
            text = text.rstrip(b"=")
        if width is not None:
            text = b"\n".join(text[start : start + width] for start in range(0, len(text), width))
        assert decode_base64(text) == data


@pytest.mark.parametrize("blank", [b"", b"\n"])
@pytest.mark.parametrize("offset", [TEXT_SLICE - 4, TEXT_SLICE, 3 * TEXT_SLICE - 8])
def test_what_is_wrong_far_behind_is_told(offset: int, blank: bytes) -> None:
    text = blank + b"A" * (3 * TEXT_SLICE)
    with pytest.raises(
        ValueError, match=rf"misplaced padding after {offset + 3} of {3 * TEXT_SLICE + 4} characters"
    ):
        decode_base64(text[: offset + len(blank)] + b"AAA=" + text[offset + len(blank) :])
    with pytest.raises(ValueError, match=rf"byte 0x2D at offset {offset + len(blank)}"):
        decode_base64(text[: offset + len(blank)] + b"-" + text[offset + len(blank) :])
    with pytest.raises(ValueError, match=rf"after {3 * TEXT_SLICE + 1} characters, in the middle of a byte"):
        decode_base64(text + b"A")


@given(st.lists(st.binary(max_size=20)))
def test_pieces_encode_like_their_sum(pieces: list[bytes]) -> None:
    encoder = Base64Encoder()
    text = b"".join([*map(encoder.feed, pieces), encoder.finish()])
    assert text == base64.b64encode(b"".join(pieces))


def test_an_encoder_begins_anew_after_its_end() -> None:
    encoder = Base64Encoder()
    assert encoder.feed(bytearray(b"abcd")) + encoder.finish() == b"YWJjZA=="
    assert encoder.feed(memoryview(b"abc")) + encoder.finish() == b"YWJj"


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000, SLICE - 1, SLICE, SLICE + 1, 5 * SLICE])
def test_a_stream_of_the_announced_size_is_inflated(size: int) -> None:
    data = image(size)
    assert inflate(zlib.compress(data), size, limit_bytes=size) == data


def test_bytes_after_the_stream_are_ignored() -> None:
    assert inflate(zlib.compress(b"hello") + b"\0garbage", 5, 100) == b"hello"


@pytest.mark.parametrize(
    ("data", "size", "fault"),
    [
        (zlib.compress(b"hello"), 4, "more than the 4 bytes"),
        (zlib.compress(b"hello"), 0, "more than the 0 bytes"),
        (zlib.compress(b"hello"), 6, "ends after 5 of 6 bytes"),
        (zlib.compress(b"hello")[:-1], 5, "ends after 5 of 5 bytes"),
        (b"", 0, "ends after 0 of 0 bytes"),
        (b"no zlib", 5, "damaged"),
        (zlib.compress(b"hello")[:-1] + b"\0", 5, "damaged"),
        (zlib.compress(b"hello"), -1, "-1 bytes"),
        (zlib.compress(b"hello"), 101, "101 bytes"),
    ],
)
def test_other_streams_are_refused(data: bytes, size: int, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        inflate(data, size, limit_bytes=100)


def test_a_bomb_does_not_go_off() -> None:
    bomb = zlib.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more than the 1000 bytes"):
            inflate(bomb, 1000, limit_bytes=1 << 30)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < SLICE


@pytest.mark.parametrize("extra", [-1, 1])
def test_a_long_stream_of_another_size_is_refused(extra: int) -> None:
    with pytest.raises(ValueError, match="more than" if extra < 0 else "ends after"):
        inflate(zlib.compress(bytes(4 * SLICE)), 4 * SLICE + extra, limit_bytes=1 << 30)


@pytest.mark.parametrize(
    "content", [bytes(32 * SLICE), np.random.default_rng(1).bytes(32 * SLICE)], ids=["0", "noise"]
)
def test_inflated_content_is_held_once(content: bytes) -> None:
    compressed = zlib.compress(content, 1)
    tracemalloc.start()
    try:
        inflated = inflate(compressed, len(content), limit_bytes=1 << 30)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert inflated == content
    assert peak < len(content) * 9 / 8 + SLICE


def test_a_claimed_size_costs_nothing() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="ends after 5 of"):
            inflate(zlib.compress(b"hello"), 1 << 30, limit_bytes=1 << 30)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < SLICE


@given(st.binary(max_size=60), st.sampled_from([8, 9, 13]), st.data())
def test_where_slices_end_decides_nothing(data: bytes, width: int, draws: st.DataObject) -> None:
    text = bytearray(base64.b64encode(data))
    for _ in range(draws.draw(st.integers(0, 3))):
        index = draws.draw(st.integers(0, len(text)))
        text[index:index] = draws.draw(st.sampled_from([b"\n", b" ", b"=", b"A", b"==", b"*"]))
    with pytest.MonkeyPatch.context() as patch:
        whole = decoded_or_fault(bytes(text))
        patch.setattr("indianyio.protocol._blobs._TEXT_BYTES", width)
        assert decoded_or_fault(bytes(text)) == whole


def decoded_or_fault(text: bytes) -> bytes | str:
    try:
        return b"".join(decoded_slices(text))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("text", [b"YQ==YWJj", b"YQ==" + b"\n" * (256 << 10) + b"YWJj", b"YWJj====", b"="])
def test_padding_ends_the_content(text: bytes) -> None:
    with pytest.raises(ValueError, match="misplaced padding"):
        decode_base64(text)
