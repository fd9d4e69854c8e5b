"""What Application Auto Scaling asks of its caller, and the service-linked role that it then works with."""

import json
import time
from typing import Any

from twin import glue
from twin.json_service import require_caller_may
from twin.services.application_autoscaling.capacity import Variant

_LINKED = "sagemaker.application-autoscaling.amazonaws.com"
_NAME = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"


def require_for_target(variant: Variant) -> None:
    """Raise `ServiceError` unless the caller may see and change what is to be scaled in its name."""
    here = glue.current_scope()
    endpoint = f"arn:aws:sagemaker:{here.region}:{here.account}:endpoint/{variant.endpoint.lower()}"
    for action in ("sagemaker:DescribeEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities"):
        require_caller_may(action, endpoint)


def require_for_alarms(action: str, alarms: list[dict[str, Any]]) -> None:
    """Raise `ServiceError` unless the caller may do this to the alarms of a policy."""
    for alarm in alarms:
        require_caller_may(action, alarm["AlarmARN"])


def linked_role() -> str:
    """Return the ARN of the service-linked role, made in the caller's name when the account lacks it."""
    account = glue.current_scope().account
    path = f"/aws-service-role/{_LINKED}/"
    arn = f"arn:aws:iam::{account}:role{path}{_NAME}"
    roles = glue.internal("services.iam")._roles
    if _NAME in roles:
        return arn
    require_caller_may("iam:CreateServiceLinkedRole", arn, {"iam:AWSServiceName": _LINKED})
    trust = {"Effect": "Allow", "Principal": {"Service": _LINKED}, "Action": "sts:AssumeRole"}
    roles[_NAME] = {
        "RoleName": _NAME,
        "Arn": arn,
        "RoleId": "AROATWINAUTOSCALING00",
        "CreateDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "Path": path,
        "AssumeRolePolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        "Description": f"Service-linked role for {_LINKED}",
        "MaxSessionDuration": 3600,
        "AttachedPolicies": [],
        "InlinePolicies": {},
        "Tags": [],
    }
    return arn
