"""Operations on scalable targets and scaling policies, for the instance count of SageMaker's variants."""

import secrets
import time
from typing import Any

from twin import glue
from twin.json_service import JsonService, ServiceError
from twin.services.application_autoscaling import alarms, capacity, policies, rights
from twin.services.application_autoscaling.tracking import Tracker

_NAMESPACE, _DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
_PAGE = 50
Record = dict[str, Any]


class ApplicationAutoScaling(JsonService):
    """Scalable targets and their policies, kept by account and region."""

    service_name = "application-autoscaling"

    def __init__(self) -> None:
        """Start empty; policies are followed in a thread of their own."""
        super().__init__()
        self.targets, self.policies = glue.ScopedStore(), glue.ScopedStore()
        self.activities = glue.ScopedStore()
        self._stores = {"targets": self.targets, "policies": self.policies, "activities": self.activities}
        self.tracker = Tracker(self.targets, self.policies, self.activities)

    # ---- state

    def get_state(self) -> dict[str, Any]:
        """Return every target, policy and activity."""
        return {name: store.state() for name, store in self._stores.items()}

    def load_persisted_state(self, data: dict[str, Any]) -> None:
        """Take up what `get_state` returned."""
        for name, store in self._stores.items():
            store.restore(data.get(name, []))

    def reset(self) -> None:
        """Forget everything."""
        for store in self._stores.values():
            store.reset()

    # ---- targets

    def RegisterScalableTarget(self, request: Record) -> Record:
        """Register a variant, or change the limits of one that is registered."""
        known = self._known(request)
        variant = capacity.variant_of(request["ResourceId"])
        rights.require_for_target(variant)
        capacity.current(variant)
        given = {**(known or {}), **request}
        for key in ("MinCapacity", "MaxCapacity"):
            if key not in given:
                raise ServiceError("ValidationException", f"{key} must be given for a new scalable target.")
        limits: dict[str, int] = {key: given[key] for key in ("MinCapacity", "MaxCapacity")}
        if not 0 <= limits["MinCapacity"] <= limits["MaxCapacity"]:
            raise ServiceError(
                "ValidationException", "Maximum capacity cannot be less than minimum capacity."
            )
        if not limits["MinCapacity"] and not capacity.may_be_none(variant):
            raise ServiceError(
                "ValidationException",
                f"Minimum capacity cannot be 0: endpoint {variant.endpoint} answers at once.",
            )
        here = glue.current_scope()
        target: Record = {
            "ServiceNamespace": _NAMESPACE,
            "ResourceId": request["ResourceId"],
            "ScalableDimension": _DIMENSION,
            "RoleARN": rights.linked_role(),
            "CreationTime": time.time(),
            "ScalableTargetARN": f"arn:aws:application-autoscaling:{here.region}:{here.account}:"
            f"scalable-target/{secrets.token_hex(16)}",
            "Tags": request.get("Tags", {}),
            **(known or {}),
            **limits,
        }
        before: Record = (known or {}).get("SuspendedState", dict.fromkeys(_SUSPENDED, False))
        target["SuspendedState"] = {**before, **request.get("SuspendedState", {})}
        self.targets[request["ResourceId"]] = target
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def DescribeScalableTargets(self, request: Record) -> Record:
        """Return the targets of SageMaker, or those asked for by their resource."""
        found = self._all(self.targets, request)
        wanted = request.get("ResourceIds")
        found = [target for target in found if not wanted or target["ResourceId"] in wanted]
        return _page("ScalableTargets", found, request)

    def DeregisterScalableTarget(self, request: Record) -> Record:
        """Forget a target and its policies."""
        target = self._target(request)
        for policy in self._policies_of(target["ResourceId"]):
            rights.require_for_alarms("cloudwatch:DeleteAlarms", policy["Alarms"])
        self.forget(target["ResourceId"])
        return {}

    def forget(self, resource_id: str) -> None:
        """Drop a target with its policies and their alarms."""
        for policy in self._policies_of(resource_id):
            self._drop(policy)
        self.targets.pop(resource_id, None)

    # ---- policies

    def PutScalingPolicy(self, request: Record) -> Record:
        """Follow a metric's target value, or take steps when somebody's alarm rings."""
        target = self._target(request)
        settings = policies.read(request)
        name, resource = request["PolicyName"], target["ResourceId"]
        known = self.policies.get(f"{resource}|{name}")
        if known and known["PolicyType"] != settings["PolicyType"]:
            raise ServiceError(
                "ValidationException", f"The policy {name} is of type {known['PolicyType']}: delete it first."
            )
        tracks = settings["PolicyType"] == policies.TRACKING
        names = [alarm["AlarmName"] for alarm in known["Alarms"]] if known else []
        if tracks:
            names = names or alarms.new_names(resource)
        shown = [alarms.shown(each) for each in names]
        rights.require_for_alarms("cloudwatch:PutMetricAlarm", shown)
        rights.require_for_alarms("cloudwatch:DescribeAlarms", shown)
        here = glue.current_scope()
        policy: Record = {
            "PolicyARN": f"arn:aws:autoscaling:{here.region}:{here.account}:scalingPolicy:"
            f"{secrets.token_hex(16)}:resource/{_NAMESPACE}/{resource}:policyName/{name}",
            "CreationTime": time.time(),
            **(known or {}),
            "PolicyName": name,
            "ServiceNamespace": _NAMESPACE,
            "ResourceId": resource,
            "ScalableDimension": _DIMENSION,
            **settings,
            "Alarms": shown,
        }
        if tracks:
            configuration = settings[policies.TRACKING_CONFIGURATION]
            alarms.put(names, capacity.variant_of(resource), configuration, policy["PolicyARN"])
        self.policies[f"{resource}|{name}"] = policy
        return {"PolicyARN": policy["PolicyARN"], "Alarms": shown}

    def DescribeScalingPolicies(self, request: Record) -> Record:
        """Return policies by name, by resource, or all of SageMaker."""
        found = self._all(self.policies, request)
        wanted = request.get("PolicyNames")
        if "ResourceId" in request:
            found = [policy for policy in found if policy["ResourceId"] == request["ResourceId"]]
        found = [policy for policy in found if not wanted or policy["PolicyName"] in wanted]
        return _page("ScalingPolicies", found, request)

    def DeleteScalingPolicy(self, request: Record) -> Record:
        """Follow the policy no more, and delete its alarms."""
        resource_id, name = self._checked(request), request["PolicyName"]
        policy = self.policies.get(f"{resource_id}|{name}")
        if policy is None:
            raise ServiceError(
                "ObjectNotFoundException",
                f"No scaling policy found for service namespace: {_NAMESPACE}, resource ID: {resource_id}, "
                f"scalable dimension: {_DIMENSION}, policy name: {name}",
            )
        rights.require_for_alarms("cloudwatch:DeleteAlarms", policy["Alarms"])
        self._drop(policy)
        return {}

    def DescribeScalingActivities(self, request: Record) -> Record:
        """Return what was scaled, newest first."""
        self._namespace(request)
        wanted = request.get("ResourceId")
        found = [each for key in self.activities for each in self.activities[key]]
        found = [each for each in found if wanted in (None, each["ResourceId"])]
        found.sort(key=lambda each: each["StartTime"], reverse=True)
        return _page("ScalingActivities", found, request)

    # ---- tags

    def ListTagsForResource(self, request: Record) -> Record:
        """Return the tags of a target."""
        return {"Tags": self._by_arn(request["ResourceARN"])["Tags"]}

    def TagResource(self, request: Record) -> Record:
        """Add tags to a target."""
        target = self._by_arn(request["ResourceARN"])
        target["Tags"] = {**target["Tags"], **request["Tags"]}
        return {}

    def UntagResource(self, request: Record) -> Record:
        """Take tags off a target."""
        target = self._by_arn(request["ResourceARN"])
        target["Tags"] = {k: v for k, v in target["Tags"].items() if k not in request["TagKeys"]}
        return {}

    # ---- what requests name

    def target_arn(self, endpoint: str, variant: str) -> str | None:
        """Return the ARN of a variant's target in the current scope, None when it has none."""
        target = self.targets.get(capacity.resource_id(endpoint, variant))
        return target["ScalableTargetARN"] if target else None

    @staticmethod
    def _namespace(request: Record) -> None:
        if request["ServiceNamespace"] != _NAMESPACE:
            raise ServiceError(
                "ValidationException",
                f"ServiceNamespace {request['ServiceNamespace']} is not supported by the local twin: it "
                f"scales {_NAMESPACE} only",
            )
        if request.get("ScalableDimension", _DIMENSION) != _DIMENSION:
            raise ServiceError(
                "ValidationException",
                f"ScalableDimension {request['ScalableDimension']} is not supported by the local twin: it "
                f"scales {_DIMENSION} only",
            )

    def _checked(self, request: Record) -> str:
        self._namespace(request)
        return request["ResourceId"]

    def _all(self, store: glue.ScopedStore, request: Record) -> list[Record]:
        self._namespace(request)
        return [store[key] for key in sorted(store)]

    def _known(self, request: Record) -> Record | None:
        return self.targets.get(self._checked(request))

    def _target(self, request: Record) -> Record:
        found = self._known(request)
        if found is None:
            raise ServiceError(
                "ObjectNotFoundException",
                f"No scalable target found for service namespace: {_NAMESPACE}, resource ID: "
                f"{request['ResourceId']}, scalable dimension: {_DIMENSION}",
            )
        return found

    def _by_arn(self, arn: str) -> Record:
        for key in self.targets:
            if self.targets[key]["ScalableTargetARN"] == arn:
                return self.targets[key]
        raise ServiceError("ResourceNotFoundException", f"The resource {arn} does not exist.")

    def _policies_of(self, resource_id: str) -> list[Record]:
        return [found for key in self.policies if (found := self.policies[key])["ResourceId"] == resource_id]

    def _drop(self, policy: Record) -> None:
        if policy["Alarms"]:
            alarms.delete([alarm["AlarmName"] for alarm in policy["Alarms"]])
        self.policies.pop(f"{policy['ResourceId']}|{policy['PolicyName']}", None)


def _page(member: str, found: list[Record], request: Record) -> Record:
    try:
        first = int(request.get("NextToken", 0))
    except ValueError as fault:
        raise ServiceError("InvalidNextTokenException", "NextToken is not one that was returned") from fault
    size = request.get("MaxResults", _PAGE)
    more = {"NextToken": str(first + size)} if first + size < len(found) else {}
    return {member: found[first : first + size], **more}
