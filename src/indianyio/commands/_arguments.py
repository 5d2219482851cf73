"""What people type: the parser of all commands, and the numbers among its arguments."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

from indianyio.protocol._numbers import is_plain_decimal

__all__ = ["CommandParser", "port_number", "seconds", "whole_number"]

_WRONG_USAGE = 2


class CommandParser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong, and leaves the usage to ``--help``."""

    def error(self, message: str) -> NoReturn:
        """End the process with status 2."""
        self.exit(_WRONG_USAGE, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def seconds(text: str) -> float:
    """Read a time in seconds, for ``type=`` of an argument.

    :raises argparse.ArgumentTypeError: it is anything else.
    """
    return _decimal(text, float, "a number of seconds, 0 or more, such as 2.5", least=0)


def whole_number(text: str) -> int:
    """Read a number of things, at least one, for ``type=`` of an argument.

    :raises argparse.ArgumentTypeError: it is anything else.
    """
    return int(_decimal(text, int, "a whole number, 1 or more", least=1))


def port_number(text: str) -> int:
    """Read a port to connect to, for ``type=`` of an argument.

    :raises argparse.ArgumentTypeError: it is anything else.
    """
    return int(_decimal(text, int, "a port, from 1 to 65535", least=1, most=65535))


def _decimal(text: str, read: Callable[[str], float], what: str, *, least: float, most: float = math.inf) -> float:
    try:
        # Only in decimal digits: Python would read 1_0 as well, and nan.
        number = read(text) if is_plain_decimal(text) else math.nan
    except ValueError:
        number = math.nan
    if not (least <= number <= most and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return number
