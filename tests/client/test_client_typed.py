"""A client that writes and reads by classes of values, and a driver that has the same classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from indianyio import Device, IPyDriver, NewEvent, TextMember, TextVector, newBLOBVector, newNumberVector
from indianyio.client import Client, NumberVector, UnknownVectorError
from indianyio.client import Device as ClientDevice
from indianyio.exceptions import OperationAbortedError, RefusedError
from indianyio.instrument import BoundProperty, bind
from indianyio.properties import Values, blob
from indianyio.properties import numbers as made_numbers
from indianyio.testing import assert_states, driver_client
from tests.client.scripted import deleted, numbers, scripted, set_numbers, set_switches, switches
from tests.properties.declared import AbsFocusPosition, Ccd1, Connection, Coordinates, FilterName, WeatherParameters
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


CAMERA = "Camera"


class Map(Values, name="MAP", perm="rw"):
    """What a client uploads."""

    data: bytes = blob("MAP", format=".fits")


class Instrument(IPyDriver):
    """Moves at once, refuses to go to 13, and has an image for each movement."""

    def __init__(self) -> None:
        self.position = BoundProperty(AbsFocusPosition, bind(AbsFocusPosition, limits={"steps": (0, 500)}))
        self.filters = BoundProperty(FilterName, bind(FilterName, made={"F1": "Filter 1", "F2": "Filter 2"}))
        self.image = BoundProperty(Ccd1)
        self.map = BoundProperty(Map)
        text = TextVector("CONNECTION", "", "", "rw", "Ok", [TextMember("CONNECT")])
        typed = (self.position.vector, self.filters.vector, self.image.vector, self.map.vector)
        self.uploads: list[tuple[object, object]] = []
        super().__init__(Device(CAMERA, [*typed, text]))

    async def rxevent(self, event: NewEvent) -> None:
        match event:
            case newNumberVector():
                asked = AbsFocusPosition.from_wire(event)
                if asked.steps == 13:
                    raise RuntimeError("never 13")
                await self.position.report(state="Busy")
                await self.image.report(data=b"at %d" % asked.steps)
                await self.position.report(asked, state="Ok")
            case newBLOBVector():
                self.uploads.append((event["MAP"], event.sizeformat["MAP"]))
                await self.map.report(state="Ok")
            case _:
                assert isinstance(event, Mapping)
                await self.filters.report(names=event, state="Ok")


async def camera_of(client: Client) -> ClientDevice:
    camera = await client.device(CAMERA, timeout=5)
    await camera.vector(Map, timeout=5)
    return camera


async def test_values_are_written_and_read() -> None:
    async with driver_client(Instrument()) as (driver, client):
        camera = await camera_of(client)
        vector = await camera.set(AbsFocusPosition(steps=120))
        assert vector is camera["ABS_FOCUS_POSITION"]
        assert isinstance(vector, NumberVector)
        assert driver.position.value == AbsFocusPosition(steps=120) == camera[AbsFocusPosition]
        assert await camera.read(AbsFocusPosition, timeout=1) == AbsFocusPosition(steps=120)
        await camera.wait_for(lambda it: it[AbsFocusPosition].steps == 120, timeout=1)


async def test_only_what_was_given_is_written() -> None:
    async with driver_client(Instrument()) as (_, client):
        camera = await camera_of(client)
        await camera.set(FilterName(names={"F2": "Red"}))
        assert camera[FilterName].names == {"F1": "", "F2": "Red"}
        with pytest.raises(ValueError, match="name at least one member"):
            await camera.set(AbsFocusPosition())


async def test_a_write_settles_as_it_does_by_names() -> None:
    async with driver_client(Instrument()) as (_, client):
        camera = await camera_of(client)
        async with assert_states(camera, AbsFocusPosition, "Busy", "Ok"):
            await camera.set(AbsFocusPosition(steps=1))
        with pytest.raises(RefusedError, match="never 13"):
            await camera.set(AbsFocusPosition(steps=13), timeout=5)
        # The limits of this device, within those of the class.
        with pytest.raises(ValueError, match="FOCUS_ABSOLUTE_POSITION must be from 0 to 500, not 501"):
            await camera.set(AbsFocusPosition(steps=501))
        with pytest.raises(RefusedError, match="Valid range"):
            await camera.set(AbsFocusPosition(steps=501), validate=False)


async def test_a_cancelled_write_sends_the_abort() -> None:
    position = numbers("ABS_FOCUS_POSITION", "Ok", FOCUS_ABSOLUTE_POSITION=0)
    async with scripted(position, switches("FOCUS_ABORT_MOTION", ABORT=False, rule="AtMostOne")) as script:

        async def answer() -> None:
            assert await script.written("ABS_FOCUS_POSITION") == {"FOCUS_ABSOLUTE_POSITION": "5.0"}
            await script.say(set_numbers("ABS_FOCUS_POSITION", "Busy"))
            scope.cancel()
            assert await script.written("FOCUS_ABORT_MOTION") == {"ABORT": "On"}
            await script.say(
                set_numbers("ABS_FOCUS_POSITION", "Idle"),
                set_switches("FOCUS_ABORT_MOTION", "Ok", ABORT=False),
            )

        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(answer)
                await script.device.set(AbsFocusPosition(steps=5))
        assert scope.cancelled_caught


async def test_the_next_blob_of_a_class() -> None:
    async with driver_client(Instrument()) as (_, client):
        camera = await camera_of(client)
        assert camera[Ccd1] == Ccd1()
        async with camera.next(Ccd1) as image:
            await camera.set(AbsFocusPosition(steps=7))
            blob = await image.get(timeout=5)
        assert (blob.format, blob.content()) == (".fits", b"at 7")
        assert camera[Ccd1].data == b"at 7"
        with pytest.raises(TypeError, match=r"Camera.ABS_FOCUS_POSITION is a Number vector, which brings no BLOBs"):
            async with camera.next(AbsFocusPosition):
                pytest.fail("there is no such BLOB")


async def test_an_uploaded_blob_has_the_format_of_the_class() -> None:
    async with driver_client(Instrument()) as (driver, client):
        camera = await camera_of(client)
        await camera.set(Map(data=b"stars"))
        assert driver.uploads == [(b"stars", (5, ".fits"))]
        await camera.enable_blobs(Map, "Never")


async def test_what_the_device_does_not_have() -> None:
    async with driver_client(Instrument()) as (_, client):
        camera = await camera_of(client)
        with pytest.raises(UnknownVectorError, match="EQUATORIAL_EOD_COORD"):
            camera[Coordinates]
        with pytest.raises(UnknownVectorError, match="EQUATORIAL_EOD_COORD"):
            await camera.set(Coordinates(ra=1), start_timeout=0.01)
        with pytest.raises(TimeoutError, match=r"no Camera.EQUATORIAL_EOD_COORD within 0.01 s"):
            await camera.read(Coordinates, timeout=0.01)
        with pytest.raises(TypeError, match=r"CONNECTION is a Text vector, and Connection has Switch members"):
            camera[Connection]
        with pytest.raises(UnknownVectorError):
            await assert_states(camera, Coordinates, "Ok")


class Sensors(Values):
    """Of no property."""

    sensors: Mapping[str, float] = made_numbers()


async def test_mistakes() -> None:
    async with driver_client(Instrument()) as (_, client):
        camera = await camera_of(client)
        with pytest.raises(TypeError, match=r"write AbsFocusPosition\(steps=1.0\) or members, not both; OTHER"):
            await camera.set(AbsFocusPosition(steps=1), OTHER=2)
        wrong: Any
        for wrong in (Sensors, 5, int, None):
            with pytest.raises(TypeError, match="a vector is named by a str or by a class of values that has"):
                camera[wrong]


async def test_it_is_read_as_it_is_and_not_as_it_should_be() -> None:
    async with scripted(
        numbers("WEATHER_PARAMETERS", "Ok", T=1000, RH=0.5),
        switches("CONNECTION", CONNECT=True, DISCONNECT=True),
    ) as script:
        assert script.device[WeatherParameters].sensors == {"T": 1000, "RH": 0.5}
        both = script.device[Connection]
        assert (both.connect, both.disconnect) == (True, True)
        held = script.device["WEATHER_PARAMETERS"]
        await script.say(deleted("WEATHER_PARAMETERS"))
        with pytest.raises(UnknownVectorError):
            script.device[WeatherParameters]
        with pytest.raises(OperationAbortedError):
            await held.set(T=1)
