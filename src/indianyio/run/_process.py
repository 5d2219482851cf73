"""What a process of this package does first of all, and last of all. Imports nothing that takes time.

Three things. Descriptors 0 to 2 are what every program expects them to be, so that no log line is sent to the
serial port which has got number 2. Somebody reaps orphans where this is the first process of a container. And the
interpreter's own end has a bound.

Why the first process forks: an orphan becomes a child of the first process, and stays a zombie until that waits for
it. A program with children of its own cannot wait for just any child, because that would take the exit status from
whoever waits for that one, a driver's ``subprocess.run()`` for instance. So a parent that does nothing
else reaps, and the program is its child.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

__all__ = ["SIGNAL_STATUS", "run_as_process"]

SIGNAL_STATUS = 128
"""What a shell adds to the number of the signal that killed a process."""

_STDOUT, _STDERR = 1, 2

# Faults of the process itself, which it must not wait for; the others cannot be waited for, or belong to a use of
# the terminal that a process in the background does not make.
_NOT_FORWARDED = frozenset(
    getattr(signal, f"SIG{name}")
    for name in ["ABRT", "BUS", "FPE", "ILL", "KILL", "SEGV", "STOP", "SYS", "TRAP", "TTIN", "TTOU"]
    if hasattr(signal, f"SIG{name}")
)
# A terminal sends these to all processes in the foreground, the child among them.
_TO_ALL = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP})
_SENT_BY_KERNEL = 0x80  # SI_KERNEL, which the signal module has no name for


def run_as_process(main: Callable[[], int], *, killed_by_signal: bool = False) -> NoReturn:
    """Run the main function of a program, which is this whole process, and end the process.

    :param main: returns the exit status.
    :param killed_by_signal: whether a status above 128 stands for the signal that ended the run, and whoever
        started this is told that the process was killed by it, as indiserver would have been. Otherwise it is a
        status like any other.
    :raises SystemExit: always.
    """
    _fill_descriptors()
    if os.getpid() == 1:
        _have_orphans_reaped()
    status = main()
    _keep_off_the_wire()
    # Here, because it takes time, of which there is enough now.
    from indianyio.run._ending import EXIT_SECONDS, limit_end

    limit_end(EXIT_SECONDS)
    if killed_by_signal and status > SIGNAL_STATUS:
        number = status - SIGNAL_STATUS
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(status)


def _fill_descriptors() -> None:
    """Open ``/dev/null`` for each of standard input, output and error that is closed."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > _STDERR:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)


def _keep_off_the_wire() -> None:
    """Have what C libraries hold back until the exit written to standard error, where people read.

    Standard output stays open nevertheless, for its end means the end of this process to an INDI server.
    """
    os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)


# -- the first process -----------------------------------------------------------------------------------------


def _have_orphans_reaped() -> None:
    """Go on as a child of a process that reaps; that one ends with the exit status of this one."""
    # Ignored, it would have the kernel reap children before anybody learns their status.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _NOT_FORWARDED)
    child = os.fork()
    if child:
        os._exit(_reap_until_end(child))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reap_until_end(child: int) -> int:
    """Reap whoever ends, and forward signals, until the child ends; return its exit status, as a shell has it."""
    awaited = signal.valid_signals() - _NOT_FORWARDED
    while True:
        received = signal.sigwaitinfo(awaited)
        if received.si_signo == signal.SIGCHLD:
            status = _reap(child)
            if status is not None:
                return status
        elif not (received.si_signo in _TO_ALL and received.si_code == _SENT_BY_KERNEL):
            os.kill(child, received.si_signo)


def _reap(child: int) -> int | None:
    """Reap everybody who has ended; return the exit status of this child if it is one of them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            found = code if code >= 0 else SIGNAL_STATUS - code
