"""Fills in what a workload decides: settings that are not given get the plan's numbers, given ones win."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planning.capacity import Capacity, plan
from planning.explained import Value
from planning.hosting import LIMITS, Hosting
from planning.quotas import SERVERLESS_CONCURRENCY
from stages.settings_fields import Group
from stages.settings_workload import WorkloadSettings

# Settings that follow from the workload, by their group.
SIZED: Mapping[str, tuple[str, ...]] = {
    "api": ("rate_per_second", "burst", "memory_mb", "reserved_concurrency"),
    "hosting": (
        "instance_type",
        "instance_count",
        "max_instance_count",
        "target_invocations_per_instance",
        "serverless_max_concurrency",
        "lambda_reserved_concurrency",
    ),
    "streaming": (
        "shards",
        "parallelization_factor",
        "reserved_concurrency",
        "batch_size",
        "micro_batch",
        "memory_mb",
        "buffer_seconds",
        "iterator_age_seconds",
    ),
    "monitoring": ("api_p99_latency_ms", "api_5xx_percent"),
}


def given(groups: Mapping[str, Group]) -> dict[str, Value | None]:
    """What a person has set of the settings that would follow from the workload, by `group.name`."""
    return {
        f"{name}.{field}": getattr(groups[name], field)
        for name, fields in SIZED.items()
        for field in fields
        if field in groups[name].model_fields_set
    }


def planned(workload: WorkloadSettings, groups: Mapping[str, Group]) -> Capacity:
    """The plan for the workload, on what a person has set. Raises UnknownHardware."""
    return plan(workload.workload(), given(groups), hosting(groups))


def hosting(groups: Mapping[str, Group]) -> Hosting:
    """How models are hosted, as the plan asks."""
    return Hosting.of(groups["hosting"].model_dump())


def derived(workload: WorkloadSettings, groups: Mapping[str, Group]) -> dict[str, Any]:
    """The plan's values for the settings that nobody has set, by `group.name`. Raises UnknownHardware."""
    set_by_hand = given(groups)
    capacity = planned(workload, groups)
    found: dict[str, Any] = {
        f"{name}.{field}": capacity[f"{name}.{field}"].value
        for name, fields in SIZED.items()
        for field in fields
        if f"{name}.{field}" not in set_by_hand and f"{name}.{field}" in capacity
    }
    _leave_functions_free(found, groups["hosting"])
    _agree_on_scaling(found, set_by_hand)
    # Without a number the stream is on demand.
    if capacity.provision.on_demand and "streaming.shards" in found:
        found["streaming.shards"] = None
    return found


def _leave_functions_free(found: dict[str, Any], settings: Group) -> None:
    """Executions in place of instances: what SageMaker allows; and none reserved, unless asked for."""
    serverless = LIMITS["serverless"]
    if serverless in found:
        # What is kept warm must be let in, however little the workload needs.
        warm = settings.model_dump().get("serverless_provisioned_concurrency") or 1
        wanted = max(int(found[serverless]), warm)
        found[serverless] = min(wanted, int(SERVERLESS_CONCURRENCY.default or 0))
    found.pop(LIMITS["lambda"], None)


def _agree_on_scaling(found: dict[str, Any], set_by_hand: Mapping[str, Value | None]) -> None:
    """A fleet that is set by hand scales only if its maximum is set too; equal numbers mean no scaling."""
    fewest, most = "hosting.instance_count", "hosting.max_instance_count"
    if most in found and (fewest in set_by_hand or found[most] == found[fewest]):
        found[most] = None
    limit = set_by_hand.get(most)
    if fewest in found and limit is not None:
        found[fewest] = min(found[fewest], limit)
