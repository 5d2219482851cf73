"""Expressions of properties, as indi_eval has them: C's operators, some functions, and operands in double quotes.

An expression is read into a tree of functions once, and evaluated as often as values change. Nothing of it is ever
Python that runs.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

__all__ = ["Expression"]

Values: TypeAlias = Mapping[str, float]
_Node: TypeAlias = Callable[[Values], float]

_TOKEN = re.compile(
    r"""\s*(?:
    "(?P<operand>[^"]*)"
    | (?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<sign>\|\||&&|[=!<>]=|[-+*/!<>(),])
    )""",
    re.VERBOSE,
)

_FUNCTIONS: Mapping[str, tuple[int, Callable[..., float]]] = {
    "sin": (1, math.sin),
    "cos": (1, math.cos),
    "tan": (1, math.tan),
    "asin": (1, math.asin),
    "acos": (1, math.acos),
    "atan": (1, math.atan),
    "atan2": (2, math.atan2),
    "abs": (1, abs),
    "degrad": (1, math.radians),
    "raddeg": (1, math.degrees),
    "floor": (1, math.floor),
    "log": (1, math.log),
    "log10": (1, math.log10),
    "exp": (1, math.exp),
    "sqrt": (1, math.sqrt),
    "pow": (2, math.pow),
}


def _divided(one: float, other: float) -> float:
    """Divide as C does, where a division by zero is infinite."""
    if other:
        return one / other
    return math.copysign(math.inf, one) if one and not math.isnan(one) else math.nan


# The weakest first; those of one line are evaluated from the left.
_OPERATORS: tuple[Mapping[str, Callable[[float, float], float]], ...] = (
    {"||": lambda a, b: bool(a) or bool(b)},
    {"&&": lambda a, b: bool(a) and bool(b)},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divided},
)

# So that no expression makes Python's own stack overflow.
_MOST_NESTED = 50
_MOST_TOKENS = 500


class Expression:
    """An expression that has been read.

    :param text: as on the command line.
    :raises ValueError: it is none; the text says what is wrong, and where.
    :ivar operands: the names of the operands, each once, in their order.
    """

    def __init__(self, text: str) -> None:
        self.operands: list[str] = []
        self._text = text
        self._tokens = list(self._split())
        if len(self._tokens) > _MOST_TOKENS:
            raise ValueError(f"Compile err: more than {_MOST_TOKENS} numbers, names and signs")
        self._position = self._depth = 0
        self._root = self._binary(0)
        if self._position < len(self._tokens):
            raise self._error("an operator or the end is missing")

    def __call__(self, values: Values) -> float:
        """Return its value; what mathematics does not know is NaN, as in C.

        :param values: those of all operands.
        """
        return float(self._root(values))

    def _split(self) -> Iterator[tuple[str, str, int]]:
        position, end = 0, len(self._text.rstrip())
        while position < end:
            found = _TOKEN.match(self._text, position)
            if found is None or found.lastgroup is None:
                raise ValueError(f"Compile err: {self._text[position:].strip()!r} is not understood")
            yield found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)
            position = found.end()

    def _binary(self, level: int) -> _Node:
        if level == len(_OPERATORS):
            return self._unary()
        left = self._binary(level + 1)
        while self._here("sign") in _OPERATORS[level]:
            operate = _OPERATORS[level][self._take()]
            left = _both(operate, left, self._binary(level + 1))
        return left

    def _unary(self) -> _Node:
        sign = self._here("sign")
        if sign not in ("!", "-", "+"):
            return self._primary()
        self._take()
        with_sign = self._nested(self._unary)
        if sign == "!":
            return lambda values: not with_sign(values)
        return (lambda values: -with_sign(values)) if sign == "-" else with_sign

    def _primary(self) -> _Node:
        if self._position == len(self._tokens):
            raise self._error("a value is missing")
        kind, text, _ = self._tokens[self._position]
        if kind == "number":
            value = float(self._take())
            return lambda values: value
        if kind == "operand":
            return self._operand(self._take())
        if kind == "name":
            return self._named(self._take())
        if text != "(":
            raise self._error("a value is missing")
        self._take()
        return self._closed(self._nested(lambda: self._binary(0)))

    def _operand(self, name: str) -> _Node:
        if len(name.split(".")) != 3 or not all(name.split(".")):
            raise ValueError(f'Compile err: "{name}" is not of the form "Device.VECTOR.member"')
        if name not in self.operands:
            self.operands.append(name)
        return lambda values: values[name]

    def _named(self, name: str) -> _Node:
        if name == "pi":
            return lambda values: math.pi
        if name not in _FUNCTIONS:
            raise self._error(f"there is no function {name}; names of properties stand in double quotes")
        count, function = _FUNCTIONS[name]
        self._expect("(")
        arguments = [self._nested(lambda: self._binary(0))]
        for _ in range(1, count):
            self._expect(",")
            arguments.append(self._nested(lambda: self._binary(0)))
        return self._closed(_call(function, arguments))

    def _closed(self, node: _Node) -> _Node:
        self._expect(")")
        return node

    def _nested(self, read: Callable[[], _Node]) -> _Node:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise ValueError(f"Compile err: nested more than {_MOST_NESTED} times")
        node = read()
        self._depth -= 1
        return node

    def _here(self, kind: str) -> str:
        """Return the token here if it is of a kind, else nothing."""
        if self._position == len(self._tokens) or self._tokens[self._position][0] != kind:
            return ""
        return self._tokens[self._position][1]

    def _take(self) -> str:
        self._position += 1
        return self._tokens[self._position - 1][1]

    def _expect(self, sign: str) -> None:
        if self._here("sign") != sign:
            raise self._error(f"{sign} is missing")
        self._take()

    def _error(self, what: str) -> ValueError:
        start = self._tokens[self._position][2] if self._position < len(self._tokens) else len(self._text)
        return ValueError(f"Compile err: {what} before {self._text[start:].strip()!r} in {self._text.strip()!r}")


def _both(operate: Callable[[float, float], float], left: _Node, right: _Node) -> _Node:
    return lambda values: float(operate(left(values), right(values)))


def _call(function: Callable[..., float], arguments: list[_Node]) -> _Node:
    def evaluate(values: Values) -> float:
        try:
            return float(function(*(argument(values) for argument in arguments)))
        except (ValueError, OverflowError):
            return math.nan

    return evaluate
