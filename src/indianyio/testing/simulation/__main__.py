"""``python -m indianyio.testing.simulation``."""

import sys

from indianyio.testing.simulation._command import main

if __name__ == "__main__":
    sys.exit(main())
