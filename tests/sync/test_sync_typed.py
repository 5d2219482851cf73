"""Classes of values in the client without an event loop."""

from __future__ import annotations

import pytest

from indianyio.exceptions import UnknownVectorError
from indianyio.sync import NumberVector, open_client
from tests.client.scripted import DEVICE, blobs, numbers, set_numbers
from tests.properties.declared import AbsFocusPosition, Ccd1, Coordinates
from tests.sync.server import Scripted


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_values_are_written_and_read(backend: str) -> None:
    name, member = "ABS_FOCUS_POSITION", "FOCUS_ABSOLUTE_POSITION"
    with Scripted() as server:
        server.definitions = (numbers(name, "Ok", {member: 1}), blobs())

        def answer() -> None:
            assert server.written(name) == {member: "2.0"}
            server.say(set_numbers(name, "Busy", {member: 1.5}), set_numbers(name, "Ok", {member: 2}))

        with open_client("127.0.0.1", server.port, backend=backend) as indi:  # type: ignore[arg-type]
            focuser = indi.device(DEVICE, timeout=60)
            assert focuser.read(AbsFocusPosition, timeout=60) == AbsFocusPosition(steps=1)
            with server.meanwhile(answer):
                vector = focuser.set(AbsFocusPosition(steps=2), timeout=60)
            assert vector is focuser[name]
            assert isinstance(vector, NumberVector)
            assert focuser[AbsFocusPosition].steps == 2
            assert focuser.wait_for(lambda it: it[AbsFocusPosition].steps == 2, timeout=60) is focuser
            assert focuser.vector(Ccd1, timeout=60) is focuser["CCD1"]
            with focuser.next(Ccd1) as image:
                assert image.blob is None
            focuser.enable_blobs(Ccd1)
            with pytest.raises(UnknownVectorError):
                focuser[Coordinates]
            with pytest.raises(TypeError, match="members, not both"):
                focuser.set(AbsFocusPosition(steps=1), OTHER=2)
        assert focuser[AbsFocusPosition].steps == 2  # what was known can still be read
