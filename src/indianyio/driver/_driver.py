"""The driver: what an instrument's author subclasses."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial, wraps
from typing import Any, ClassVar, TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus

from indianyio._failures import described, text_of
from indianyio._model import AT_ONCE, Outbox, SnoopEvent, SnoopTable
from indianyio._rated_log import RatedLog
from indianyio._vocabulary import Limits, State
from indianyio.driver._device import Device, Directory
from indianyio.driver._events import NewEvent
from indianyio.driver._hooks import SnoopHandler
from indianyio.driver._link import DriverLink, StreamLink
from indianyio.driver._owners import Background, BackgroundWork, send, timestamp_or_now
from indianyio.driver._run import DriverRun
from indianyio.driver._state import Flag, RunState
from indianyio.driver._vectors import AnyVector, BLOBVector
from indianyio.exceptions import LocalProtocolError, UnknownDeviceError, WriteRefusedError
from indianyio.protocol import GetProperties, Message, format_timestamp
from indianyio.protocol._numbers import getfloat
from indianyio.protocol._text import brief, require_xml_text
from indianyio.streams import ByteStream, open_stdio

__all__ = ["IPyDriver", "Through"]

logger = logging.getLogger(__name__)

Through: TypeAlias = Callable[[str, Callable[[], Awaitable[object]]], Coroutine[Any, Any, None]]
"""Calls a function that carries out what a client writes, and awaits what it returns; gets a name for it first."""

# What may wait for a peer that does not read: a few hundred messages, then hardware() waits too.
_OUTBOX_BYTES = 1 << 20


class IPyDriver(Directory[Device]):
    """A driver of one or more devices, as a mapping of devices by name; to be subclassed.

    Override :meth:`hardware` to operate the instrument, :meth:`rxevent` to carry out what clients ask for,
    :meth:`snoopevent` to hear other drivers and :meth:`leave` to make the instrument safe. Then
    ``python -m indianyio.run mydriver:MyDriver`` runs it on standard input and output, where an INDI server speaks.

    :param devices: the devices, of different names.
    :param driverdata: whatever the driver's own methods need, an object that talks to the hardware for instance.
    :raises TypeError: a device is not a :class:`Device`.
    :raises ValueError: two devices have the same name, or one has a driver already.

    :ivar driverdata: the keyword arguments.
    :ivar auto_send_def: whether getProperties is answered with the definitions; if not, ``rxevent`` gets a
        ``getProperties`` event for each vector and must send its definition.
    :ivar debug_enable: whether this driver's XML is logged at DEBUG, on the logger ``indianyio.wire``.
    """

    grace: float = 5.0
    """Seconds that each step on the way out may take: the end of the work, ``leave()``, and the last bytes."""

    ping_timeout: float = 5.0
    """Seconds to wait until the server has taken a BLOB before the next one is sent all the same."""

    wire_limits: ClassVar[Limits] = Limits()
    """What the peer may make the driver hold."""

    indi_number_to_float = staticmethod(getfloat)

    def __init__(self, *devices: Device, **driverdata: object) -> None:
        super().__init__()
        self.driverdata = driverdata
        self.auto_send_def = True
        self.debug_enable = False
        self._snoops = SnoopTable()
        self._background = Background()
        self._run_state = RunState()
        # A client can cause thousands of lines a second, and a disk has an end.
        self._rated_log = RatedLog(logger)
        self._on_snooped: dict[tuple[str | None, str | None], SnoopHandler] = {}
        for device in devices:
            self._check(device)
            self.data[device.devicename] = device
        for device in devices:
            device.driver = self
            device._run_state = self._run_state

    def _check(self, device: Device) -> None:
        if not isinstance(device, Device):
            raise TypeError(f"a driver takes devices, not {device!r}")
        if device.devicename in self.data:
            raise ValueError(f"there are two devices of the name {device.devicename!r}; rename one")
        if device.driver is not None:
            raise ValueError(f"device {device.devicename!r} belongs to a driver already")

    # -- to be overridden --------------------------------------------------------------------------------------

    async def hardware(self) -> None:
        """Operate the instrument; started with the run, and cancelled when that ends.

        An error that leaves it ends the driver, which should not pretend to have an instrument.
        """

    async def rxevent(self, event: NewEvent) -> None:
        """Carry out what a client asks for.

        Called for one vector's events in the order of their arrival, one after the other; for different vectors at
        the same time, so an Abort does not wait for the slew it is to stop. So act first and report afterwards: a
        send may wait for a peer that does not read. And keep it short: what depends on the order of two vectors (a
        mode and then a position) is only in order while no handler lags behind. What arrives here was checked: the
        vector may be written, the members exist, numbers are within their limits and switches obey the rule (unless
        ``vector.validate`` is false). Cancelled when the run ends.

        :param event: what is asked for; see :meth:`rxerror` for what an error does that leaves this method.
        """

    async def rxerror(self, event: NewEvent, exc: Exception) -> None:
        """Deal with an error that left :meth:`rxevent`: log it, and answer Alert with its text.

        A :exc:`WriteRefusedError` is no fault of the driver's but its answer, and logged as a warning. The driver
        goes on. Override it to do something else.
        """
        log, place = self._rated_log, (event.devicename, event.vectorname)
        if isinstance(exc, WriteRefusedError):
            reason = text_of(exc)
            log.warning(("refused", *place), "%s.%s: refused: %s", *place, reason)
            text = brief(reason)
        else:
            log.log(("failed", *place), logging.ERROR, "rxevent failed for %s.%s", *place, error=exc)
            text = brief(described(exc))
        vector = self[event.devicename][event.vectorname]
        # A BLOB's content is not what the client waits for.
        names = () if isinstance(vector, BLOBVector) else list(vector)
        try:
            await vector.send_setVectorMembers(message=text, state=State.ALERT, members=names)
        except LocalProtocolError as error:
            # The values are longer than any server takes, which may well be what went wrong.
            log.log(("bare", *place), logging.ERROR, "%s.%s: answered without values: %s", *place, error)
            await vector.send_setVectorMembers(message=text, state=State.ALERT, members=())

    async def snoopevent(self, event: SnoopEvent) -> None:
        """Hear what another driver said.

        Called like :meth:`rxevent`, in order for each snooped vector. An error that leaves it is logged.
        """

    async def leave(self) -> None:
        """Make the instrument safe: park it, close its shutter, send its last states.

        Called at the end of every run, whatever ended it, when :meth:`hardware` and all handlers have ended (or did
        not obey their cancellation for ``grace`` seconds). It can still send. It may take ``grace`` seconds and is
        cancelled then.
        """

    # -- the run -----------------------------------------------------------------------------------------------

    async def asyncrun(  # noqa: ASYNC128 - the run calls it
        self, stream: ByteStream | None = None, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the driver until its peer has gone, :meth:`shutdown` is called, or it fails; may be called again.

        Made for a task group as well: ``await nursery.start(driver.asyncrun)`` returns when the driver is ready.

        Cancelled, it ends in order: the work ends, :meth:`leave` runs, what is unsent is sent. Each of these takes
        at most ``grace`` seconds. Work that hangs in a thread cannot be ended; then ``leave`` runs nevertheless,
        but this call returns only when the thread does.

        :param stream: the way to the peer, closed in the end; standard input and output if absent.
        :raises RuntimeError: the driver is running already.
        :raises OSError: standard input or output cannot be used.
        :raises SystemExit: the driver's own code has raised it, or ``KeyboardInterrupt``; it comes out bare, when
            everything else has ended. In a task of asyncio's it ends the event loop there.
        :raises ExceptionGroup: what else left ``hardware()``, background work or ``leave()``, or was graver than an
            ``Exception`` and left a handler; a ``BaseExceptionGroup`` if one of these is in it.
        """
        with self._run_state.claim():
            async with open_stdio() if stream is None else _closing(stream) as wire:
                outbox = Outbox(_OUTBOX_BYTES)
                link = StreamLink(wire, limits=self.wire_limits, outbox=outbox, debug=self.debug_enable)
                await self._serve(link, task_status.started)

    async def _serve(self, link: DriverLink, started: Callable[[], None]) -> None:
        run = DriverRun(self, link, self.shutdownrequested)
        with self._run_state.running(run):
            await run.serve(started)

    def shutdown(self, reason: str = "shutdown() was called") -> None:
        """Let the run end in order; before a run: let the next one end at once.

        May be called from anywhere, handlers and other threads included, and any number of times. It waits for
        nothing; called in another thread, it may return before :attr:`stop` is true.

        :param reason: why, for people who debug.
        """
        self._run_state.end(reason)

    @property
    def shutdownrequested(self) -> Flag:
        """Set when the run is to end, with ``wait()`` and ``is_set()``."""
        return self._run_state.shutdownrequested

    @property
    def stopped(self) -> Flag:
        """Set when the run has ended, with ``wait()`` and ``is_set()``."""
        return self._run_state.stopped

    @property
    def stop(self) -> bool:
        """Whether the run is to end."""
        return self.shutdownrequested.is_set()

    @property
    def _stop(self) -> bool:
        # The spelling that loops of the family's older drivers look at.
        return self.stop

    def add_background(self, work: BackgroundWork, *args: object) -> None:
        """Have ``work`` run beside :meth:`hardware`, in this run and in every later one.

        An error that leaves it ends the driver.

        :param work: an async function, called with ``args``; or a coroutine object, which runs once.
        :raises TypeError: it is neither.
        """
        self._background.add(work, *args)

    def refuse_waiting(self, vector: AnyVector, reason: str = "Error: superseded") -> int:
        """Refuse the writes to a vector that still wait for :meth:`rxevent`.

        For an Abort: a slew that waits behind the slew being handled must not begin after it. (Handlers that only
        note a target and leave the moving to :meth:`hardware` never have writes waiting.)

        :param vector: the vector that was written to.
        :param reason: what the client is told, with an Alert.
        :return: how many writes were refused.
        """
        run = self._run_state.present
        return 0 if run is None else run.refuse_waiting(vector, reason)

    def _handle_through(self, through: Through) -> None:
        """Have whatever carries out clients' writes awaited through a function from now on: for who looks at it."""
        self.rxevent = _through(through, "rxevent", self.rxevent)  # type: ignore[assignment, method-assign]
        for device in self.data.values():
            for vector in device.properties():
                if vector._on_write is not None:
                    vector._on_write = _through(through, "the write", vector._on_write)

    # -- sending -----------------------------------------------------------------------------------------------

    async def send_message(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Send a line for people that names no device, and so reaches everybody.

        :param timestamp: when this holds; naive times are UTC; now if absent.
        :raises ValueError: the message cannot be written as XML.
        """
        text = require_xml_text(message, "the message")
        stamp = format_timestamp(timestamp_or_now(timestamp))
        await send(self._run_state.sender, Message(timestamp=stamp, message=text))

    # -- snooping ----------------------------------------------------------------------------------------------

    def snoop(self, devicename: str, vectorname: str, timeout: float = 30) -> None:
        """Hear what a vector of another driver's device says, in :meth:`snoopevent`, from now on.

        It is asked for at once, and again whenever nothing was heard of it for ``timeout`` seconds.

        :param timeout: seconds, at least 5.
        :raises ValueError: the device is the driver's own, or the time-out is too short.
        :raises TypeError: the time-out is not a number.
        """
        self._require_foreign(devicename)
        self._snoops.watch(devicename, vectorname, timeout, AT_ONCE)
        if self._run_state.present is not None:
            self._run_state.present.snoops_changed()

    async def send_getProperties(self, devicename: str | None = None, vectorname: str | None = None) -> None:
        """Ask once for a vector, a device or everything of other drivers, and hear it from now on.

        :raises ValueError: the device is the driver's own, or a vector is given without its device.
        """
        if devicename is None:
            if vectorname is not None:
                raise ValueError(
                    f"which device has the vector {vectorname!r}? A vector is asked for with its device"
                )
            self._snoops.watch_all()
        else:
            self._require_foreign(devicename)
            if vectorname is None:
                self._snoops.watch_device(devicename)
            else:
                self._snoops.watch_vector(devicename, vectorname)
        await send(self._run_state.sender, GetProperties(device=devicename, name=vectorname))

    def _require_foreign(self, devicename: str) -> None:
        if devicename in self.data:
            raise ValueError(f"{devicename!r} is a device of this driver; it can only snoop devices of others")

    @property
    def snoopall(self) -> bool:
        """Whether everything of other drivers is snooped."""
        return self._snoops.snoopall

    @property
    def snoopdevices(self) -> set[str]:
        """The devices of which everything is snooped."""
        return self._snoops.snoopdevices

    @property
    def snoopvectors(self) -> dict[tuple[str, str], float | None]:
        """The vectors that are snooped, with the seconds after which they are asked for again, if they are."""
        return self._snoops.snoopvectors

    # -- the mapping -------------------------------------------------------------------------------------------

    def devices(self) -> list[Device]:
        """Return the devices."""
        return list(self.data.values())

    def _unknown(self, name: str) -> KeyError:
        return UnknownDeviceError(name, tuple(self.data))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(map(repr, self.data)) or 'no device'}>"


def _through(
    through: Through, what: str, handle: Callable[[NewEvent], Awaitable[None]]
) -> Callable[[NewEvent], Coroutine[Any, Any, None]]:
    @wraps(handle)
    async def handled(event: NewEvent) -> None:
        name = f"{what}({type(event).__name__} for {event.devicename}.{event.vectorname})"
        await through(name, partial(handle, event))

    return handled


@asynccontextmanager
async def _closing(stream: ByteStream) -> AsyncIterator[ByteStream]:
    try:
        yield stream
    finally:
        await stream.aclose()
