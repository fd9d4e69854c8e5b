"""The settings of hosting as the promotion workflow needs them: capacity by mode, and the rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stages.settings_hosting import HostingSettings
from vision_platform.promotion_plan import (
    Asynchronous,
    HostingPlan,
    ModelFunctions,
    MultiModel,
    Rollout,
    Serverless,
)


def hosting_plan(
    settings: HostingSettings,
    *,
    image: str,
    role: str,
    key: str,
    vpc_config: Mapping[str, Any] | None,
    alarms: Sequence[str],
    asynchronous: Asynchronous | None,
    multi_model: MultiModel | None,
    functions: ModelFunctions | None = None,
) -> HostingPlan:
    """What endpoints are made of.

    `asynchronous` and `multi_model` are for the modes of these names, `functions` is for mode `lambda`.
    """
    return HostingPlan(
        image=image,
        role=role,
        key=key,
        vpc_config=vpc_config,
        instance_type=settings.instance_type,
        instances=settings.instance_count,
        most_instances=settings.max_instance_count,
        invocations_per_instance=settings.target_invocations_per_instance,
        latency_target_ms=settings.target_latency_ms,
        serverless=_serverless(settings) if settings.mode == "serverless" else None,
        asynchronous=asynchronous,
        multi_model=multi_model,
        functions=functions,
        rollout=Rollout(
            strategy=settings.strategy,
            step_percent=settings.step_percent,
            step_wait_seconds=settings.step_wait_seconds,
            bake_seconds=settings.bake_seconds,
            timeout_seconds=settings.deployment_timeout_minutes * 60,
            alarms=alarms,
        ),
    )


def _serverless(settings: HostingSettings) -> Serverless:
    return Serverless(
        memory_mb=settings.serverless_memory_mb,
        max_concurrency=settings.serverless_max_concurrency,
        provisioned_concurrency=settings.serverless_provisioned_concurrency,
    )
