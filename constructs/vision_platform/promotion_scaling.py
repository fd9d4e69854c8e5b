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
BACKLOG_ALARM = "{% $endpoint & '-backlog' %}"
# Instances that come are at once of use; instances that go might be missed soon.
_COOLDOWNS = {"ScaleOutCooldown": 60, "ScaleInCooldown": 300}
_MICROSECONDS = 1000


def scaling(parts: PromotionParts, name: str, *, following: str, quiet: bool = False) -> dict[str, State]:
    """Let the endpoint scale by its load. `quiet`: what fails here does not hide an earlier failure."""
    way: dict[str, Any] = {"on_error": following, "keep_error": False} if quiet else {}
    steps = _steps(parts.hosting, way)
    names = [f"{name}{suffix}" for suffix, _ in steps]
    return {
        state: task(resource=step["resource"], arguments=step["arguments"], following=after, **step["more"])
        for state, (_, step), after in zip(names, steps, [*names[1:], following], strict=True)
    }


def _steps(plan: HostingPlan, way: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The calls in their order, each with what its state's name ends in."""
    steps = [("", _call("applicationautoscaling:registerScalableTarget", _scalable_target(plan), way))]
    policies = _backlog_policies(plan) if plan.asynchronous else _policies(plan)
    for suffix, policy in policies.items():
        more = {"assign": {"steps": "{% $states.result.PolicyARN %}"}} if suffix == "FromZero" else {}
        steps.append((suffix, _call("applicationautoscaling:putScalingPolicy", policy, {**way, **more})))
    if "FromZero" in policies:
        steps.append(("WhenWaiting", _call("cloudwatch:putMetricAlarm", _waiting_alarm(), way)))
    return steps


def _call(action: str, arguments: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {"resource": f"aws-sdk:{action}", "arguments": arguments, "more": more}


def _scalable_target(plan: HostingPlan) -> dict[str, Any]:
    """RegisterScalableTarget: between which counts the endpoint scales."""
    least = 0 if plan.asynchronous and plan.asynchronous.to_zero else plan.instances
    return {**SCALABLE, "MinCapacity": least, "MaxCapacity": plan.most_instances or plan.instances}


def _policies(plan: HostingPlan) -> dict[str, dict[str, Any]]:
    """PutScalingPolicy, by what each follows. Of several the one that wants most instances has its way."""
    found = {"ByLoad": _tracking("invocations", _by_invocations(plan))}
    if plan.latency_target_ms is not None:
        found["ByLatency"] = _tracking("latency", _by_latency(plan.latency_target_ms))
    return found


def _backlog_policies(plan: HostingPlan) -> dict[str, dict[str, Any]]:
    """Target tracking on what waits for an instance; from zero, where that is no number, by a step."""
    settings = plan.asynchronous
    if settings is None:
        return {}
    backlog = {
        "TargetValue": settings.backlog_per_instance,
        "CustomizedMetricSpecification": {
            **_metric("ApproximateBacklogSizePerInstance"),
            "Statistic": "Average",
        },
    }
    found = {"ByBacklog": _tracking("backlog", backlog)}
    if settings.to_zero:
        found["FromZero"] = {
            **SCALABLE,
            "PolicyName": "{% $endpoint & '-from-zero' %}",
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ChangeInCapacity",
                "MetricAggregationType": "Average",
                "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
                "Cooldown": _COOLDOWNS["ScaleInCooldown"],
            },
        }
    return found


def _waiting_alarm() -> dict[str, Any]:
    """PutMetricAlarm: something waits, and there is no instance."""
    return {
        "AlarmName": BACKLOG_ALARM,
        "AlarmDescription": "Requests wait and no instance is there: scaling adds one",
        **_metric("HasBacklogWithoutCapacity"),
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": ["{% $steps %}"],
    }


def _metric(name: str) -> dict[str, Any]:
    """A metric of the endpoint's queue."""
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": name,
        "Dimensions": [{"Name": "EndpointName", "Value": "{% $endpoint %}"}],
    }


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
