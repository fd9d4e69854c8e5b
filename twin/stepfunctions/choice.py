"""Choice states: the comparison operators of JSONPath rules, and JSONata conditions."""

import datetime as dt
import operator
import re
from collections.abc import Callable
from typing import Any

from twin.stepfunctions.errors import StateError
from twin.stepfunctions.expressions import Frame, State, assign, jsonata, lookup, select

_ABSENT: Any = object()
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_OPERATOR = re.compile(
    r"(?P<type>String|Numeric|Boolean|Timestamp)"
    r"(?P<comparison>Equals|LessThanEquals|LessThan|GreaterThanEquals|GreaterThan)(?P<path>Path)?"
)


def _timestamp(value: Any) -> dt.datetime | None:
    if not isinstance(value, str) or "T" not in value:
        return None
    try:
        moment = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], Any]] = {
    "String": lambda value: value if isinstance(value, str) else None,
    "Numeric": lambda value: value if _is_number(value) else None,
    "Boolean": lambda value: value if isinstance(value, bool) else None,
    "Timestamp": _timestamp,
}
_TESTS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": _is_number,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: _timestamp(value) is not None,
}


def choose(state: State, data: Any, frame: Frame) -> tuple[Any, str]:
    """Return the output and the name of the next state; raises `StateError` (``States.NoChoiceMatched``)."""
    in_jsonata = frame.uses_jsonata(state)
    selected = data if in_jsonata else select(state, "InputPath", data, frame)
    rules: list[dict[str, Any]] = state["Choices"]
    rule = next((rule for rule in rules if _holds(rule, selected, frame, in_jsonata)), None)
    if rule is None and "Default" not in state:
        raise StateError(
            "States.NoChoiceMatched", "No rule of the Choice state matched, and it has no Default"
        )
    taken = state if rule is None else rule
    made = jsonata(taken["Output"], frame, input=data) if in_jsonata and "Output" in taken else selected
    assign(taken, frame, in_jsonata, input=selected)
    target = state["Default"] if rule is None else rule["Next"]
    return made if in_jsonata else select(state, "OutputPath", made, frame), target


def _holds(rule: dict[str, Any], data: Any, frame: Frame, in_jsonata: bool) -> bool:
    if in_jsonata:
        verdict = jsonata(rule["Condition"], frame, input=data)
        if not isinstance(verdict, bool):
            text = f"The Condition must give a boolean, and gave {verdict!r}"
            raise StateError("States.QueryEvaluationError", text)
        return verdict
    if "And" in rule:
        return all(_holds(part, data, frame, False) for part in rule["And"])
    if "Or" in rule:
        return any(_holds(part, data, frame, False) for part in rule["Or"])
    if "Not" in rule:
        return not _holds(rule["Not"], data, frame, False)
    return _compare(rule, data, frame)


def _compare(rule: dict[str, Any], data: Any, frame: Frame) -> bool:
    value = lookup(rule["Variable"], data, frame, default=_ABSENT)
    if "IsPresent" in rule:
        return (value is not _ABSENT) == rule["IsPresent"]
    if value is _ABSENT:
        raise StateError("States.Runtime", f"Invalid path '{rule['Variable']}': it is not in the input")
    for name, test in _TESTS.items():
        if name in rule:
            return test(value) == rule[name]
    if "StringMatches" in rule:
        return isinstance(value, str) and bool(_wildcard(rule["StringMatches"]).fullmatch(value))
    for name, expected in rule.items():
        found = _OPERATOR.fullmatch(name)
        if found is None:
            continue
        other = lookup(expected, data, frame) if found["path"] else expected
        typed = _TYPES[found["type"]]
        left, right = typed(value), typed(other)
        if left is None or right is None:
            return False
        return _COMPARISONS[found["comparison"]](left, right)
    raise StateError("States.Runtime", f"A choice rule has no comparison: {sorted(rule)}")


def _wildcard(pattern: str) -> re.Pattern[str]:
    """Read a StringMatches pattern: ``*`` is any text, ``\\*`` a star."""
    parts = re.split(r"(\\.|\*)", pattern)
    return re.compile(
        "".join(".*" if part == "*" else re.escape(part.removeprefix("\\")) for part in parts), re.DOTALL
    )
