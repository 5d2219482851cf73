"""Plays a plan of an observatory: what is started, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from indianyio.driver import _driver
from indianyio.server import IPyServer
from indianyio.testing.simulation import (
    Finding,
    LineConditions,
    Network,
    Outcome,
    Part,
    Plan,
    Reality,
    run_seeded,
)
from indianyio.testing.simulation._reality import replaced
from indianyio.testing.simulation._standstill import Standstill
from tests.simulation.last_writes import write_last
from tests.simulation.observatory import END_SECONDS, PORT, RECOVERY_SECONDS, Observatory, Rule
from tests.simulation.observatory_clients import keep_connected
from tests.simulation.observatory_faults import misbehave
from tests.simulation.observatory_users import keep_using

# Of the fixed seeds none takes more than a fifth of these.
_MOST_TURNS_AT_A_MOMENT, _MOST_TURNS = 20_000, 200_000


class _Faults(logging.Handler):
    """Keeps what the library logs of errors that it did not expect, and of clients that do not read."""

    def __init__(self, scene: Observatory) -> None:
        super().__init__(logging.WARNING)
        self._scene = scene

    def emit(self, record: logging.LogRecord) -> None:
        if "it does not read" in record.getMessage():
            self._scene.said_to_be_behind.append(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            if "SimulatedFailureError" not in repr(error):
                self._scene.logged.append(f"{record.getMessage()}: {error!r}")


def play_observatory(plan: Plan, rules: Sequence[type[Rule]]) -> Outcome:
    """Run an observatory as a plan says, and return what came of it."""
    reality = Reality(plan.seed, tick=plan.knob("tick", 0.0))
    outbox_bytes = int(plan.knob("driver_outbox_bytes", _driver._OUTBOX_BYTES))
    with reality.kept_out(), replaced(_driver, "_OUTBOX_BYTES", outbox_bytes):
        scene = run_seeded(plan.seed, _play, plan, rules)
    figures: dict[str, float] = {
        "heard": scene.messages,
        "written": len(scene.wishes),
        "connections": len(scene.sessions),
        "lives": len(scene.stations),
        "programs": len(scene.network.programs),
        "verdicts": scene.verdicts,
        "images": scene.images,
        "turns": scene.turns,
        "longest": scene.longest,
        "given_up": len(scene.given_up),
    }
    return Outcome(plan, scene.findings, scene.digest.hexdigest(), figures)


async def _play(plan: Plan, rules: Sequence[type[Rule]]) -> Observatory:
    def conditions(name: str) -> LineConditions:
        return LineConditions(
            delay=plan.knob("delay", 0.0),
            split=int(plan.knob("split", 0)) or None,
            partial=bool(plan.knob("partial", 0)),
            capacity_bytes=int(plan.knob("capacity_bytes", 64 << 10)),
        )

    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as programs:
        scene = Observatory(plan)
        scene.network = Network(programs, plan.seed, conditions, scene.tap)
        scene.rules = [rule(scene) for rule in rules]
        handler, logger = _Faults(scene), logging.getLogger("indianyio")
        standstill = Standstill(most_at_a_moment=_MOST_TURNS_AT_A_MOMENT, most_in_a_run=_MOST_TURNS)
        trio.lowlevel.add_instrument(standstill)
        logger.addHandler(handler)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_standstill, scene, standstill, nursery.cancel_scope)
                await _run(scene, nursery)
        finally:
            logger.removeHandler(handler)
            trio.lowlevel.remove_instrument(standstill)
            scene.turns, scene.longest = standstill.turns, standstill.longest
    scene.tasks_left = trio.lowlevel.current_statistics().tasks_living - before
    for rule in scene.rules:
        rule.over()
    return scene


async def _run(scene: Observatory, nursery: trio.Nursery) -> None:
    plan = scene.plan
    # The farthest first, as a careful observatory is started; that others come later is what faults are for.
    for part in reversed(plan.of_kind("server")):
        scene.servers[part.name] = _server(scene, part)
        nursery.start_soon(_serve, scene, part.name)
        await trio.sleep(0.1)
    for part in plan.of_kind("client"):
        nursery.start_soon(keep_connected, part, scene)
    for part in plan.of_kind("user"):
        nursery.start_soon(keep_using, part, scene)
    for fault in plan.faults:
        nursery.start_soon(misbehave, scene, fault)
    nursery.start_soon(_look_round, scene)
    await trio.sleep_until(max([plan.seconds, *(fault.until for fault in plan.faults)]))
    await trio.sleep(RECOVERY_SECONDS)
    for rule in scene.rules:
        rule.quiet()
    await write_last(scene)
    await _let_some_fail(scene)
    scene.asked_to_end_at = scene.now
    for server in scene.servers.values():
        server.shutdown()
    with trio.move_on_after(END_SECONDS):
        await scene.all_ended.wait()
    nursery.cancel_scope.cancel()


async def _let_some_fail(scene: Observatory) -> None:
    """Let drivers fail just before the end, so that they are cancelled while they deal with it."""
    for station in scene.stations:
        if station.part.settings.get("fails_at_end") and scene.is_alive(station):
            station.die()
    await trio.sleep(0.1)


def _server(scene: Observatory, part: Part) -> IPyServer:
    host = scene.network.host(part.name)
    drivers = [driver for driver in scene.plan.of_kind("driver") if driver.text("server") == part.name]
    local = [scene.new_station(driver) for driver in drivers if not driver.settings.get("program")]
    server = IPyServer(*local, host=part.name, port=PORT, maxconnections=20, environment=host)
    server._outbox_bytes = int(scene.plan.knob("outbox_bytes", server._outbox_bytes))
    for driver in drivers:
        if driver.settings.get("program"):
            host.installed[driver.name] = lambda driver=driver: scene.new_station(driver)  # type: ignore[misc]
            server.add_exdriver(driver.name)
    for program in server.exdrivers:
        program._outbox_bytes = int(scene.plan.knob("program_outbox_bytes", program._outbox_bytes))
    for far in part.names("remotes"):
        server.add_remote(far, PORT)
    return server


async def _serve(scene: Observatory, name: str) -> None:
    try:
        await scene.servers[name].asyncrun()
    except Exception as failure:  # noqa: BLE001 - a rule tells of it
        scene.failures[name] = failure
    scene.ended[name] = scene.now
    if len(scene.ended) == len(scene.servers):
        scene.all_ended.set()


async def _end_standstill(scene: Observatory, standstill: Standstill, everything: trio.CancelScope) -> None:
    scene.findings.append(Finding("TimePasses", await standstill.noticed(), scene.now))
    for program in scene.network.programs:
        program.kill()
    everything.cancel("time does not pass")


async def _look_round(scene: Observatory) -> None:
    while True:
        await trio.sleep(1)
        for rule in scene.rules:
            rule.second()
