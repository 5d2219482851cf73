"""Our simulators and libindi's behind one server, driven by libindi's own tools."""

from __future__ import annotations

from typing import NamedTuple

import anyio
import pytest

from indianyio import IPyServer, simulators
from tests.libindi.libindi_harness import installed
from tests.server.network import at_work

pytestmark = [pytest.mark.anyio, pytest.mark.libindi, pytest.mark.long]


class Task(NamedTuple):
    """What the tools have a device do.

    :ivar simulator: ours.
    :ivar program: libindi's.
    :ivar device: what libindi's device is called.
    :ivar member: what is written to, with its vector.
    :ivar value: what it shall be.
    :ivar too_much: what it cannot be.
    """

    simulator: str
    program: str
    device: str
    member: str
    value: int
    too_much: int


TASKS = [
    Task(
        "focuser",
        "indi_simulator_focus",
        "Focuser Simulator",
        "ABS_FOCUS_POSITION.FOCUS_ABSOLUTE_POSITION",
        52_000,
        2_000_000,
    ),
    Task("filter_wheel", "indi_simulator_wheel", "Filter Simulator", "FILTER_SLOT.FILTER_SLOT_VALUE", 3, 9),
]

STATES = {"Idle": 0, "Ok": 1, "Busy": 2, "Alert": 3}
"""How indi_eval counts."""


class Tools(NamedTuple):
    """The tools, for one device behind a server."""

    port: int
    device: str

    async def run(self, program: str, *arguments: str) -> tuple[int, str]:
        """Return a tool's exit status and what it prints."""
        done = await anyio.run_process([program, "-p", str(self.port), *arguments], check=False)
        return done.returncode, done.stdout.decode().strip()

    async def put(self, member: str, value: object, kind: str) -> int:
        """Write to a member; libindi's tool knows its kind."""
        status, _ = await self.run("indi_setprop", kind, f"{self.device}.{member}={value}")
        return status

    async def wait(self, member: str, value: int, state: str) -> int:
        """Wait until a member has a value, and its vector a state; return 0 when that is so."""
        vector = member.partition(".")[0]
        wanted = f'"{self.device}.{member}"=={value} && "{self.device}.{vector}._STATE"=={STATES[state]}'
        status, _ = await self.run("indi_eval", "-t", "20", "-w", wanted)
        return status

    async def get(self, member: str) -> str:
        """Return the value of a member, as it is printed."""
        _, printed = await self.run("indi_getprop", "-t", "5", "-1", f"{self.device}.{member}")
        return printed

    async def go_through(self, task: Task) -> list[object]:
        """Connect, move, ask for too much and disconnect; return all that the tools say."""
        return [
            await self.wait("CONNECTION.CONNECT", 0, "Idle"),
            await self.put("CONNECTION.CONNECT", "On", "-s"),
            await self.wait("CONNECTION.CONNECT", 1, "Ok"),
            await self.put(task.member, task.value, "-n"),
            await self.wait(task.member, task.value, "Ok"),
            float(await self.get(task.member)),
            await self.put(task.member, task.too_much, "-n"),
            await self.wait(task.member, task.value, "Alert"),
            await self.get(f"{task.member.partition('.')[0]}._STATE"),
            await self.put("CONNECTION.DISCONNECT", "On", "-s"),
            await self.wait("CONNECTION.CONNECT", 0, "Idle"),
            await self.get(task.member),
        ]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.simulator)
async def test_the_tools_see_no_difference(task: Task) -> None:
    if not installed(task.program):
        pytest.skip(f"{task.program} is not installed (Debian: apt-get install indi-bin)")
    seen: dict[str, list[object]] = {}

    async def see(tools: Tools) -> None:
        seen[tools.device] = await tools.go_through(task)

    server = IPyServer(getattr(simulators, task.simulator)("Ours"), host="127.0.0.1", port=0)
    server.add_exdriver(task.program)
    async with at_work(server, 60) as network:
        port = int(network.addresses[0].rpartition(":")[2])
        async with anyio.create_task_group() as tasks:
            for device in ("Ours", task.device):
                tasks.start_soon(see, Tools(port, device))
    assert seen["Ours"] == [0, 0, 0, 0, 0, task.value, 0, 0, "Alert", 0, 0, ""]
    assert seen["Ours"] == seen[task.device]
