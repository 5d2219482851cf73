"""The process of ``python -m indianyio.indiserver`` and of the script ``indianyio-indiserver``."""

from __future__ import annotations

import sys
from typing import NoReturn

from indianyio._binding import EarlyListening
from indianyio.indiserver._options import Options, read_options
from indianyio.run._process import run_as_process

__all__ = ["run_process"]


def run_process() -> NoReturn:
    """Run the command with the arguments of this process, and end the process as indiserver would have ended.

    :raises SystemExit: with the exit status, unless the process is killed by the signal that ended the run.
    """
    run_as_process(main, killed_by_signal=True)


def main() -> int:
    """Read the arguments, listen where they say, and run the command."""
    arguments = sys.argv[1:]
    options = read_options(arguments)
    early = None
    if isinstance(options, Options):
        early = EarlyListening(options.host, options.port, options.unix_address, tidies=True)
    # Imported only now that the sockets listen, because it takes many times as long as all of the above.
    from indianyio.indiserver._main import run_command

    return run_command(arguments, options, early, for_good=True)
