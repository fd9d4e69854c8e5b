"""Follows target tracking policies: while an alarm of theirs rings, the instance count is set anew."""

import logging
import math
import time
import uuid
from typing import Any

from twin import alarm_metrics, glue, observability
from twin.json_service import ServiceError
from twin.services.application_autoscaling import alarms, capacity

log = logging.getLogger("twin.scaling")
_SECONDS_BETWEEN_LOOKS = 1.0
_COOLDOWN_SECONDS = 300  # AWS's own for SageMaker
_MOST_ACTIVITIES = 100
Record = dict[str, Any]


class Tracker:
    """Scales every registered variant."""

    def __init__(
        self, targets: glue.ScopedStore, policies: glue.ScopedStore, activities: glue.ScopedStore
    ) -> None:
        """Targets are kept within their limits and follow `policies`; what is done goes to `activities`."""
        self._targets, self._policies, self._activities = targets, policies, activities

    def follow(self) -> None:
        """Look at every target and policy, for ever."""
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for scope, resource, target in self._targets.everywhere():
                with glue.scope(scope.account, scope.region):
                    try:
                        self._look(resource, target)
                    except ServiceError as fault:
                        log.warning("%s could not be scaled: %s", resource, fault)
                    except Exception:
                        log.exception("%s could not be scaled", resource)

    def _look(self, resource: str, target: Record) -> None:
        variant = capacity.variant_of(resource)
        status, instances = capacity.current(variant)
        if status != "InService":
            return  # scaling rests while an endpoint is updated
        least, most = target["MinCapacity"], target["MaxCapacity"]
        if not least <= instances <= most:
            wanted = min(max(instances, least), most)
            which = "minimum" if instances < least else "maximum"
            self._scale(variant, instances, wanted, f"{which} capacity of the scalable target is {wanted}")
            return
        for key in self._policies:
            policy = self._policies[key]
            if policy["ResourceId"] == resource:
                self._track(policy, target, variant, instances)

    def _track(self, policy: Record, target: Record, variant: capacity.Variant, instances: int) -> None:
        configuration, suspended = (
            policy["TargetTrackingScalingPolicyConfiguration"],
            target["SuspendedState"],
        )
        high, low = (alarm["AlarmName"] for alarm in policy["Alarms"])
        if observability.alarm_state(high) == "ALARM" and not suspended["DynamicScalingOutSuspended"]:
            ringing, cooldown = high, configuration.get("ScaleOutCooldown", _COOLDOWN_SECONDS)
        elif (
            observability.alarm_state(low) == "ALARM"
            and not suspended["DynamicScalingInSuspended"]
            and not configuration.get("DisableScaleIn", False)
        ):
            ringing, cooldown = low, configuration.get("ScaleInCooldown", _COOLDOWN_SECONDS)
        else:
            return
        load = _load(variant)
        if load is None or time.time() - policy.get("_Scaled", 0) < cooldown:
            return
        # So many instances that each has the target's load; never fewer than that while load goes down.
        wanted = math.ceil(instances * load / configuration["TargetValue"])
        wanted = max(wanted, instances) if ringing == high else min(wanted, instances)
        wanted = min(max(wanted, target["MinCapacity"]), target["MaxCapacity"])
        if wanted != instances:
            cause = f"monitor alarm {ringing} in state ALARM triggered policy {policy['PolicyName']}"
            policy["_Scaled"] = time.time()
            self._scale(variant, instances, wanted, cause)

    def _scale(self, variant: capacity.Variant, instances: int, wanted: int, cause: str) -> None:
        began = time.time()
        capacity.change(variant, wanted)
        log.info("%s: %d -> %d instances: %s", variant, instances, wanted, cause)
        resource = capacity.resource_id(variant.endpoint, variant.name)
        activity = {
            "ActivityId": str(uuid.uuid4()),
            "ServiceNamespace": "sagemaker",
            "ResourceId": resource,
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "Description": f"Setting desired instance count to {wanted}.",
            "Cause": cause,
            "StartTime": began,
            "EndTime": time.time(),
            "StatusCode": "Successful",
            "StatusMessage": f"Successfully set desired instance count to {wanted}. Change successfully "
            "fulfilled by sagemaker.",
        }
        self._activities[resource] = [*self._activities.get(resource, []), activity][-_MOST_ACTIVITIES:]


def _load(variant: capacity.Variant) -> float | None:
    """Return invocations per instance in the newest minute that has data."""
    metric = {**alarms.METRIC, "Dimensions": alarms.dimensions(variant)}
    asked = {**metric, "Statistic": "Sum", "Period": alarms.PERIOD_SECONDS, "EvaluationPeriods": 2}
    known = [value for value in alarm_metrics.period_values(asked, time.time()) if value is not None]
    return max(known) if known else None
