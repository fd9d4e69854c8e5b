"""CloudWatch metric math: expressions over time series, parsed once, evaluated as CloudWatch does.

A series maps the number of a period to its value; a period without data is not in it. A number stands for
itself in every period. Functions that are not here are refused by name.
"""

import ast
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Series = dict[int, float]
Value = Series | float | list[Series]


class MathError(ValueError):
    """An expression cannot be read or gives no time series; the message says what is wrong with it."""


_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
    ast.Lt: lambda a, b: float(a < b),
    ast.LtE: lambda a, b: float(a <= b),
    ast.Gt: lambda a, b: float(a > b),
    ast.GtE: lambda a, b: float(a >= b),
    ast.Eq: lambda a, b: float(a == b),
    ast.NotEq: lambda a, b: float(a != b),
    ast.And: lambda a, b: float(bool(a) and bool(b)),
    ast.Or: lambda a, b: float(bool(a) or bool(b)),
}
_REDUCERS: dict[str, Callable[[list[float]], float]] = {
    "MAX": max,
    "MIN": min,
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
}
_EACH: dict[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}
_OTHERS = ("DATAPOINT_COUNT", "DIFF", "FILL", "IF", "METRICS", "RUNNING_SUM")
# Python's grammar has CloudWatch's in it, but for these.
_SPELLINGS = ((r"\^", "**"), (r"&&|\bAND\b", " and "), (r"\|\||\bOR\b", " or "))


def parse(text: str) -> ast.expr:
    """Return an expression's tree; raises `MathError` naming what CloudWatch or the twin does not take."""
    written = text
    for theirs, ours in _SPELLINGS:
        written = re.sub(theirs, ours, written)
    try:
        tree = ast.parse(written.strip(), mode="eval").body
    except SyntaxError as fault:
        raise MathError(f"the expression {text!r} cannot be read: {fault.msg}") from fault
    _check(tree, text)
    return tree


def names(tree: ast.expr) -> set[str]:
    """Return the ids that an expression uses."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called}
    return found - {"REPEAT"}


def uses_all(tree: ast.expr) -> bool:
    """Whether an expression uses METRICS(), and with it every metric of its request."""
    return any(isinstance(n, ast.Call) and _called(n) == "METRICS" for n in ast.walk(tree))


def _shown(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__


def _called(node: ast.Call) -> str:
    return node.func.id.upper() if isinstance(node.func, ast.Name) else ""


def _check(tree: ast.expr, text: str) -> None:
    allowed = (
        ast.BinOp,
        ast.UnaryOp,
        ast.USub,
        ast.UAdd,
        ast.Compare,
        ast.BoolOp,
        ast.Call,
        ast.Name,
        ast.Load,
        ast.Constant,
        ast.List,
        *_OPERATORS,
    )
    known = {*_REDUCERS, *_EACH, *_OTHERS}
    for node in ast.walk(tree):
        number = not isinstance(node, ast.Constant) or isinstance(node.value, int | float)
        if not isinstance(node, allowed) or not number:
            raise MathError(f"the expression {text!r} cannot be read at {_shown(node)!r}")
        if isinstance(node, ast.Call) and (_called(node) not in known or node.keywords):
            raise MathError(
                f"the expression {text!r} uses {ast.unparse(node.func)}: the local twin knows "
                f"{', '.join(sorted(known))}"
            )
        if isinstance(node, ast.Compare) and len(node.ops) > 1:
            raise MathError(f"the expression {text!r} chains comparisons at {ast.unparse(node)!r}")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation: the values of ids, the ids that METRICS() means, and all periods that are looked at."""

    values: Mapping[str, Value]
    metrics: Iterable[str]
    periods: range

    def series(self, tree: ast.expr) -> Series:
        """Return the time series of an expression; raises `MathError` when it gives none."""
        found = self._value(tree)
        if not isinstance(found, dict):
            kind = "a number" if isinstance(found, int | float) else "several time series"
            raise MathError(f"the expression {ast.unparse(tree)!r} gives {kind}, not one time series")
        return found

    def _value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                found: Value = float(number)
            case ast.Name(id=name) if name in self.values:
                found = self.values[name]
            case ast.List(elts=items):
                found = [self._one(item) for item in items]
            case ast.UnaryOp(op=sign, operand=operand):
                factor = -1.0 if isinstance(sign, ast.USub) else 1.0
                found = _each(lambda value: factor * value, self._value(operand))
            case ast.BinOp(left=left, op=kind, right=right):
                found = _combine(_OPERATORS[type(kind)], self._value(left), self._value(right))
            case ast.Compare(left=left, ops=[kind], comparators=[right]):
                found = _combine(_OPERATORS[type(kind)], self._value(left), self._value(right))
            case ast.BoolOp(op=kind, values=[first, *rest]):
                found = self._value(first)
                for value in rest:
                    found = _combine(_OPERATORS[type(kind)], found, self._value(value))
            case ast.Call(args=arguments):
                found = self._call(_called(node), arguments)
            case _:
                raise MathError(f"{_shown(node)!r} is no id of the request, and cannot be evaluated")
        return found

    def _one(self, node: ast.expr) -> Series:
        found = self._value(node)
        if not isinstance(found, dict):
            raise MathError(f"{ast.unparse(node)!r} is no time series")
        return found

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        if name == "METRICS" and not arguments:
            return [found for each in self.metrics if isinstance(found := self.values[each], dict)]
        if name == "IF" and len(arguments) in (2, 3):
            return self._if(arguments)
        if name == "FILL" and len(arguments) == 2:
            return self._fill(self._value(arguments[0]), arguments[1])
        if len(arguments) != 1:
            raise MathError(f"{name} does not take {len(arguments)} arguments")
        value = self._value(arguments[0])
        if name in _REDUCERS:
            return _reduce(_REDUCERS[name], value)
        if name in _EACH:
            return _each(_EACH[name], value)
        if not isinstance(value, dict):
            raise MathError(f"{name} takes one time series")
        return _over_time(name, value)

    def _if(self, arguments: list[ast.expr]) -> Value:
        condition, *choices = (self._value(argument) for argument in arguments)
        if isinstance(condition, list) or any(isinstance(choice, list) for choice in choices):
            raise MathError("IF takes no list of time series")
        if not isinstance(condition, dict):
            condition = dict.fromkeys(self.periods, condition)
        found: Series = {}
        for period, truth in condition.items():
            chosen: Any = choices[0] if truth else choices[1] if len(choices) > 1 else {}
            value = chosen.get(period) if isinstance(chosen, dict) else chosen
            if value is not None:
                found[period] = value
        return found

    def _fill(self, value: Value, how: ast.expr) -> Value:
        if isinstance(value, list):
            return [filled for each in value if isinstance(filled := self._fill(each, how), dict)]
        if not isinstance(value, dict):
            raise MathError("FILL takes a time series")
        if isinstance(how, ast.Name) and how.id == "REPEAT":
            filled, last = dict[int, float](), None
            for period in self.periods:
                last = value.get(period, last)
                if last is not None:
                    filled[period] = last
            return filled
        filler = self._value(how)
        if isinstance(filler, list):
            raise MathError("FILL takes a number, a time series or REPEAT to fill with")
        if not isinstance(filler, dict):
            filler = dict.fromkeys(self.periods, filler)
        return {**filler, **value}


def _combine(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Apply an operator period by period; what has no result there (1/0) has no data point."""
    if isinstance(left, list):
        return [found for each in left if isinstance(found := _combine(function, each, right), dict)]
    if isinstance(right, list):
        return [found for each in right if isinstance(found := _combine(function, left, each), dict)]
    if not isinstance(left, dict) and not isinstance(right, dict):
        found = _safely(function, left, right)
        return {} if found is None else found
    periods = (
        left.keys() & right.keys()
        if isinstance(left, dict) and isinstance(right, dict)
        else (left if isinstance(left, dict) else right if isinstance(right, dict) else {}).keys()
    )
    found: Any = {
        period: _safely(
            function,
            left[period] if isinstance(left, dict) else left,
            right[period] if isinstance(right, dict) else right,
        )
        for period in periods
    }
    return {period: value for period, value in found.items() if value is not None}


def _safely(function: Callable[[float, float], float], left: float, right: float) -> float | None:
    try:
        found = function(left, right)
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _each(function: Callable[[float], float], value: Value) -> Value:
    if isinstance(value, list):
        return [found for each in value if isinstance(found := _each(function, each), dict)]
    if isinstance(value, dict):
        return {period: function(found) for period, found in value.items()}
    return function(value)


def _reduce(function: Callable[[list[float]], float], value: Value) -> Value:
    """Reduce several series to one, period by period, and one series to a number."""
    if isinstance(value, list):
        periods = {period for series in value for period in series}
        return {p: function([series[p] for series in value if p in series]) for p in periods}
    if isinstance(value, dict):
        return function(list(value.values())) if value else {}
    return value


def _over_time(name: str, series: Series) -> Value:
    if name == "DATAPOINT_COUNT":
        return float(len(series))
    ordered = sorted(series)
    if name == "RUNNING_SUM":
        total, sums = 0.0, dict[int, float]()
        for period in ordered:
            total += series[period]
            sums[period] = total
        return sums
    if name == "DIFF":
        return {b: series[b] - series[a] for a, b in itertools.pairwise(ordered)}
    raise MathError(f"{name} is not evaluated by the local twin")
