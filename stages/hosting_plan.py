"""The settings of hosting as the promotion workflow needs them: capacity by mode, and the rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.settings_hosting import HostingSettings
from vision_platform.model_code import check_input
from vision_platform.promotion_plan import (
    Asynchronous,
    HostingPlan,
    ModelFunctions,
    MultiModel,
    Rollout,
    Serverless,
)

_ENDPOINT_BYTES = 6 * 1024 * 1024
# What one request takes, and of whom it is: InvokeEndpoint's 6 MB, of which serverless endpoints take 4; and
# Invoke's 6 MB, of which base64 takes a quarter.
_MOST_INPUT = {
    "serverless": (4_000_000, "a serverless endpoint"),
    "lambda": (4_700_000, "an invocation of Lambda"),
}


def check_model_input(project_root: Path, settings: HostingSettings) -> None:
    """Raises ModelSpecError when an image for the model is more than the hosting mode takes."""
    most, taker = _MOST_INPUT.get(settings.mode, (_ENDPOINT_BYTES, "an endpoint"))
    check_input(project_root / "model", most, f"{taker} (hosting.mode '{settings.mode}')")


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
