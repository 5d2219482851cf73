"""The process of ``python -m indianyio.indiserver``."""

from __future__ import annotations

import os
import signal
import sys

from indianyio.indiserver._main import SIGNAL_STATUS, main
from indianyio.run._ending import limit_end

# The interpreter waits at its exit for worker threads, and a look-up of a host's name can take minutes.
EXIT_SECONDS = 2.0

if __name__ == "__main__":
    status = main()
    limit_end(EXIT_SECONDS)
    if status > SIGNAL_STATUS:
        # Whoever started this is told what indiserver would have let it know: killed by that signal.
        number = status - SIGNAL_STATUS
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(status)
