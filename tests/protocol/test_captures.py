"""What libindi's programs wrote is read whole, however it is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.protocol import Frame, Framer, OneBLOB, SetBLOBVector, Unusable, WireMessage, decode
from indianyio.protocol._decoder import parse_element

CAPTURES = sorted((Path(__file__).parent.parent / "captures").glob("*.xml"))
STREAMS = {path.name: path.read_bytes() for path in CAPTURES}
# Cut at every byte, the three largest take most of a minute.
EVERY_CUT = [
    pytest.param(name, marks=pytest.mark.long) if len(stream) > 10_000 else name for name, stream in STREAMS.items()
]
NEIGHBOURS = 3  # messages around a cut; what comes before and after them is the same as in the whole


def read(pieces: Iterable[bytes]) -> list[Frame | Unusable]:
    framer = Framer()
    found = [item for piece in pieces for item in framer.feed(piece)]
    assert framer.failure is None
    return [*found, *framer.close()]


def frames_of(stream: bytes) -> list[Frame]:
    found = read([stream])
    frames = [item for item in found if isinstance(item, Frame)]
    assert frames == found
    return frames


def groups(stream: bytes) -> Iterator[bytes]:
    """Yield each few neighbouring messages with all that stands between them."""
    starts, position = [], 0
    for frame in frames_of(stream):
        starts.append(position)
        position = stream.index(frame.data, position) + len(frame.data)
    starts.append(len(stream))
    for first in range(0, len(starts) - 1, NEIGHBOURS - 1):
        yield stream[starts[first] : starts[min(first + NEIGHBOURS, len(starts) - 1)]]


def test_there_are_captures() -> None:
    assert len(STREAMS) >= 8


@pytest.mark.parametrize("name", STREAMS)
def test_every_message_is_understood(name: str) -> None:
    frames = frames_of(STREAMS[name])
    assert frames
    for frame in frames:
        message = decode(frame)
        assert isinstance(message, WireMessage), message
        assert message.tag == frame.tag
        assert getattr(message, "device", None) == frame.device
        assert getattr(message, "name", None) == frame.name


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_is_lost(name: str) -> None:
    stream = STREAMS[name]
    rest = stream
    for frame in frames_of(stream):
        before, found, rest = rest.partition(frame.data)
        assert found
        assert before.replace(b"<?xml version='1.0'?>", b"").strip() == b""
    assert rest.strip() == b""


@pytest.mark.parametrize("name", STREAMS)
def test_members_are_all_there(name: str) -> None:
    for frame in frames_of(STREAMS[name]):
        named = [child for child in parse_element(frame.data) if child.get("name")]
        assert len(getattr(decode(frame), "members", ())) == len(named)


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte(name: str) -> None:
    stream = STREAMS[name]
    assert read(stream[index : index + 1] for index in range(len(stream))) == read([stream])


@pytest.mark.parametrize("name", EVERY_CUT)
def test_cut_at_every_position(name: str) -> None:
    for group in groups(STREAMS[name]):
        whole = read([group])
        for position in range(1, len(group)):
            assert read([group[:position], group[position:]]) == whole


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=st.lists(st.integers(0, 100_000), max_size=40))
def test_cut_at_random(name: str, cuts: list[int]) -> None:
    stream = STREAMS[name]
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert b"".join(pieces) == stream
    assert read(pieces) == read([stream])


@pytest.mark.parametrize("name", STREAMS)
def test_every_message_comes_with_its_last_byte(name: str) -> None:
    stream, framer, position = STREAMS[name], Framer(), 0
    for frame in frames_of(stream):
        end = stream.index(frame.data, position) + len(frame.data)
        assert framer.feed(stream[position : end - 1]) == []
        assert framer.feed(stream[end - 1 : end]) == [frame]
        position = end


def blobs(name: str) -> Iterator[OneBLOB]:
    for frame in frames_of(STREAMS[name]):
        message = decode(frame)
        if isinstance(message, SetBLOBVector):
            yield from message.members


def test_images_are_complete() -> None:
    images = list(blobs("indiserver-client.xml"))
    assert images
    for image in images:
        assert image.size is not None
        assert len(image.data) == int(image.size)
        assert bytes(image.data[:6]) == b"SIMPLE"
