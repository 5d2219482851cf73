"""The command ``indianyio``: read, write and watch properties, take images, keep recordings, run drivers.

``indianyio COMMAND --help`` tells the options of each. Exit status: 0 done; 1 what was asked for is not there, was
refused, or does not hold; 2 the command line is wrong, or there is no server; 130 after Ctrl-C.
"""

from indianyio.commands._main import main, run_process

__all__ = ["main", "run_process"]
