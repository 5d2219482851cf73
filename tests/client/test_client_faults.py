"""The faults of other clients of the family, C1 to C19, none of which this client may have.

Some rows have more tests elsewhere; here each has one that bears its number.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from indianyio.client import ConnectionLostError, NumberVector, TextVector
from indianyio.client._mirror import Mirror
from indianyio.protocol import Framer, SetNumberVector, decode
from tests.client.scripted import DEVICE, blobs, ends_with, numbers, scripted, set_numbers, switches
from tests.client.test_client_blobs import set_blob
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


TEXT = '<defTextVector device="Scripted" name="T" perm="rw"><defText name="t">  two  </defText></defTextVector>'


async def test_c1_a_server_that_closes_is_noticed_at_once() -> None:
    began = anyio.current_time()
    with ends_with(ConnectionLostError):
        async with scripted(numbers("N", X=1)) as script:
            await script.peer.close()
            await anyio.sleep(60)
    assert anyio.current_time() - began < 5


async def test_c2_no_name_from_the_network_is_a_path(tmp_path: Path) -> None:
    hostile = "../victim/evil"
    (tmp_path / "victim").mkdir()
    (tmp_path / "images").mkdir()
    async with scripted(blobs(member=hostile)) as script, script.device.next("CCD1") as image:
        await script.say(set_blob(b"content", name=hostile, suffix="/../../victim/x.fits"))
        saved = await image.save(tmp_path / "images" / "m31.fits")
    assert [path.name for path in (tmp_path / "images").iterdir()] == [saved.name] == ["m31.fits"]
    assert list((tmp_path / "victim").iterdir()) == []


async def test_c3_an_update_need_not_have_a_timeout() -> None:
    async with scripted(numbers("N", X=1).replace("perm=", 'timeout="30" perm=')) as script:
        await script.say(set_numbers("N", "Ok", X=2))
        vector = script.vector("N")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(vector.set, X=3))
            await script.written("N")
            await script.say(set_numbers("N", "Ok", X=3))
        assert vector.timeout == 30


async def test_c4_a_wrong_value_is_raised_and_costs_no_connection() -> None:
    async with scripted(TEXT) as script:
        with pytest.raises(TypeError):
            await script.vector("T").set(t=5)
        await script.vector("T").set(t="five", wait=False)
        assert await script.written("T") == {"t": "five"}


async def test_c5_an_xml_declaration_and_garbage_cost_nothing() -> None:
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    async with scripted(f"{declaration}{TEXT}", "</oops><a>&</b>", f"{declaration}{numbers('N', X=1)}") as script:
        assert list(script.device) == ["T", "N"]


async def test_c6_nothing_is_silently_nothing() -> None:
    async with scripted(numbers("N", X=1), switches("S", A=True, B=False)) as script:
        wrong: list[tuple[type[Exception], Callable[[], object]]] = [
            (KeyError, lambda: script.client["Other"]),
            (KeyError, lambda: script.device["Other"]),
            (KeyError, lambda: script.vector("N").set(Other=1)),
            (ValueError, lambda: script.vector("S").set(A="on")),
            (ValueError, lambda: script.vector("S").set(A=True, B=True)),
            (ValueError, lambda: script.vector("N").set(X="banana")),
        ]
        for kind, call in wrong:
            with pytest.raises(kind):
                await call()  # type: ignore[misc]
        await script.vector("N").set(X=9, wait=False)
        assert await script.written("N") == {"X": "9.0"}  # the first that was sent
        assert script.vector("S").state == "Idle"


async def test_c7_a_definition_says_which_members_there_are_and_of_which_kind() -> None:
    async with scripted(numbers("N", a=1, b=2)) as script:
        before = script.vector("N")
        await script.say(numbers("N", c=3))
        assert script.vector("N") is before
        assert dict(before) == {"c": 3}
        await script.say(TEXT.replace('"T"', '"N"'))
        assert isinstance(script.vector("N"), TextVector)
        assert isinstance(before, NumberVector)
        assert not before.exists


async def test_c8_blanks_belong_to_a_text() -> None:
    async with scripted(TEXT) as script:
        assert script.vector("T")["t"] == "  two  "
        await script.vector("T").set(t=" x ", wait=False)
        assert await script.written("T") == {"t": " x "}


async def test_c9_a_step_of_the_clock_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(numbers("N", X=1)) as script, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(script.vector("N").set, X=3, timeout=20))
        await script.written("N")
        for hours in (1, -1):
            now = time.time() + 3600 * hours
            monkeypatch.setattr(time, "time", lambda now=now: now)
            await script.say(set_numbers("N", "Busy", X=2))
        await script.say(set_numbers("N", "Ok", X=3))
        assert script.client.is_connected


async def test_c10_asking_for_what_is_not_there_ends_nothing() -> None:
    async with scripted(numbers("N", X=1)) as script, script.client.watch() as changes:
        with pytest.raises(KeyError):
            script.client["Other"].snapshot()
        await script.peer.send(set_numbers("N", "Ok", X=2))
        assert (await anext(changes)).vector is script.vector("N")


def test_c11_an_update_costs_the_same_however_much_there_is() -> None:
    def calls_of_an_update(vectors: int) -> int:
        framer, mirror = Framer(), Mirror(None)  # type: ignore[arg-type]
        for number in range(vectors):
            members = {f"M{member}": 1.0 for member in range(20)}
            (frame,) = framer.feed(numbers(f"N{number}", "Ok", members).encode())
            mirror.receive(decode(frame))  # type: ignore[arg-type]
        (frame,) = framer.feed(set_numbers("N0", "Ok", M7=2).encode())
        update = decode(frame)  # type: ignore[arg-type]
        assert isinstance(update, SetNumberVector)
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event == "call"

        sys.setprofile(count)
        try:
            mirror.receive(update)
        finally:
            sys.setprofile(None)
        assert mirror[DEVICE]["N0"]["M7"] == 2
        return calls

    assert 0 < calls_of_an_update(300) == calls_of_an_update(1)


async def test_c12_a_program_that_writes_before_it_reads_does_not_stall() -> None:
    async with scripted(numbers("N", X=1)) as script, script.client.watch() as changes:
        with anyio.fail_after(10):
            for number in range(300):
                await script.vector("N").set(X=number, wait=False)
                await script.peer.send(set_numbers("N", "Ok", X=number))
            await script.fence()
            for number in range(300):
                assert await script.written("N") == {"X": f"{number}.0"}
            newest = await anext(changes)
        assert (newest.vector, newest.left_out) == (script.vector("N"), 299)
        assert script.vector("N")["X"] == 299


async def test_c13_everything_there_is_can_be_json() -> None:
    async with scripted(blobs(), numbers("N", X=1), switches("S", A=True), TEXT) as script:
        await script.device.enable_blobs("CCD1")
        await script.say(set_blob(bytes(range(256))))
        plain = json.loads(json.dumps(script.client.snapshot()))
        assert list(plain[DEVICE]) == ["CCD1", "N", "S", "T"]
        assert plain[DEVICE]["CCD1"]["members"]["CCD1"]["value"] == {"format": ".fits", "size": 256}


@pytest.mark.parametrize("format_", ["%8.4m", "%d", "%s", "%", "", "%5000.4000f", "%c", "%n%n%n", "none"])
async def test_c14_an_odd_format_costs_no_snapshot(format_: str) -> None:
    async with scripted(numbers("N", X=12.5).replace('"%g"', f'"{format_}"')) as script:
        plain = json.loads(json.dumps(script.client.snapshot()))
        assert plain[DEVICE]["N"]["members"]["X"]["value"] == 12.5
        assert 0 < len(script.vector("N").members["X"].text) < 10_000
        assert repr(script.vector("N"))


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
async def test_c14_a_number_that_json_does_not_have_costs_no_snapshot(text: str) -> None:
    async with scripted(
        numbers("N", X=1, Y=2).replace(">1<", f">{text}<").replace('max="0"', 'max="inf"')
    ) as script:
        plain = json.loads(json.dumps(script.client.snapshot(), allow_nan=False))
        assert plain[DEVICE]["N"]["members"]["X"]["value"] is None
        assert plain[DEVICE]["N"]["members"]["Y"] == {
            "label": "Y", "value": 2.0, "format": "%g", "min": 0.0, "max": None, "step": 0.0
        }  # fmt: skip
        assert script.vector("N").members["X"].text


async def test_c15_the_signs_of_xml_in_a_text_arrive() -> None:
    text = "a < b & \"c\" > 'd' ]]>"
    async with scripted(TEXT) as script:
        await script.vector("T").set(t=text, wait=False)
        assert await script.written("T") == {"t": text}
        await script.say(f'<message device="{DEVICE}" message="a &lt; b &amp; &quot;c&quot;"/>')
        assert script.device.messages[-1][1] == 'a < b & "c"'


async def test_c16_hundredths_are_rounded_to_hundredths() -> None:
    async with scripted(numbers("N", X=12.5014).replace('"%g"', '"%12.9m"')) as script:
        assert script.vector("N").members["X"].text == "12:30:05.04"


async def test_c17_a_large_image_is_never_in_memory_as_a_whole() -> None:
    """And the loop is not held up by it: test_client_memory and the benchmark B14 measure both."""
    content = bytes(range(256)) * 10_000
    async with scripted(blobs(), capacity_bytes=1 << 16) as script, script.device.next("CCD1") as image:
        await script.say(set_blob(content))
        blob = await image.get()
        pieces = list(blob.slices())
    assert blob._data == b""
    assert max(map(len, pieces)) <= 1 << 20
    assert b"".join(pieces) == content


async def test_c18_errors_of_the_program_are_raised_in_the_program() -> None:
    async with scripted(numbers("N", X=1)) as script:
        with pytest.raises(ZeroDivisionError):
            await script.vector("N").wait_for(lambda vector: vector["X"] < 1 / 0)
    with ends_with(ZeroDivisionError):
        async with scripted(numbers("N", X=1)) as script:
            raise ZeroDivisionError
    assert not script.client.is_connected


async def test_c19_the_timeout_of_a_blob_vector_is_read() -> None:
    async with scripted(blobs().replace("perm=", 'timeout="30" perm=')) as script:
        assert script.vector("CCD1").timeout == 30
