"""What becomes of a write: the rule, and every row of the table, against a server that says what it is told."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import pytest

from indianyio.client import OperationAbortedError, RefusedError, Vector
from indianyio.standard._settle_table import RULE, SETTLE_ROWS, row_for
from tests.client.scripted import Script, Values, deleted, numbers, scripted, set_numbers, set_switches, switches
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


class Write:
    """A set that is under way."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.done = anyio.Event()

    @property
    def outcome(self) -> str:
        """How it has ended so far."""
        if not self.done.is_set():
            return "waiting"
        return "done" if self.error is None else type(self.error).__name__


@asynccontextmanager
async def writing(
    script: Script, name: str, *, start_timeout: float = 2.0, **members: float | bool
) -> AsyncGenerator[Write]:
    """Write a vector; the block begins when the server has the write, and ends when it has its verdict."""
    write = Write()
    vector: Vector[Any] = script.vector(name)

    async def run() -> None:
        try:
            await vector.set(members, start_timeout=start_timeout, validate=False)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            write.error = error
        write.done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await script.written(name)
        yield write
        with anyio.fail_after(30):
            await write.done.wait()


async def seen(script: Script, write: Write, xml: str) -> str:
    """Let the server say something; return how the write has ended by that."""
    await script.say(xml)
    await anyio.wait_all_tasks_blocked()
    return write.outcome


# -- the rule ------------------------------------------------------------------------------------------------------


async def test_ok_after_busy_is_success_and_what_was_before_counts_for_nothing() -> None:
    async with scripted(numbers("N", "Ok", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            assert (
                await seen(script, write, set_numbers("N", "Ok", X=1)) == "waiting"
            )  # another client's, or a poll
            assert await seen(script, write, set_numbers("N", "Busy", X=2)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Busy", X=4)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Ok", X=5)) == "done"


@pytest.mark.parametrize("state", ["Idle", "Ok", "Busy"])
async def test_alert_is_a_refusal_with_the_drivers_own_words(state: str) -> None:
    async with scripted(numbers("N", state, X=1)) as script:
        async with writing(script, "N", X=5) as write:
            alert = set_numbers("N", "Alert", X=1, message="the cable is stuck")
            assert await seen(script, write, alert) == "RefusedError"
        assert isinstance(write.error, RefusedError)
        assert write.error.message == "the cable is stuck"
        assert (write.error.device, write.error.vector) == ("Scripted", "N")


async def test_the_reason_of_an_alert_may_come_before_it_as_a_message() -> None:
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            await script.say('<message device="Scripted" message="[ERROR] out of range"/>')
            assert await seen(script, write, set_numbers("N", "Alert", X=1)) == "RefusedError"
        assert "[ERROR] out of range" in str(write.error)


async def test_an_alert_without_a_word_says_so() -> None:
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            await script.say(set_numbers("N", "Alert", X=1), set_numbers("N", "Ok", X=5))
        assert isinstance(write.error, RefusedError)
        assert "gives no reason" in str(write.error)


async def test_the_reason_of_an_alert_may_come_behind_it_as_a_message() -> None:
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            await script.peer.send(set_numbers("N", "Alert", X=1))
            message = '<message device="Scripted" message="[ERROR] out of bound"/>'
            assert await seen(script, write, message) == "RefusedError"
        assert "[ERROR] out of bound" in str(write.error)


async def test_idle_after_busy_is_no_success() -> None:
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            await script.say(set_numbers("N", "Busy", X=2))
            assert await seen(script, write, set_numbers("N", "Idle", X=5)) == "OperationAbortedError"


@pytest.mark.parametrize("state", ["Ok", "Idle"])
async def test_never_busy_an_update_with_what_was_written_is_the_answer(state: str) -> None:
    async with scripted(numbers("N", X=1, Y=2)) as script:
        async with writing(script, "N", X=5) as write:
            assert await seen(script, write, set_numbers("N", state, Y=5)) == "waiting"
            assert await seen(script, write, set_numbers("N", state, X=4.9, Y=5)) == "waiting"
            assert await seen(script, write, set_numbers("N", state, X=5, Y=2)) == "done"


async def test_a_driver_that_shows_no_sign_is_waited_for_as_long_as_was_said() -> None:
    async with scripted(numbers("N", X=1)) as script:
        began = anyio.current_time()
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            pass
        assert 0.3 <= anyio.current_time() - began < 5
        assert isinstance(write.error, TimeoutError)
        assert "nothing was heard of it" in str(write.error)
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            await script.say(set_numbers("N", "Ok", X=1))
            await script.say('<message device="Scripted" message="thinking"/>')
        assert isinstance(write.error, TimeoutError)
        assert "it last said Ok with X=1" in str(write.error)
        assert '"thinking"' in str(write.error)


async def test_a_driver_that_goes_on_as_before_and_complains_has_refused() -> None:
    """As a parked mount of libindi's does."""
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            await script.say('<message device="Scripted" message="[ERROR] unpark first"/>')
            await script.say(set_numbers("N", "Idle", X=1))
        assert isinstance(write.error, RefusedError)
        assert write.error.message == "[ERROR] unpark first"


async def test_the_end_of_an_old_operation_is_no_verdict() -> None:
    async with scripted(numbers("N", "Busy", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            assert await seen(script, write, set_numbers("N", "Busy", X=2)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Ok", X=3)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Busy", X=4)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Ok", X=5)) == "done"


async def test_an_old_operation_that_is_taken_over_ends_with_what_was_written() -> None:
    async with scripted(numbers("N", "Busy", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            assert await seen(script, write, set_numbers("N", "Busy", X=2)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Ok", X=5)) == "done"
    async with scripted(numbers("N", "Busy", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            assert await seen(script, write, set_numbers("N", "Busy", X=5)) == "waiting"  # an exposure begins anew
            assert await seen(script, write, set_numbers("N", "Ok", X=0)) == "done"


async def test_after_the_end_of_an_old_operation_the_new_one_has_its_time_to_begin() -> None:
    async with scripted(numbers("N", "Busy", X=1)) as script:
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            await anyio.sleep(0.5)
            assert write.outcome == "waiting"
            assert await seen(script, write, set_numbers("N", "Ok", X=3)) == "waiting"
        assert isinstance(write.error, TimeoutError)


async def test_what_another_client_does_meanwhile_is_no_verdict() -> None:
    async with scripted(numbers("N", "Ok", X=1), numbers("M", "Ok", X=5)) as script:
        async with writing(script, "N", X=5) as write:
            assert await seen(script, write, set_numbers("M", "Busy", X=5)) == "waiting"
            assert await seen(script, write, set_numbers("M", "Ok", X=5)) == "waiting"
            # Another client connects, and has everything defined.
            assert await seen(script, write, numbers("N", "Ok", X=1)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Busy", X=1)) == "waiting"
            assert await seen(script, write, numbers("N", "Busy", X=3)) == "waiting"
            assert await seen(script, write, set_numbers("N", "Ok", X=5)) == "done"


async def test_a_definition_that_says_what_was_so_before_is_no_answer() -> None:
    """A relative move by the same steps as the last one."""
    async with scripted(numbers("REL_FOCUS_POSITION", "Ok", STEPS=100)) as script:
        async with writing(script, "REL_FOCUS_POSITION", STEPS=100) as write:
            assert await seen(script, write, numbers("REL_FOCUS_POSITION", "Ok", STEPS=100)) == "waiting"
            assert await seen(script, write, set_numbers("REL_FOCUS_POSITION", "Busy", STEPS=100)) == "waiting"
            assert await seen(script, write, set_numbers("REL_FOCUS_POSITION", "Ok", STEPS=100)) == "done"


async def test_deleted_and_defined_again_in_the_middle() -> None:
    async with scripted(numbers("N", X=1)) as script:
        vector = script.vector("N")
        async with writing(script, "N", X=5) as write:
            await script.say(set_numbers("N", "Busy", X=2))
            assert await seen(script, write, deleted("N")) == "waiting"
            assert not vector.exists
            assert await seen(script, write, numbers("N", "Busy", X=3)) == "waiting"
            assert script.vector("N") is vector
            assert await seen(script, write, set_numbers("N", "Ok", X=5)) == "done"


async def test_deleted_and_defined_again_with_what_was_written_is_done() -> None:
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5) as write:
            await script.say(deleted())
            assert await seen(script, write, numbers("N", "Ok", X=5)) == "done"


@pytest.mark.parametrize("busy", [False, True])
async def test_deleted_for_good_is_an_error_after_a_while(busy: bool) -> None:
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            if busy:
                await script.say(set_numbers("N", "Busy", X=2))
            await script.say(deleted("N"))
        assert isinstance(write.error, OperationAbortedError)
        assert "deleted" in str(write.error)


async def test_defined_as_another_kind_in_the_middle_is_deleted() -> None:
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5, start_timeout=0.3) as write:
            await script.say(switches("N", "Ok", X=True))
        assert isinstance(write.error, OperationAbortedError)


async def test_what_is_busy_may_take_as_long_as_it_likes() -> None:
    async with scripted(numbers("N", X=1)) as script:
        async with writing(script, "N", X=5, start_timeout=0.1) as write:
            await script.say(set_numbers("N", "Busy", X=2))
            await anyio.sleep(0.5)
            assert write.outcome == "waiting"
            assert await seen(script, write, set_numbers("N", "Ok", X=5)) == "done"


async def test_two_writes_of_one_vector_wait_for_each_other() -> None:
    async with scripted(numbers("N", X=1)) as script, anyio.create_task_group() as tasks:
        vector = script.vector("N")

        async def write(value: float) -> None:
            await vector.set(X=value)

        tasks.start_soon(write, 5)
        assert await script.written("N") == {"X": "5.0"}
        tasks.start_soon(write, 7)
        await script.say(set_numbers("N", "Busy", X=2))
        with anyio.move_on_after(0.2) as patience:
            await script.written("N")
        assert patience.cancelled_caught
        await script.say(set_numbers("N", "Ok", X=5))
        assert await script.written("N") == {"X": "7.0"}
        await script.say(set_numbers("N", "Ok", X=7))


@pytest.mark.parametrize("rule", ["AtMostOne", "OneOfMany"])
async def test_a_button_that_is_off_again_has_answered(rule: str) -> None:
    async with scripted(switches("BUTTON", "Ok", rule=rule, PRESS=False)) as script:
        async with writing(script, "BUTTON", PRESS=True) as write:
            assert await seen(script, write, set_switches("BUTTON", "Idle", PRESS=False)) == "waiting"
            assert await seen(script, write, set_switches("BUTTON", "Ok", PRESS=False)) == "done"


async def test_wait_false_only_sends() -> None:
    async with scripted(numbers("N", X=1)) as script:
        await script.vector("N").set(X=5, wait=False)
        assert await script.written("N") == {"X": "5.0"}


# -- the table -----------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A property, what is written, what the server says, and how that ends."""

    name: str
    written: dict[str, float | bool]
    says: tuple[tuple[str, dict[str, float | bool]], ...]
    ends: str
    when: tuple[str, str] = ("", "")


COORDINATES: dict[str, float | bool] = {"RA": 5.0, "DEC": 20.0}
THERE: dict[str, float | bool] = {"RA": 5.0005, "DEC": 20.01}
ELSEWHERE: dict[str, float | bool] = {"RA": 3.0, "DEC": 10.0}
SLEW, TRACK = ("ON_COORD_SET", "SLEW"), ("ON_COORD_SET", "TRACK")
EOD = "EQUATORIAL_EOD_COORD"
PARKING: dict[str, float | bool] = {"PARK": True, "UNPARK": False}
NEITHER: dict[str, float | bool] = {"PARK": False, "UNPARK": False}
OFF: dict[str, float | bool] = {"ABORT": False}

CASES = [
    Case(EOD, COORDINATES, (("Busy", ELSEWHERE), ("Ok", THERE)), "done", TRACK),
    Case(EOD, COORDINATES, (("Busy", ELSEWHERE), ("Idle", ELSEWHERE)), "OperationAbortedError", TRACK),
    Case(EOD, COORDINATES, (("Ok", ELSEWHERE), ("Idle", ELSEWHERE), ("Ok", THERE)), "waiting", TRACK),
    Case(EOD, COORDINATES, (("Busy", ELSEWHERE), ("Idle", THERE)), "done", SLEW),
    Case(EOD, COORDINATES, (("Busy", ELSEWHERE), ("Idle", ELSEWHERE)), "OperationAbortedError", SLEW),
    Case(
        EOD, {"RA": 23.9999, "DEC": 0.0}, (("Busy", ELSEWHERE), ("Idle", {"RA": 0.0005, "DEC": 0.0})), "done", SLEW
    ),
    Case(EOD, COORDINATES, (("Ok", COORDINATES),), "done", ("ON_COORD_SET", "SYNC")),
    Case("EQUATORIAL_COORD", COORDINATES, (("Busy", ELSEWHERE), ("Idle", THERE)), "done", SLEW),
    Case(
        "HORIZONTAL_COORD",
        {"AZ": 359.999, "ALT": 45.0},
        (("Busy", {"AZ": 180.0, "ALT": 45.0}), ("Idle", {"AZ": 0.001, "ALT": 45.0})),
        "done",
    ),
    Case(
        "HORIZONTAL_COORD",
        {"AZ": 10.0, "ALT": 45.0},
        (("Busy", {"AZ": 180.0, "ALT": 45.0}), ("Ok", {"AZ": 180.0, "ALT": 45.0})),
        "OperationAbortedError",
    ),
    Case("TELESCOPE_PARK", {"PARK": True}, (("Busy", PARKING), ("Ok", PARKING)), "done"),
    Case("TELESCOPE_PARK", {"PARK": True}, (("Busy", PARKING), ("Alert", NEITHER)), "RefusedError"),
    Case("TELESCOPE_PARK", {"PARK": True}, (("Busy", PARKING), ("Idle", NEITHER)), "OperationAbortedError"),
    Case("TELESCOPE_PARK", {"PARK": True}, (("Busy", PARKING), ("Idle", PARKING)), "done"),
    Case("TELESCOPE_HOME", {"GO": True}, (("Busy", {"GO": True}), ("Ok", {"GO": False})), "done"),
    Case("TELESCOPE_HOME", {"SET": True}, (("Ok", {"SET": False}),), "done"),
    Case(
        "TELESCOPE_HOME", {"GO": True}, (("Busy", {"GO": True}), ("Idle", {"GO": False})), "OperationAbortedError"
    ),
    Case("TELESCOPE_MOTION_NS", {"MOTION_NORTH": True}, (("Busy", {"MOTION_NORTH": True}),), "done"),
    Case("TELESCOPE_MOTION_WE", {"MOTION_WEST": True}, (("Busy", {"MOTION_WEST": True}),), "done"),
    Case("TELESCOPE_TRACK_STATE", {"TRACK_ON": True}, (("Busy", {"TRACK_ON": True}),), "done"),
    Case("TELESCOPE_TRACK_STATE", {"TRACK_OFF": True}, (("Idle", {"TRACK_OFF": True}),), "done"),
    Case(
        "TELESCOPE_TIMED_GUIDE_NS",
        {"TIMED_GUIDE_N": 500},
        (("Busy", {"TIMED_GUIDE_N": 500}), ("Idle", {"TIMED_GUIDE_N": 0})),
        "done",
    ),
    Case(
        "TELESCOPE_TIMED_GUIDE_WE",
        {"TIMED_GUIDE_W": 500},
        (("Busy", {"TIMED_GUIDE_W": 500}), ("Alert", {"TIMED_GUIDE_W": 0})),
        "RefusedError",
    ),
    *(
        case
        for name in ("CCD_EXPOSURE", "GUIDER_EXPOSURE", "SENSOR_INTEGRATION")
        for case in (
            Case(name, {"S": 5}, (("Busy", {"S": 5}), ("Busy", {"S": 2}), ("Ok", {"S": 0})), "done"),
            Case(name, {"S": 5}, (("Busy", {"S": 5}), ("Idle", {"S": 0})), "OperationAbortedError"),
            Case(name, {"S": 5}, (("Busy", {"S": 5}), ("Alert", {"S": 0})), "RefusedError"),
        )
    ),
    Case(
        "CCD_TEMPERATURE",
        {"CCD_TEMPERATURE_VALUE": -10},
        (("Busy", {"CCD_TEMPERATURE_VALUE": 3}), ("Ok", {"CCD_TEMPERATURE_VALUE": -9.8})),
        "done",
    ),
    Case(
        "CCD_TEMPERATURE",
        {"CCD_TEMPERATURE_VALUE": -10},
        (("Busy", {"CCD_TEMPERATURE_VALUE": 3}), ("Idle", {"CCD_TEMPERATURE_VALUE": 1})),
        "OperationAbortedError",
    ),
    Case("CCD_COOLER", {"COOLER_ON": True}, (("Busy", {"COOLER_ON": True}),), "done"),
    Case("CCD_VIDEO_STREAM", {"STREAM_ON": True}, (("Busy", {"STREAM_ON": True}),), "done"),
    Case("RECORD_STREAM", {"RECORD_ON": True}, (("Busy", {"RECORD_ON": True}),), "done"),
    *(
        case
        for name in ("ABS_FOCUS_POSITION", "REL_FOCUS_POSITION", "FOCUS_TIMER", "REL_DOME_POSITION")
        for case in (
            Case(name, {"P": 500}, (("Busy", {"P": 100}), ("Ok", {"P": 500})), "done"),
            Case(name, {"P": 500}, (("Busy", {"P": 100}), ("Idle", {"P": 200})), "OperationAbortedError"),
            Case(name, {"P": 500}, (("Alert", {"P": 0}),), "RefusedError"),
        )
    ),
    Case("FILTER_SLOT", {"SLOT": 3}, (("Busy", {"SLOT": 2}), ("Ok", {"SLOT": 3})), "done"),
    Case("FILTER_SLOT", {"SLOT": 3}, (("Busy", {"SLOT": 2}), ("Alert", {"SLOT": 1})), "RefusedError"),
    Case("DOME_PARK", {"PARK": True}, (("Busy", PARKING), ("Ok", PARKING)), "done"),
    Case("DOME_PARK", {"PARK": True}, (("Busy", PARKING), ("Alert", NEITHER)), "RefusedError"),
    Case("DOME_PARK", {"PARK": True}, (("Busy", PARKING), ("Idle", NEITHER)), "OperationAbortedError"),
    Case(
        "DOME_SHUTTER",
        {"SHUTTER_OPEN": True},
        (("Busy", {"SHUTTER_OPEN": True}), ("Ok", {"SHUTTER_OPEN": True})),
        "done",
    ),
    Case(
        "DOME_SHUTTER",
        {"SHUTTER_OPEN": True},
        (("Busy", {"SHUTTER_OPEN": True}), ("Idle", {"SHUTTER_OPEN": False})),
        "OperationAbortedError",
    ),
    Case(
        "ABS_DOME_POSITION",
        {"DOME_ABSOLUTE_POSITION": 90},
        (("Busy", {"DOME_ABSOLUTE_POSITION": 40}), ("Ok", {"DOME_ABSOLUTE_POSITION": 90.5})),
        "done",
    ),
    Case(
        "ABS_DOME_POSITION",
        {"DOME_ABSOLUTE_POSITION": 90},
        (("Busy", {"DOME_ABSOLUTE_POSITION": 40}), ("Idle", {"DOME_ABSOLUTE_POSITION": 50})),
        "OperationAbortedError",
    ),
    Case("DOME_MOTION", {"DOME_CW": True}, (("Busy", {"DOME_CW": True}),), "done"),
    Case("CAP_PARK", {"PARK": True}, (("Busy", PARKING), ("Ok", PARKING)), "done"),
    Case("CAP_PARK", {"PARK": True}, (("Busy", PARKING), ("Alert", NEITHER)), "RefusedError"),
    Case("ABS_ROTATOR_ANGLE", {"ANGLE": 359.8}, (("Busy", {"ANGLE": 100}), ("Ok", {"ANGLE": 0.1})), "done"),
    Case(
        "ABS_ROTATOR_ANGLE",
        {"ANGLE": 200},
        (("Busy", {"ANGLE": 100}), ("Ok", {"ANGLE": 120})),
        "OperationAbortedError",
    ),
    Case("CONNECTION", {"CONNECT": True}, (("Busy", {"CONNECT": True}), ("Ok", {"CONNECT": True})), "done"),
    Case(
        "CONNECTION", {"DISCONNECT": True}, (("Busy", {"DISCONNECT": True}), ("Idle", {"DISCONNECT": True})), "done"
    ),
    Case("CONNECTION", {"DISCONNECT": True}, (("Idle", {"DISCONNECT": True}),), "done"),
    Case(
        "CONNECTION",
        {"CONNECT": True},
        (("Busy", {"CONNECT": True}), ("Alert", {"CONNECT": False})),
        "RefusedError",
    ),
    *(
        Case(name, {"ABORT": True}, (("Ok", OFF),), "done")
        for name in ("TELESCOPE_ABORT_MOTION", "CAP_ABORT", "CONFIG_PROCESS", "WEATHER_REFRESH")
    ),
    Case("CCD_ABORT_EXPOSURE", {"ABORT": True}, (("Alert", OFF),), "RefusedError"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.says[-1][0]}-{case.ends}")
@pytest.mark.parametrize("before", ["Idle", "Ok"])
async def test_the_table(case: Case, before: str) -> None:
    is_switch = any(isinstance(value, bool) for value in case.written.values())
    start: Values = dict.fromkeys(case.says[-1][1], False if is_switch else -1.0)
    define = switches(case.name, before, start) if is_switch else numbers(case.name, before, start)
    mode, chosen = case.when
    modes = [switches(mode, "Ok", {chosen: True})] if mode else []
    async with scripted(define, numbers("OTHER", "Ok", X=1), *modes) as script:
        async with writing(script, case.name, **case.written) as write:
            for state, values in case.says:
                assert write.outcome == "waiting"
                await script.say(set_numbers("OTHER", "Busy", X=2), set_numbers("OTHER", "Ok", X=1))
                say = set_switches if is_switch else set_numbers
                await seen(
                    script, write, say(case.name, state, values, message="because" if state == "Alert" else "")
                )
            assert write.outcome == case.ends
            if case.ends == "waiting":
                await script.say(set_numbers(case.name, "Alert", case.written, message="enough"))


def test_every_row_of_the_table_has_a_case() -> None:
    def row(case: Case) -> int:
        found = row_for(case.name, lambda vector, switch: (vector, switch) == case.when)
        return SETTLE_ROWS.index(found) if found is not RULE else -1

    assert {row(case) for case in CASES} == {-1, *range(len(SETTLE_ROWS))} - {-1}
