"""The two CloudWatch alarms of a target tracking policy: three minutes above it, fifteen well below it."""

import uuid
from typing import Any

from twin import glue
from twin.cloudformation.completion import api
from twin.services.application_autoscaling import policies
from twin.services.application_autoscaling.capacity import Variant

_HIGH_MINUTES, _LOW_MINUTES, _LOW_SHARE = 3, 15, 0.9


def new_names(resource: str) -> list[str]:
    """Return names for the alarms of a new policy: the one above the target, the one below."""
    return [f"TargetTracking-{resource}-Alarm{which}-{uuid.uuid4()}" for which in ("High", "Low")]


def shown(name: str) -> dict[str, str]:
    """Return an alarm as the policy's operations show it."""
    here = glue.current_scope()
    return {"AlarmName": name, "AlarmARN": f"arn:aws:cloudwatch:{here.region}:{here.account}:alarm:{name}"}


def put(names: list[str], variant: Variant, configuration: dict[str, Any], policy_arn: str) -> None:
    """Create or change the alarms of a policy."""
    target = configuration["TargetValue"]
    high, low = names
    for name, minutes, operator, threshold in (
        (high, _HIGH_MINUTES, "GreaterThanThreshold", target),
        (low, _LOW_MINUTES, "LessThanThreshold", target * _LOW_SHARE),
    ):
        api("cloudwatch").put_metric_alarm(
            **policies.metric(configuration, variant),
            AlarmName=name,
            AlarmDescription=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy_arn}.",
            Period=policies.PERIOD_SECONDS,
            EvaluationPeriods=minutes,
            Threshold=threshold,
            ComparisonOperator=operator,
            AlarmActions=[policy_arn],
        )


def delete(names: list[str]) -> None:
    """Delete the alarms of a policy."""
    api("cloudwatch").delete_alarms(AlarmNames=names)
