"""Scaling of the champion's endpoint as states: it rests during a deployment, and goes on after it."""

from __future__ import annotations

from typing import Any

from vision_platform.promotion_language import PromotionParts, task
from vision_platform.promotion_plan import HostingPlan
from vision_platform.promotion_requests import VARIANT
from vision_platform.states_language import State

SCALABLE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "{% 'endpoint/' & $endpoint & '/variant/" + VARIANT + "' %}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
# Instances that come are at once of use; instances that go might be missed soon.
_COOLDOWNS = {"ScaleOutCooldown": 60, "ScaleInCooldown": 300}
_MICROSECONDS = 1000


def scaling(parts: PromotionParts, name: str, *, following: str, quiet: bool = False) -> dict[str, State]:
    """Let the endpoint scale by its load. `quiet`: what fails here does not hide an earlier failure."""
    way: dict[str, Any] = {"on_error": following, "keep_error": False} if quiet else {}
    policies = _policies(parts.hosting)
    names = [f"{name}By{suffix}" for suffix in policies]
    target = task(
        "aws-sdk:applicationautoscaling:registerScalableTarget",
        _scalable_target(parts.hosting),
        following=names[0],
        **way,
    )
    puts = {
        state: task("aws-sdk:applicationautoscaling:putScalingPolicy", policy, following=after, **way)
        for state, policy, after in zip(names, policies.values(), [*names[1:], following], strict=True)
    }
    return {name: target, **puts}


def _scalable_target(plan: HostingPlan) -> dict[str, Any]:
    """RegisterScalableTarget: between which counts the endpoint scales."""
    return {**SCALABLE, "MinCapacity": plan.instances, "MaxCapacity": plan.most_instances}


def _policies(plan: HostingPlan) -> dict[str, dict[str, Any]]:
    """PutScalingPolicy, by what each follows. Of several the one that wants most instances has its way."""
    found = {"Load": _tracking("invocations", _by_invocations(plan))}
    if plan.latency_target_ms is not None:
        found["Latency"] = _tracking("latency", _by_latency(plan.latency_target_ms))
    return found


def _tracking(what: str, configuration: dict[str, Any]) -> dict[str, Any]:
    return {
        **SCALABLE,
        "PolicyName": f"{{% $endpoint & '-{what}' %}}",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {**configuration, **_COOLDOWNS},
    }


def _by_invocations(plan: HostingPlan) -> dict[str, Any]:
    """Hold invocations per instance and minute at the target."""
    return {
        "TargetValue": plan.invocations_per_instance,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }


def _by_latency(milliseconds: int) -> dict[str, Any]:
    """Hold the model's mean latency at the target: it rises where requests wait for a free core."""
    return {
        "TargetValue": milliseconds * _MICROSECONDS,
        "CustomizedMetricSpecification": {
            "Namespace": "AWS/SageMaker",
            "MetricName": "ModelLatency",
            "Dimensions": [
                {"Name": "EndpointName", "Value": "{% $endpoint %}"},
                {"Name": "VariantName", "Value": VARIANT},
            ],
            "Statistic": "Average",
            "Unit": "Microseconds",
        },
    }
