"""Scaling policies as they are asked for: what a target tracking one follows, what steps there are."""

from collections.abc import Mapping
from typing import Any

from twin.json_service import ServiceError
from twin.services.application_autoscaling.capacity import Variant

Record = dict[str, Any]
TRACKING, STEPS = "TargetTrackingScaling", "StepScaling"
TRACKING_CONFIGURATION = "TargetTrackingScalingPolicyConfiguration"
STEP_CONFIGURATION = "StepScalingPolicyConfiguration"
PERIOD_SECONDS = 60
_INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
_ADJUSTMENTS = ("ChangeInCapacity", "ExactCapacity")


def read(request: Record) -> Record:
    """Return the kind of a policy and its configuration; raises `ServiceError` naming what is not done."""
    kind = request.get("PolicyType", STEPS)
    if kind == TRACKING:
        return {"PolicyType": kind, TRACKING_CONFIGURATION: _tracking(request)}
    if kind == STEPS:
        return {"PolicyType": kind, STEP_CONFIGURATION: _steps(request)}
    raise _refused(f"PolicyType {kind}", f"use {TRACKING} or {STEPS}")


def _tracking(request: Record) -> Record:
    configuration = _given(request, TRACKING_CONFIGURATION)
    predefined = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    customised = configuration.get("CustomizedMetricSpecification")
    if (predefined is None) == (customised is None):
        raise ServiceError(
            "ValidationException",
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be given.",
        )
    if predefined not in (None, _INVOCATIONS):
        raise _refused(predefined, f"it follows {_INVOCATIONS}, and customised metrics")
    if customised is not None and "Metrics" in customised:
        raise _refused("CustomizedMetricSpecification.Metrics", "give one metric, without math")
    for member in ("Namespace", "MetricName", "Statistic"):
        if customised is not None and not customised.get(member):
            raise ServiceError(
                "ValidationException", f"CustomizedMetricSpecification.{member} must be specified."
            )
    return configuration


def _steps(request: Record) -> Record:
    configuration = _given(request, STEP_CONFIGURATION)
    kind = configuration.get("AdjustmentType")
    if kind not in _ADJUSTMENTS:
        raise _refused(f"AdjustmentType {kind}", f"use {' or '.join(_ADJUSTMENTS)}")
    if not configuration.get("StepAdjustments"):
        raise ServiceError("ValidationException", "There must be at least one step adjustment.")
    for step in configuration["StepAdjustments"]:
        least, most = step.get("MetricIntervalLowerBound"), step.get("MetricIntervalUpperBound")
        if least is None and most is None and len(configuration["StepAdjustments"]) > 1:
            raise ServiceError(
                "ValidationException", "At least one bound must be given in each of several step adjustments."
            )
        if least is not None and most is not None and least >= most:
            raise ServiceError("ValidationException", "A step's lower bound must be below its upper bound.")
    return configuration


def metric(configuration: Mapping[str, Any], variant: Variant) -> Record:
    """Return the metric that a target tracking policy follows, as alarms name metrics."""
    customised = configuration.get("CustomizedMetricSpecification")
    if customised is not None:
        members = ("Namespace", "MetricName", "Dimensions", "Statistic", "Unit")
        return {"Dimensions": [], **{name: customised[name] for name in members if name in customised}}
    return {
        "Namespace": "AWS/SageMaker",
        "MetricName": "InvocationsPerInstance",
        "Dimensions": [
            {"Name": "EndpointName", "Value": variant.endpoint},
            {"Name": "VariantName", "Value": variant.name},
        ],
        "Statistic": "Sum",
    }


def stepped(configuration: Mapping[str, Any], beyond: float, instances: int) -> int:
    """Return how many instances a step policy wants where the metric is `beyond` its alarm's threshold."""
    for step in configuration["StepAdjustments"]:
        least = step.get("MetricIntervalLowerBound", float("-inf"))
        most = step.get("MetricIntervalUpperBound", float("inf"))
        # Above the threshold the lower bound belongs to a step, below it the upper one.
        if least <= beyond < most if beyond >= 0 else least < beyond <= most:
            change = int(step["ScalingAdjustment"])
            return change if configuration["AdjustmentType"] == "ExactCapacity" else instances + change
    return instances


def _given(request: Record, name: str) -> Record:
    configuration = request.get(name)
    if configuration is None:
        raise ServiceError("ValidationException", f"{name} must be specified for this PolicyType.")
    return configuration


def _refused(what: str, cure: str) -> ServiceError:
    return ServiceError("ValidationException", f"{what} is not supported by the local twin: {cure}")
