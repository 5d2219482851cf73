"""Plays a plan with one driver: who does what, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType

import trio

from indianyio.driver import IPyDriver, _driver
from indianyio.exceptions import ConnectionLostError
from indianyio.testing._running import require_driver
from indianyio.testing.simulation._driver_clients import LEAVE_ALONE, connect, write_as_planned, write_last
from indianyio.testing.simulation._driver_plans import ENDS
from indianyio.testing.simulation._driver_rules import RULES, in_place_of_bases
from indianyio.testing.simulation._driver_scene import DriverScene, Rule
from indianyio.testing.simulation._findings import Finding, Outcome
from indianyio.testing.simulation._logged import noted
from indianyio.testing.simulation._plan import Plan, PlanError
from indianyio.testing.simulation._reality import Reality, modules_of, replaced
from indianyio.testing.simulation._seeded import run_seeded
from indianyio.testing.simulation._standstill import Standstill

__all__ = ["play_driver"]

# A driver whose devices are not connected within a virtual minute is tested as it is.
_CONNECT_SECONDS = 60.0
# How long it is quiet before clients and driver are compared; not a multiple of any usual interval.
_QUIET_SECONDS = 7.3
_COMPARISONS = 3
_ANSWER_SECONDS = 30.0
# The end of a run takes at most three times its grace; a driver that takes this long breaks a rule.
_MOST_END_SECONDS = 120.0


def play_driver(
    plan: Plan,
    make: Callable[[], IPyDriver],
    rules: Sequence[type[Rule]] = RULES,
    *,
    aborts: Sequence[str] = (),
    leave_alone: Sequence[str] = LEAVE_ALONE,
) -> Outcome:
    """Run a driver as a plan says, in virtual time, and return the outcome.

    If the driver's own code uses the real world, that is a finding too, named ``NothingIsReal``: such a run is not
    what would really happen, and may be different the next time.

    :param plan: see :func:`plan_for_driver`.
    :param make: makes the driver; its class, as a rule. Called within the run.
    :param rules: what must hold. A subclass of one of those for any driver takes its place.
    :param aborts: vectors that stop something, besides those with ABORT in their name.
    :param leave_alone: vectors that clients do not write to.
    :raises PlanError: the plan asks for something that does not exist.
    :raises TypeError: what was made is not a driver.
    """
    if plan.end not in ENDS:
        raise PlanError(f"a driver ends by {', '.join(ENDS)}, not by {plan.end!r}")
    reality = Reality(plan.seed, _authors(make), tick=plan.knob("tick", 0.0))

    def made() -> IPyDriver:
        driver = make()
        # Whatever made it, a partial or a lambda, the code of its class is to be watched.
        reality.watch(modules_of(type(driver)))
        return driver

    outbox_bytes = int(plan.knob("outbox_bytes", _driver._OUTBOX_BYTES))
    with reality.kept_out(), replaced(_driver, "_OUTBOX_BYTES", outbox_bytes):
        scene = run_seeded(plan.seed, _play, plan, made, rules, aborts, leave_alone)
    findings = [
        Finding("NothingIsReal", f"{what} is real: {place}; {_REMEDIES[what]}")
        for what, place in reality.crossings.items()
    ]
    figures: dict[str, float] = {"written": len(scene.written), "handled": scene.handled, "heard": scene.messages}
    return Outcome(plan, findings + scene.findings, scene.digest, figures)


_CLOCK = "use anyio.current_time(), which tests can let pass"
_MOMENT = "take it as a parameter with this as its default, or leave it to the library, which stamps what it sends"
_REMEDIES = {
    "time.time": _CLOCK,
    "time.monotonic": _CLOCK,
    "time.perf_counter": _CLOCK,
    "time.time_ns": _CLOCK,
    "time.monotonic_ns": _CLOCK,
    "time.perf_counter_ns": _CLOCK,
    "time.sleep": "use await anyio.sleep(): time.sleep() keeps everything waiting, even an Abort",
    "datetime.now": _MOMENT,
    "datetime.utcnow": _MOMENT,
    "datetime.today": _MOMENT,
    "date.today": _MOMENT,
    "time.localtime": _MOMENT,
    "time.gmtime": _MOMENT,
    "time.ctime": _MOMENT,
    "a file or a device by its descriptor": "give the driver a simulated instrument; open() serves for a file",
    "a thread": "give the driver a simulated instrument, which needs no thread",
    "a socket": "give the driver a simulated instrument, such as a FakeWire",
    "a program": "give the driver a simulated instrument",
    "a wire": "give the driver a FakeWire; this one was not opened",
    "a connection": "give the driver a simulated instrument, such as a FakeWire; nothing was connected",
}


def _authors(make: Callable[[], IPyDriver]) -> list[str]:
    if isinstance(make, type):
        return modules_of(make)
    return [make.__module__] if isinstance(make, FunctionType) else []


async def _play(
    plan: Plan,
    make: Callable[[], IPyDriver],
    rules: Sequence[type[Rule]],
    aborts: Sequence[str],
    leave_alone: Sequence[str],
) -> DriverScene:
    driver = make()
    require_driver(driver)
    scene = DriverScene(plan, driver, aborts, leave_alone)
    scene.rules = [rule(scene) for rule in in_place_of_bases(rules)]
    before = trio.lowlevel.current_statistics().tasks_living
    run, play = trio.CancelScope(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        ended = trio.Event()
        nursery.start_soon(_run_driver, scene, run, ended)
        nursery.start_soon(scene.peer.read)
        for fault in plan.faults:
            nursery.start_soon(scene.misbehave, fault)
        nursery.start_soon(_look_round, scene)
        nursery.start_soon(_cancel_at, play, ended)
        nursery.start_soon(_end_standstill, scene, nursery.cancel_scope)
        with noted(scene.logged):
            with play:
                await _until_the_end(scene)
                await _end(scene, run)
                with trio.move_on_after(_MOST_END_SECONDS):
                    await ended.wait()
            nursery.cancel_scope.cancel()
    # Nothing can cancel what hangs in a shield, so the nursery waits for it until the test's own time limit.
    scene.tasks_left = trio.lowlevel.current_statistics().tasks_living - before
    for rule in scene.rules:
        rule.over()
    return scene


async def _run_driver(scene: DriverScene, run: trio.CancelScope, ended: trio.Event) -> None:
    try:
        with run:
            await scene.driver.asyncrun(scene.line.b)
    except Exception as failure:  # noqa: BLE001 - a rule reports it
        scene.failure = failure
    if not ended.is_set():
        scene.ended_at = trio.current_time()
        ended.set()


async def _cancel_at(play: trio.CancelScope, ended: trio.Event) -> None:
    await ended.wait()
    play.cancel()


async def _end_standstill(scene: DriverScene, everything: trio.CancelScope) -> None:
    standstill = Standstill()
    trio.lowlevel.add_instrument(standstill)
    try:
        scene.findings.append(Finding("TimePasses", await standstill.noticed(), scene.now))
        everything.cancel("time does not pass")
    finally:
        trio.lowlevel.remove_instrument(standstill)


async def _look_round(scene: DriverScene) -> None:
    while True:
        await trio.sleep(1)
        for rule in scene.rules:
            rule.second()


async def _until_the_end(scene: DriverScene) -> None:
    """Have the clients do what they are to do, compare what they know with what the driver says, and write last."""
    with trio.move_on_after(_CONNECT_SECONDS):
        await connect(scene)
    async with trio.open_nursery() as clients:
        clients.cancel_scope.deadline = trio.current_time() + scene.plan.seconds
        for part in scene.plan.of_kind("client"):
            clients.start_soon(write_as_planned, part, scene)
    await trio.sleep_until(max([scene.plan.seconds, *(fault.until for fault in scene.plan.faults)]))
    for number in range(_COMPARISONS):
        await trio.sleep(_QUIET_SECONDS)
        await _compare(scene, f"comparison {number}")
    await write_last(scene)
    await trio.sleep(_QUIET_SECONDS)  # so long may the answers take, to an Abort for instance


async def _compare(scene: DriverScene, uid: str) -> None:
    scene.asking = True
    try:
        with trio.fail_after(_ANSWER_SECONDS):
            await scene.peer.ask(uid)
    except trio.TooSlowError:
        scene.findings.append(Finding("Answers", f"a ping was not answered for {_ANSWER_SECONDS:g} s", scene.now))
        return
    except ConnectionLostError:
        return  # it has ended by itself, which a rule reports
    finally:
        scene.asking = False
    for rule in scene.rules:
        rule.agree()


async def _end(scene: DriverScene, run: trio.CancelScope) -> None:
    scene.asked_to_end_at = scene.now
    match scene.plan.end:
        case "close":
            await scene.peer.close()
        case "cut":
            scene.line.cut()
        case "cancel":
            run.cancel("the plan says so")
        case how:
            if how == "stall":
                scene.line.stall()
            scene.driver.shutdown("the plan says so")
