"""Values between JSON, CloudFormation properties and botocore's shapes: one walk, several readings."""

import base64
import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from botocore.utils import parse_timestamp

Shape = Any  # botocore ships no types that pyright can follow
# (structure shape, value, path) -> (key to write, member shape, key read, item) of what is to be kept
Members = Callable[[Shape, dict[str, Any], str], Iterator[tuple[str, Shape, str, Any]]]
Leaf = Callable[[Shape, Any], Any]


class WireError(ValueError):
    """A property that the model does not have; the message names it."""


def _walk(shape: Shape, value: Any, members: Members, leaf: Leaf, path: str = "") -> Any:
    if value is None:
        return None
    kind = shape.type_name
    # Copies: jobs and builds change their records meanwhile, several members in one step.
    if kind == "structure" and isinstance(value, dict):
        return {
            key: _walk(member, item, members, leaf, f"{path}.{read}")
            for key, member, read, item in members(shape, value.copy(), path)
        }
    if kind == "list" and isinstance(value, list):
        return [_walk(shape.member, v, members, leaf, f"{path}[{i}]") for i, v in enumerate(value.copy())]
    if kind == "map" and isinstance(value, dict):
        return {k: _walk(shape.value, v, members, leaf, f"{path}.{k}") for k, v in value.copy().items()}
    return leaf(shape, value)


class _Anything:
    """The shape of a member that the model does not have: kept as it came, for the validation to name."""

    type_name = "unknown"


def _received(shape: Shape, value: dict[str, Any], _path: str) -> Iterator[tuple[str, Shape, str, Any]]:
    for key, item in value.items():
        if item is not None:
            yield key, shape.members.get(key, _Anything), key, item


def _sent(shape: Shape, value: dict[str, Any], _path: str) -> Iterator[tuple[str, Shape, str, Any]]:
    for key, member in shape.members.items():
        if value.get(key) is not None:
            yield member.serialization.get("name", key), member, key, value[key]


def _declared(shape: Shape, value: dict[str, Any], path: str) -> Iterator[tuple[str, Shape, str, Any]]:
    names = {name.lower(): name for name in shape.members}
    for key, item in value.items():
        name = names.get(key.lower())
        if name is None:
            raise WireError(f"property {f'{path}.{key}'.lstrip('.')} is unknown")
        yield name, shape.members[name], key, item


def _parse(shape: Shape, value: Any) -> Any:
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    if shape.type_name == "timestamp" and isinstance(value, str):
        return parse_timestamp(value).timestamp()
    return value


def _format(shape: Shape, value: Any) -> Any:
    if shape.type_name == "blob":
        return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()
    if shape.type_name == "timestamp":
        seconds = value.timestamp() if isinstance(value, dt.datetime) else value
        if shape.serialization.get("timestampFormat") == "iso8601":
            return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return seconds
    return value


def _type(shape: Shape, value: Any) -> Any:
    kind = shape.type_name
    if kind == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if kind in ("integer", "long") and isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    if kind in ("float", "double") and isinstance(value, str):
        return float(value)
    if kind == "string" and isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def from_wire(shape: Shape | None, value: Any) -> Any:
    """Turn parsed JSON into what operations work with: blobs as bytes, timestamps as epoch seconds."""
    return value if shape is None else _walk(shape, value, _received, _parse)


def to_wire(shape: Shape | None, value: Any) -> Any:
    """Turn an operation's result into JSON-able data, leaving out what the model does not know."""
    return value if shape is None else _walk(shape, value, _sent, _format)


def recase(shape: Shape, value: Any) -> Any:
    """Turn CloudFormation properties into an operation's input: names by the model, scalars typed.

    Raises `WireError` naming a property that the model does not have.
    """
    return _walk(shape, value, _declared, _type)


@cache
def _pattern(source: str) -> re.Pattern[str] | None:
    try:
        return re.compile(source)
    except re.error:  # some models use Java's syntax (\p{L})
        return None


def _broken_constraint(shape: Shape, value: Any) -> str | None:
    """Return the constraint of a scalar shape that `value` breaks, in AWS's words."""
    limits = shape.metadata
    if shape.type_name == "string" and isinstance(value, str):
        if value not in limits.get("enum", [value]):
            return f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
        if len(value) > limits.get("max", len(value)):
            return f"Member must have length less than or equal to {limits['max']}"
        pattern = _pattern(limits["pattern"]) if "pattern" in limits else None
        if pattern and not pattern.fullmatch(value):
            return f"Member must satisfy regular expression pattern: {limits['pattern']}"
    if shape.type_name in ("integer", "long") and value > limits.get("max", value):
        return f"Member must have value less than or equal to {limits['max']}"
    return None


def faults(shape: Shape, value: Any, path: str = "") -> list[str]:
    """Return what botocore's validator leaves out: unknown members, enums, lengths, patterns, maxima."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        found = [
            f"Unknown parameter '{f'{path}.{key}'.lstrip('.')}'" for key in value if key not in shape.members
        ]
        for key, member in shape.members.items():
            found += faults(member, value[key], f"{path}.{key}".lstrip(".")) if key in value else []
        return found
    if kind == "list" and isinstance(value, list):
        return [
            f for i, item in enumerate(value, 1) for f in faults(shape.member, item, f"{path}.{i}.member")
        ]
    if kind == "map" and isinstance(value, dict):
        return [f for key, item in value.items() for f in faults(shape.value, item, f"{path}.{key}")]
    broken = _broken_constraint(shape, value)
    return [f"Value '{value}' at '{path}' failed to satisfy constraint: {broken}"] if broken else []
