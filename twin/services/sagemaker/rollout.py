"""How a deployment shifts traffic: what `DeploymentConfig` says, checked as UpdateEndpoint checks it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twin import observability
from twin.json_service import ServiceError
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.refusal import refuse_members

_PATH = "DeploymentConfig.BlueGreenUpdatePolicy"
_ROUTING = f"{_PATH}.TrafficRoutingConfiguration"
_SIZES = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}
_SMALLEST_LINEAR_PERCENT, _LARGEST_PERCENT, _FEWEST_INSTANCES = 10, 50, 2
_LIMIT_SECONDS = 8 * 3600  # the longest that MaximumExecutionTimeoutInSeconds may be
Active = Mapping[str, int]  # variant -> instances of the new fleet that get traffic


@dataclass(frozen=True)
class Rollout:
    """Stages of a deployment: instances of the new fleet that get traffic, one mapping per shift.

    After each shift the alarms are watched for `wait_seconds`, after the last one for `keep_seconds` more
    before the old fleet goes; the whole may take `limit_seconds`.
    """

    kind: str
    stages: tuple[Active, ...]
    wait_seconds: int
    keep_seconds: int
    limit_seconds: int
    alarms: tuple[str, ...]

    def alarming(self) -> list[str]:
        """Return the names of the alarms that are in ALARM now."""
        return [name for name in self.alarms if observability.alarm_state(name) == "ALARM"]


def read(deployment: Record, before: Active, after: Active) -> Rollout:
    """Return what a deployment configuration means.

    Args:
        deployment: `DeploymentConfig` of UpdateEndpoint; empty for AWS's own way, all at once.
        before: instances of each variant that serves now.
        after: instances of each variant of the new fleet.

    Raises `ServiceError` for what AWS refuses, and by name for what the twin does not do.
    """
    refuse_members(deployment, ["RollingUpdatePolicy"], "DeploymentConfig")
    policy: dict[str, Any] = deployment.get("BlueGreenUpdatePolicy", {})
    routing: dict[str, Any] = policy.get("TrafficRoutingConfiguration", {})
    kind, wait = routing.get("Type", "ALL_AT_ONCE"), routing.get("WaitIntervalInSeconds", 0)
    for other, member in _SIZES.items():
        if (member in routing) != (kind == other):
            verb = "must be given" if kind == other else "may not be given"
            raise ServiceError("ValidationException", f"{_ROUTING}.{member} {verb} with Type {kind}.")
    stages = _stages(kind, routing.get(_SIZES.get(kind, ""), {}), before, after)
    keep = policy.get("TerminationWaitInSeconds", 0)
    limit = policy.get("MaximumExecutionTimeoutInSeconds", _LIMIT_SECONDS)
    waits = wait * len(stages) + keep
    if limit <= waits:
        raise ServiceError(
            "ValidationException",
            f"{_PATH}.MaximumExecutionTimeoutInSeconds must be greater than the total waiting time in "
            f"TerminationWaitInSeconds and WaitIntervalInSeconds, which is {waits} seconds.",
        )
    return Rollout(kind, stages, wait, keep, limit, _alarms(deployment))


def _stages(kind: str, size: Record, before: Active, after: Active) -> tuple[Active, ...]:
    if kind == "ALL_AT_ONCE":
        return (after,)
    if set(before) != set(after):
        raise ServiceError(
            "ValidationException",
            f"Traffic routing of type {kind} needs the same production variants in both endpoint "
            f"configurations: {', '.join(sorted(before))} serve, {', '.join(sorted(after))} are to come.",
        )
    steps = {name: _step(kind, size, name, count) for name, count in after.items()}
    if kind == "CANARY":
        return steps, after
    shifts = max(math.ceil(after[name] / step) for name, step in steps.items())
    return tuple(
        {name: min(after[name], step * (shift + 1)) for name, step in steps.items()}
        for shift in range(shifts)
    )


def _step(kind: str, size: Record, variant: str, count: int) -> int:
    """Return how many instances of a variant one step turns on; capacity is turned on by whole instances."""
    if count < _FEWEST_INSTANCES:
        raise ServiceError(
            "ValidationException",
            f"Traffic routing of type {kind} needs at least {_FEWEST_INSTANCES} instances: production "
            f"variant {variant} has an instance count of {count}.",
        )
    by_count = size["Type"] == "INSTANCE_COUNT"
    percent = 100 * size["Value"] / count if by_count else size["Value"]
    least = _SMALLEST_LINEAR_PERCENT if kind == "LINEAR" else 0
    if not least <= percent <= _LARGEST_PERCENT:
        limits = f"{least}-{_LARGEST_PERCENT} %" if least else f"at most {_LARGEST_PERCENT} %"
        raise ServiceError(
            "ValidationException",
            f"{_ROUTING}.{_SIZES[kind]} must be {limits} of the instance count of production variant "
            f"{variant} ({count}): {size['Value']} ({size['Type']}) is {percent:g} %.",
        )
    return size["Value"] if by_count else math.ceil(count * percent / 100)


def _alarms(deployment: Record) -> tuple[str, ...]:
    alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    names = tuple(dict.fromkeys(alarm["AlarmName"] for alarm in alarms))
    missing = [name for name in names if observability.alarm_state(name) is None]
    if missing:
        raise ServiceError(
            "ValidationException",
            "Could not find the CloudWatch alarms of DeploymentConfig.AutoRollbackConfiguration: "
            f"{', '.join(missing)}.",
        )
    return names
