"""Checks a state machine's definition before it is stored: broken references, and what the twin refuses."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from twin.stepfunctions.resources import UnknownResource, parse

_TYPES = frozenset({"Choice", "Fail", "Map", "Parallel", "Pass", "Succeed", "Task", "Wait"})
_READERS = ("s3:getObject", "s3:listObjectsV2")


class DefinitionError(Exception):
    """The definition cannot be run; the message lists every fault with the path of its state."""


def check(text: str) -> None:
    """Raise `DefinitionError` unless `text` is a definition that the twin can run."""
    try:
        machine = json.loads(text)
    except ValueError as fault:
        raise DefinitionError(f"INVALID_JSON_DESCRIPTION: {fault}") from fault
    found = list(_machine(machine, ""))
    if found:
        raise DefinitionError("SCHEMA_VALIDATION_FAILED: " + "; ".join(found))


def _machine(machine: Any, path: str) -> Iterator[str]:
    if not isinstance(machine, dict) or not isinstance(machine.get("States"), dict):
        yield f"States is missing at {path or '/'}"
        return
    states: dict[str, Any] = machine["States"]
    if machine.get("StartAt") not in states:
        yield f"StartAt {machine.get('StartAt')!r} names no state at {path or '/'}"
    for name, state in states.items():
        yield from _state(state, states, f"{path}/States/{name}")


def _state(state: Mapping[str, Any], states: Mapping[str, Any], path: str) -> Iterator[str]:
    kind = state.get("Type")
    if kind not in _TYPES:
        yield f"Type {kind!r} is unknown at {path}"
        return
    for target in _targets(state):
        if target not in states:
            yield f"Next {target!r} names no state at {path}"
    if kind not in ("Choice", "Fail", "Succeed") and not state.get("End") and "Next" not in state:
        yield f"Next or End is missing at {path}"
    if kind == "Choice" and not state.get("Choices"):
        yield f"Choices is missing at {path}"
    if kind == "Task":
        yield from _task(state, path)
    for position, branch in enumerate(state.get("Branches", [])):
        yield from _machine(branch, f"{path}/Branches[{position}]")
    if kind == "Map":
        yield from _map(state, path)


def _targets(state: Mapping[str, Any]) -> Iterator[str]:
    for holder in (state, *state.get("Choices", []), *state.get("Catch", [])):
        for member in ("Next", "Default"):
            if member in holder:
                yield holder[member]


def _task(state: Mapping[str, Any], path: str) -> Iterator[str]:
    try:
        parse(str(state.get("Resource", "")))
    except UnknownResource as fault:
        yield f"{fault} at {path}"


def _map(state: Mapping[str, Any], path: str) -> Iterator[str]:
    processor = state.get("ItemProcessor") or state.get("Iterator")
    if processor is None:
        yield f"ItemProcessor is missing at {path}"
        return
    reader = state.get("ItemReader")
    if reader and not str(reader.get("Resource", "")).endswith(_READERS):
        yield f"ItemReader {reader.get('Resource')!r} is not implemented by the local twin at {path}"
    config = processor.get("ProcessorConfig", {})
    if config.get("Mode", "INLINE") == "DISTRIBUTED":
        yield from _distributed(state, config.get("ExecutionType"), processor, path)
    elif reader or state.get("ItemBatcher") or state.get("ResultWriter"):
        yield f"ItemReader, ItemBatcher and ResultWriter need a ProcessorConfig of Mode DISTRIBUTED at {path}"
    yield from _machine(processor, f"{path}/ItemProcessor")


def _distributed(state: Mapping[str, Any], kind: Any, processor: Any, path: str) -> Iterator[str]:
    if kind not in ("STANDARD", "EXPRESS"):
        yield f"ProcessorConfig.ExecutionType must be STANDARD or EXPRESS, not {kind!r}, at {path}"
    if (state.get("ResultWriter") or {}).get("WriterConfig"):
        yield f"ResultWriter.WriterConfig is not implemented by the local twin at {path}"
    if kind != "EXPRESS":
        return
    for resource in _resources(processor):
        if resource.endswith((".sync", ".sync:2", ".waitForTaskToken")):
            yield f"{resource} is not allowed in an EXPRESS ItemProcessor at {path}"


def _resources(machine: Any) -> Iterator[str]:
    for state in machine.get("States", {}).values():
        if state.get("Type") == "Task":
            yield str(state.get("Resource", ""))
        for inner in (*state.get("Branches", []), state.get("ItemProcessor"), state.get("Iterator")):
            yield from _resources(inner) if inner else ()
