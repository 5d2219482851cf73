"""``python -m indianyio.indiserver``."""

from __future__ import annotations

from indianyio.indiserver._process import run_process

if __name__ == "__main__":
    run_process()
