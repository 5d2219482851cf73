"""The process of ``python -m indianyio.indiserver`` and of the script ``indianyio-indiserver``."""

from __future__ import annotations

from typing import NoReturn

from indianyio.indiserver._main import main
from indianyio.run._process import run_as_process

__all__ = ["run_process"]


def run_process() -> NoReturn:
    """Run the command with the arguments of this process, and end the process as indiserver would have ended.

    :raises SystemExit: with the exit status, unless the process is killed by the signal that ended the run.
    """
    run_as_process(main)
