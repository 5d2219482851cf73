"""Which command it is, and what comes of it: the exit status, and one line for an error."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

__all__ = ["main", "run_process"]

_EXAMPLES = """\
examples:
  indianyio get                                        everything that the server has
  indianyio get "Telescope Simulator.*._STATE"         the states of one device
  indianyio set "CCD Simulator.CCD_BINNING.HOR_BIN=2;VER_BIN=2"
  indianyio watch "*.CCD_TEMPERATURE"
  indianyio eval -w -t 60 '"Mount.EQUATORIAL_EOD_COORD._STATE"==1'
  indianyio snap "CCD Simulator" 2.5 --save 'm31_{number:03}.fits' --count 10
  indianyio record night.jsonl                         what a server tells, until Ctrl-C
  indianyio replay night.jsonl --port 7625             and a server that tells it again
  indianyio check mydriver:Driver                      what is wrong with it
  indianyio run mydriver:Driver --port 7624            as python -m indianyio.run
"""

_COMMANDS = {
    "get": "print properties",
    "set": "write properties, and wait until it is done",
    "watch": "print changes as they come",
    "eval": "evaluate an expression of properties",
    "snap": "take images and save them",
    "record": "write what a server tells into a file",
    "replay": "be a server that tells what was recorded",
    "check": "find the rules of INDI that a driver breaks",
    "run": "run a driver or a server, as python -m indianyio.run",
}

_FAILED, _TROUBLE, _INTERRUPTED, _PIPE_CLOSED = 1, 2, 128 + signal.SIGINT, 128 + signal.SIGPIPE


def run_process() -> NoReturn:
    """Run the command with the arguments of this process, and end the process.

    :raises SystemExit: with the exit status.
    """
    if sys.argv[1:2] == ["run"]:
        # A driver's process has needs of its own, which come before everything else.
        sys.argv[:2] = [f"{sys.argv[0]} run"]
        from indianyio.run.__main__ import main as run
        from indianyio.run._process import run_as_process

        run_as_process(run)
    sys.exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    :param argv: the arguments, by default those of this process.
    :return: the exit status, as the package tells.
    :raises SystemExit: the arguments are wrong (status 2) or ask for help (status 0).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:
        from indianyio.run._main import main as run

        return run(arguments[1:])
    name = arguments[0] if arguments and arguments[0] in _COMMANDS else ""
    parser = _parser()
    if not name:
        parser.parse_args(arguments)
        parser.error("name a command")
    # Only the module of this command, because importing all would take longer than most of them do.
    command = import_module(f"indianyio.commands._{name}")
    own = argparse.ArgumentParser(
        prog=f"indianyio {name}", formatter_class=argparse.RawDescriptionHelpFormatter, description=command.__doc__
    )
    command.add_arguments(own)
    options = own.parse_args(arguments[1:])
    return _caught(lambda: int(command.run(options)), own.prog)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, _COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {what}" for name, what in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="indianyio",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"INDI instruments from the command line.\n\ncommands:\n{listed}",
        epilog=f"indianyio COMMAND --help tells more of each.\n\n{_EXAMPLES}",
    )
    parser.add_argument("command", nargs="?", choices=list(_COMMANDS), metavar="COMMAND", help="see above")
    return parser


def _caught(run: Callable[[], int], program: str) -> int:
    """Run a command, and turn what it raises into a line and a status."""
    from indianyio.exceptions import INDIError, OperationAbortedError, RefusedError

    try:
        status = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read has seen enough. The interpreter flushes at its exit, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except (ValueError, TypeError) as error:
        return _complain(program, error, _TROUBLE)
    except (INDIError, OSError) as error:
        # A host that does not answer is a TimeoutError too, with a number; there is no server then.
        late = isinstance(error, TimeoutError) and error.errno is None
        failed = isinstance(error, RefusedError | OperationAbortedError | KeyError) or late
        return _complain(program, error, _FAILED if failed else _TROUBLE)
    return status


def _complain(program: str, error: BaseException, status: int) -> int:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(f"{program}: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201 - the command's own words
    return status
