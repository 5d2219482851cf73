"""The process of ``python -m indianyio.run``."""

from __future__ import annotations

import sys

from indianyio.run._ending import limit_end
from indianyio.run._main import main

# The interpreter waits at its exit for worker threads, and a thread that was abandoned in a blocking read of a
# serial port never comes back. By now the driver has ended and the instrument is safe.
EXIT_SECONDS = 2.0

if __name__ == "__main__":
    status = main()
    limit_end(EXIT_SECONDS)
    sys.exit(status)
