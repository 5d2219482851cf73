"""Instruments at a wire: which one, when it is open, and what takes its place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import pytest

from indianyio import RefusedError, State, WireError, wires
from indianyio.instrument import Wired
from indianyio.testing import check_driver, driver_client
from indianyio.wires import Dialogue, FakeWire, PortInfo, SerialWire, TcpWire, UdpWire, Wire
from tests.wires.terminals import answering

pytest_plugins = ("indianyio.testing.pytest_plugin",)
pytestmark = pytest.mark.anyio


class Scale(Wired):
    """Something that tells its version; ``answers`` is what is at the other end."""

    baud_rate = 115_200

    def __init__(self, answers: Dialogue | None = None) -> None:
        super().__init__("Scale")
        self.answers = answers
        self.made: Wire | None = None

    async def handshake(self) -> None:
        version = await self.wire.query(b"V#", until=b"#", timeout=1)
        self.log.info("version %s", version.decode())

    def simulate(self) -> Dialogue:
        return {b"V#": b"simulated#"}

    def make_wire(self) -> Wire:
        self.made = super().make_wire() if self.answers is None else FakeWire(self.answers, timeout=1)
        return self.made


async def test_the_wire_is_open_while_the_instrument_is_connected() -> None:
    async with driver_client(Scale({b"V#": b"1.0#"})) as (scale, client):
        device = await client.device("Scale", timeout=5)
        with pytest.raises(WireError, match="not connected"):
            _ = scale.wire
        async with device.connected(timeout=5):
            assert scale.wire.is_open
            await client.wait_for(lambda it: bool(device.messages), timeout=5)
            assert device.messages[0][1] == "[INFO] version 1.0"
        assert scale.made is not None
        assert not scale.made.is_open


@pytest.mark.usefixtures("indi_clock")
async def test_a_wire_without_the_right_answer_is_closed_again() -> None:
    async with driver_client(Scale({b"V#": None})) as (scale, client):
        device = await client.device("Scale", timeout=5)
        connection = await device.vector("CONNECTION", timeout=5)
        with pytest.raises(RefusedError, match="WireTimeoutError"):
            await connection.set(CONNECT=True)
        assert scale.made is not None
        assert not scale.made.is_open
        scale.answers = {b"V#": b"2#"}
        await connection.set(CONNECT=True)


async def test_simulation_takes_the_place_of_the_wire() -> None:
    async with driver_client(Scale()) as (scale, client):
        device = await client.device("Scale", timeout=5)
        await (await device.vector("SIMULATION", timeout=5)).set(ENABLE=True)
        async with device.connected(timeout=5):
            assert isinstance(scale.wire, FakeWire)


async def test_what_cannot_be_simulated_says_so() -> None:
    async with driver_client(Wired("Plain")) as (_, client):
        device = await client.device("Plain", timeout=5)
        await (await device.vector("SIMULATION", timeout=5)).set(ENABLE=True)
        with pytest.raises(RefusedError, match="cannot be simulated"):
            await device["CONNECTION"].set(CONNECT=True)


async def test_clients_choose_the_wire_and_see_what_belongs_to_it(home: Path) -> None:
    async with driver_client(Scale()) as (scale, client):
        device = await client.device("Scale", timeout=5)
        port = await device.vector("DEVICE_PORT", timeout=5)
        await device.vector("CONNECTION_MODE", timeout=5)
        assert device["DEVICE_BAUD_RATE"]["115200"] is True
        assert "DEVICE_ADDRESS" not in device
        await port.set(PORT="/dev/nowhere")
        assert isinstance(scale.make_wire(), SerialWire)
        assert scale.make_wire().name == "/dev/nowhere"

        await device["CONNECTION_MODE"].set(CONNECTION_TCP=True)
        address = await device.vector("DEVICE_ADDRESS", timeout=5)
        await client.wait_for(lambda it: "DEVICE_PORT" not in device, timeout=5)
        with pytest.raises(RefusedError, match="needs a host and a port"):
            await device["CONNECTION"].set(CONNECT=True)
        await address.set(ADDRESS="127.0.0.1", PORT="4030")
        assert isinstance(scale.make_wire(), TcpWire)
        await (await device.vector("CONNECTION_TYPE", timeout=5)).set(UDP=True)
        assert isinstance(scale.make_wire(), UdpWire)
        await device["CONFIG_PROCESS"].set(CONFIG_SAVE=True)

    # The choice is there after a restart, before anybody connects.
    async with driver_client(Scale()) as (scale, client):
        device = await client.device("Scale", timeout=5)
        address = await device.vector("DEVICE_ADDRESS", timeout=5)
        await address.wait_for(lambda it: it["PORT"] == "4030", timeout=5)
        await (await device.vector("CONNECTION_TYPE", timeout=5)).wait_for(lambda it: it["UDP"], timeout=5)
        assert isinstance(scale.make_wire(), UdpWire)


async def test_the_wire_is_not_changed_while_it_is_in_use() -> None:
    async with driver_client(Scale({b"V#": b"1.0#"})) as (_, client):
        device = await client.device("Scale", timeout=5)
        async with device.connected(timeout=5):
            with pytest.raises(RefusedError, match="disconnect first"):
                await device["DEVICE_PORT"].set(PORT="/dev/other")
            assert device["DEVICE_PORT"]["PORT"] == "/dev/ttyUSB0"
            with pytest.raises(RefusedError, match="disconnect first"):
                await device["CONNECTION_MODE"].set(CONNECTION_TCP=True)
            assert device["CONNECTION"].state is State.OK


async def test_an_instrument_of_the_network_alone_has_no_serial_port() -> None:
    class Networked(Wired):
        wires: ClassVar[Sequence[Literal["serial", "tcp"]]] = ("tcp",)
        address = ("localhost", 9999)

    networked = Networked("Networked")
    assert "DEVICE_PORT" not in networked.device
    assert list(networked.device["CONNECTION_MODE"]) == ["CONNECTION_TCP"]
    assert isinstance(networked.make_wire(), TcpWire)


def test_a_speed_that_nobody_could_choose_is_an_error() -> None:
    class Odd(Wired):
        baud_rate = 1234

    with pytest.raises(ValueError, match="baud_rate is 1234"):
        Odd("Odd")


@pytest.mark.usefixtures("indi_clock")
async def test_the_check_of_drivers_finds_nothing() -> None:
    assert await check_driver(Scale) == []


# -- serial ports ----------------------------------------------------------------------------------------------


def found(monkeypatch: pytest.MonkeyPatch, *paths: str) -> None:
    """Let the machine have these serial ports."""

    async def available_ports() -> list[PortInfo]:
        return [PortInfo(path, path.rpartition("/")[2], "") for path in paths]

    monkeypatch.setattr(wires, "available_ports", available_ports)


class AtPort(Scale):
    """A scale at a real serial port, with one version only."""

    wire_timeout = 0.1

    async def handshake(self) -> None:
        version = await self.wire.query(b"V#", until=b"#")
        if version != b"scale":
            raise ValueError(f"this is a {version.decode()}")


class PluggedIn(NamedTuple):
    """An instrument at a serial port: where, and what it was asked."""

    port: str
    requests: list[bytes]


@asynccontextmanager
async def plugged_in(name: bytes) -> AsyncGenerator[PluggedIn]:
    requests: list[bytes] = []

    def answer(request: bytes) -> list[bytes | float]:
        requests.append(request)
        return [name + b"#"]

    async with answering(answer) as terminal:
        yield PluggedIn(terminal.port, requests)


async def test_clients_see_the_ports_of_the_machine_and_choose_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, "/dev/serial/by-id/usb-A", "/dev/ttyUSB7")
    async with driver_client(Scale()) as (scale, client):
        device = await client.device("Scale", timeout=5)
        ports = await device.vector("SYSTEM_PORTS", timeout=5)
        assert list(ports) == ["/dev/serial/by-id/usb-A", "/dev/ttyUSB7"]
        assert ports.members["/dev/ttyUSB7"].label == "ttyUSB7"
        assert not any(ports.values())
        await device.set("SYSTEM_PORTS", {"/dev/ttyUSB7": True})
        await device["DEVICE_PORT"].wait_for(lambda it: it["PORT"] == "/dev/ttyUSB7", timeout=5)
        assert scale.make_wire().name == "/dev/ttyUSB7"

        found(monkeypatch, "/dev/ttyACM0")
        await device.set("DEVICE_PORT_SCAN", {"Scan Ports": True})
        await client.wait_for(lambda it: list(device.get("SYSTEM_PORTS", [])) == ["/dev/ttyACM0"], timeout=5)
        assert device["DEVICE_PORT"]["PORT"] == "/dev/ttyUSB7", "a scan chooses nothing"

        found(monkeypatch)
        with pytest.raises(RefusedError, match="no serial port"):
            await device.set("DEVICE_PORT_SCAN", {"Scan Ports": True})
        await client.wait_for(lambda it: "SYSTEM_PORTS" not in device, timeout=5)


async def test_the_ports_go_with_the_serial_mode_and_come_back_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, "/dev/ttyUSB7")
    serial = {"DEVICE_PORT", "DEVICE_AUTO_SEARCH", "DEVICE_PORT_SCAN", "DEVICE_BAUD_RATE", "SYSTEM_PORTS"}
    async with driver_client(Scale()) as (_, client):
        device = await client.device("Scale", timeout=5)
        await device.vector("SYSTEM_PORTS", timeout=5)
        await device.set("CONNECTION_MODE", CONNECTION_TCP=True)
        await client.wait_for(lambda it: not serial & set(device), timeout=5)
        await device.set("CONNECTION_MODE", CONNECTION_SERIAL=True)
        await client.wait_for(lambda it: serial <= set(device), timeout=5)


async def test_nothing_is_sent_to_a_port_that_nobody_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    async with plugged_in(b"focuser") as chosen, plugged_in(b"scale") as other:
        found(monkeypatch, chosen.port, other.port)
        async with driver_client(AtPort()) as (_, client):
            device = await client.device("Scale", timeout=5)
            assert (await device.vector("DEVICE_AUTO_SEARCH", timeout=5))["INDI_DISABLED"] is True
            await device.set("DEVICE_PORT", PORT=chosen.port)
            await device.set("DEVICE_PORT_SCAN", {"Scan Ports": True})
            with pytest.raises(RefusedError, match="this is a focuser"):
                await device.set("CONNECTION", CONNECT=True)
        assert other.requests == []
        assert chosen.requests == [b"V"]


async def test_a_search_finds_the_instrument_at_another_port(monkeypatch: pytest.MonkeyPatch) -> None:
    async with plugged_in(b"focuser") as chosen, plugged_in(b"mount") as mount, plugged_in(b"scale") as other:
        found(monkeypatch, chosen.port, mount.port, other.port)
        async with driver_client(AtPort()) as (scale, client):
            device = await client.device("Scale", timeout=5)
            await device.set("DEVICE_PORT", PORT=chosen.port)
            await device.set("DEVICE_AUTO_SEARCH", INDI_ENABLED=True)
            await device.set("CONNECTION", CONNECT=True)
            assert device["DEVICE_PORT"]["PORT"] == other.port == scale.wire.name
            await client.wait_for(lambda it: bool(device.messages), timeout=5)
            assert f"was found at {other.port}" in device.messages[0][1]


async def test_a_search_that_finds_nothing_leaves_the_choice_and_tells_the_first_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with plugged_in(b"focuser") as chosen, plugged_in(b"mount") as mount:
        found(monkeypatch, chosen.port, mount.port, "/dev/nowhere")
        async with driver_client(AtPort()) as (scale, client):
            device = await client.device("Scale", timeout=5)
            await device.set("DEVICE_PORT", PORT=chosen.port)
            await device.set("DEVICE_AUTO_SEARCH", INDI_ENABLED=True)
            with pytest.raises(RefusedError, match="this is a focuser"):
                await device.set("CONNECTION", CONNECT=True)
            assert scale.device_port.value.port == chosen.port


async def test_a_machine_without_pyserial_has_no_ports_to_show(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def available_ports() -> list[PortInfo]:
        raise WireError("serial ports", "pyserial is not installed")

    monkeypatch.setattr(wires, "available_ports", available_ports)
    caplog.set_level("INFO", "indianyio")
    async with driver_client(Scale({b"V#": b"1.0#"})) as (_, client):
        device = await client.device("Scale", timeout=5)
        async with device.connected(timeout=5):
            assert "SYSTEM_PORTS" not in device
    assert "the serial ports cannot be listed" in caplog.text
