"""Every operation and every write of every device class, interrupted at each await of what carries it out.

What a class can do is found by looking at what it declares, so that nothing new is forgotten: the table says what a
client writes, and a test fails where it says nothing. The hardware is that of the simulators. Each of its methods
takes a moment before it acts and another one afterwards, as an exchange with real hardware does.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import anyio
import pytest

from indianyio import instrument
from indianyio.client import Client
from indianyio.client import Device as ClientDevice
from indianyio.instrument import Instrument
from indianyio.instrument._framework._declared import properties_of
from indianyio.simulators import (
    camera,
    dome,
    filter_wheel,
    flat_panel,
    focuser,
    gps,
    mount,
    power_box,
    rotator,
    switch_box,
    weather,
)
from indianyio.testing import driver_client, interrupt_everywhere

pytest_plugins = ("indianyio.testing.pytest_plugin",)
Wish: TypeAlias = Mapping[str, Any]
Kind: TypeAlias = Literal["abort", "disconnect", "end", "cancel"]

A_MOMENT = 0.01


# -- the hardware ----------------------------------------------------------------------------------------------


class FullFocuser(focuser):
    """A focuser that can be moved for some time as well."""

    async def move_for(self, seconds: float, *, outward: bool) -> None:
        distance = self.motor.speed * seconds
        self.motor.go(self.motor.position + (distance if outward else -distance))
        await self.motor.arrival()


class FullMount(mount):
    """A mount that flips, looks for its home, and tracks at several rates as well."""

    async def flip(self, ra: float, dec: float) -> None:
        await self.goto(ra, dec)

    async def find_home(self) -> None:
        await self.go_home()

    async def set_home(self) -> None: ...

    async def set_track_mode(self, mode: str) -> None: ...


class FullRotator(rotator):
    """A rotator with backlash."""

    async def set_backlash(self, steps: int) -> None: ...


class SmallCamera(camera):
    """A camera whose images are soon computed, with colour filters."""

    bayer = "RGGB"

    def __init__(self) -> None:
        super().__init__(width=16, height=8)


SIMULATORS: Sequence[type[Instrument]] = (
    SmallCamera,
    FullMount,
    FullFocuser,
    filter_wheel,
    FullRotator,
    dome,
    weather,
    gps,
    flat_panel,
    power_box,
    switch_box,
)


def slowed(simulator: type[Instrument]) -> type[Instrument]:
    """Return a simulator whose methods take a moment before they act, and another one afterwards."""
    methods: dict[str, object] = {}
    for cls in simulator.__mro__:
        if cls.__module__.startswith("indianyio.") and not cls.__module__.startswith("indianyio.simulators"):
            break
        for name, method in vars(cls).items():
            if inspect.iscoroutinefunction(method) and not name.startswith("_"):
                methods.setdefault(name, _slow(method))
    return type(f"Slow{simulator.__name__}", (simulator,), methods)


def _slow(method: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    @functools.wraps(method)
    async def slow(*args: object, **options: object) -> object:
        await anyio.sleep(A_MOMENT)
        result = await method(*args, **options)
        await anyio.sleep(A_MOMENT)
        return result

    return slow


def is_still(driver: Instrument) -> bool:
    """Return whether the simulated hardware stands still; what has no motor does always."""
    return not getattr(driver, "is_moving", False)


# -- what clients write ----------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A write of a client.

    :ivar values: what is written.
    :ivar before: other writes that must have been carried out.
    :ivar aborted: states in which an Abort may leave the property; it does not end it if there are none.
    :ivar off: whether no switch may be On then.
    :ivar then: what is written after a second, to bring it to its end.
    """

    values: Wish
    before: Sequence[tuple[str, Wish]] = ()
    aborted: Sequence[str] = ()
    off: bool = False
    then: Wish | None = None


OPEN: tuple[str, Wish] = ("DOME_SHUTTER", {"SHUTTER_OPEN": True})

# The states after an Abort are those of libindi's base classes.
CASES: Mapping[str, Sequence[Case]] = {
    # mounts
    "EQUATORIAL_EOD_COORD": [
        # Idle first, and then what a mount is that tracks.
        Case({"RA": 1.0, "DEC": 80.0}, aborted=("Idle", "Ok")),
        Case({"RA": 1.0, "DEC": 80.0}, [("ON_COORD_SET", {"SLEW": True})], aborted=("Idle",)),
        Case({"RA": 1.0, "DEC": 80.0}, [("ON_COORD_SET", {"FLIP": True})], aborted=("Idle", "Ok")),
        Case({"RA": 1.0, "DEC": 80.0}, [("ON_COORD_SET", {"SYNC": True})], aborted=("Alert", "Idle", "Ok")),
    ],
    "TELESCOPE_PARK": [
        Case({"PARK": True}, [("EQUATORIAL_EOD_COORD", {"RA": 1.0, "DEC": 80.0})], aborted=("Alert",), off=True),
        Case({"UNPARK": True}, [("TELESCOPE_PARK", {"PARK": True})], aborted=("Alert",), off=True),
    ],
    "TELESCOPE_HOME": [
        Case({"GO": True}, [("EQUATORIAL_EOD_COORD", {"RA": 1.0, "DEC": 80.0})], aborted=("Idle",), off=True),
        Case({"FIND": True}, [("EQUATORIAL_EOD_COORD", {"RA": 1.0, "DEC": 80.0})], aborted=("Idle",), off=True),
        Case({"SET": True}, aborted=("Idle",), off=True),
    ],
    "TELESCOPE_TIMED_GUIDE_NS": [Case({"TIMED_GUIDE_N": 2000.0}, aborted=("Idle",))],
    "TELESCOPE_TIMED_GUIDE_WE": [Case({"TIMED_GUIDE_E": 2000.0}, aborted=("Idle",))],
    "TELESCOPE_MOTION_NS": [Case({"MOTION_SOUTH": True}, aborted=("Idle", "Alert"), off=True)],
    "TELESCOPE_MOTION_WE": [Case({"MOTION_WEST": True}, aborted=("Idle", "Alert"), off=True)],
    "TELESCOPE_TRACK_STATE": [Case({"TRACK_ON": True}), Case({"TRACK_OFF": True})],
    "TELESCOPE_TRACK_MODE": [Case({"TRACK_LUNAR": True})],
    "TELESCOPE_TRACK_RATE": [Case({"TRACK_RATE_RA": 14.5, "TRACK_RATE_DE": 0.1})],
    "TELESCOPE_REVERSE_MOTION": [Case({"REVERSE_NS": True})],
    "TELESCOPE_PARK_OPTION": [Case({"PARK_CURRENT": True})],
    "GUIDE_RATE": [Case({"GUIDE_RATE_WE": 0.3, "GUIDE_RATE_NS": 0.7})],
    "TELESCOPE_ABORT_MOTION": [Case({"ABORT": True}, [("TELESCOPE_MOTION_NS", {"MOTION_SOUTH": True})])],
    "TIME_UTC": [Case({"UTC": "2026-01-01T00:00:00", "OFFSET": "0"})],
    "GEOGRAPHIC_COORD": [Case({"LAT": 50.0, "LONG": 10.0, "ELEV": 100.0})],
    # focusers
    "ABS_FOCUS_POSITION": [Case({"FOCUS_ABSOLUTE_POSITION": 53_000}, aborted=("Idle",))],
    "REL_FOCUS_POSITION": [Case({"FOCUS_RELATIVE_POSITION": 3000}, aborted=("Idle",))],
    "FOCUS_TIMER": [Case({"FOCUS_TIMER_VALUE": 600}, aborted=("Idle",))],
    "FOCUS_ABORT_MOTION": [Case({"ABORT": True})],
    "FOCUS_SYNC": [Case({"FOCUS_SYNC_VALUE": 100})],
    "FOCUS_MAX": [Case({"FOCUS_MAX_VALUE": 60_000})],
    "FOCUS_SPEED": [Case({"FOCUS_SPEED_VALUE": 200})],
    "FOCUS_REVERSE_MOTION": [Case({"INDI_ENABLED": True})],
    "FOCUS_BACKLASH_TOGGLE": [Case({"INDI_ENABLED": True})],
    "FOCUS_BACKLASH_STEPS": [
        Case({"FOCUS_BACKLASH_VALUE": 10}, [("FOCUS_BACKLASH_TOGGLE", {"INDI_ENABLED": True})])
    ],
    # rotators
    "ABS_ROTATOR_ANGLE": [Case({"ANGLE": 6.0}, aborted=("Ok",))],
    "ROTATOR_HOME": [Case({"HOME": True}, [("ABS_ROTATOR_ANGLE", {"ANGLE": 6.0})], aborted=("Idle",), off=True)],
    "ROTATOR_ABORT_MOTION": [Case({"ABORT": True})],
    "SYNC_ROTATOR_ANGLE": [Case({"ANGLE": 30.0})],
    "ROTATOR_REVERSE": [Case({"INDI_ENABLED": True})],
    "ROTATOR_BACKLASH_TOGGLE": [Case({"INDI_ENABLED": True})],
    "ROTATOR_BACKLASH_STEPS": [
        Case({"ROTATOR_BACKLASH_VALUE": 10}, [("ROTATOR_BACKLASH_TOGGLE", {"INDI_ENABLED": True})])
    ],
    # domes
    "ABS_DOME_POSITION": [Case({"DOME_ABSOLUTE_POSITION": 10.0}, aborted=("Idle",))],
    "REL_DOME_POSITION": [Case({"DOME_RELATIVE_POSITION": -10.0}, aborted=("Idle",))],
    "DOME_MOTION": [Case({"DOME_CW": True}, aborted=("Idle", "Alert"), off=True)],
    "DOME_SHUTTER": [
        Case({"SHUTTER_OPEN": True}, aborted=("Alert",), off=True),
        Case({"SHUTTER_CLOSE": True}, [OPEN], aborted=("Alert",), off=True),
    ],
    "DOME_PARK": [
        Case({"PARK": True}, [("ABS_DOME_POSITION", {"DOME_ABSOLUTE_POSITION": 8.0})], aborted=("Alert", "Idle")),
        Case(
            {"PARK": True},
            [OPEN, ("DOME_SHUTTER_PARK_POLICY", {"SHUTTER_CLOSE_ON_PARK": True})],
            aborted=("Alert", "Idle"),
        ),
        Case(
            {"UNPARK": True},
            [("DOME_SHUTTER_PARK_POLICY", {"SHUTTER_OPEN_ON_UNPARK": True}), ("DOME_PARK", {"PARK": True})],
            aborted=("Alert", "Idle"),
        ),
    ],
    "DOME_ABORT_MOTION": [Case({"ABORT": True}, [("DOME_MOTION", {"DOME_CW": True})])],
    "DOME_SYNC": [Case({"DOME_SYNC_VALUE": 20.0})],
    "DOME_SPEED": [Case({"DOME_SPEED_VALUE": 2.0})],
    "DOME_BACKLASH_TOGGLE": [Case({"INDI_ENABLED": True})],
    "DOME_BACKLASH_STEPS": [Case({"DOME_BACKLASH_VALUE": 10}, [("DOME_BACKLASH_TOGGLE", {"INDI_ENABLED": True})])],
    "DOME_MEASUREMENTS": [Case({"DM_DOME_RADIUS": 2.0})],
    "DM_OTA_SIDE": [Case({"DM_OTA_SIDE_EAST": True})],
    "DOME_AUTOSYNC": [Case({"DOME_AUTOSYNC_ENABLE": True})],
    "DOME_PARK_OPTION": [Case({"PARK_CURRENT": True})],
    "Goto": [Case({"Preset 2": True}, [("Presets", {"Preset 2": 10.0})])],
    # cameras
    "CCD_EXPOSURE": [
        Case({"CCD_EXPOSURE_VALUE": 1.5}, aborted=("Idle",)),
        Case(
            {"CCD_EXPOSURE_VALUE": 0.5},
            [("CCD_FAST_TOGGLE", {"INDI_ENABLED": True}), ("CCD_FAST_COUNT", {"FRAMES": 2})],
            aborted=("Idle",),
        ),
    ],
    "CCD_ABORT_EXPOSURE": [Case({"ABORT": True})],
    "CCD_TEMPERATURE": [Case({"CCD_TEMPERATURE_VALUE": 19.0})],
    "CCD_COOLER": [Case({"COOLER_ON": True}), Case({"COOLER_OFF": True})],
    "CCD_CFA": [Case({"CFA_TYPE": "GBRG"})],
    "CCD_GAIN": [Case({"GAIN": 80.0})],
    "CCD_OFFSET": [Case({"OFFSET": 5.0})],
    "WCS_CONTROL": [Case({"WCS_ENABLE": True})],
    "CCD_ROTATION": [Case({"CCD_ROTATION_VALUE": 30.0}, [("WCS_CONTROL", {"WCS_ENABLE": True})])],
    "CCD_FRAME": [Case({"X": 0, "Y": 0, "WIDTH": 8, "HEIGHT": 4})],
    "CCD_BINNING": [Case({"HOR_BIN": 2, "VER_BIN": 2})],
    "CCD_FRAME_RESET": [Case({"RESET": True})],
    "CCD_VIDEO_STREAM": [Case({"STREAM_ON": True}, then={"STREAM_OFF": True})],
    "CCD_STREAM_FRAME": [Case({"X": 0, "Y": 0, "WIDTH": 8, "HEIGHT": 4})],
    "UPLOAD_MODE": [Case({"UPLOAD_BOTH": True})],
    "UPLOAD_SETTINGS": [Case({"UPLOAD_PREFIX": "IMAGE_XXX"})],
    "FITS_HEADER": [Case({"KEYWORD_NAME": "OBSERVER", "KEYWORD_VALUE": "me", "KEYWORD_COMMENT": ""})],
    # what else there is
    "FILTER_SLOT": [Case({"FILTER_SLOT_VALUE": 3})],
    "CAP_PARK": [
        Case({"UNPARK": True}, aborted=("Idle",), off=True),
        Case({"PARK": True}, [("CAP_PARK", {"UNPARK": True})], aborted=("Idle",), off=True),
    ],
    "CAP_ABORT": [Case({"ABORT": True})],
    "FLAT_LIGHT_CONTROL": [Case({"FLAT_LIGHT_ON": True})],
    "FLAT_LIGHT_INTENSITY": [Case({"FLAT_LIGHT_INTENSITY_VALUE": 10})],
    "GPS_REFRESH": [Case({"REFRESH": True})],
    "GPS_REFRESH_PERIOD": [Case({"PERIOD": 5})],
    "WEATHER_REFRESH": [Case({"REFRESH": True})],
    "WEATHER_UPDATE": [Case({"PERIOD": 10})],
    "WEATHER_OVERRIDE": [Case({"OVERRIDE": True}), Case({"OVERRIDE": False})],
    "POWER_CHANNELS": [Case({"POWER_CHANNEL_1": True, "POWER_CHANNEL_2": True})],
    "DEW_CHANNELS": [Case({"DEW_CHANNEL_1": True})],
    "DEW_DUTY_CYCLES": [Case({"DEW_CHANNEL_1": 40.0}, [("DEW_CHANNELS", {"DEW_CHANNEL_1": True})])],
    "USB_PORTS": [Case({"USB_PORT_1": True})],
    "VARIABLE_CHANNELS": [Case({"VARIABLE_CHANNEL_1": True})],
    "VARIABLE_VOLTAGES": [Case({"VARIABLE_CHANNEL_1": 5.0}, [("VARIABLE_CHANNELS", {"VARIABLE_CHANNEL_1": True})])],
    "POWER_CYCLE": [Case({"POWER_CYCLE_Toggle": True})],
    "OUTPUTS": [Case({"OUTPUT_1": True, "OUTPUT_3": True})],
    **{f"WEATHER_{what}": [Case({"MIN_OK": 1.0})] for what in ("FORECAST", "TEMPERATURE", "RAIN_HOUR")},
    **{f"WEATHER_WIND_{what}": [Case({"MIN_OK": 1.0})] for what in ("SPEED", "GUST")},
}

# What every instrument has; connecting has tests of its own.
GENERAL = {one.values.declaration.name for one in properties_of(Instrument)}

# Which members it has depends on the device.
ACTIVE: Mapping[type[Instrument], Wish] = {
    SmallCamera: {"ACTIVE_TELESCOPE": "Telescope Simulator"},
    FullMount: {"ACTIVE_GPS": "GPS Simulator"},
    dome: {"ACTIVE_TELESCOPE": "Telescope Simulator"},
    weather: {"ACTIVE_GPS": "GPS Simulator"},
    flat_panel: {"ACTIVE_FILTER": "Filter Simulator"},
}


def cases_of(simulator: type[Instrument]) -> Iterator[tuple[str, Case]]:
    """Yield what clients write to a simulator, by the names of its properties."""
    for name in carried_out(simulator()):
        cases = [Case(ACTIVE[simulator])] if name == "ACTIVE_DEVICES" else CASES[name]
        for case in cases:
            yield name, case


def carried_out(driver: Instrument) -> list[str]:
    """Return the properties of an instrument for which a method carries out what clients write."""
    names = [driver._bound[attribute].vector.name for attribute, one in driver._declared.items() if one.method]
    return [name for name in names if name not in GENERAL]


def test_what_a_client_writes_is_said_for_every_operation_and_write_of_every_device_class() -> None:
    declared = {
        one.values.declaration.name
        for name in instrument._DEVICE_CLASSES
        if issubclass(cls := getattr(instrument, name), Instrument) and name != "Wired"
        for one in properties_of(cls)
        if one.method is not None
    }
    simulated = {name for simulator in SIMULATORS for name in carried_out(simulator())}
    assert declared - GENERAL - simulated == set(), "no simulator offers it"
    assert simulated - {*CASES, "ACTIVE_DEVICES"} == set(), "the table says nothing of it"
    assert set(CASES) - simulated == set(), "nobody has it"


# -- the sweeps ------------------------------------------------------------------------------------------------


async def connect(driver: Instrument, client: Client) -> ClientDevice:
    """Connect, and let the settings be taken up and everything be looked at once."""
    device = await client.device(driver.device.devicename, timeout=5)
    await device.set("CONNECTION", CONNECT=True, timeout=5)
    await anyio.sleep(0.5)
    return device


async def get_ready(device: ClientDevice, case: Case) -> None:
    """Bring a device to where the case begins, from wherever it is."""
    for parking in ("TELESCOPE_PARK", "DOME_PARK"):
        if parking in device and device[parking]["PARK"]:
            await device.set(parking, UNPARK=True, timeout=60)
    for name, values in case.before:
        await device.set(name, values, timeout=60)


async def carry_out(device: ClientDevice, name: str, case: Case) -> None:
    """Write, and wait until it is done."""
    await device.set(name, case.values, timeout=60)
    if case.then is not None:
        await anyio.sleep(1)
        await device.set(name, case.then, timeout=60)


def abort_of(driver: Instrument) -> str | None:
    """Return the property that stops a device."""
    aborts = [name for name in driver.device if "ABORT" in name]
    assert len(aborts) <= 1
    return aborts[0] if aborts else None


class Sweep:
    """One case of one simulator, interrupted in one way at each await.

    :ivar drivers: all that were made.
    :ivar states: in which the interruptions have left the property.
    """

    def __init__(self, simulator: type[Instrument], name: str, case: Case) -> None:
        self.simulator = slowed(simulator)
        self.name = name
        self.case = case
        self.drivers: list[Instrument] = []
        self.states: set[str] = set()
        self.done = ""
        self.is_interrupted = False

    def make(self) -> Instrument:
        self.is_interrupted = False
        self.drivers.append(self.simulator())
        return self.drivers[-1]

    @property
    def can_be_aborted(self) -> bool:
        """Whether the Abort of the device is meant for this property."""
        driver = self.drivers[-1]
        declared = next(one for one in driver._declared.values() if one.values.declaration.name == self.name)
        return declared.rule is None or declared.aborted_by in driver._declared

    def device(self, client: Client) -> ClientDevice:
        return client[self.drivers[-1].device.devicename]

    async def prepare(self, driver: Instrument, client: Client) -> None:
        await get_ready(await connect(driver, client), self.case)

    async def operate(self, driver: Instrument, client: Client) -> None:
        await carry_out(self.device(client), self.name, self.case)

    async def learn(self) -> None:
        """Note the state in which the property is when nothing interrupts it."""
        driver = self.make()
        async with driver_client(driver) as (_, client):
            await self.prepare(driver, client)
            await self.operate(driver, client)
            await anyio.sleep(2)
            self.done = str(self.device(client)[self.name].state)

    async def again(self, device: ClientDevice) -> None:
        """See that the next command is carried out."""
        await get_ready(device, self.case)
        await carry_out(device, self.name, self.case)
        await anyio.sleep(2)
        assert device[self.name].state == self.done

    async def abort(self, driver: Instrument, client: Client) -> None:
        self.is_interrupted = True
        abort = abort_of(driver)
        assert abort is not None
        await self.device(client).set(abort, ABORT=True, timeout=60)
        assert self.device(client)[abort].state == "Ok"

    async def was_aborted(self, driver: Instrument, client: Client) -> None:
        vector = self.device(client)[self.name]
        if self.is_interrupted:
            assert is_still(driver)
            state = str(vector.state)
            self.states.add(state)
            assert state in {self.done, *self.case.aborted}
            if self.case.off and state != self.done:
                assert not any(vector.values())
        await self.again(self.device(client))

    async def disconnect(self, driver: Instrument, client: Client) -> None:
        self.is_interrupted = True
        await self.device(client).set("CONNECTION", DISCONNECT=True, timeout=60)

    async def was_disconnected(self, driver: Instrument, client: Client) -> None:
        device = self.device(client)
        if self.is_interrupted:
            assert is_still(driver)
            assert not driver.is_connected
            assert device["CONNECTION"].state == "Idle"
            assert self.name not in device or self.name == "ACTIVE_DEVICES"
            await connect(driver, client)
        await self.again(device)

    async def end(self, driver: Instrument, client: Client) -> None:
        driver.shutdown()

    async def works_after_a_new_start(self) -> None:
        """See that all hardware stands still, and that the next run of the driver carries out the command."""
        for driver in self.drivers:
            assert is_still(driver)
            assert not driver.is_connected
        async with driver_client(self.drivers[-2]) as (_, client):
            await self.again(await connect(self.drivers[-2], client))

    async def go(self, kind: Kind, each: int) -> int:
        """Interrupt it, and return at how many awaits."""
        await self.learn()
        sweep = functools.partial(interrupt_everywhere, self.operate, self.make, prepare=self.prepare, each=each)
        if kind == "abort":
            return await sweep(by=self.abort, check=self.was_aborted)
        if kind == "disconnect":
            return await sweep(by=self.disconnect, check=self.was_disconnected)
        count = await sweep(by=self.end if kind == "end" else "cancel")
        await self.works_after_a_new_start()
        return count


async def sweep_all(simulator: type[Instrument], kind: Kind, each: int) -> None:
    for name, case in cases_of(simulator):
        sweep = Sweep(simulator, name, case)
        try:
            await sweep.go(kind, each)
            if kind == "abort" and case.aborted and sweep.can_be_aborted:
                assert sweep.states & set(case.aborted), "no Abort has aborted it"
        except Exception as error:
            error.add_note(f"{name}: {case}")
            raise


INTERRUPTIONS = pytest.mark.parametrize("kind", ["abort", "disconnect", "end", "cancel"])
# What these do takes most of the time.
LARGE = (SmallCamera, FullMount, dome)
OF_ALL = pytest.mark.parametrize(
    "simulator", [pytest.param(one, marks=pytest.mark.long) if one in LARGE else one for one in SIMULATORS]
)


# In the fast suite only some of the awaits, among the long tests each third: prime numbers, so that they are not
# always the same of a loop.
SOME = 17


@pytest.mark.anyio
@pytest.mark.usefixtures("indi_clock")
@pytest.mark.parametrize(
    "each",
    [
        SOME,
        pytest.param(3, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
        pytest.param(1, marks=[pytest.mark.long, pytest.mark.soak, pytest.mark.timeout(600)]),
    ],
)
@OF_ALL
@INTERRUPTIONS
async def test_interrupted_anywhere_it_stands_still_and_the_next_command_works(
    simulator: type[Instrument], kind: Kind, each: int
) -> None:
    if kind == "abort" and abort_of(simulator()) is None:
        pytest.skip("nothing aborts it")
    await sweep_all(simulator, kind, each)
