"""The command ``indianyio``: read, write and watch properties, take images, make recordings, run drivers.

``indianyio COMMAND --help`` lists the options of each command. Exit status: 0 done; 1 what was asked for does not
exist, was refused, was not done or is not true; 2 the command line is wrong, or there is no server; 130 after
Ctrl-C; 141 if nobody reads the output any more.
"""

from indianyio.commands._main import main, run_process

__all__ = ["main", "run_process"]
