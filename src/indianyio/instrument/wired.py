"""Instruments on a wire: CONNECTION_MODE, DEVICE_PORT, DEVICE_ADDRESS and others, and the wire itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import anyio

from indianyio._vocabulary import State
from indianyio.driver import AnyVector
from indianyio.exceptions import WireError, WriteRefusedError
from indianyio.instrument._framework._declared import Binding, Property
from indianyio.instrument._framework._instrument import Instrument
from indianyio.instrument._port_search import PortSearch
from indianyio.standard.connection import (
    ConnectionMode,
    ConnectionType,
    DeviceAddress,
    DeviceAutoSearch,
    DeviceBaudRate,
    DevicePort,
    DevicePortScan,
    SystemPorts,
)

if TYPE_CHECKING:
    from indianyio.wires import Dialogue, Wire

__all__ = ["Wired"]

logger = logging.getLogger(__name__)

_BAUD_RATES = ("9600", "19200", "38400", "57600", "115200", "230400")


class Wired(Instrument):
    r"""A driver that talks to its instrument over a wire; to be mixed in before a device class.

    ::

        class MyFocuser(Wired, Focuser):
            baud_rate = 115_200

            async def handshake(self) -> None:
                await self.wire.query(b"V\r", until=b"\r", timeout=2)

            def simulate(self) -> Dialogue:
                return {b"V\r": b"1.0\r", b"P\r": b"1200\r"}

    The wire is opened when the instrument is connected, and closed when it is disconnected or connecting fails.
    Clients choose the wire before that; while the instrument is connected they cannot change it. A subclass that
    overrides :meth:`connect` or :meth:`disconnect` must call ``super()``'s.
    """

    wires: ClassVar[Sequence[Literal["serial", "tcp"]]] = ("serial", "tcp")
    """How the instrument can be reached; the first is chosen unless clients choose otherwise."""

    port: ClassVar[str] = "/dev/ttyUSB0"
    """The serial port, unless clients choose another one."""

    auto_search: ClassVar[bool] = False
    """Whether to try the other serial ports if the instrument does not answer, unless clients choose otherwise.

    If so, :meth:`handshake` may be carried out at ports that belong to other instruments, and many of these restart
    when their port is opened. If not, nothing is ever sent to a port that nobody has chosen.
    """

    baud_rate: ClassVar[int] = 9600
    """The speed of the serial port, unless clients choose another one; must be one of those of DEVICE_BAUD_RATE."""

    address: ClassVar[tuple[str, int]] = ("", 0)
    """The host and the network port, unless clients choose others."""

    wire_timeout: ClassVar[float] = 5.0
    """How many seconds an answer may take, unless a query says otherwise."""

    connection_mode = Property(ConnectionMode, when="always", persist=True, adapt=lambda one: one._modes())
    device_port = Property(DevicePort, when="always", persist=True, adapt=lambda one: one._serial("port"))
    search_switch = Property(DeviceAutoSearch, when="always", persist=True, adapt=lambda one: one._serial("search"))
    port_scan = Property(DevicePortScan, when="always", adapt=lambda one: one._serial("scan"))
    device_baud_rate = Property(DeviceBaudRate, when="always", persist=True, adapt=lambda one: one._serial("baud"))
    device_address = Property(DeviceAddress, when="always", persist=True, adapt=lambda one: one._network("address"))
    system_ports = Property(SystemPorts, when="always", adapt=lambda one: one._serial("found"))
    connection_type = Property(ConnectionType, when="always", persist=True, adapt=lambda one: one._network("type"))

    _wire: Wire | None = None

    def __init__(
        self, devicename: str | None = None, *, properties: Iterable[AnyVector] = (), **driverdata: object
    ) -> None:
        super().__init__(devicename, properties=properties, **driverdata)
        if "serial" in self.wires:
            self._search = PortSearch(self.device_port, self.system_ports)
            self.add_background(self._look_for_ports)
        for vector, is_seen in self._choices():
            vector.enable = is_seen

    # -- to be overridden --------------------------------------------------------------------------------------

    async def handshake(self) -> None:
        """Check that it is this instrument that answers; called when the wire is open.

        An error is answered with Alert and its text, and the wire is closed.
        """

    def simulate(self) -> Dialogue:
        """Return what a simulated instrument answers, in a form that :class:`~indianyio.wires.FakeWire` takes.

        Called when the instrument is connected while SIMULATION is On.

        :raises WriteRefusedError: this is not overridden, so there is no simulation.
        """
        raise WriteRefusedError(f"{self.device.devicename} cannot be simulated; switch SIMULATION off")

    def make_wire(self) -> Wire:
        """Return the wire that clients have chosen, not yet open; a simulated one while SIMULATION is On."""
        from indianyio import wires

        if self.is_simulated:
            return wires.FakeWire(self.simulate(), name="simulation", timeout=self.wire_timeout)
        if self._is_serial():
            rates = self.device_baud_rate.vector
            rate = next(int(name) for name, value in rates.items() if value == "On")
            return wires.SerialWire(self.device_port.value.port, rate, timeout=self.wire_timeout)
        host, port = self.device_address.value.address, self.device_address.value.port
        if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
            raise WriteRefusedError(f"DEVICE_ADDRESS is {host!r}, port {port!r}; it needs a host and a port number")
        make = wires.TcpWire if self.connection_type.value.tcp else wires.UdpWire
        return make(host, int(port), timeout=self.wire_timeout)

    @property
    def wire(self) -> Wire:
        """The wire.

        :raises WireError: the instrument is not connected.
        """
        if self._wire is None:
            raise WireError(self.device.devicename, "it is not connected, so it has no wire")
        return self._wire

    async def connect(self) -> None:
        """Open the wire, and check that the instrument answers."""
        await super().connect()
        try:
            await self._open(self.make_wire())
        except Exception:
            # If this is cancelled, the client has changed its mind, and the first failure no longer matters.
            if not await self._is_found_elsewhere():  # noqa: ASYNC120
                raise

    async def _open(self, wire: Wire) -> None:
        """Open a wire, and check that the instrument answers; if that fails the wire is closed again."""
        await wire.open()
        self._wire = wire
        try:
            await self.handshake()
        except BaseException:
            self._wire = None
            with anyio.move_on_after(self.grace, shield=True):
                await wire.close()
            raise

    async def _is_found_elsewhere(self) -> bool:
        """Try the other serial ports, if that is wanted; return whether the instrument is at one of them."""
        if self.is_simulated or not self._is_serial() or not self.search_switch.value.enabled:
            return False
        await self._search.look()
        chosen = self.device_port.value
        for path in self._search.others():
            self.device_port.take(port=path)
            try:
                await self._open(self.make_wire())
            except Exception as error:  # noqa: BLE001 - whatever is there, it is not this instrument
                logger.info("%s: the instrument is not at %s: %s", self.device.devicename, path, error)
            finally:
                if self._wire is None:
                    self.device_port.take(chosen)
            if self._wire is not None:
                self.log.warning("the instrument did not answer at %s, but was found at %s", chosen.port, path)
                await self.device_port.report(state=State.OK)
                return True
        return False

    def _is_serial(self) -> bool:
        """Return whether clients have chosen a serial port."""
        return "serial" in self.wires and bool(self.connection_mode.value.serial)

    async def disconnect(self) -> None:
        """Close the wire."""
        wire, self._wire = self._wire, None
        try:
            await super().disconnect()
        finally:
            if wire is not None:
                with anyio.move_on_after(self.grace, shield=True):
                    await wire.close()

    # -- what clients choose -----------------------------------------------------------------------------------

    def _modes(self) -> Binding:
        without = [mode for mode in ("serial", "tcp", "i2c") if mode not in self.wires]
        return {
            "without": without,
            "value": ConnectionMode.from_wire({f"CONNECTION_{self.wires[0].upper()}": "On"}),
        }

    def _serial(self, what: str) -> Binding | None:
        if "serial" not in self.wires:
            return None
        if what == "port":
            return {"value": DevicePort(port=self.port)}
        if what == "search":
            return {
                "value": DeviceAutoSearch(enabled=True) if self.auto_search else DeviceAutoSearch(disabled=True)
            }
        if what == "scan":
            return {}
        if what == "found":
            return {"made": {self.port: self.port}}
        if str(self.baud_rate) not in _BAUD_RATES:
            raise ValueError(f"baud_rate is {self.baud_rate}, but must be one of {', '.join(_BAUD_RATES)}")
        return {"value": DeviceBaudRate.from_wire({str(self.baud_rate): "On"})}

    def _network(self, what: str) -> Binding | None:
        if "tcp" not in self.wires:
            return None
        if what == "type":
            return {}
        host, port = self.address
        return {"value": DeviceAddress(address=host, port=str(port or ""))}

    def _choices(self) -> Iterable[tuple[AnyVector, bool]]:
        """Yield the vectors with which clients choose, and whether they see each in the present mode."""
        if "serial" in self.wires:
            is_serial = self.connection_mode.value.serial
            for bound in (self.device_port, self.search_switch, self.port_scan, self.device_baud_rate):
                yield bound.vector, is_serial
            yield self.system_ports.vector, is_serial and bool(self._search.found)
        if "tcp" in self.wires:
            is_network = self.connection_mode.value.tcp
            yield self.device_address.vector, is_network
            yield self.connection_type.vector, is_network

    def _require_disconnected(self) -> None:
        if self.connection.value.connect:
            raise WriteRefusedError("disconnect first; this choice takes effect when the instrument is connected")

    @connection_mode.write
    async def _choose_mode(self, wanted: ConnectionMode) -> None:
        self._require_disconnected()
        await self.connection_mode.report(wanted, state=State.OK)
        for vector, is_seen in self._choices():
            if is_seen and not vector.enable:
                vector.enable = True
                await vector.send_defVector()
            elif vector.enable and not is_seen:
                await vector.send_delProperty()

    @device_port.write
    async def _choose_port(self, wanted: DevicePort) -> None:
        self._require_disconnected()

    @port_scan.write
    async def _scan(self, wanted: DevicePortScan) -> DevicePortScan:
        if await self._search.look():
            await self._search.show()
        if not self._search.found:
            raise WriteRefusedError("this machine has no serial port")
        return DevicePortScan.from_wire({"Scan Ports": "Off"})

    @system_ports.write
    async def _choose_found_port(self, wanted: SystemPorts) -> None:
        self._require_disconnected()
        for path, is_chosen in wanted.ports.items():
            if is_chosen:
                await self.device_port.report(port=path, state=State.OK)

    async def _look_for_ports(self) -> None:
        """At the beginning of a run, show which serial ports there are."""
        try:
            if await self._search.look() and self._is_serial():
                await self._search.show()
        except (WireError, OSError) as error:
            logger.info("%s: the serial ports cannot be listed: %s", self.device.devicename, error)

    @device_baud_rate.write
    async def _choose_baud_rate(self, wanted: DeviceBaudRate) -> None:
        self._require_disconnected()

    @device_address.write
    async def _choose_address(self, wanted: DeviceAddress) -> None:
        self._require_disconnected()

    @connection_type.write
    async def _choose_type(self, wanted: ConnectionType) -> None:
        self._require_disconnected()
