"""Keeping the real world out of a run: clocks are virtual, and what cannot be virtual is reported.

While a run lasts, the clocks that modules have imported are replaced by virtual ones, in the library's modules and
in the author's. If the author's code uses one, that is noted as well, because at the real mount it would not be
virtual. Threads, sockets and programs cannot be simulated; if the author's code uses them, that is noted too. A
wire that would lead to a real instrument is not opened, nor a device by ``open()``, and no socket connected: a run
writes whatever the limits allow, and a real mount would move. The library itself uses threads for what takes long
to compute. In a run this is computed in the event loop, where it takes no virtual time at all.
"""

from __future__ import annotations

import builtins
import datetime as real_datetime
import errno
import io
import os
import secrets as real_secrets
import socket
import sys
import threading
import time as real_time
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any, TypeVar

import anyio.to_thread
import trio

from indianyio.exceptions import WireError
from indianyio.testing.simulation._chance import chance
from indianyio.testing.simulation._crossings import CROSSINGS, Crossing, is_device
from indianyio.testing.simulation._seeded import run_seeded
from indianyio.wires import SerialWire, TcpWire, UdpWire, Wire

__all__ = ["BEGINNING", "Reality", "modules_of", "moment_of_run", "replaced"]

T = TypeVar("T")

BEGINNING = real_datetime.datetime(2026, 1, 1, 18, tzinfo=real_datetime.UTC)
"""When each run begins, in its own time."""

_LIBRARY = "indianyio"


class _InstanceOfDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, real_datetime.datetime)


class _InstanceOfDate(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, real_datetime.date)


class Reality:
    """The border between a run and the real world.

    :param seed: decides what is drawn where the library wants a secret.
    :param authors: the author's modules, in which it is noted if code crosses the border.
    :param tick: how many seconds ``perf_counter`` advances with each call. The library gives way to other tasks
        when it has worked for two milliseconds; virtual time stands still meanwhile, so it has to be counted in
        calls.
    :ivar crossings: what the author's code uses of the real world, each with the first place where it does.
    """

    def __init__(self, seed: int, authors: Iterable[str] = (), *, tick: float = 0.0) -> None:
        self.crossings: dict[str, str] = {}
        self._authors = set(authors)
        self._kept_out = ExitStack()
        self._tick = tick
        self._ticks = 0
        self._secrets = chance(seed, "secrets")
        self._watched: list[tuple[Any, str, Callable[..., Any]]] = []
        self._real: list[object] = []

    @contextmanager
    def kept_out(self) -> Generator[None]:
        """Keep the real world out for as long as the block lasts."""
        with self._kept_out as stack:
            self._watched = self._at_the_border()
            self._real = [getattr(owner, name) for owner, name, _ in self._watched]
            for name, module in list(sys.modules.items()):
                if name in self._authors:
                    stack.enter_context(self._exchanged(module))
                elif (name.partition(".")[0] == _LIBRARY) and not name.startswith(__package__):
                    stack.enter_context(_exchanged(module, self._virtual(tell=None)))
            for owner, name, value in self._watched:
                stack.enter_context(replaced(owner, name, value))
            for wire in (SerialWire, TcpWire, UdpWire):
                stack.enter_context(replaced(wire, "open", self._refusing_to_open()))
            stack.enter_context(replaced(socket.socket, "connect", self._refusing_to_connect()))
            yield

    def watch(self, authors: Iterable[str]) -> None:
        """Watch more modules, until the block of :meth:`kept_out` ends, in which this is called."""
        for name in sorted(set(authors) - self._authors):
            self._authors.add(name)
            if name in sys.modules:
                self._kept_out.enter_context(self._exchanged(sys.modules[name]))

    def _at_the_border(self) -> list[tuple[Any, str, Callable[..., Any]]]:
        """Return the attributes through which the real world comes in, and what takes their place."""
        watched: list[tuple[Any, str, Callable[..., Any]]] = [
            (crossing.owner, crossing.name, self._noting(crossing)) for crossing in CROSSINGS
        ]
        watched += [(owner, "open", self._opening(owner.open)) for owner in (builtins, io)]
        return watched + [(owner, "run_sync", self._at_once) for owner in (anyio.to_thread, trio.to_thread)]

    @contextmanager
    def _exchanged(self, module: ModuleType) -> Generator[None]:
        """Exchange what one of the author's modules has imported, whatever it calls it there."""
        virtual = self._virtual(tell=self._tell)
        for (owner, _, value), real in zip(self._watched, self._real, strict=True):
            if isinstance(owner, ModuleType):  # a class is changed itself, and so for all who have imported it
                virtual[id(real)] = value
        with _exchanged(module, virtual):
            yield

    # -- what takes the place of what --------------------------------------------------------------------------

    def _virtual(self, tell: Callable[[str], None] | None) -> dict[int, object]:
        """Return what replaces each of the real things, by the identity of the real one."""

        def told(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            if tell is None:
                return function

            def telling(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function takes
                tell(name)
                return function(*args, **kwargs)

            return telling

        clocks = dict[str, Callable[..., Any]]()
        for name, clock in (("time", self._time), ("monotonic", _now), ("perf_counter", self._perf_counter)):
            clocks[name] = told(f"time.{name}", clock)
            clocks[f"{name}_ns"] = told(f"time.{name}_ns", _in_nanoseconds(clock))
        for name in ("localtime", "gmtime", "ctime"):
            clocks[name] = self._of_a_moment(name, told)
        if tell is not None:
            clocks["sleep"] = told("time.sleep", _stay_awake)
        clocks |= _clocks_by_number(clocks)
        clocks |= _texts_of_a_moment(clocks["localtime"])
        moments, days = self._datetime_class(told), self._date_class(told)
        replaced: dict[int, object] = {id(getattr(real_time, name)): clock for name, clock in clocks.items()}
        replaced[id(real_time)] = _proxy(real_time, clocks)
        replaced[id(real_datetime.datetime)] = moments
        replaced[id(real_datetime.date)] = days
        replaced[id(real_datetime)] = _proxy(real_datetime, {"datetime": moments, "date": days})
        if tell is None:
            replaced[id(real_secrets)] = _proxy(real_secrets, {"token_hex": self._token_hex})
        return replaced

    def _datetime_class(self, told: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> type:
        def now(tz: real_datetime.tzinfo | None = None) -> real_datetime.datetime:
            moment = moment_of_run()
            return moment.replace(tzinfo=None) if tz is None else moment.astimezone(tz)

        methods = {
            "now": staticmethod(told("datetime.now", now)),
            "utcnow": staticmethod(told("datetime.utcnow", now)),
            "today": staticmethod(told("datetime.today", now)),
        }
        return _InstanceOfDatetime("datetime", (real_datetime.datetime,), methods)

    def _date_class(self, told: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> type:
        methods = {"today": staticmethod(told("date.today", lambda: moment_of_run().date()))}
        return _InstanceOfDate("date", (real_datetime.date,), methods)

    def _of_a_moment(
        self, name: str, told: Callable[[str, Callable[..., Any]], Callable[..., Any]]
    ) -> Callable[..., Any]:
        """Return what converts a time; without one it is a clock, and only then it is told."""
        convert = getattr(real_time, name)
        clock = told(f"time.{name}", lambda: convert(self._time()))
        return lambda seconds=None: clock() if seconds is None else convert(seconds)

    def _time(self) -> float:
        return moment_of_run().timestamp()

    def _perf_counter(self) -> float:
        self._ticks += 1
        return _now() + self._ticks * self._tick

    def _token_hex(self, nbytes: int = 32) -> str:
        return self._secrets.randbytes(nbytes).hex()

    async def _at_once(self, function: Callable[..., T], *args: object, **_: object) -> T:
        """Call what should have been called in a thread."""
        self._note("a thread", sys._getframe(1))
        await trio.lowlevel.checkpoint()
        return function(*args)

    # -- who crosses the border --------------------------------------------------------------------------------

    def _tell(self, what: str) -> None:
        self._note(what, sys._getframe(2))

    def _noting(self, crossing: Crossing) -> Callable[..., Any]:
        function = getattr(crossing.owner, crossing.name)

        def noting(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function takes
            caller = sys._getframe(1)
            if not crossing.only_directly or caller.f_globals.get("__name__") in self._authors:
                self._note(crossing.what, caller)
            return function(*args, **kwargs)

        return noting

    def _opening(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever open() takes
            place = self._place(sys._getframe(1)) if is_device(file) else ""
            if place:
                self.crossings.setdefault("a wire", f"{os.fsdecode(file)}, opened at {place}")
                raise OSError(errno.ENXIO, "a simulation opens no device", os.fsdecode(file))
            return function(file, *args, **kwargs)

        return opening

    def _refusing_to_open(self) -> Callable[[Wire], Awaitable[None]]:
        async def refuse(wire: Wire) -> None:
            await trio.lowlevel.checkpoint()
            self.crossings.setdefault("a wire", f"{type(wire).__name__} to {wire.name}")
            raise WireError(wire.name, "it is not opened in a simulation, which would move the real instrument")

        return refuse

    def _refusing_to_connect(self) -> Callable[..., None]:
        connect, thread = socket.socket.connect, threading.get_ident()

        def refuse(connecting: socket.socket, address: Any) -> None:  # noqa: ANN401 - as sockets have it
            if threading.get_ident() != thread:  # whatever else this process does
                connect(connecting, address)
                return
            self.crossings.setdefault("a connection", f"to {address}")
            raise OSError(errno.ENETUNREACH, f"a simulation does not connect to {address}")

        return refuse

    def _note(self, what: str, frame: FrameType) -> None:
        if what not in self.crossings:
            place = self._place(frame)
            if place:
                self.crossings[what] = place

    def _place(self, frame: FrameType | None) -> str:
        """Return where the author's code has called; an empty text if it was the library that called."""
        while frame is not None:
            name = frame.f_globals.get("__name__", "")
            if name == run_seeded.__module__:
                return ""  # whoever plays the plan is outside of the run, even if the driver is in the same module
            if name in self._authors:
                return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
            if name.partition(".")[0] == _LIBRARY and not name.startswith(__package__):
                return ""
            frame = frame.f_back
        return ""


def _clocks_by_number(clocks: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return ``clock_gettime()`` and ``clock_gettime_ns()``; people are told of the clock that they ask for."""

    def gettime(ending: str) -> Callable[[int], Any]:
        others = clocks[f"monotonic{ending}"]
        return lambda number: (clocks[f"time{ending}"] if number == real_time.CLOCK_REALTIME else others)()

    names = {"clock_gettime": "", "clock_gettime_ns": "_ns"}
    return {name: gettime(ending) for name, ending in names.items() if hasattr(real_time, name)}  # not on Windows


def _texts_of_a_moment(localtime: Callable[[], real_time.struct_time]) -> dict[str, Callable[..., Any]]:
    """Return ``strftime()`` and ``asctime()``, which take the time of ``localtime()`` if they are given none."""

    def strftime(form: str, moment: Any = None) -> str:  # noqa: ANN401 - any tuple of nine numbers
        return real_time.strftime(form, localtime() if moment is None else moment)

    def asctime(moment: Any = None) -> str:  # noqa: ANN401 - likewise
        return real_time.asctime(localtime() if moment is None else moment)

    return {"strftime": strftime, "asctime": asctime}


def modules_of(driver: type) -> list[str]:
    """Return the modules of a driver's class and its base classes, without the library's and Python's own."""
    return [
        cls.__module__
        for cls in driver.__mro__
        if cls.__module__.partition(".")[0] not in {_LIBRARY, *sys.stdlib_module_names}
    ]


def moment_of_run() -> real_datetime.datetime:
    """Return the date and the time of day in the run: what all of its clocks go by."""
    return BEGINNING + real_datetime.timedelta(seconds=_now())


def _now() -> float:
    try:
        return trio.current_time()
    except RuntimeError:  # in a thread that watches, or when the run has ended
        return 0.0


def _in_nanoseconds(clock: Callable[[], float]) -> Callable[[], int]:
    return lambda: round(clock() * 1e9)


def _stay_awake(seconds: float) -> None:
    """Return at once: a sleep would stop the event loop, and virtual time could not pass."""


def _proxy(module: ModuleType, replaced: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(module), **replaced})


@contextmanager
def _exchanged(module: ModuleType, replaced: dict[int, object]) -> Generator[None]:
    names = vars(module)
    found = {name: value for name, value in names.items() if id(value) in replaced}
    names.update({name: replaced[id(value)] for name, value in found.items()})
    try:
        yield
    finally:
        names.update(found)


@contextmanager
def replaced(owner: object, name: str, value: object) -> Generator[None]:
    """Give an attribute another value for as long as the block lasts; one that is inherited is inherited again."""
    is_own, before = name in vars(owner), getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)
