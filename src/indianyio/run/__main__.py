"""The process of ``python -m indianyio.run``."""

from __future__ import annotations

import gc

from indianyio.run._arguments import listen_early, parse_arguments
from indianyio.run._process import run_as_process


def main() -> int:
    """Read the arguments, listen where they say, and run the command."""
    arguments = parse_arguments()
    early = listen_early(arguments)
    # Only now, because it takes many times as long as all of the above. What is loaded stays until the end, so
    # looking through it for garbage would only delay the start, and later each look for garbage.
    gc.disable()
    from indianyio.run._main import run_command

    gc.freeze()
    gc.enable()
    return run_command(arguments, early, for_good=True)


if __name__ == "__main__":
    run_as_process(main)
