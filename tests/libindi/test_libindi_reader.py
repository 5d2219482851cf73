"""The model of lilxml, and our own reading, compared with lilxml itself."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from indianyio.protocol import Frame, Framer, WireMessage, decode
from tests.protocol import lilxml
from tests.protocol.test_repair import ATTRIBUTES, MEMBERS, TEXTS, compare, mutations, text_vector

SOURCE = Path(__file__).parent / "lilxml_reader.cpp"
HEADER = Path("/usr/include/libindi/lilxml.h")

Read: TypeAlias = Callable[[Sequence[bytes]], list[list[lilxml.Seen]]]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Build a program around lilxml, and return what it reads in some streams."""
    if not HEADER.is_file() or shutil.which("g++") is None:
        pytest.skip("needs libindi's headers and a compiler (Debian: apt-get install libindi-dev g++)")
    program = tmp_path_factory.mktemp("lilxml") / "reader"
    subprocess.run(["g++", str(SOURCE), "-o", str(program), "-lindidriver"], check=True, timeout=100)

    def read(streams: Sequence[bytes]) -> list[list[lilxml.Seen]]:
        lines = "".join(f"{stream.hex()}\n" for stream in streams)
        done = subprocess.run([program], input=lines, check=True, capture_output=True, text=True, timeout=100)
        return [[seen(element) for element in json.loads(line)] for line in done.stdout.splitlines()]

    return read


def seen(element: Any) -> lilxml.Seen:  # noqa: ANN401 - JSON
    tag, attributes, text, children = element
    # Of several attributes with one name the first counts.
    named = {plain(name): plain(value) for name, value in reversed(attributes)}
    return lilxml.Seen(plain(tag), named, plain(text), [seen(child) for child in children])


def plain(text: str) -> str:
    return lilxml.text_of(bytes.fromhex(text))


def modelled(stream: bytes) -> lilxml.Seen | None:
    try:
        return lilxml.read(stream)
    except lilxml.NotReadError:
        return None


@pytest.mark.long
def test_the_model_reads_what_lilxml_reads(read: Read) -> None:
    streams = list(mutations(seed=2, count=10_000))
    compared = 0
    for stream, found in zip(streams, read(streams), strict=True):
        model = modelled(stream)
        # "<<" is a matter of lilxml's inner states that nobody else depends on.
        if model is not None and b"<<" not in stream:
            assert [model] == found, stream
            compared += 1
    assert compared > 1000


# Where XML has a meaning of its own, or something must not be read across markup; see docs/protocol.md.
OURS = (b"<![CDATA[", b"&#65;", b"\0", b"a && b &amp;", b"a & b'", b"a & b<", b">&<")


def test_what_is_repaired_is_what_lilxml_reads(read: Read) -> None:
    streams = [
        *(text_vector(text) for text, _ in TEXTS),
        *(b"<message device='D' %b/>" % attributes for attributes, _ in ATTRIBUTES),
        *(text_vector(b"<!-- -- -->" + text, before, after) for text, before, after in MEMBERS),
    ]
    streams = [stream for stream in streams if not any(ours in stream for ours in OURS)]
    assert len(streams) > 30
    compared = 0
    for stream, found in zip(streams, read(streams), strict=True):
        [frame] = Framer().feed(stream)
        assert isinstance(frame, Frame)
        message = decode(frame)
        assert isinstance(message, WireMessage)
        if found:
            compare(found[0], message)
            compared += 1
    assert compared > 25
