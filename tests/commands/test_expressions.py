"""Expressions of the command eval: what they mean, and what is none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indianyio.commands._expressions import Expression

VALUES = {"D.V.a": 3.0, "D.V.b": 0.0, "Telescope Simulator.COORD.RA": 5.5}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*3-4/8", 6.5),
        ("2 - 3 - 4", -5),
        ("10/4/5", 0.5),
        ("(1+2)*3", 9),
        ("-3+5", 2),
        ("--3", 3),
        ("+3", 3),
        ("!0 && (1<2) || 0", 1),
        ("!5", 0),
        ("1 || 0 && 0", 1),
        ("1 == 2 == 0", 1),
        ("1 != 2", 1),
        ("2 >= 2", 1),
        ("2 <= 1", 0),
        ("2 > 1 + 1", 0),
        (".5 + 1e2 + 1.", 101.5),
        ("pi", math.pi),
        ("degrad(180)", math.pi),
        ("raddeg(pi)", 180),
        ("atan2(1, 2)", math.atan2(1, 2)),
        ("pow(2,10)", 1024),
        ("floor(-1.5)", -2),
        ("abs(-2) + sqrt(4) + log10(100) + log(exp(1))", 7),
        ("sin(0)+cos(0)+tan(0)+asin(0)+acos(1)+atan(0)", 1),
        ("1/0", math.inf),
        ("-1/0", -math.inf),
        ("1/-0", -math.inf),
        ("-1/-0", math.inf),
        ("1e999", math.inf),
        ("1e308*10", math.inf),
        ("log(0)", -math.inf),
        ("log(-0)", -math.inf),
        ("log10(0)", -math.inf),
        ("log(1/0)", math.inf),
        ("exp(1e9)", math.inf),
        ("exp(-1e9)", 0),
        ("exp(-1/0)", 0),
        ("pow(10,1000)", math.inf),
        ("pow(-10,1001)", -math.inf),
        ("pow(-10,1000)", math.inf),
        ("pow(0,-1)", math.inf),
        ("pow(-0,-3)", -math.inf),
        ("pow(-0,-2)", math.inf),
        ("pow(-0,-2.5)", math.inf),
        ("pow(0,0)", 1),
        ("floor(1/0)", math.inf),
        ("floor(1e300)", 1e300),
        ("sqrt(1/0)", math.inf),
        ("atan(1/0)", math.pi / 2),
        ("abs(-1/0)", math.inf),
        ('"D.V.a" + 1', 4),
        ('abs("Telescope Simulator.COORD.RA" - 5) < .6 && "D.V.b" == 0', 1),
    ],
)
def test_values(text: str, value: float) -> None:
    assert Expression(text)(VALUES) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "0/0",
        "0*(1/0)",
        "sqrt(-1)",
        "log(-1)",
        "log10(-1)",
        "asin(2)",
        "sin(1/0)",
        "pow(-8,0.5)",
        "exp(0/0)",
        "log(0/0)",
        "floor(0/0)",
        "(0/0)/0",
        "pow(0/0,2)",
    ],
)
def test_what_mathematics_does_not_know(text: str) -> None:
    assert math.isnan(Expression(text)({}))


def test_operands_are_named_once() -> None:
    assert Expression('"a.b.c" + "d.e.f" * "a.b.c"').operands == ["a.b.c", "d.e.f"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a value is missing"),
        ("1 +", "a value is missing"),
        ("1 &", "'&' is not understood"),
        ("1 2", "an operator or the end is missing before '2'"),
        ("(1", r"\) is missing"),
        ("pow(1)", ", is missing"),
        ("sin 1", r"\( is missing"),
        ("foo(1)", "there is no function foo; names of properties need double quotes"),
        ('"foo"', '"foo" is not of the form "Device.VECTOR.member"'),
        ('"a..b"', "is not of the form"),
        ('"a.b.c', "is not understood"),
        ("(" * 200 + "1" + ")" * 200, "nested more than 50 times"),
        ("1" + "+1" * 1500, "more than 500 numbers, names and signs"),
        ("__import__(1)", "there is no function __import__"),
    ],
)
def test_what_is_no_expression(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"Compile err: .*{told}"):
        Expression(text)


@given(st.text('0123456789.+-*/()<>=!&|,"abc pi', max_size=40))
def test_nothing_else_is_raised(text: str) -> None:
    try:
        expression = Expression(text)
    except ValueError:
        return
    value = expression(dict.fromkeys(expression.operands, 1.0))
    assert isinstance(value, float)
