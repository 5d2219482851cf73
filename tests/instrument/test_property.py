"""A property of a driver: one store of values, read and reported as those of a class."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from indianyio import (
    Device,
    IPyDriver,
    NewEvent,
    NumberMember,
    NumberVector,
    State,
    SwitchMember,
    SwitchVector,
    UnknownMemberError,
    newNumberVector,
)
from indianyio.client import RefusedError
from indianyio.instrument import BoundProperty, bind
from indianyio.properties import Values, number, numbers
from indianyio.protocol import SetBLOBVector, SetNumberVector, SetSwitchVector, SetTextVector, SetVector
from indianyio.testing import Peer, driver_client, member_values, running
from tests.properties.declared import (
    AbsFocusPosition,
    Ccd1,
    Connection,
    Coordinates,
    FilterName,
    LogOutput,
    WeatherStatus,
)

pytestmark = pytest.mark.anyio


class Gains(Values, name="GAINS"):
    """One member of its own, and one for each colour of the sensor."""

    offset: float = number("OFFSET", max=10)
    channels: Mapping[str, float] = numbers(max=100)


class Gadget(IPyDriver):
    """A driver with a typed property of each kind."""

    def __init__(self) -> None:
        self.position = BoundProperty(AbsFocusPosition)
        self.where = BoundProperty(Coordinates)
        self.connection = BoundProperty(Connection)
        self.log = BoundProperty(LogOutput)
        self.filters = BoundProperty(FilterName, bind(FilterName, made={"F1": "Filter 1", "F2": "Filter 2"}))
        self.weather = BoundProperty(WeatherStatus)
        self.image = BoundProperty(Ccd1)
        properties = (
            self.position,
            self.where,
            self.connection,
            self.log,
            self.filters,
            self.weather,
            self.image,
        )
        super().__init__(Device("Gadget", [one.vector for one in properties]))

    async def rxevent(self, event: NewEvent) -> None:
        assert isinstance(event, newNumberVector)
        assert self.position.wanted(event) == AbsFocusPosition.from_wire(event)
        self.position.vector["FOCUS_ABSOLUTE_POSITION"] = event["FOCUS_ABSOLUTE_POSITION"]
        await self.position.report(state="Ok")


async def told(peer: Peer, kind: type[SetVector] = SetNumberVector) -> tuple[State | None, str | None, object]:
    update = await peer.expect(kind)
    return update.state, update.message, member_values(update)


# -- reading -------------------------------------------------------------------------------------------------------


def test_it_reads_what_the_vector_has() -> None:
    gadget = Gadget()
    assert gadget.position.value == AbsFocusPosition(steps=0)
    assert gadget.connection.value.disconnect
    assert gadget.filters.value.names == {"F1": "", "F2": ""}
    assert gadget.weather.value.rain is State.ALERT
    assert gadget.image.value.data == b""
    gadget.position.vector["FOCUS_ABSOLUTE_POSITION"] = "1:30"
    gadget.position.vector.state = "Busy"
    assert gadget.position.value.steps == 1.5
    assert gadget.position.state is State.BUSY
    assert repr(gadget.position) == "<BoundProperty AbsFocusPosition <NumberVector Gadget.ABS_FOCUS_POSITION Busy>>"


def test_a_file_is_not_read() -> None:
    image = BoundProperty(Ccd1)
    image.vector["CCD1"] = Path("m31.fits")
    assert image.value == Ccd1()
    image.vector["CCD1"] = memoryview(b"abc")
    assert image.value.data == b"abc"


def test_a_vector_may_be_made_by_hand() -> None:
    vector = NumberVector(
        "ABS_FOCUS_POSITION", "Position", "Main", "rw", "Ok", [NumberMember("FOCUS_ABSOLUTE_POSITION")]
    )
    assert BoundProperty(AbsFocusPosition, vector).vector is vector
    switches = SwitchVector("CONNECTION", "", "", "rw", "OneOfMany", "Ok", [SwitchMember("CONNECT")])
    with pytest.raises(TypeError, match="AbsFocusPosition needs a NumberVector, not <SwitchVector"):
        BoundProperty(AbsFocusPosition, switches)
    with pytest.raises(ValueError, match="is the property EQUATORIAL_EOD_COORD, not ABS_FOCUS_POSITION"):
        BoundProperty(Coordinates, vector)


@pytest.mark.parametrize(
    ("of", "written", "asked"),
    [
        (lambda it: it.where, {"RA": "12:30"}, Coordinates(ra=12.5, dec=-30)),
        (lambda it: it.where, {"RA": "1", "DEC": "2"}, Coordinates(ra=1, dec=2)),
        (lambda it: it.where, {}, Coordinates(ra=6, dec=-30)),
        (lambda it: it.log, {"FILE_DEBUG": "On"}, LogOutput(to_client=False, to_file=True)),
        (lambda it: it.connection, {"CONNECT": "On"}, Connection(connect=True, disconnect=False)),
        (lambda it: it.connection, {"CONNECT": True}, Connection(connect=True, disconnect=False)),
        (lambda it: it.connection, {"CONNECT": "Off"}, Connection(connect=False, disconnect=True)),
        (lambda it: it.filters, {"F2": "Red"}, FilterName(names={"F1": "Clear", "F2": "Red"})),
        (lambda it: it.image, {"CCD1": b"abc"}, Ccd1(data=b"abc")),
        (lambda it: it.image, {}, Ccd1()),
    ],
)
def test_what_a_client_leaves_out_is_as_it_is(
    of: Callable[[Gadget], BoundProperty[Values]], written: dict[str, object], asked: Values
) -> None:
    gadget = Gadget()
    gadget.where.vector["DEC"] = -30
    gadget.log.vector["CLIENT_DEBUG"] = "Off"
    gadget.filters.vector["F1"] = "Clear"
    gadget.image.vector["CCD1"] = b"the last image"
    found = of(gadget).wanted(written)
    assert found == asked
    if not isinstance(asked, Ccd1):
        assert set(found.given) == set(of(gadget).vector)


# -- reporting -----------------------------------------------------------------------------------------------------


async def test_members_and_state_are_stored_and_sent() -> None:
    gadget = Gadget()
    async with running(gadget) as peer:
        await gadget.position.report(steps=1200, state="Busy", message="moving")
        assert await told(peer) == (State.BUSY, "moving", {"FOCUS_ABSOLUTE_POSITION": "1200"})
        assert gadget.position.vector["FOCUS_ABSOLUTE_POSITION"] == "1200"
        assert gadget.position.value == AbsFocusPosition(steps=1200)
        await gadget.position.report(state=State.OK)
        assert await told(peer) == (State.OK, None, {"FOCUS_ABSOLUTE_POSITION": "1200"})


async def test_values_are_reported_as_far_as_they_were_given() -> None:
    gadget = Gadget()
    async with running(gadget) as peer:
        await gadget.where.report(Coordinates(ra=12, dec=-45))
        await gadget.where.report(Coordinates(dec=1))
        assert (await told(peer))[2] == {"RA": "12.0", "DEC": "-45.0"}
        assert (await told(peer))[2] == {"RA": "12.0", "DEC": "1.0"}


async def test_a_driver_may_report_what_is_beyond_the_limits() -> None:
    gadget = Gadget()
    async with running(gadget) as peer:
        await gadget.position.report(steps=-3)
        assert (await told(peer))[2] == {"FOCUS_ABSOLUTE_POSITION": "-3"}
    assert gadget.position.value.steps == -3


async def test_switching_one_on_switches_the_others_off() -> None:
    gadget = Gadget()
    async with running(gadget) as peer:
        await gadget.connection.report(connect=True)
        assert (await told(peer, SetSwitchVector))[2] == {"CONNECT": "On", "DISCONNECT": "Off"}
        await gadget.connection.report(Connection(disconnect=True))
        assert (await told(peer, SetSwitchVector))[2] == {"CONNECT": "Off", "DISCONNECT": "On"}
        await gadget.connection.report(connect=True, disconnect=False)
        assert (await told(peer, SetSwitchVector))[2] == {"CONNECT": "On", "DISCONNECT": "Off"}
        await gadget.log.report(to_client=True, to_file=True)
        assert (await told(peer, SetSwitchVector))[2] == {"CLIENT_DEBUG": "On", "FILE_DEBUG": "On"}


async def test_members_made_at_run_time_can_become_others_while_nobody_knows_them() -> None:
    filters = BoundProperty(FilterName, bind(FilterName, made={"F1": "Filter 1"}))
    driver = IPyDriver(Device("Wheel", [filters.vector]))
    with pytest.raises(RuntimeError, match="delete it first"):
        filters.remake(FilterName(names={"F1": "Red"}))
    filters.vector.enable = False
    filters.remake(FilterName(names={"F2": "Green", "F3": "Blue"}))
    filters.vector.enable = True
    async with driver_client(driver) as (_, client):
        vector = await (await client.device("Wheel", timeout=5)).vector("FILTER_NAME", timeout=5)
        assert dict(vector) == {"F2": "Green", "F3": "Blue"}
        await filters.report(names={"F3": "Clear"})
        await vector.wait_for(lambda it: it["F3"] == "Clear", timeout=5)


async def test_a_declared_member_beside_those_made_at_run_time_stays_the_one_that_is_reported() -> None:
    gains = BoundProperty(Gains, bind(Gains, made={"R": "Red"}))
    driver = IPyDriver(Device("Camera", [gains.vector]))
    gains.vector.enable = False
    gains.remake(Gains(offset=1, channels={"G": 2.0}), limits={"offset": (0, 5)})
    gains.vector.replace_members(bind(Gains, made={"B": "Blue"}).members())
    gains.vector.enable = True
    gains.limit(offset=(0, 50))
    offset = gains.vector.data["OFFSET"]
    assert isinstance(offset, NumberMember)
    assert offset.max == "50"
    async with running(driver) as peer:
        await gains.report(offset=30)
        assert (await told(peer, SetNumberVector))[2] == {"OFFSET": "30", "B": "0"}
        await gains.report(offset=31, channels={"B": 4})
        assert (await told(peer, SetNumberVector))[2] == {"OFFSET": "31", "B": "4"}


async def test_members_made_at_run_time_are_reported_by_their_mapping() -> None:
    gadget = Gadget()
    async with running(gadget) as peer:
        await gadget.filters.report(names={"F2": "Red"})
        await gadget.filters.report(FilterName(names={"F1": "Clear"}))
        assert (await told(peer, SetTextVector))[2] == {"F1": "", "F2": "Red"}
        assert (await told(peer, SetTextVector))[2] == {"F1": "Clear", "F2": "Red"}


async def test_only_the_blobs_that_are_named_are_sent(tmp_path: Path) -> None:
    gadget = Gadget()
    (tmp_path / "m31.fits").write_bytes(b"from a file")
    async with running(gadget) as peer:
        await gadget.image.report(data=b"abc", state="Ok")
        await gadget.image.report(state="Alert", message="clouds")
        await gadget.image.report(Ccd1(data=b"xyz"))
        await gadget.image.report(data=tmp_path / "m31.fits")
        updates = [await peer.expect(SetBLOBVector) for _ in range(4)]
    contents = [[(one.format, bytes(one.data)) for one in update.members] for update in updates]
    assert contents == [[(".fits", b"abc")], [], [(".fits", b"xyz")], [(".fits", b"from a file")]]
    assert [update.state for update in updates] == [State.OK, State.ALERT, State.ALERT, State.ALERT]


async def test_what_a_client_writes_and_rxevent_stores_reads_here() -> None:
    gadget = Gadget()
    async with driver_client(gadget) as (_, client):
        device = await client.device("Gadget", timeout=5)
        await device.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=77)
        assert gadget.position.value.steps == 77
        with pytest.raises(RefusedError, match="Valid range"):
            await device.set("ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=1e6, validate=False)


async def test_values_may_be_taken_without_telling_anybody() -> None:
    gadget = Gadget()
    async with running(gadget) as peer:
        assert gadget.where.take(ra=3) == {"ra": 3}
        assert gadget.where.take(Coordinates(dec=4)) == {"dec": 4}
        assert gadget.where.take() == {}
        assert gadget.where.value == Coordinates(ra=3, dec=4)
        gadget.connection.take(connect=True)
        await gadget.where.report()
        assert (await told(peer))[2] == {"RA": "3", "DEC": "4.0"}


async def test_new_limits_travel_with_the_next_report() -> None:
    gadget = Gadget()
    async with running(gadget) as peer:
        gadget.position.limit(steps=(10, 500))
        await gadget.position.report(steps=20)
        [update] = (await peer.expect(SetNumberVector)).members
        assert (update.min, update.max, update.step, update.value) == ("10", "500", "1000", "20")
        gadget.position.limit(steps=(10, 500, 5))
        await gadget.position.report()
        assert (await peer.expect(SetNumberVector)).members[0].step == "5"
        with pytest.raises(KeyError):
            gadget.position.limit(paces=(0, 1))


async def test_what_clients_do_not_have_is_reported_to_nobody_but_kept() -> None:
    gadget = Gadget()
    gadget.position.vector.enable = False
    async with running(gadget) as peer:
        await gadget.position.report(steps=3, state="Busy")
        await gadget.where.report(ra=1)
        assert (await peer.expect(SetNumberVector)).name == "EQUATORIAL_EOD_COORD"
    assert (gadget.position.value, gadget.position.state) == (AbsFocusPosition(steps=3), State.BUSY)


# -- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        (
            lambda it: it.where.report(ra=1, alt=2),
            TypeError,
            "Coordinates has no member 'alt'; it has ra",
        ),
        (lambda it: it.filters.report(name="Red"), TypeError, "FilterName has no member 'name'; it has names"),
        (lambda it: it.filters.report(names=["Red"]), TypeError, "FilterName: names must be a mapping"),
        (lambda it: it.filters.report(names={"F1": "Red", "F9": "Blue"}), UnknownMemberError, "F9"),
        (
            lambda it: it.where.report(ra=1, dec="north"),
            ValueError,
            "the value of member 'DEC' must be a",
        ),
        (
            lambda it: it.where.report(ra=1, dec=float("nan")),
            ValueError,
            "the value of member 'DEC' must be",
        ),
        (lambda it: it.where.report(ra=1, state="Fine"), ValueError, "must be one of Idle, Ok, Busy, Alert"),
        (lambda it: it.where.report(ra=1, message="\0"), ValueError, "message of vector"),
        (lambda it: it.connection.report(connect=True, message="\x1b[31m"), ValueError, "message of vector"),
        (lambda it: it.where.report(ra=1, message=5), TypeError, "must be a str, not int"),
        (
            lambda it: it.where.report(AbsFocusPosition(steps=1)),
            TypeError,
            "Coordinates cannot report Abs",
        ),
        (
            lambda it: it.where.report(Coordinates(ra=1), dec=2),
            TypeError,
            "report values or members, not both",
        ),
        (
            lambda it: it.connection.report(connect=True, disconnect=True),
            ValueError,
            "only one may be On",
        ),
        (
            lambda it: it.connection.report(connect=1),
            TypeError,
            "the value of member 'CONNECT' must be one of On, Off",
        ),
    ],
)
async def test_a_mistake_changes_nothing_and_sends_nothing(
    wrong: Callable[[Gadget], Awaitable[None]], error: type[Exception], reason: str
) -> None:
    gadget = Gadget()
    before = (gadget.where.value, gadget.connection.value, gadget.filters.value, gadget.where.state)
    async with running(gadget) as peer:
        with pytest.raises(error) as caught:
            await wrong(gadget)
        await gadget.position.report(steps=5)
        assert (await peer.expect(SetNumberVector)).name == "ABS_FOCUS_POSITION"
    assert reason in str(caught.value)
    now = (gadget.where.value, gadget.connection.value, gadget.filters.value, gadget.where.state)
    assert now == before


async def test_a_member_that_this_device_does_not_have() -> None:
    declination_only = BoundProperty(Coordinates, bind(Coordinates, without=["ra"]))
    Device("Any", [declination_only.vector])
    assert declination_only.value == Coordinates(dec=90)
    with pytest.raises(UnknownMemberError, match="RA"):
        await declination_only.report(dec=2, ra=1)
    await declination_only.report(dec=2)
    assert declination_only.value == Coordinates(dec=2)


async def test_cancelled_it_has_told_nobody() -> None:
    gadget = Gadget()
    async with running(gadget):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await gadget.position.report(steps=5)
        assert scope.cancelled_caught
    # What the vector has is still to be told.
    assert gadget.position.value.steps == 5
    due = gadget.position.vector
    assert isinstance(due, NumberVector)
    update = due.set_changed(timestamp=datetime(2026, 1, 2, tzinfo=UTC))
    assert update is not None
    assert member_values(update) == {"FOCUS_ABSOLUTE_POSITION": "5"}


def test_it_is_typed() -> None:
    position = BoundProperty(AbsFocusPosition)
    values: Values = position.value
    assert type(values) is AbsFocusPosition
