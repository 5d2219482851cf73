"""Runs the command that was named, and turns the outcome into an exit status and one line for an error."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import NoReturn

from indianyio import __version__

__all__ = ["main", "run_process"]

_EXAMPLES = """\
examples:
  indianyio get                                        everything that the server has
  indianyio get "Telescope Simulator.*._STATE"         the states of one device
  indianyio set "CCD Simulator.CCD_BINNING.HOR_BIN=2;VER_BIN=2"
  indianyio watch "*.CCD_TEMPERATURE"
  indianyio eval -w -t 60 '"Mount.EQUATORIAL_EOD_COORD._STATE"==1'
  indianyio snap "CCD Simulator" 2.5 --save 'm31_{number:03}.fits' --count 10
  indianyio record night.jsonl                         what a server sends, until Ctrl-C
  indianyio replay night.jsonl --port 7625             a server that sends it again
  indianyio check mydriver:Driver                      what is wrong with a driver
  indianyio run mydriver:Driver --port 7624            as python -m indianyio.run
  indianyio service mydriver:Driver --port 7624        a systemd unit that does so
  indianyio drivers                                    the drivers of installed packages
  indianyio register mydriver:Driver --name indi_my    for Ekos to list it
"""

_COMMANDS = {
    "get": "print properties",
    "set": "write properties, and wait until the device has done it",
    "watch": "print changes as they come",
    "eval": "evaluate an expression of properties",
    "snap": "take images and save them",
    "record": "write what a server sends into a file",
    "replay": "be a server that sends what was recorded",
    "check": "find the rules of INDI that a driver breaks",
    "run": "run a driver or a server, as python -m indianyio.run",
    "service": "write a systemd unit for a server",
    "servers": "list the servers that are announced on this network",
    "drivers": "list the drivers of installed packages",
    "new": "write a small package with a driver and its tests",
    "register": "make a driver known to KStars, INDI Web Manager and indiserver",
    "registered": "list the registered drivers, and say which are broken",
    "unregister": "undo the registration of a driver",
}

_FAILED, _TROUBLE, _INTERRUPTED, _PIPE_CLOSED = 1, 2, 128 + signal.SIGINT, 128 + signal.SIGPIPE


def run_process() -> NoReturn:
    """Run the command with the arguments of this process, and end the process.

    :raises SystemExit: with the exit status.
    """
    if sys.argv[1:2] == ["run"]:
        # A driver's process must be set up before anything else is imported.
        sys.argv[:2] = [f"{sys.argv[0]} run"]
        from indianyio.run.__main__ import main as run
        from indianyio.run._process import run_as_process

        run_as_process(run)
    try:
        from indianyio.commands._output import prepare_streams

        prepare_streams()
        status = main()
    except KeyboardInterrupt:  # while something was imported
        status = _INTERRUPTED
    # Nothing is left that would have to be stopped first, so Ctrl-C may end the process at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: the arguments, by default those of this process.
    :return: the exit status, as described in the package's docstring.
    :raises SystemExit: the arguments are wrong (status 2) or ask for help (status 0).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name, rest = "".join(arguments[:1]), arguments[1:]
    if name == "run":
        from indianyio.run._main import main as run

        return run(rest)
    # Imported only now, because it loads the protocol.
    from indianyio.commands._arguments import CommandParser

    make_parser = partial(CommandParser, formatter_class=argparse.RawDescriptionHelpFormatter)
    if name not in _COMMANDS:
        _explain(make_parser(prog="indianyio"), arguments)
    # Only this command's module is imported, because importing all of them would take longer than most commands
    # run.
    command = import_module(f"indianyio.commands._{name}")
    parser = make_parser(prog=f"indianyio {name}", description=command.__doc__)
    command.add_arguments(parser)
    # Options may come before, between and after other arguments. (With a --, this would lose what follows it.)
    parse = parser.parse_args if "--" in rest else parser.parse_intermixed_args
    options = parse(rest, argparse.Namespace(words=rest))
    return _caught(lambda: int(command.run(options)), parser.prog)


def _explain(parser: argparse.ArgumentParser, arguments: list[str]) -> NoReturn:
    """List the commands if that is asked for; else complain that no command was named."""
    width = max(map(len, _COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {what}" for name, what in _COMMANDS.items())
    parser.description = f"INDI instruments from the command line.\n\ncommands:\n{listed}"
    parser.epilog = f"indianyio COMMAND --help tells more about each.\n\n{_EXAMPLES}"
    parser.add_argument("--version", action="version", version=f"indianyio {__version__}")
    parser.add_argument("command", nargs="?", choices=list(_COMMANDS), metavar="COMMAND", help="see above")
    parser.parse_args(arguments)
    parser.error("name a command")


def _caught(run: Callable[[], int], program: str) -> int:
    """Run a command, and turn what it raises into a line and a status."""
    from indianyio.commands._wire import NotDoneError
    from indianyio.exceptions import INDIError, OperationAbortedError, RefusedError

    try:
        status = run()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _PIPE_CLOSED  # whoever was reading has seen enough
    except (ValueError, TypeError) as error:
        return _complain(program, error, _TROUBLE)
    except (INDIError, OSError) as error:
        # A host that does not answer raises a TimeoutError as well, but one with an errno: there is no server.
        late = isinstance(error, TimeoutError) and error.errno is None
        failed = isinstance(error, RefusedError | OperationAbortedError | NotDoneError | KeyError) or late
        return _complain(program, error, _FAILED if failed else _TROUBLE)
    return status


def _is_somewhere() -> bool:
    """Return whether there still is the folder in which this process is."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _complain(program: str, error: BaseException, status: int) -> int:
    from indianyio.commands._output import complain

    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        # Of two, the second one is what was to be made; links and renamed files have both.
        place = error.filename2 or error.filename
        text = f"{place}: {error.strerror}" if place else error.strerror
        if isinstance(error, FileNotFoundError) and not place and not _is_somewhere():
            text = "the current folder has been removed; change to another one"
    complain(f"{program}: {' '.join(text.split())}")
    return status
