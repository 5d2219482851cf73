"""The catalogue against what libindi's simulators, and drivers that need no hardware, define when connected."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from indianyio.properties import Member
from indianyio.protocol import (
    DefLightVector,
    DefNumber,
    DefSwitchVector,
    DefVector,
    Frame,
    Framer,
    GetProperties,
    NewSwitchVector,
    OneSwitch,
    SetSwitchVector,
    WireMember,
    WireMessage,
    decode,
    encode,
)
from tests.libindi.libindi_harness import installed
from tests.standard.catalogue import CATALOGUE, ENTRIES, Entry

KINDS = {
    "simulator_ccd": ["camera", "guide_head", "streaming", "guider", "filter_wheel"],
    "simulator_guide": ["camera", "guide_head", "streaming", "guider"],
    "simulator_telescope": ["mount", "guider"],
    "simulator_focus": ["focuser"],
    "simulator_wheel": ["filter_wheel"],
    "simulator_dome": ["dome"],
    "simulator_rotator": ["rotator"],
    "simulator_weather": ["weather"],
    "simulator_gps": ["gps"],
    "simulator_lightpanel": ["light_box"],
    "simulator_sqm": ["sky_quality"],
    "simulator_receiver": ["sensor", "streaming"],
    "manual_wheel": ["filter_wheel"],
    "flipflat": ["dust_cap", "light_box"],
    "watchdog": ["watchdog"],
}
"""The kinds of device that each of libindi's simulators is, and of drivers that need no hardware."""

EVERYWHERE = ["general", "connection", "joystick"]

SWITCHED_ON = {
    "DEBUG": "ENABLE",
    "WCS_CONTROL": "WCS_ENABLE",
    "UPLOAD_MODE": "UPLOAD_BOTH",
    "USEJOYSTICK": "ENABLE",
}
"""What makes a driver define more."""


OF_ITS_OWN = {
    "simulator_ccd": ["SIM*", "CCD_SIMULATE_CRASH", "CCD_DIRECTORY_*", "EQUATORIAL_PE", "DSP_ACTIVATE_*"],
    "simulator_guide": ["SIM*", "CCD_TIMEOUT", "EQUATORIAL_PE"],
    "simulator_telescope": ["*SCOPE_CONFIG*", "MOUNT_*", "SIM_PIER_SIDE", "FLIP_HA"],
    "simulator_focus": ["Mode", "SEEING_SETTINGS", "FWHM", "DELAY"],
    "simulator_wheel": [],
    "simulator_dome": [],
    "simulator_rotator": [],
    "simulator_weather": ["WEATHER_CONTROL"],
    "simulator_gps": [],
    "simulator_lightpanel": [],
    "simulator_sqm": ["Unit Info"],
    "simulator_receiver": ["DSP_ACTIVATE_*"],
    "manual_wheel": [],
    "flipflat": ["Firmware", "Status"],
    "watchdog": [],
}
"""What a driver defines that is no standard property; APPLY_SCOPE_CONFIG and its name went with libindi 1.9."""

LIMITED = [
    "WEATHER_FORECAST",
    "WEATHER_TEMPERATURE",
    "WEATHER_WIND_SPEED",
    "WEATHER_WIND_GUST",
    "WEATHER_RAIN_HOUR",
]
"""The parameters of the weather's simulator; each has a property of its own for its limits."""


Fact: TypeAlias = tuple[str, object, object]
"""What it is, what the catalogue says, what the driver says."""


class Difference(NamedTuple):
    """Why a driver defines something otherwise than the catalogue; the first three are patterns."""

    program: str
    name: str
    what: str
    why: str


REASONS = [
    Difference("*", "DRIVER_INFO", "group", "there is no kind of connection to choose"),
    Difference("*", "TELESCOPE_TIMED_GUIDE_*", "group", "a driver chooses the group of its guide port"),
    Difference("*", "FILTER_SLOT", "group", "a driver chooses the group of its filters"),
    Difference("*", "FILTER_SLOT", "FILTER_SLOT_VALUE.max", "the wheel has eight slots"),
    Difference("*", "CCD_STREAM_RECORDER", "members", "libindi was built without what OGV needs"),
    Difference("*", "CCD_GAIN", "GAIN.max", "it is the camera's"),
    Difference("simulator_ccd", "CCD_COOLER", "perm", "the simulator's alone: other drivers let clients read it"),
    Difference("simulator_ccd", "CCD_GAIN", "GAIN.label", "the simulator's alone: clients look for the name"),
    Difference("simulator_ccd", "CCD_OFFSET", "OFFSET.label", "the simulator's alone: clients look for the name"),
    Difference("simulator_focus", "FOCUS_SPEED", "FOCUS_SPEED_VALUE.m*", "the focuser has five speeds"),
    Difference("simulator_focus", "FOCUS_TEMPERATURE", "perm", "the temperature to be simulated can be set"),
    Difference("simulator_weather", "WEATHER_PARAMETERS", "*.m*", "they are the limits of what is good"),
    Difference("simulator_weather", "WEATHER_*", "label", "it is that of the parameter"),
    Difference("simulator_gps", "*", "state", "the receiver is read before its properties are defined"),
    Difference("simulator_sqm", "SKY_QUALITY", "state", "the meter is read before its properties are defined"),
    Difference("simulator_sqm", "SKY_QUALITY", "perm", "the readings to be simulated can be set"),
    Difference("simulator_receiver", "SENSOR_INTEGRATION", "SENSOR_INTEGRATION_VALUE.*", "they are the receiver's"),
    Difference("simulator_receiver", "RECEIVER_SETTINGS", "*", "they are the receiver's"),
]


# -- what a simulator defines --------------------------------------------------------------------------------------


def defined_by(program: str, home: Path) -> list[DefVector]:
    """Return a driver's properties as it defines each of them first, from its start until it is connected."""
    environment = {**os.environ, "HOME": str(home)}
    environment.pop("INDICONFIG", None)
    ours, its = socket.socketpair()
    with ours:
        with its:
            wire = its.fileno()
            process = subprocess.Popen(
                [program], stdin=wire, stdout=wire, stderr=subprocess.DEVNULL, env=environment
            )
        with process:
            try:
                return connected(ours)
            finally:
                process.kill()


def connected(sock: socket.socket) -> list[DefVector]:
    """Connect a device and switch on what makes it define more; return the first definition of each property."""
    found: dict[str, DefVector] = {}
    is_connected = False
    sock.settimeout(30)
    sock.sendall(encode(GetProperties()))
    for message in messages_from(sock):
        if isinstance(message, DefVector):
            if message.name == "CONNECTION" and message.name not in found:
                sock.sendall(switch_on(message.device, "SIMULATION", "ENABLE"))
                sock.sendall(switch_on(message.device, "CONNECTION", "CONNECT"))
            found.setdefault(message.name, message)
        elif isinstance(message, SetSwitchVector) and (message.name, message.state) == ("CONNECTION", "Ok"):
            is_connected = True
            sock.sendall(b"".join(switch_on(message.device, *switch) for switch in SWITCHED_ON.items()))
            # A driver answers what it has got, and ends when nothing more can come.
            sock.shutdown(socket.SHUT_WR)
    assert is_connected
    return list(found.values())


def messages_from(sock: socket.socket) -> Iterator[WireMessage]:
    framer = Framer()
    while data := sock.recv(1 << 20):
        for item in framer.feed(data):
            message = decode(item) if isinstance(item, Frame) else item
            # The receiver defines a property without a name.
            if isinstance(message, WireMessage):
                yield message


def switch_on(device: str, name: str, member: str) -> bytes:
    return encode(NewSwitchVector(device=device, name=name, members=(OneSwitch(name=member, value="On"),)))


# -- what the catalogue says ---------------------------------------------------------------------------------------


def entries_of(program: str, name: str) -> list[Entry]:
    """Return the entries by which a driver can have defined a property."""
    called = "<PARAMETER>" if name in LIMITED else name
    return [entry for kind in KINDS[program] + EVERYWHERE for entry in ENTRIES[kind] if entry.data.name == called]


def entry_of(program: str, defined: DefVector) -> Entry:
    """Return the entry by which a driver has defined a property: of several kinds' the one that fits."""
    return min(entries_of(program, defined.name), key=lambda entry: len(differences(entry, defined)))


def differences(entry: Entry, defined: DefVector) -> list[Fact]:
    """Return what is defined otherwise than by either version of libindi."""
    older = entry.data.older
    return [fact for fact in facts(entry, defined) if fact[2] not in (fact[1], older.get(fact[0], fact[1]))]


def facts(entry: Entry, defined: DefVector) -> list[Fact]:
    """Return all there is to compare."""
    declared = entry.values.declaration
    found: list[Fact] = [
        ("kind", f"def{declared.kind}Vector", defined.tag),
        ("label", declared.label, defined.label),
        ("group", declared.group, defined.group),
        ("state", declared.state, defined.state),
    ]
    if not isinstance(defined, DefLightVector):
        found += [("perm", declared.perm, defined.perm)]
        found += [("timeout", declared.timeout, float(defined.timeout or 0))]
    if isinstance(defined, DefSwitchVector):
        found += [("rule", declared.rule, defined.rule)]
    if declared.template is None:
        found += [("members", wanted_members(entry, defined), [member.name for member in defined.members])]
    members = {member.name: member for member in declared.members}
    for member in defined.members:
        if member.name in members:
            found += member_facts(members[member.name], member)
        elif declared.template is not None:
            found += number_facts(declared.template, member, str(member.name), "runtime")
    return found


def wanted_members(entry: Entry, defined: DefVector) -> list[str]:
    """Return the names of the members there should be: optional ones, if they are there."""
    there = {member.name for member in defined.members}
    return [member.name for member in entry.data.members if not member.optional or member.name in there]


def member_facts(declared: Member, defined: WireMember) -> list[Fact]:
    return [
        (f"{declared.name}.label", declared.label, getattr(defined, "label", None)),
        *number_facts(declared, defined, declared.name, declared.name),
    ]


def number_facts(declared: Member, defined: WireMember, name: str, formats: str) -> list[Fact]:
    if not isinstance(defined, DefNumber):
        return []
    return [
        (f"{formats}.format", declared.format, defined.format),
        (f"{name}.min", declared.min, float(defined.min or 0)),
        (f"{name}.max", declared.max, float(defined.max or 0)),
        (f"{name}.step", declared.step, float(defined.step or 0)),
    ]


# -- both ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[DefVector]]:
    """Give what each driver defines that is installed."""
    home = tmp_path_factory.mktemp("home")
    programs = {program: f"indi_{program}" for program in KINDS}
    return {program: defined_by(path, home) for program, path in programs.items() if installed(path)}


def standard(program: str, definitions: dict[str, list[DefVector]]) -> list[DefVector]:
    """Return what a driver defines that is in the catalogue."""
    if program not in definitions:
        pytest.skip(f"indi_{program} is not installed")
    return [defined for defined in definitions[program] if entries_of(program, defined.name)]


def reasons_for(program: str, name: str, what: str) -> set[Difference]:
    """Return why a driver defines something otherwise."""
    names = (program, name, what)
    return {
        reason for reason in REASONS if all(map(fnmatchcase, names, (reason.program, reason.name, reason.what)))
    }


@pytest.mark.parametrize("program", KINDS)
def test_a_driver_defines_what_the_catalogue_says(program: str, definitions: dict[str, list[DefVector]]) -> None:
    there = standard(program, definitions)
    assert len(there) >= 7
    unexplained = [
        f"{defined.name}: {what}: {ours!r} in the catalogue, {its!r} in the driver"
        for defined in there
        for what, ours, its in differences(entry_of(program, defined), defined)
        if not reasons_for(program, defined.name, what)
    ]
    assert unexplained == []


@pytest.mark.parametrize("program", KINDS)
def test_the_catalogue_has_what_a_driver_defines_but_for_its_own(
    program: str, definitions: dict[str, list[DefVector]]
) -> None:
    for defined in definitions.get(program, []):
        is_own = any(fnmatchcase(defined.name, pattern) for pattern in OF_ITS_OWN[program])
        assert is_own != bool(entries_of(program, defined.name)), defined.name


@pytest.mark.parametrize("program", KINDS)
def test_the_older_libindi_differs_as_the_catalogue_says(
    program: str, definitions: dict[str, list[DefVector]]
) -> None:
    if version() != CATALOGUE.compared:
        pytest.skip(f"libindi {CATALOGUE.compared} is not installed")
    for defined in standard(program, definitions):
        entry = entry_of(program, defined)
        assert not entry.data.new, defined.name
        there = {what: its for what, _, its in facts(entry, defined)}
        assert {what: there[what] for what in entry.data.older} == entry.data.older


def version() -> str:
    """Return the version of libindi that is installed."""
    done = subprocess.run(["indiserver", "-h"], capture_output=True, text=True, check=False, timeout=60)
    found = re.search(r"INDI Library: (\S+)", done.stdout + done.stderr)
    return found[1] if found else ""


def test_each_reason_is_one_for_something(definitions: dict[str, list[DefVector]]) -> None:
    if set(definitions) != set(KINDS) or version() != CATALOGUE.compared:
        pytest.skip(f"not all drivers of libindi {CATALOGUE.compared} are installed")
    used = {
        reason
        for program in definitions
        for defined in standard(program, definitions)
        for what, _, _ in differences(entry_of(program, defined), defined)
        for reason in reasons_for(program, defined.name, what)
    }
    assert used == set(REASONS)
