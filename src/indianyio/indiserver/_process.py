"""The process of ``python -m indianyio.indiserver`` and of the script ``indianyio-indiserver``."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from indianyio.indiserver._main import SIGNAL_STATUS, main
from indianyio.run._ending import limit_end

__all__ = ["run_process"]

# The interpreter waits at its exit for worker threads, and a look-up of a host's name can take minutes.
EXIT_SECONDS = 2.0


def run_process() -> NoReturn:
    """Run the command with the arguments of this process, and end the process as indiserver would have ended.

    :raises SystemExit: with the exit status, unless the process is killed by the signal that ended the run.
    """
    status = main()
    limit_end(EXIT_SECONDS)
    if status > SIGNAL_STATUS:
        # Whoever started this is told what indiserver would have let it know: killed by that signal.
        number = status - SIGNAL_STATUS
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(status)
