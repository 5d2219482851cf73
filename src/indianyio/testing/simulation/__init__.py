"""Drivers, and whole observatories, in virtual time, from a seed: what happens in a year of bad nights.

A seed stands for a plan: who writes what, what the lines are like, what fails and when. Every run of a plan is the
same. So what was found once can be looked at again and again, and the plan can be made smaller until only what
matters is left. It runs on trio, because only trio can be told in which order to run its tasks.

One line tests a driver in this way::

    test_the_focuser_survives = simulate(Focuser, seeds=100)

docs/simulation.md says how it works, how to write rules of your own, and how to read a failure. The parts can also
be used for simulations of other things: :func:`run_seeded` and :func:`chance`, :class:`Line`, :class:`Plan`,
:class:`Reader` and :class:`Mirror`, :func:`shrink`.
"""

from __future__ import annotations

from indianyio.testing.simulation._chance import chance
from indianyio.testing.simulation._driver_clients import LEAVE_ALONE
from indianyio.testing.simulation._driver_plans import plan_for_driver
from indianyio.testing.simulation._driver_rules import (
    RULES,
    AbortIsAnswered,
    ClientsKnowTheTruth,
    EndsInTime,
    HandlesInOrder,
    LastWritesAreHandled,
    LeavesNoTask,
    LeavesOnce,
    NothingUnexpectedIsLogged,
    QueuesAreBounded,
    RefusesBadWrites,
)
from indianyio.testing.simulation._driver_run import play_driver
from indianyio.testing.simulation._driver_scene import DriverScene, Rule, Written
from indianyio.testing.simulation._findings import Finding, Outcome, SimulationError
from indianyio.testing.simulation._links import Line, LineConditions, LineEnd
from indianyio.testing.simulation._network import Host, Network
from indianyio.testing.simulation._plan import Fault, Part, Plan, PlanError, Setting, load_plan
from indianyio.testing.simulation._programs import SimulatedProgram
from indianyio.testing.simulation._reader import Heard, Known, Mirror, Reader
from indianyio.testing.simulation._reality import BEGINNING, Reality
from indianyio.testing.simulation._seeded import run_seeded
from indianyio.testing.simulation._shrinking import shrink
from indianyio.testing.simulation._simulating import simulate
from indianyio.testing.simulation._wishes import Wish

__all__ = [
    "BEGINNING",
    "LEAVE_ALONE",
    "RULES",
    "AbortIsAnswered",
    "ClientsKnowTheTruth",
    "DriverScene",
    "EndsInTime",
    "Fault",
    "Finding",
    "HandlesInOrder",
    "Heard",
    "Host",
    "Known",
    "LastWritesAreHandled",
    "LeavesNoTask",
    "LeavesOnce",
    "Line",
    "LineConditions",
    "LineEnd",
    "Mirror",
    "Network",
    "NothingUnexpectedIsLogged",
    "Outcome",
    "Part",
    "Plan",
    "PlanError",
    "QueuesAreBounded",
    "Reader",
    "Reality",
    "RefusesBadWrites",
    "Rule",
    "Setting",
    "SimulatedProgram",
    "SimulationError",
    "Wish",
    "Written",
    "chance",
    "load_plan",
    "plan_for_driver",
    "play_driver",
    "run_seeded",
    "shrink",
    "simulate",
]
