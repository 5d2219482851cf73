"""How fast messages are read and written, without any input or output.

Run as ``python protocol_program.py CONTENDER SCALE``; prints messages per second as JSON. Each contender has a
process of its own, and gets the same bytes in pieces of 64 KiB. What it made of them is checked when the clock has
stopped.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from xml.etree.ElementTree import Element, XMLPullParser

if TYPE_CHECKING:  # each contender imports only what it uses
    from indianyio.protocol import WireMessage

PIECE_BYTES = 1 << 16
WARMING_COUNT = 300

# 230 bytes, as a mount reports its position.
SET = (
    '<setNumberVector device="Bench" name="EQUATORIAL_EOD_COORD" state="Ok" timeout="60" '
    'timestamp="2026-03-20T21:45:00.0">\n'
    '<oneNumber name="RA">\n12.345678\n</oneNumber>\n<oneNumber name="DEC">\n-45.678901\n</oneNumber>\n'
    "</setNumberVector>\n"
)
_MEMBERS = "".join(
    f'<defNumber name="FILTER_{i}" label="Filter {i}" format="%.2f" min="0" max="100" step="1">{i}.5</defNumber>\n'
    for i in range(20)
)
DEFINITION = (
    '<defNumberVector device="Bench" name="OFFSETS" label="Offsets" group="Main" state="Ok" perm="rw" timeout="60" '
    f'timestamp="2026-03-20T21:45:00">\n{_MEMBERS}</defNumberVector>\n'
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A message that comes again and again.

    :param name: its name in the results.
    :param text: the message.
    :param count: how often it comes, at scale 1.
    :param members: how many members it has.
    """

    name: str
    text: str
    count: int
    members: int

    @property
    def tag(self) -> str:
        """The tag."""
        return self.text[1:].partition(" ")[0]

    @property
    def vector(self) -> str:
        """The name of the vector."""
        return self.text.split('"')[3]


SAMPLES = (Sample("set", SET, 50_000, 2), Sample("definition", DEFINITION, 2_500, 20))
TAGS = ("setNumberVector", "defNumberVector")

Results = Mapping[str, float]


def measure_ours(sample: Sample, pieces: Sequence[bytes], count: int) -> Results:
    """Measure bytes to frames, bytes to messages and messages to bytes."""
    return {
        "bytes to frames": count / _frame(sample, pieces, count, relay=False),
        "bytes to frames that may be relayed": count / _frame(sample, pieces, count, relay=True),
        "bytes to messages": count / _decode(sample, pieces, count),
        "messages to bytes": count / _encode(sample, count),
    }


def _frame(sample: Sample, pieces: Sequence[bytes], count: int, *, relay: bool) -> float:
    from indianyio.protocol import Frame, Framer
    from indianyio.protocol._relayable import relayable

    found: list[tuple[str | None, int]] = []
    begin = time.perf_counter()
    framer = Framer()
    for piece in pieces:
        for frame in framer.feed(piece):
            checked = relayable(frame) if relay and isinstance(frame, Frame) else frame
            if isinstance(checked, Frame):
                found.append((checked.name, len(checked.data)))
    seconds = time.perf_counter() - begin
    check(found, (sample.vector, len(sample.text) - len("\n")), count)
    return seconds


def _decode(sample: Sample, pieces: Sequence[bytes], count: int) -> float:
    from indianyio.protocol import DefNumberVector, Frame, Framer, SetNumberVector, decode

    found: list[tuple[str, int]] = []
    begin = time.perf_counter()
    framer = Framer(decoding=True)  # as drivers and clients have it
    for piece in pieces:
        for frame in framer.feed(piece):
            message = decode(frame) if isinstance(frame, Frame) else frame
            if isinstance(message, SetNumberVector | DefNumberVector):
                found.append((message.tag, len(message.members)))
    seconds = time.perf_counter() - begin
    check(found, (sample.tag, sample.members), count)
    return seconds


def _encode(sample: Sample, count: int) -> float:
    from indianyio.protocol import encode

    message = _message(sample.text.encode())
    begin = time.perf_counter()
    written = [encode(message) for _ in range(count)]
    seconds = time.perf_counter() - begin
    if set(written) != {written[0]} or _message(written[0]) != message:
        raise ValueError("what was written is not what was read")
    return seconds


def _message(data: bytes) -> WireMessage:
    from indianyio.protocol import Frame, Framer, WireMessage, decode

    (frame,) = Framer().feed(data)
    message = decode(frame) if isinstance(frame, Frame) else frame
    if not isinstance(message, WireMessage):
        raise ValueError(f"this is no message: {data!r}")
    return message


def measure_pull_parser(sample: Sample, pieces: Sequence[bytes], count: int) -> Results:
    """Measure bytes to elements with the standard library's parser, as cheaply as it can be used."""
    found: list[tuple[str, int]] = []
    begin = time.perf_counter()
    parser: XMLPullParser[Element] = XMLPullParser(("end",))
    parser.feed(b"<stream>")
    for piece in pieces:
        parser.feed(piece)
        for _, element in cast("Iterator[tuple[str, Element]]", parser.read_events()):
            if element.tag in TAGS:
                found.append((element.tag, len(element)))
                element.clear()
    seconds = time.perf_counter() - begin
    check(found, (sample.tag, sample.members), count)
    return {"bytes to elements": count / seconds}


def measure_indipyclient(sample: Sample, pieces: Sequence[bytes], count: int) -> Results:
    """Measure bytes to elements with the reading loop of indipyclient, which is fed as if from a socket."""
    return asyncio.run(_measure_indipyclient(sample, pieces, count))


async def _measure_indipyclient(sample: Sample, pieces: Sequence[bytes], count: int) -> Results:
    from indipyclient import IPyClient

    found: list[tuple[str, int]] = []

    class Client(IPyClient):  # type: ignore[misc, unused-ignore] # its package has no types
        def __init__(self, pieces: Iterable[bytes]) -> None:
            super().__init__()
            self._reader = Fed(pieces)
            self._writer = self._reader  # it counts as connected when there is one

        async def read_all(self) -> None:
            await self._run_rx()

        async def _rxhandler(self, element: Element) -> None:
            found.append((element.tag, len(element)))
            self._stop = len(found) == count

    client = Client(pieces)
    begin = time.perf_counter()
    await client.read_all()
    seconds = time.perf_counter() - begin
    check(found, (sample.tag, sample.members), count)
    return {"bytes to elements": count / seconds}


class Fed:
    """A reader which has it all."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read(self, _limit: int) -> bytes:
        """Return the next piece."""
        return next(self._pieces)


def check(found: Sequence[tuple[str | None, int]], expected: tuple[str, int], count: int) -> None:
    """Check that what was found is this, so many times.

    :raises ValueError: it is not.
    """
    if found != [expected] * count:
        raise ValueError(f"of {count} messages {len(found)} were found, or they are wrong")


CONTENDERS: Mapping[str, Callable[[Sample, Sequence[bytes], int], Results]] = {
    "indianyio": measure_ours,
    "XMLPullParser": measure_pull_parser,
    "indipyclient": measure_indipyclient,
}


def cut(sample: Sample, count: int) -> list[bytes]:
    """Return so many messages as they come from a socket."""
    data = sample.text.encode() * count
    return [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]


def main(contender: str, scale: float) -> None:
    """Measure a contender with all samples."""
    results: dict[str, float] = {}
    for sample in SAMPLES:
        CONTENDERS[contender](sample, cut(sample, WARMING_COUNT), WARMING_COUNT)
        count = int(sample.count * scale)
        for case, rate in CONTENDERS[contender](sample, cut(sample, count), count).items():
            results[f"{sample.name}: {case}"] = rate
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
