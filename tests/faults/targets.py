"""The states of the platform's workflows, and where a fault has to strike so that one of them meets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.events.announced import states

Record = dict[str, Any]
# What Step Functions calls its services, and what IAM does.
_SERVICES = {
    "sfn": "states",
    "applicationautoscaling": "application-autoscaling",
    "eventbridge": "events",
}


@dataclass(frozen=True)
class State:
    """One state of one workflow; `service` and `operation` are what it calls, if it does."""

    machine: str
    name: str
    kind: str
    service: str = ""
    operation: str = ""

    def __str__(self) -> str:
        """For tables."""
        return f"{self.machine} / {self.name}"


def all_states(definitions: dict[str, Record]) -> dict[tuple[str, str], State]:
    """Every state, those within maps too, by machine and name."""
    return {
        (machine, name): State(machine, name, state["Type"], *_call(state.get("Resource", "")))
        for machine, definition in definitions.items()
        for name, state in states(definition)
    }


def _call(resource: str) -> tuple[str, str]:
    if not resource:
        return "", ""
    parts = resource.removeprefix("arn:aws:states:::").removeprefix("aws-sdk:").split(":")
    operation = parts[1].split(".")[0]
    return _SERVICES.get(parts[0], parts[0]), operation[0].upper() + operation[1:]
