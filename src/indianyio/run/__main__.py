"""The process of ``python -m indianyio.run``."""

from __future__ import annotations

from indianyio.run._main import main
from indianyio.run._process import run_as_process

if __name__ == "__main__":
    run_as_process(main)
