"""The instrument: a driver of one device, declared in the body of its class."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from indianyio._vocabulary import State
from indianyio.driver import AnyVector, Device, IPyDriver
from indianyio.driver._driver import Through
from indianyio.instrument._framework._binding import bind
from indianyio.instrument._framework._declared import Property, Seconds, adopt_methods, methods_of, properties_of
from indianyio.instrument._framework._following import Followed
from indianyio.instrument._framework._handlers import Handlers
from indianyio.instrument._framework._interface import Interface, missing
from indianyio.instrument._framework._life_cycle import LifeCycle
from indianyio.instrument._framework._logging import InstrumentLog
from indianyio.instrument._framework._property import BoundProperty
from indianyio.instrument._framework._settings import Settings
from indianyio.instrument._framework._writes import carry_out_write
from indianyio.instrument._running._gate import EarlierWrites, Gate
from indianyio.instrument._running._host import Host
from indianyio.instrument._running._polling import Poll, Polling
from indianyio.properties import Values
from indianyio.standard.general import (
    ConfigProcess,
    Connection,
    Debug,
    DebugLevel,
    DriverInfo,
    LoggingLevel,
    LogOutput,
    PollingPeriod,
    Simulation,
)

__all__ = ["Instrument"]

logger = logging.getLogger(__name__)

# Where the device classes and their parts are.
_OURS = "indianyio.instrument."

V = TypeVar("V", bound=Values)


class Instrument(IPyDriver):
    """A driver of one device, whose properties are declared in the body of its class; to be subclassed.

    ::

        class Heater(Instrument):
            target = Property(HeaterTarget)
            temperature = Property(HeaterTemperature)

            async def connect(self) -> None:
                self.heater = await open_heater()

            @target.write
            async def _set_target(self, wanted: HeaterTarget) -> None:
                await self.heater.set(wanted.celsius)

            @every(seconds=2)
            async def _poll(self) -> None:
                await self.temperature.report(celsius=await self.heater.temperature())

    It has what clients expect of every device: CONNECTION, DRIVER_INFO, SIMULATION, CONFIG_PROCESS, POLLING_PERIOD
    and DEBUG. It is an :class:`IPyDriver` as well: it can be given hand-made vectors when it is made, and writes to
    these go to ``rxevent``. A subclass that overrides :meth:`leave` must call ``super().leave()``.

    :param devicename: the name that clients know it by; the name of the class if absent.
    :param properties: hand-made vectors, which are there whether it is connected or not.
    :param driverdata: whatever its own methods need.
    :raises ValueError: two properties have the same name on the wire, or the device's name is not a legal one.
    """

    interface: ClassVar[Interface] = Interface.GENERAL
    """What kind of device it is; the kinds of all its base classes are added."""

    version: ClassVar[str] = "1.0"
    """The version of the driver, as shown in DRIVER_INFO."""

    connection = Property(Connection, when="always")
    driver_info = Property(DriverInfo, when="always")
    simulation_switch = Property(Simulation, when="always")
    config_process = Property(ConfigProcess, when="always")
    polling_period = Property(PollingPeriod, when="always", persist=True)
    debug_switch = Property(Debug, when="always", persist=True)
    debug_levels = Property(DebugLevel, when="always", persist=True)
    logging_levels = Property(LoggingLevel, when="always", persist=True)
    # The file is the program's own log, which gets everything until somebody chooses otherwise.
    log_output = Property(
        LogOutput, when="always", persist=True, adapt=lambda _: {"value": LogOutput(client=True, file=True)}
    )

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A mix-in that is not an instrument has no __init_subclass__ to do this, so it is done here.
        adopt_methods(cls, [base for base in cls.__mro__ if base is cls or not issubclass(base, Instrument)])
        for declared in properties_of(cls.__mro__[1]):
            mine = vars(cls).get(declared.attribute)
            if isinstance(mine, Property):
                mine.inherit(declared)
        if not cls.__module__.startswith(_OURS):
            _check_private_names(cls)

    def __init__(
        self, devicename: str | None = None, *, properties: Iterable[AnyVector] = (), **driverdata: object
    ) -> None:
        self._bound: dict[str, BoundProperty[Any]] = {}
        self._declared: dict[str, Property[Any]] = {}
        for declared in (*properties_of(type(self)), *self.more_properties()):
            adapted = {} if declared.adapt is None else declared.adapt(self)
            if adapted is not None:
                self._declared[declared.attribute] = declared
                self._bound[declared.attribute] = BoundProperty(declared.values, bind(declared.values, **adapted))
        name = type(self).__name__ if devicename is None else devicename
        device = Device(name, [*(bound.vector for bound in self._bound.values()), *properties])
        super().__init__(device, **driverdata)
        self.device = device
        self._host = Host(self, name)
        self._gate = Gate(self._host)
        self._earlier = EarlierWrites(self._host)
        self._handlers = Handlers(self, self._declared, self._bound, self._host, self._gate, self._earlier)
        self._operations = self._handlers.operations
        polls = [Poll(getattr(self, method), self._period(seconds)) for method, seconds in methods_of(type(self))]
        polling = Polling(polls, name, self._host, device.send_device_message)
        kept = [self._bound[attribute].vector for attribute, one in self._declared.items() if one.persist]
        self._settings = Settings(self.config_process, kept, name, self.rxerror)
        self._life = LifeCycle(self, self._host, self._gate, polling, self._settings, self._handlers.select)
        levels = self.debug_switch, self.debug_levels, self.logging_levels, self.log_output
        self._log = InstrumentLog(name, self._host, device.send_device_message, *levels)
        self._host.after_poll = self._log.flush
        self._has_begun = False
        self._background.add(self._begin_run)
        self._prepare()

    async def _begin_run(self) -> None:
        """Load, at the first run, the settings of what clients always see; the others are loaded on connecting."""
        self._log.begin()
        if not self._has_begun:
            self._has_begun = True
            always = [self._bound[name].vector.name for name, one in self._declared.items() if one.when == "always"]
            await self._life.take_up(always)

    @cached_property
    def log(self) -> logging.Logger:
        """Logs what people should know: clients get it as messages, and the program's log gets it too.

        Details, at the level DEBUG, are for clients that have switched DEBUG on and chosen them. May be used in any
        thread; outside the event loop's thread it may take a while until clients are told.
        """
        return self._log.logger

    def _prepare(self) -> None:
        for vector in self._while_connected():
            vector.enable = False
        self._handlers.install(
            {
                "connection": self._life.connecting.write,
                "debug_switch": partial(carry_out_write, self.debug_switch, self._log.switch),
                "config_process": self._earlier.noting(self.config_process.vector, self._settings.write),
            }
        )
        interface = self._interface()
        self.driver_info.take(
            name=type(self).__name__,
            executable=Path(sys.argv[0]).name or "python",
            version=self.version,
            interface=str(int(interface)),
        )
        for lack in missing(interface, self.device):
            logger.warning("%s lacks what clients need to use it as %s", self.device.devicename, lack)

    def _period(self, seconds: Seconds) -> Callable[[], float]:
        if seconds is None:
            return lambda: self.polling_period.value.milliseconds / 1000
        if callable(seconds):
            return partial(seconds, self)
        return lambda: seconds

    def _interface(self) -> Interface:
        kinds = Interface.GENERAL
        for base in type(self).__mro__:
            kinds |= vars(base).get("interface", Interface.GENERAL)
        return kinds

    def bound(self, values: type[V]) -> BoundProperty[V]:
        """Return the property whose values are of this class.

        :raises KeyError: the instrument has none.
        """
        for bound in self._bound.values():
            if bound.values is values:
                return bound
        raise KeyError(f"{self.device.devicename} has no property {values.__name__}")

    def _bound_property(self, declared: Property[V]) -> BoundProperty[V]:
        try:
            return self._bound[declared.attribute]
        except KeyError:
            name = declared.values.declaration.name
            raise AttributeError(
                f"{self.device.devicename} does not offer {declared.attribute} ({name}): "
                "a method that it needs is missing"
            ) from None

    async def begin(self, values: Values) -> None:
        """Begin the operation of a property as a client's write would, and return while it goes on.

        Clients see it, and can abort it. If a client's write would be refused now, they see the refusal.

        :param values: the values wanted; members that are not given stay as they are.
        :raises KeyError: the instrument has no such property, or the property has no operation.
        """
        await self._handlers.begin(values)

    async def carry_out(self, values: Values) -> None:
        """Begin the operation of a property as :meth:`begin` does, and wait until it has ended, however it ends.

        If cancelled it only stops waiting; the operation goes on.
        """
        await self.begin(values)
        await self._handlers.operation_of(values).end()

    # -- to be overridden --------------------------------------------------------------------------------------

    def more_properties(self) -> Iterable[Property[Any]]:
        """Return properties that only this instrument has, such as one for each of its outputs.

        Called when the instrument is made. Each property needs an attribute of its own.
        """
        return ()

    async def connect(self) -> None:
        """Open the hardware; called when a client connects the instrument.

        If an error leaves this method, or it is cancelled because the client has changed its mind, it must close
        whatever it has opened. An error is answered with Alert and its text, and the instrument stays disconnected.
        """

    async def disconnect(self) -> None:
        """Let go of the hardware; called exactly once after each :meth:`connect` that has succeeded.

        Called when a client disconnects the instrument, when its hardware is lost, or when the driver ends. By then
        no operation, write handler or poll is running, unless it hangs. At the end of the driver it may take
        ``grace`` seconds, even if :meth:`make_safe` has used up its own.
        """

    async def make_safe(self) -> None:
        """Bring the instrument to rest; called before :meth:`disconnect` at the end of the driver.

        All operations have been aborted by then.
        """

    @property
    def is_connected(self) -> bool:
        """Whether :meth:`connect` has succeeded, and :meth:`disconnect` has not been called since."""
        return self._life.is_connected

    @property
    def is_simulated(self) -> bool:
        """Whether the SIMULATION switch is On; :meth:`connect` looks at it."""
        return self.simulation_switch.value.enable

    def connection_lost(self, reason: str) -> None:
        """Disconnect the instrument because its hardware is lost; returns at once.

        Operations, handlers, polling and connecting are cancelled, including the one that calls this. A second call
        does nothing until the instrument has been connected again.

        :param reason: what clients are told, with an Alert.
        """
        self._life.lose(reason)

    async def leave(self) -> None:
        """Abort all operations, bring the instrument to rest, and disconnect it."""
        await self._life.leave()

    def follow(
        self,
        devicename: str,
        values: type[V],
        changed: Callable[[V, State], Awaitable[object]] | None = None,
        lost: Callable[[], Awaitable[object]] | None = None,
        timeout: float = 30,
    ) -> Followed[V]:
        """Follow a property of another device from now on.

        :param devicename: the other device; an empty name follows nothing.
        :param values: the class of the property's values.
        :param changed: awaited with the values and the state whenever the property is updated. An error that leaves
            it is logged.
        :param lost: awaited when the property or its device has been deleted.
        :param timeout: the property is asked for again when nothing has been heard of it for this many seconds, 5
            or more.
        :return: what has been heard of the property.
        :raises ValueError: the device is the instrument itself.
        """
        followed = Followed(values, changed, lost)
        if devicename:
            name = values.declaration.name
            self.snoop(devicename, name, timeout)
            self._on_snooped[devicename, name] = followed.hear
        return followed

    async def redefine(self) -> None:
        """Ask every function given as ``when`` again, and define or delete its property accordingly.

        To be called when something that these functions look at has changed. Does nothing while the instrument is
        not connected.
        """
        for name, declared in self._declared.items():
            vector = self._bound[name].vector
            if declared.when == "always" or not self.is_connected:
                continue
            is_seen = declared.when == "connected" or declared.when(self)
            if is_seen and not vector.enable:
                vector.enable = True
                await vector.send_defVector()
            elif vector.enable and not is_seen:
                await vector.send_delProperty()

    async def poll_anew(self) -> None:
        """Restart all polling, because its intervals have changed."""
        await self._life.poll_anew()

    def unfollow(self, devicename: str, values: type[Values]) -> None:
        """Stop following a property of another device, and asking for it."""
        name = values.declaration.name
        self._on_snooped.pop((devicename, name), None)
        self._snoops.forget(devicename, name)

    # -- for the life cycle ------------------------------------------------------------------------------------

    async def _stop_motion(self, cut: Collection[str]) -> None:
        """Stop what moves, before the instrument is disconnected for a client: nobody could stop it afterwards.

        Calls the author's methods of the properties that abort these operations.

        :param cut: the properties whose operations have just been aborted, by their names on the wire.
        """
        await self._handlers.stop_motion(cut)

    def _about_to_connect(self) -> None:
        """Load what must be known before the hardware is asked."""

    def _connected_anew(self) -> None:
        """Forget what must not outlive a connection, before clients see the properties again."""

    def _handle_through(self, through: Through) -> None:
        super()._handle_through(through)
        for operation in (*self._operations.values(), self._life.connecting):
            operation.through = through

    def _while_connected(self) -> list[AnyVector]:
        """Return the vectors that clients may see only while it is connected."""
        return [self._bound[name].vector for name, one in self._declared.items() if one.when != "always"]


def _check_private_names(cls: type) -> None:
    """Refuse an author's class that reuses one of the library's private names: it would override the library's own.

    :raises TypeError: there is such a name.
    """
    for name in vars(cls):
        if not name.startswith("_") or name.startswith("__"):
            continue
        for base in cls.__mro__[1:]:
            if name in vars(base) and base.__module__.startswith((_OURS, "indianyio.driver.")):
                raise TypeError(f"{cls.__name__}.{name}: {base.__name__} uses this name itself; choose another one")
