"""Expressions of properties, as indi_eval has them: C's operators, some functions, and operands in double quotes.

An expression is read once, into a tree of functions, and evaluated whenever values change. No part of it is ever
run as Python.
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


# Where Python raises, C goes on with an infinity or with NaN, and so do these.


def _divided(one: float, other: float) -> float:
    if other:
        return one / other
    return one * math.copysign(math.inf, other)


def _logarithm(of: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: of(value) if value else -math.inf


def _exponential(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except (OverflowError, ValueError):
        if base < 0 and exponent != math.floor(exponent):
            return math.nan  # a root of a negative number
        # Too large a power of some number, or a negative power of 0.
        return math.copysign(math.inf, base) if abs(math.fmod(exponent, 2)) == 1 else math.inf


def _floor(value: float) -> float:
    return math.floor(value) if math.isfinite(value) else value


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
    "floor": (1, _floor),
    "log": (1, _logarithm(math.log)),
    "log10": (1, _logarithm(math.log10)),
    "exp": (1, _exponential),
    "sqrt": (1, math.sqrt),
    "pow": (2, _power),
}


# The weakest come first; operators on the same line are evaluated from left to right.
_OPERATORS: tuple[Mapping[str, Callable[[float, float], float]], ...] = (
    {"||": lambda a, b: bool(a) or bool(b)},
    {"&&": lambda a, b: bool(a) and bool(b)},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divided},
)

# So that no expression can make Python's own stack overflow.
_MOST_NESTED = 50
_MOST_TOKENS = 500


class Expression:
    """An expression that has been read.

    :param text: the expression, as on the command line.
    :raises ValueError: it is not an expression; the text says what is wrong, and where.
    :ivar operands: the names of the operands, each once, in order of appearance.
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
        """Return its value; as in C, infinite if it overflows, and NaN if it is undefined.

        :param values: the values of all operands.
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
            raise self._error(f"there is no function {name}; names of properties need double quotes")
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
        """Return the present token if it is of this kind, else an empty text."""
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
        except ValueError:
            return math.nan  # such as the root of a negative number

    return evaluate
