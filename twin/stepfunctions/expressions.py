"""What a state's fields mean for its input: JSONata and JSONPath, the context object, and variables."""

import copy
import json
import re
from collections import ChainMap
from dataclasses import dataclass, field
from typing import Any

from twin.glue import stepfunctions as seam
from twin.stepfunctions import paths
from twin.stepfunctions.errors import StateError
from twin.stepfunctions.signals import Signal

State = dict[str, Any]
_VARIABLE = re.compile(r"\$(?P<name>[A-Za-z_]\w*)(?P<rest>.*)", re.DOTALL)
_ABSENT: Any = object()


@dataclass
class Frame:
    """What surrounds a state: context object, variables, query language, and the signal to end."""

    context: dict[str, Any]
    language: str
    signal: Signal
    variables: ChainMap[str, Any] = field(default_factory=ChainMap[str, Any])

    def branch(self, signal: Signal) -> "Frame":
        """Return the surroundings of a branch or item: it sees our variables, and keeps its own to itself."""
        context = copy.deepcopy(self.context)
        return Frame(context, self.language, signal, self.variables.new_child())

    def uses_jsonata(self, state: State) -> bool:
        """Whether a state's fields are written in JSONata."""
        return state.get("QueryLanguage", self.language) == "JSONata"


def jsonata(value: Any, frame: Frame, **states: Any) -> Any:
    """Return `value` with every ``{% ... %}`` in it evaluated.

    `states` are what ``$states`` offers there: input, and result or errorOutput.
    """
    if isinstance(value, str) and value.startswith("{%") and value.endswith("%}"):
        offered = {**states, "context": frame.context}
        try:
            return seam.evaluate_jsonata(value[2:-2].strip(), offered, frame.variables)
        except seam.ExpressionFault as fault:
            raise StateError(fault.error, fault.cause) from fault
    if isinstance(value, dict):
        return {key: jsonata(item, frame, **states) for key, item in value.items()}
    if isinstance(value, list):
        return [jsonata(item, frame, **states) for item in value]
    return value


def lookup(path: str, data: Any, frame: Frame, *, default: Any = _ABSENT) -> Any:
    """Return what a JSONPath finds in the data, the context object (``$$.``) or a variable (``$name``).

    Raises `StateError` when it finds nothing and there is no default.
    """
    source = data
    if path.startswith("$$"):
        source, path = frame.context, path[1:]
    elif (variable := _VARIABLE.fullmatch(path)) and variable["name"] in frame.variables:
        source, path = frame.variables[variable["name"]], f"${variable['rest']}"
    try:
        return paths.read(path, source)
    except paths.PathMissing:
        if default is not _ABSENT:
            return default
        shown = json.dumps(source, default=str)[:2000]
        text = f"The JSONPath '{path}' could not be found in the input '{shown}'"
        raise StateError("States.ParameterPathFailure", text) from None


def template(value: Any, data: Any, frame: Frame) -> Any:
    """Fill a payload template: members whose name ends in ``.$`` hold a path or an intrinsic function."""
    if isinstance(value, list):
        return [template(item, data, frame) for item in value]
    if not isinstance(value, dict):
        return value
    filled: dict[str, Any] = {}
    for key, item in value.items():
        if not key.endswith(".$"):
            filled[key] = template(item, data, frame)
        elif isinstance(item, str) and item.startswith("States."):
            filled[key[:-2]] = _intrinsic(item, data, frame)
        else:
            filled[key[:-2]] = lookup(str(item), data, frame)
    return filled


def _intrinsic(expression: str, data: Any, frame: Frame) -> Any:
    try:
        return seam.evaluate_intrinsic(expression, data, frame.context)
    except seam.ExpressionFault as fault:
        raise StateError(fault.error, fault.cause) from fault


def effective_input(state: State, data: Any, frame: Frame, arguments: bool = True) -> Any:
    """Return what a state works on: InputPath and Parameters, or Arguments (where the state has them)."""
    if frame.uses_jsonata(state):
        return jsonata(state["Arguments"], frame, input=data) if arguments and "Arguments" in state else data
    selected = select(state, "InputPath", data, frame)
    if arguments and "Parameters" in state:
        return template(state["Parameters"], selected, frame)
    return selected


def select(state: State, name: str, data: Any, frame: Frame) -> Any:
    """Return what InputPath or OutputPath leaves; null leaves an empty object."""
    path = state.get(name, "$")
    return {} if path is None else lookup(path, data, frame)


def output(state: State, data: Any, result: Any, frame: Frame) -> Any:
    """Return a state's output for its result, and assign its variables."""
    if frame.uses_jsonata(state):
        made = jsonata(state["Output"], frame, input=data, result=result) if "Output" in state else result
        assign(state, frame, True, input=data, result=result)
        return made
    if "ResultSelector" in state:
        result = template(state["ResultSelector"], result, frame)
    assign(state, frame, False, input=result)
    path = state.get("ResultPath", "$")
    merged = data if path is None else paths.write(path, data, result)
    return select(state, "OutputPath", merged, frame)


def assign(holder: dict[str, Any], frame: Frame, in_jsonata: bool, **states: Any) -> None:
    """Set the variables that a state, rule or catcher assigns; all expressions see the values from before.

    `states` are what ``$states`` offers in JSONata; of these, JSONPath sees the input.
    """
    if holder.get("Assign"):
        wanted = holder["Assign"]
        values = jsonata(wanted, frame, **states) if in_jsonata else template(wanted, states["input"], frame)
        frame.variables.update(values)


def number(state: State, name: str, data: Any, frame: Frame) -> float | None:
    """Return a numeric field (a number, JSONata, or a path in ``<name>Path``), or None when it is missing."""
    if f"{name}Path" in state:
        value = lookup(state[f"{name}Path"], data, frame)
    elif name in state:
        value = jsonata(state[name], frame, input=data) if frame.uses_jsonata(state) else state[name]
    else:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        kind = "States.QueryEvaluationError" if frame.uses_jsonata(state) else "States.Runtime"
        raise StateError(kind, f"The field {name} must be a number of at least 0, and is {json.dumps(value)}")
    return value


def text(state: State, name: str, data: Any, frame: Frame, default: str) -> str:
    """Return a textual field, given like the fields that `number` reads."""
    path = state.get(f"{name}Path")
    if path is not None:
        value = _intrinsic(path, data, frame) if path.startswith("States.") else lookup(path, data, frame)
    else:
        value = state.get(name, default)
        if frame.uses_jsonata(state):
            value = jsonata(value, frame, input=data)
    if not isinstance(value, str):
        raise StateError("States.Runtime", f"The field {name} must be a string, and is {json.dumps(value)}")
    return value
