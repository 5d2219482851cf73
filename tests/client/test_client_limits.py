"""What a server defines without end costs about as much memory as the mirror's limit says, in whatever shape."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from indianyio.client._mirror import Mirror
from indianyio.exceptions import RemoteProtocolError
from indianyio.protocol import Framer, decode

LIMIT = 1 << 20

NUMBER = '<defNumber name="m{}" format="%g" min="0" max="1" step="1">{}</defNumber>'
SHAPES = {
    "devices": ('<defTextVector device="d{}" name="v" perm="rw" state="Ok"/>', 2000),
    "vectors": (
        '<defBLOBVector device="d" name="v{}" perm="rw" state="Ok"><defBLOB name="a"/></defBLOBVector>',
        2000,
    ),
    "members": (
        '<defNumberVector device="d" name="v{}" perm="rw" state="Ok">'
        + "".join(NUMBER.format(number, number) for number in range(500))
        + "</defNumberVector>",
        20,
    ),
}


def fill(mirror: Mirror, shape: str) -> None:
    definition, most = SHAPES[shape]
    for number in range(most):
        tell(mirror, definition.replace("{}", str(number)))


def tell(mirror: Mirror, xml: str) -> None:
    (frame,) = Framer().feed(xml.encode())
    mirror.receive(decode(frame))  # type: ignore[arg-type]


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_limit_holds_for_memory(shape: str, traced: None) -> None:
    mirror = Mirror(None, limit_bytes=LIMIT)  # type: ignore[arg-type]
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(RemoteProtocolError, match="defines more than"):
        fill(mirror, shape)
    assert tracemalloc.get_traced_memory()[0] - before < 1.2 * LIMIT


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_deleted_makes_room(shape: str) -> None:
    mirror = Mirror(None, limit_bytes=LIMIT)  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(RemoteProtocolError):
            fill(mirror, shape)
        assert len(mirror)
        for name, device in list(mirror.items()):
            for vector in list(device)[1:]:
                tell(mirror, f'<delProperty device="{name}" name="{vector}"/>')
            tell(mirror, f'<delProperty device="{name}"/>')
        assert mirror._held_bytes == 0
