"""Puts Application Auto Scaling into the twin, with what IAM judges and its ties to SageMaker."""

import json
import secrets
from functools import partial
from typing import Any

from twin import glue
from twin.services.application_autoscaling import capacity
from twin.services.application_autoscaling.service import ApplicationAutoScaling
from twin.services.sagemaker import scaling


def _resource_arn(
    service: ApplicationAutoScaling,
    _method: str,
    _path: str,
    headers: dict[str, str],
    body: bytes,
    region: str,
    account: str,
) -> str:
    """Return the ARN that IAM judges: a target's own, or of one that is yet to get it."""
    if headers.get("x-amz-target", "").rpartition(".")[2].startswith("Describe"):
        return "*"
    try:
        request: Any = json.loads(body or b"{}")
    except ValueError:
        return "*"
    if not isinstance(request, dict):
        return "*"
    if isinstance(request.get("ResourceARN"), str):
        return request["ResourceARN"]
    with glue.scope(account, region):
        target = service.targets.get(str(request.get("ResourceId")))
    new = f"arn:aws:application-autoscaling:{region}:{account}:scalable-target/{secrets.token_hex(16)}"
    return target["ScalableTargetARN"] if target else new


def install() -> None:
    """Serve Application Auto Scaling, follow its policies, and let SageMaker ask for its targets."""
    service = ApplicationAutoScaling()
    glue.register_service(
        "application-autoscaling",
        service.handle,
        target_prefixes=[f"{service.target_prefix}."],
        host_patterns=[r"application-autoscaling\."],
        resource_arn=partial(_resource_arn, service),
        state=service,
    )
    scaling.connect(
        service.target_arn,
        lambda endpoint, variant: service.forget(capacity.resource_id(endpoint, variant)),
    )
    glue.spawn(service.tracker.follow, name="twin-scaling")
