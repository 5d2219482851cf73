"""What goes wrong in an observatory: lines that are lost or garbled, drivers and programs that die or hang."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from indianyio.testing.simulation import Fault, PlanError, SimulatedProgram
from tests.simulation.observatory import Observatory


async def misbehave(scene: Observatory, fault: Fault) -> None:
    """Wait for the time of a fault, and let it happen."""
    await trio.sleep_until(fault.at)
    one, _, other = fault.where.partition("-")
    match fault.what:
        case "part":
            await _part(scene, fault, one, other)
        case "cut":
            scene.network.cut(one, other)
        case "flap":
            for _ in range(int(fault.amount)):
                scene.network.cut(one, other)
                await trio.sleep(fault.seconds / fault.amount)
        case "garble":
            await _garble(scene, fault, one, other)
        case "noise":
            await _make_noise(scene, fault, one, other)
        case "die":
            _die(scene, fault.where)
        case "hang":
            await _hang(scene, fault)
        case what:
            raise PlanError(f"an observatory knows no fault {what!r}")


async def _part(scene: Observatory, fault: Fault, one: str, other: str) -> None:
    scene.network.part(one, other)
    await trio.sleep(fault.seconds)
    scene.network.join(one, other)


async def _garble(scene: Observatory, fault: Fault, one: str, other: str) -> None:
    for line in scene.network.lines(one, other):
        line.garble(fault.amount, to="b")
    await trio.sleep(fault.seconds)
    for line in scene.network.lines(one, other):
        line.garble(0.0, to="b")


async def _make_noise(scene: Observatory, fault: Fault, one: str, other: str) -> None:
    """Garble what a server sends, then lose the line: otherwise nobody would repeat what the noise has cost."""
    for line in scene.network.lines(one, other):
        line.garble(fault.amount, to="a")
    await trio.sleep(fault.seconds)
    scene.network.cut(one, other)


def _die(scene: Observatory, device: str) -> None:
    for program in _programs(scene, device):
        program.die()
        return
    for station in scene.stations:
        if station.name == device:
            station.die()


async def _hang(scene: Observatory, fault: Fault) -> None:
    for program in _programs(scene, fault.where):
        program.line.stall()
        await trio.sleep(fault.seconds)
        program.line.go_on()
        return


def _programs(scene: Observatory, device: str) -> Iterator[SimulatedProgram]:
    """Yield the program of a device that runs."""
    return (one for one in scene.network.programs if one.name == device and one.status is None)
