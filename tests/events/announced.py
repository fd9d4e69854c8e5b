"""The events that state machines put on the bus, as their synthesized definitions say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.assembly import Assembly

Record = dict[str, Any]


@dataclass(frozen=True)
class Announcement:
    """One state that puts an event on the bus; `detail` holds JSONata expressions and constants."""

    machine: str
    state: str
    kind: str
    source: str
    detail: Record


def definitions(assembly: Assembly, stage: str = "dev") -> dict[str, Record]:
    """The definitions of an environment's state machines, by the machine's name; references are text."""
    from vision_platform.references import flatten

    found: dict[str, Record] = {}
    for each in assembly.resources("AWS::StepFunctions::StateMachine", stack=f"-{stage}-"):
        name = flatten(each.properties["StateMachineName"])
        found[name] = json.loads(flatten_keeping_json(each.properties["DefinitionString"]))
    return found


def flatten_keeping_json(value: Any) -> str:
    """A definition with `<Logical.Attribute>` in place of each reference; braces of expressions stay."""
    from vision_platform.references import flatten

    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "Fn::Join" in value:
        delimiter, items = value["Fn::Join"]
        return str(delimiter).join(flatten_keeping_json(item) for item in items)
    # A reference to another stack's output has no short form: its quotation marks would end the text.
    return flatten(value).replace('"', "'")


def states(definition: Record) -> Iterator[tuple[str, Record]]:
    """Every state by name, those within maps and parallel branches too."""
    for name, state in definition.get("States", {}).items():
        yield name, state
        for inner in (state.get("ItemProcessor"), *state.get("Branches", [])):
            if inner:
                yield from states(inner)


def announcements(assembly: Assembly, stage: str = "dev") -> list[Announcement]:
    """What the environment's state machines announce, in the order of their states."""
    return [
        Announcement(machine, name, entry["DetailType"], entry["Source"], entry["Detail"])
        for machine, definition in definitions(assembly, stage).items()
        for name, state in states(definition)
        if state.get("Resource", "").endswith(":events:putEvents")
        for entry in state["Arguments"]["Entries"]
    ]
