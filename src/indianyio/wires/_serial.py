"""Instruments on a serial port.

pyserial opens the port, because it knows how to set up a port on each system. After that the descriptor is used
like any other: nothing waits in a thread, so a read can be cancelled, and a cancelled read swallows no bytes.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, cast

import anyio.to_thread

from indianyio.exceptions import WireBusyError, WireError
from indianyio.wires._network import WireOptions
from indianyio.wires._transports import DescriptorTransport
from indianyio.wires._wire import Wire

if TYPE_CHECKING:
    import serial

T = TypeVar("T")

__all__ = ["SerialWire", "import_serial"]

_UNPLUGGED = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF)
_IN_USE = (errno.EBUSY, errno.EAGAIN)


class SerialWire(Wire):
    """An instrument on a serial port; needs pyserial (``pip install 'indianyio[serial]'``).

    While it is open, the port belongs to this wire alone: another wire, in this process or another, gets a
    :class:`WireBusyError`, and libindi's drivers cannot open it either. Prefer its path in ``/dev/serial/by-id``,
    which stays the same when it is plugged in again (:func:`available_ports`).

    Many instruments, among them all with an Arduino inside, restart when DTR goes up. So by default DTR is left as
    it is when the port is closed (``hang_up``), and the instrument restarts at most when the port is opened for
    the first time.

    :param port: its path.
    :param baud_rate: bits per second; any rate that the adapter supports.
    :param bytesize: bits of a byte, 5 to 8.
    :param parity: none, even, odd, mark or space, by its first letter.
    :param stopbits: 1, 1.5 or 2.
    :param xonxoff: whether either side stops the other by sending XOFF.
    :param rtscts: whether either side stops the other by RTS and CTS; ``rts`` has no meaning then.
    :param dtr: whether DTR is up while the port is open. The system itself raises it briefly on opening the port.
    :param rts: the same for RTS.
    :param hang_up: whether both go down when the port is closed.
    :param options: those of :class:`Wire`.
    :raises ValueError: an argument is out of range.
    """

    def __init__(
        self,
        port: str,
        baud_rate: int = 9600,
        *,
        bytesize: Literal[5, 6, 7, 8] = 8,
        parity: Literal["N", "E", "O", "M", "S"] = "N",
        stopbits: Literal[1, 2] | float = 1,
        xonxoff: bool = False,
        rtscts: bool = False,
        dtr: bool = True,
        rts: bool = True,
        hang_up: bool = False,
        **options: Unpack[WireOptions],
    ) -> None:
        for name, value, allowed in (
            ("bytesize", bytesize, (5, 6, 7, 8)),
            ("parity", parity, ("N", "E", "O", "M", "S")),
            ("stopbits", stopbits, (1, 1.5, 2)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, but must be one of {', '.join(map(repr, allowed))}")
        if baud_rate <= 0:
            raise ValueError(f"baud_rate is {baud_rate}, but must be positive")
        super().__init__(port, **options)
        self._settings = {
            "baudrate": baud_rate,
            "bytesize": bytesize,
            "parity": parity,
            "stopbits": stopbits,
            "xonxoff": xonxoff,
            "rtscts": rtscts,
        }
        self._lines = (dtr, rts)
        self._hang_up = hang_up

    async def make_transport(self) -> DescriptorTransport:
        """Open the port, as :meth:`Wire.make_transport` does; in a thread, because it may take a second."""
        return _transport_over(await _made_in_thread(self._opened, _close))

    def _opened(self) -> serial.Serial:
        module = import_serial(self.name)
        port: serial.Serial = module.Serial(exclusive=True, **self._settings)
        port.port = self.name
        port.dtr, port.rts = self._lines
        try:
            with ExitStack() as on_failure:
                on_failure.callback(port.close)
                port.open()
                _finish_settings(port.fd, hang_up=self._hang_up)
                on_failure.pop_all()
        except (OSError, ValueError) as error:
            raise _not_opened(self.name, error) from error
        return port


def import_serial(wire: str) -> ModuleType:
    """Return pyserial.

    :param wire: the wire that needs it, for the error.
    :raises WireError: pyserial is not installed.
    """
    try:
        import serial
    except ModuleNotFoundError as error:
        raise WireError(wire, "serial ports need pyserial; pip install 'indianyio[serial]'") from error
    return cast("ModuleType", serial)


async def _made_in_thread(make: Callable[[], T], throw_away: Callable[[T], None]) -> T:
    """Return what a function makes in a thread; if this is cancelled meanwhile, throw it away once it is made."""
    lock = threading.Lock()
    made: list[T] = []
    is_wanted = True

    def make_unless_late() -> None:
        new = make()
        with lock:
            if is_wanted:
                made.append(new)
                return
        throw_away(new)

    try:
        await anyio.to_thread.run_sync(make_unless_late, abandon_on_cancel=True)
    except BaseException:
        with lock:
            is_wanted = False
        for new in made:
            throw_away(new)
        raise
    return made[0]


def _finish_settings(descriptor: int, *, hang_up: bool) -> None:
    """Make the settings that pyserial does not make.

    :raises OSError: the port no longer exists, or another program has it for itself.
    """
    import fcntl
    import termios

    try:
        # pyserial locks the file, which only programs notice that lock it too. libindi's drivers set this instead.
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
        settings = termios.tcgetattr(descriptor)
        settings[2] = settings[2] | termios.HUPCL if hang_up else settings[2] & ~termios.HUPCL
        # With 0, a reader could not tell "nothing has arrived" from "it was unplugged".
        settings[6][termios.VMIN] = 1
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    except termios.error as error:
        raise OSError(*error.args) from error


def _transport_over(port: serial.Serial) -> DescriptorTransport:
    descriptor: int = port.fd

    def read(most_bytes: int) -> bytes:
        try:
            data = os.read(descriptor, most_bytes)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _unplugged(error) from error
        if not data:
            raise OSError(errno.EIO, "the port has hung up; was it unplugged?")
        return data

    def write(data: bytes) -> int:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _unplugged(error) from error

    return DescriptorTransport(descriptor, read=read, write=write, close=lambda: _close(port))


def _unplugged(error: OSError) -> OSError:
    if error.errno in _UNPLUGGED:
        return OSError(error.errno, f"was it unplugged? ({error.strerror})")
    return error


def _close(port: serial.Serial) -> None:
    """Close a port without waiting: drop unsent bytes, which the kernel would otherwise try to send for 30 s."""
    import fcntl
    import termios

    with suppress(OSError, termios.error):  # it may be unplugged
        termios.tcflush(port.fd, termios.TCOFLUSH)
    with suppress(OSError):
        fcntl.ioctl(port.fd, termios.TIOCNXCL)
    with suppress(OSError):
        port.close()


def _not_opened(port: str, error: Exception) -> WireError:
    """Return an error that says why a port cannot be opened, and what to do about it."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _IN_USE:
        return WireBusyError(port, f"it is in use by another driver or program; 'fuser -v {port}' shows which")
    if number == errno.EACCES:
        return WireError(port, f"permission denied; {_who_may(port)}")
    if number == errno.ENOENT:
        return WireError(port, "there is no such port; is it plugged in and switched on?")
    if number in _UNPLUGGED:
        return WireError(port, f"nothing answers at this port; is it plugged in? ({os.strerror(number)})")
    return WireError(port, f"cannot be opened as a serial port: {error}")


def _who_may(port: str) -> str:
    import grp

    try:
        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (OSError, KeyError):
        return "ask whoever administers this computer"
    return f"add yourself to the group {group!r} ('sudo usermod -aG {group} $USER') and log in again"
