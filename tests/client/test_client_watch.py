"""Watching, waiting for conditions, and snapshots."""

from __future__ import annotations

import gc
import json

import anyio
import anyio.lowlevel
import pytest

from indianyio.client import Change, SwitchVector
from tests.client.scripted import DEVICE, deleted, numbers, scripted, set_numbers, set_switches, switches
from tests.virtual_time import virtual_backend

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_backend(request.param)


def shown(change: Change) -> tuple[str, str | None, str | None]:
    return change.kind, None if change.vector is None else change.vector.name, change.state


async def test_changes_come_as_they_are() -> None:
    async with scripted(numbers("N", X=1)) as script, script.client.watch(DEVICE) as changes:
        kinds = []
        for xml in (
            numbers("M", "Ok", X=2),
            set_numbers("M", "Busy", message="moving", X=3),
            deleted("M"),
            f'<message device="{DEVICE}" message="hello"/>',
            deleted(),
        ):
            await script.say(xml)
            change = await anext(changes)
            kinds.append((*shown(change), change.message, change.left_out))
        assert kinds == [
            ("defined", "M", "Ok", "", 0),
            ("updated", "M", "Busy", "moving", 0),
            ("deleted", "M", None, "", 0),
            ("message", None, None, "hello", 0),
            ("deleted", None, None, "", 0),
        ]


async def test_a_slow_watcher_gets_the_newest_and_how_many_were_left_out() -> None:
    async with scripted(numbers("N", X=0), numbers("M", X=0)) as script:
        async with script.client.watch(DEVICE) as slow, script.client.watch(DEVICE, "N", "Ok") as picky:
            await script.say(*(set_numbers("N", "Busy", X=value) for value in range(1, 101)))
            await script.say(set_numbers("M", "Ok", X=7), set_numbers("N", "Ok", X=200))
            first = await anext(slow)
            assert first.vector is script.vector("N")
            assert first.vector["X"] == 200
            assert (first.state, first.left_out) == ("Ok", 100)
            second = await anext(slow)
            assert (second.vector, second.left_out) == (script.vector("M"), 0)
            only = await anext(picky)
            assert (only.vector, only.state, only.left_out) == (script.vector("N"), "Ok", 0)
            await script.say(set_numbers("N", "Busy", X=1))
            assert (await anext(slow)).left_out == 0


async def test_whoever_asks_for_a_change_is_cancelled_whatever_there_is_and_takes_nothing_then() -> None:
    async with scripted(numbers("N", X=0)) as script, script.client.watch(DEVICE) as changes:

        async def is_cancelled() -> bool:
            with anyio.CancelScope() as scope:
                scope.cancel("while it asks")
                await anext(changes)
            return scope.cancelled_caught

        assert await is_cancelled()  # nothing waits
        await script.say(set_numbers("N", "Ok", X=1))
        assert await is_cancelled()
        change = await anext(changes)
        assert change.vector is script.vector("N")
        assert change.left_out == 0
        changes.close()
        assert await is_cancelled()
        with pytest.raises(StopAsyncIteration):
            await anext(changes)


async def test_whoever_takes_one_change_after_the_other_lets_others_have_their_turn() -> None:
    async with scripted(numbers("N", X=0), numbers("M", X=0)) as script, script.client.watch(DEVICE) as changes:
        await script.say(set_numbers("N", "Ok", X=1), set_numbers("M", "Ok", X=1))
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count_turns)
            await anext(changes)
            await anext(changes)
            assert turns > 0
            tasks.cancel_scope.cancel("seen")


async def test_a_watcher_that_is_asleep_delays_nobody() -> None:
    async with scripted(numbers("N", X=0)) as script, anyio.create_task_group() as tasks:

        async def sleep() -> None:
            async for _ in script.client.watch():
                await anyio.sleep_forever()

        tasks.start_soon(sleep)
        await anyio.wait_all_tasks_blocked()
        for value in range(1, 200):
            await script.peer.send(set_numbers("N", "Ok", X=value))
        await script.vector("N").wait_for(lambda vector: vector["X"] == 199, timeout=10)
        tasks.cancel_scope.cancel()


async def test_a_watch_that_is_forgotten_is_told_nothing_any_more() -> None:
    async with scripted(numbers("N", X=0)) as script:
        watch = script.client.watch()
        assert len(script.client._listeners._listeners) == 1
        del watch
        gc.collect()
        assert script.client._listeners._listeners == {}
        watch = script.client.watch()
        watch.close()
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


async def test_closing_a_watch_ends_whoever_iterates() -> None:
    async with scripted(numbers("N", X=0)) as script, anyio.create_task_group() as tasks:
        watch = script.client.watch()
        seen = []

        async def iterate() -> None:
            seen.extend([change.kind async for change in watch])

        tasks.start_soon(iterate)
        await script.say(set_numbers("N", "Ok", X=1))
        await anyio.wait_all_tasks_blocked()
        watch.close()
    assert seen[0] == "updated"


async def test_waiting_for_conditions() -> None:
    async with scripted(numbers("N", X=0), switches("S", A=False)) as script, anyio.create_task_group() as tasks:
        device = script.device
        done: list[str] = []

        async def wait(name: str, waiting: object) -> None:
            await waiting  # type: ignore[misc]
            done.append(name)

        tasks.start_soon(wait, "vector", device["N"].wait_for(lambda vector: vector["X"] == 2))
        tasks.start_soon(wait, "device", device.wait_for(lambda d: d.is_on("S", "A")))
        tasks.start_soon(wait, "client", script.client.wait_for(lambda c: "LATE" in c[DEVICE]))
        tasks.start_soon(wait, "defined", device.vector("LATE"))
        await anyio.wait_all_tasks_blocked()
        await script.say(set_numbers("N", "Ok", X=1))
        assert done == []
        await script.say(set_numbers("N", "Ok", X=2), set_switches("S", "Ok", A=True), numbers("LATE", X=1))
        await anyio.wait_all_tasks_blocked()
        assert sorted(done) == ["client", "defined", "device", "vector"]
        assert await device["N"].wait_for(lambda vector: vector["X"] == 2, timeout=0) is device["N"]


async def test_a_condition_that_raises_raises_where_it_is_waited_for() -> None:
    async with scripted(numbers("N", X=1)) as script, anyio.create_task_group() as tasks:

        async def wait() -> None:
            with pytest.raises(ZeroDivisionError):
                await script.vector("N").wait_for(lambda vector: 1 / vector["X"] > 5)

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await script.say(set_numbers("N", "Ok", X=0))


async def test_a_timeout_says_what_there_was_instead() -> None:
    async with scripted(numbers("N", X=1)) as script:
        with pytest.raises(TimeoutError, match=r"within 0.01 s; it is <NumberVector Scripted.N Idle: X=1>"):
            await script.vector("N").wait_for(lambda vector: vector["X"] == 2, timeout=0.01)
        with pytest.raises(TimeoutError, match=r"no Scripted.M within 0.01 s; there is N"):
            await script.device.vector("M", timeout=0.01)
        with pytest.raises(TimeoutError, match=r"no device 'Other' within 0.01 s; there is Scripted"):
            await script.client.device("Other", timeout=0.01)


async def test_a_snapshot_is_plain_data() -> None:
    texts = (
        f'<defTextVector device="{DEVICE}" name="T" label="Text" group="Main" state="Ok" perm="rw" '
        'timestamp="2026-01-02T03:04:05"><defText name="t" label="T"> &lt;a&gt; </defText></defTextVector>'
    )
    lights = f'<defLightVector device="{DEVICE}" name="L"><defLight name="l">Busy</defLight></defLightVector>'
    blob = f'<defBLOBVector device="{DEVICE}" name="B" perm="ro"><defBLOB name="b"/></defBLOBVector>'
    sexagesimal = numbers("N", X=12.5).replace('"%g"', '"%8.4m"')
    async with scripted(sexagesimal, switches("S", "Ok", A=True), texts, lights, blob) as script:
        plain = json.loads(json.dumps(script.client.snapshot()))[DEVICE]
        assert plain["N"]["members"] == {
            "X": {"label": "X", "value": 12.5, "format": "%8.4m", "min": 0, "max": 0, "step": 0}
        }
        assert plain["S"]["members"] == {"A": {"label": "A", "value": True}}
        assert plain["S"]["rule"] == "OneOfMany"
        assert plain["T"]["members"] == {"t": {"label": "T", "value": " <a> "}}
        assert plain["T"]["timestamp"] == "2026-01-02T03:04:05+00:00"
        assert (plain["T"]["label"], plain["T"]["group"], plain["T"]["perm"]) == ("Text", "Main", "rw")
        assert plain["L"]["members"] == {"l": {"label": "l", "value": "Busy"}}
        assert plain["L"]["state"] == "Idle"
        assert plain["B"]["members"] == {"b": {"label": "b", "value": None}}
        assert script.vector("N").members["X"].text
        assert isinstance(script.vector("S"), SwitchVector)


async def test_the_logs_are_bounded() -> None:
    async with scripted(numbers("N", X=1)) as script:
        for number in range(300):
            await script.peer.send(
                f'<message device="{DEVICE}" timestamp="2026-01-02T03:04:05" message="{number}"/>'
            )
        await script.say('<message message="to all"/>')
        assert len(script.device.messages) == 200
        assert script.device.messages[-1] == ("2026-01-02T03:04:05", "299")
        assert ("", "to all") in script.client.messages


@pytest.mark.long
async def test_a_server_that_talks_without_end_is_not_remembered_without_end() -> None:
    long = "x" * 5000
    async with scripted(numbers("N", X=1), capacity_bytes=1 << 22) as script, script.client.watch() as slow:
        for number in range(6000):
            await script.peer.send(
                f'<defNumberVector device="D{number}" name="N" state="Ok" message="{"" if number % 50 else long}">'
                '<defNumber name="X">1</defNumber></defNumberVector>'
                f'<message device="D{number}" message="y"/><delProperty device="D{number}"/>'
            )
        await script.fence()
        assert set(script.client) == {DEVICE}
        assert len(script.client._mirror._logs) <= 5000
        assert len(slow._queue.waiting) <= 10_000
        assert (await anext(slow)).kind == "defined"
        await script.say(f'<message device="{DEVICE}" message="{long}"/>')
        assert script.device.messages[-1][1] == "x" * 1000


# -- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vector", "values", "error", "match"),
    [
        ("N", {}, ValueError, "at least one member"),
        ("N", {"Z": 1}, KeyError, "has no member 'Z'; it has 'X'"),
        ("N", {"X": True}, ValueError, "finite number"),
        ("N", {"X": float("nan")}, ValueError, "finite number"),
        ("N", {"X": "45,5"}, ValueError, "X: '45,5' is not a number; write it as 45.5"),
        ("N", {"X": "4 5 6 7"}, ValueError, "not a number"),
        ("N", {"X": "inf"}, ValueError, "not a number"),
        ("N", {"X": "banana"}, ValueError, "banana"),
        ("N", {"X": 11}, ValueError, "must be from 1 to 10, not 11"),
        ("S", {"A": "on"}, ValueError, "'On' or 'Off', not 'on'"),
        ("S", {"A": True, "B": True}, ValueError, "only one switch may be On"),
        ("S", {"A": False}, ValueError, "one switch must be On"),
        ("T", {"t": 5}, TypeError, "t"),
        ("T", {"t": "\x00"}, ValueError, "t"),
        ("R", {"X": 1}, ValueError, "read-only"),
        ("L", {"l": "Ok"}, ValueError, "Light vector, which nobody can set"),
    ],
)
async def test_a_mistake_is_raised_where_it_is_made_and_nothing_is_sent(
    vector: str, values: dict[str, float | str], error: type[Exception], match: str
) -> None:
    async with scripted(
        numbers("N", X=1).replace('min="0" max="0"', 'min="1" max="10"'),
        switches("S", A=True, B=False),
        f'<defTextVector device="{DEVICE}" name="T" perm="rw"><defText name="t">x</defText></defTextVector>',
        numbers("R", X=1).replace('perm="rw"', 'perm="ro"'),
        f'<defLightVector device="{DEVICE}" name="L"><defLight name="l">Busy</defLight></defLightVector>',
    ) as script:
        with pytest.raises(error, match=match):
            await script.vector(vector).set(values)
        with anyio.move_on_after(0.05) as patience:
            await script.written(vector)
        assert patience.cancelled_caught


async def test_what_is_not_there_is_named() -> None:
    async with scripted(numbers("N", X=1)) as script:
        with pytest.raises(KeyError, match="there is no device 'Other'; there is 'Scripted'"):
            script.client["Other"]
        with pytest.raises(KeyError, match="has no vector 'M'; it has 'N'"):
            script.device["M"]
