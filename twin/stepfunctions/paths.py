"""JSONPath as the States Language uses it: reading values, and writing a result at a reference path."""

import copy
import re
from collections.abc import Iterator
from typing import Any

from twin.stepfunctions.errors import StateError

_STEP = re.compile(
    r"""\.\.(?P<deep>\w+|\*)            # every value below with that name
      | \.(?P<name>[^.\[\]]+)           # .name and .*
      | \[(?P<quote>['"])(?P<quoted>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\]
      | \[(?P<index>-?\d+)\]
      | \[(?P<slice>-?\d*:-?\d*)\]
      | \[(?P<all>\*)\]""",
    re.VERBOSE,
)
_DEFINITE = ("name", "quoted", "index")


class PathMissing(Exception):
    """The path leads nowhere in the data."""


def read(path: str, data: Any) -> Any:
    """Return what `path` (``$.a[0]``) finds: the value, or a list where the path may match several.

    Raises `PathMissing`, and `StateError` for a path that cannot be parsed.
    """
    values, definite = [data], True
    for kind, argument in _steps(path):
        values = [found for value in values for found in _follow(kind, argument, value)]
        definite = definite and kind in _DEFINITE
    if not definite:
        return values
    if not values:
        raise PathMissing(path)
    return values[0]


def write(path: str, data: Any, result: Any) -> Any:
    """Return a copy of `data` with `result` at the reference path (``$.a.b``); objects are made as needed.

    Raises `StateError` (``States.ResultPathMatchFailure``) where the path runs into something else.
    """
    steps = list(_steps(path))
    if not steps:
        return result
    whole: Any = copy.deepcopy(data)
    mismatch = StateError("States.ResultPathMatchFailure", f"the ResultPath {path!r} does not fit the input")
    if not isinstance(whole, dict | list):
        raise mismatch
    place: Any = whole
    for position, (kind, argument) in enumerate(steps):
        last = position == len(steps) - 1
        if kind in ("name", "quoted") and isinstance(place, dict):
            if last:
                place[argument] = result
            else:
                place = place.setdefault(argument, {})
        elif kind == "index" and isinstance(place, list) and -len(place) <= int(argument) < len(place):
            if last:
                place[int(argument)] = result
            else:
                place = place[int(argument)]
        else:
            raise mismatch
    return whole


def _steps(path: str) -> Iterator[tuple[str, str]]:
    if not path.startswith("$"):
        raise StateError("States.Runtime", f"Invalid path {path!r}: it must start with $")
    position = 1
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            what = "filters" if path[position:].startswith("[?") else "this syntax"
            raise StateError("States.Runtime", f"Invalid path {path!r}: the twin does not read {what}")
        kind = next(
            name for name in ("deep", "name", "quoted", "index", "slice", "all") if step[name] is not None
        )
        argument = step[kind]
        if kind == "quoted":
            argument = re.sub(r"\\(.)", r"\1", argument)
        if kind == "name" and argument == "*":
            kind = "all"
        yield kind, argument
        position = step.end()


def _follow(kind: str, argument: str, value: Any) -> Iterator[Any]:
    if kind in ("name", "quoted"):
        if isinstance(value, dict) and argument in value:
            yield value[argument]
    elif kind == "index":
        if isinstance(value, list) and -len(value) <= int(argument) < len(value):
            yield value[int(argument)]
    elif kind == "slice":
        if isinstance(value, list):
            start, stop = (int(part) if part else None for part in argument.split(":"))
            yield from value[start:stop]
    elif kind == "all":
        yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    else:
        yield from _below(argument, value)


def _below(name: str, value: Any) -> Iterator[Any]:
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        if name in ("*", key):
            yield child
        yield from _below(name, child)
