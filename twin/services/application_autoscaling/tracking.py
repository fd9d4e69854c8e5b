"""Follows scaling policies: while an alarm of theirs rings, the instance count is set anew."""

import logging
import math
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any

from twin import alarm_metrics, glue, observability
from twin.json_service import ServiceError
from twin.services.application_autoscaling import capacity, policies

log = logging.getLogger("twin.scaling")
_SECONDS_BETWEEN_LOOKS = 1.0
_COOLDOWN_SECONDS = 300  # AWS's own for SageMaker
_MOST_ACTIVITIES = 100
Record = dict[str, Any]


@dataclass(frozen=True)
class _Wish:
    """How many instances a policy wants because an alarm rings, and how soon after its last change."""

    policy: Record
    alarm: str
    instances: int
    cooldown: float


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
        following = [self._policies[key] for key in self._policies]
        following = [policy for policy in following if policy["ResourceId"] == resource]
        wishes = [wish for policy in following if (wish := self._wish(policy, target, variant, instances))]
        out = [wish for wish in wishes if wish.instances > instances]
        # The most that any policy wants; fewer only if all that may take instances away want fewer.
        away = [policy for policy in following if _may_take_away(policy)]
        agreed = all(any(wish.policy is policy for wish in wishes) for policy in away)
        chosen = max(out or (wishes if agreed else []), key=lambda wish: wish.instances, default=None)
        if chosen is None or chosen.instances == instances:
            return
        if time.time() - chosen.policy.get("_Scaled", 0) < chosen.cooldown:
            return
        chosen.policy["_Scaled"] = time.time()
        cause = f"monitor alarm {chosen.alarm} in state ALARM triggered policy {chosen.policy['PolicyName']}"
        self._scale(variant, instances, chosen.instances, cause)

    def _wish(
        self, policy: Record, target: Record, variant: capacity.Variant, instances: int
    ) -> _Wish | None:
        """Return what a policy whose alarm rings asks for, within the target's limits."""
        if policy["PolicyType"] == policies.TRACKING:
            found = _tracked(policy, target["SuspendedState"], variant, instances)
        else:
            found = _stepped(policy, target["SuspendedState"], instances)
        if found is None:
            return None
        within = min(max(found.instances, target["MinCapacity"]), target["MaxCapacity"])
        return replace(found, instances=within)

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


def _may_take_away(policy: Record) -> bool:
    configuration = policy.get(policies.TRACKING_CONFIGURATION)
    return configuration is not None and not configuration.get("DisableScaleIn", False)


def _tracked(policy: Record, suspended: Record, variant: capacity.Variant, instances: int) -> _Wish | None:
    configuration = policy[policies.TRACKING_CONFIGURATION]
    high, low = (alarm["AlarmName"] for alarm in policy["Alarms"])
    if observability.alarm_state(high) == "ALARM" and not suspended["DynamicScalingOutSuspended"]:
        ringing, cooldown = high, configuration.get("ScaleOutCooldown", _COOLDOWN_SECONDS)
    elif (
        observability.alarm_state(low) == "ALARM"
        and not suspended["DynamicScalingInSuspended"]
        and _may_take_away(policy)
    ):
        ringing, cooldown = low, configuration.get("ScaleInCooldown", _COOLDOWN_SECONDS)
    else:
        return None
    load = _load(configuration, variant)
    if load is None:
        return None
    # So many instances that each has the target's load; never fewer than that while load goes down.
    wanted = math.ceil(instances * load / configuration["TargetValue"])
    wanted = max(wanted, instances) if ringing == high else min(wanted, instances)
    return _Wish(policy, ringing, wanted, cooldown)


def _stepped(policy: Record, suspended: Record, instances: int) -> _Wish | None:
    """Step policies follow the alarms that name them among their actions."""
    configuration = policy[policies.STEP_CONFIGURATION]
    for alarm in observability.ringing_for(policy["PolicyARN"]):
        known = [value for value in alarm_metrics.period_values(alarm, time.time()) if value is not None]
        # An alarm that missing data sets off is at its threshold.
        beyond = known[-1] - float(alarm["Threshold"]) if known else 0.0
        wanted = policies.stepped(configuration, beyond, instances)
        way = "Out" if wanted > instances else "In"
        if wanted != instances and not suspended[f"DynamicScaling{way}Suspended"]:
            return _Wish(policy, alarm["AlarmName"], wanted, configuration.get("Cooldown", _COOLDOWN_SECONDS))
    return None


def _load(configuration: Record, variant: capacity.Variant) -> float | None:
    """Return the value of the metric that is followed, in the newest minute that has data."""
    metric = policies.metric(configuration, variant)
    asked = {**metric, "Period": policies.PERIOD_SECONDS, "EvaluationPeriods": 2}
    known = [value for value in alarm_metrics.period_values(asked, time.time()) if value is not None]
    return max(known) if known else None
