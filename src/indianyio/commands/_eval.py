"""Evaluate an expression of properties, as indi_eval does.

Operators: ! + - * / && || > >= == != < <= and parentheses. Functions: sin cos tan asin acos atan atan2 abs degrad
raddeg floor log log10 exp sqrt pow, and pi. As in C, 1/0 is infinite and 0/0 is NaN, which is not 0. Operands are
written in double quotes: "Device.VECTOR.member". A switch is 1 if On; a light, or _STATE in place of a member, is 0
to 3 for Idle, Ok, Busy, Alert; _TS is the timestamp in seconds since 1970. Put -- before an expression that begins
with a minus.

Exit status: 0 the value is not 0, 1 it is 0, 2 there is no value, or no server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

import anyio

from indianyio._vocabulary import State
from indianyio.commands._expressions import Expression
from indianyio.commands._wire import add_server, complain, conversation, run_until_interrupted, say
from indianyio.protocol import (
    DefVector,
    GetProperties,
    SetVector,
    parse_number,
    parse_timestamp,
)

_STATES = {
    str(state): float(number) for number, state in enumerate((State.IDLE, State.OK, State.BUSY, State.ALERT))
}
_SWITCHES = {"Off": 0.0, "On": 1.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("expression", nargs="?", help="the expression; standard input if absent")
    parser.add_argument("-w", "--wait", action="store_true", help="wait until it is true")
    parser.add_argument("-f", "--final", action="store_true", help="print the value at the end")
    parser.add_argument("-e", "--each", action="store_true", help="print each value")
    parser.add_argument("-o", "--operands", action="store_true", help="print operands when they change")
    parser.add_argument("-b", "--beep", action="store_true", help="beep when it is true")
    parser.add_argument("-i", "--stdin", action="store_true", help="read the expression from standard input")
    add_server(parser, timeout=2.0, bounds="how long to wait for a value")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status.

    :raises ValueError: the expression cannot be read.
    """
    text = sys.stdin.read() if options.stdin or options.expression is None else options.expression
    evaluation = _Evaluation(options, Expression(text))
    value = run_until_interrupted(options, evaluation.run)
    if value is None:
        if missing := evaluation.missing:
            complain(f"No values seen for {', '.join(missing)}")
        else:
            complain("Timed out waiting for the expression to be true")
        return 2
    if options.final:
        say(f"{value:g}")
    if options.beep and value:
        print("\a", end="", file=sys.stderr)  # noqa: T201
    return 0 if value else 1


class _Evaluation:
    """An expression, and what is known of its operands."""

    def __init__(self, options: argparse.Namespace, expression: Expression) -> None:
        self._options = options
        self._expression = expression
        self._values: dict[str, float] = {}

    @property
    def missing(self) -> list[str]:
        """The operands without a value."""
        return [name for name in self._expression.operands if name not in self._values]

    async def run(self) -> float | None:
        """Return the value; ``None`` if there was none in time or, with ``--wait``, none that was true."""
        if not self._expression.operands:
            return self._evaluated()
        devices = dict.fromkeys(name.partition(".")[0] for name in self._expression.operands)
        async with conversation(self._options) as server:
            await server.send(*(GetProperties(device=device) for device in devices))
            with anyio.move_on_after(self._options.timeout or None):
                while True:
                    message = await server.receive()
                    if isinstance(message, DefVector | SetVector) and self._note(message) and not self.missing:
                        value = self._evaluated()
                        if value or not self._options.wait:
                            return value
        return None

    def _evaluated(self) -> float:
        value = self._expression(self._values)
        if self._options.each:
            say(f"{value:g}")
        return value

    def _note(self, message: DefVector | SetVector) -> bool:
        """Store the values that a message has for operands; return whether it had any."""
        start = f"{message.device}.{message.name}."
        found: dict[str, float | None] = {}
        if message.state is not None:
            found[f"{start}_STATE"] = _STATES.get(str(message.state), 3.0)
        stamp = parse_timestamp(message.timestamp or "")
        if stamp is not None:
            found[f"{start}_TS"] = stamp.timestamp()
        # Texts have no values, even if they begin with a number, as a date does.
        read = _READERS.get(message.tag[3:])
        if read is not None:
            for one in message.members:
                found[start + one.name] = read(str(getattr(one, "value", "")).strip())
        noted = False
        for name, value in found.items():
            if name in self._expression.operands and value is not None:
                if self._options.operands and self._values.get(name) != value:
                    say(f"{name}={value:g}")
                self._values[name] = value
                noted = True
        return noted


def _number(text: str) -> float | None:
    try:
        return parse_number(text)
    except ValueError:
        return None


_READERS: Mapping[str, Callable[[str], float | None]] = {
    "NumberVector": _number,
    "SwitchVector": _SWITCHES.get,
    "LightVector": lambda text: _STATES.get(text, 3.0),
}
