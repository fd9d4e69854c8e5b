"""What failed deployments and forgotten decisions have left: stuck stacks, closed transitions."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from ops.access import Access
from ops.deployment import Deployment, Place
from ops.doctor.findings import Finding, fault, unanswered, well
from ops.faults import is_absent

_DELETE = "aws cloudformation delete-stack --stack-name {stack}"
_CONTINUE = "aws cloudformation continue-update-rollback --stack-name {stack}"
# Statuses out of which no deployment finds by itself, and what does.
_STUCK = {
    "CREATE_FAILED": _DELETE,
    "ROLLBACK_COMPLETE": _DELETE,
    "ROLLBACK_FAILED": _DELETE,
    "DELETE_FAILED": _DELETE,
    "UPDATE_ROLLBACK_FAILED": _CONTINUE,
    "UPDATE_FAILED": _CONTINUE,
}
_BOOTSTRAP = "CDKToolkit"


def check_stacks(deployment: Deployment, place: Place, access: Access) -> Iterator[Finding]:
    """Stacks of one place that are stuck. Raises NoAccess."""
    ours = (f"{deployment.pipeline}", deployment.prefix(place.name), _BOOTSTRAP)
    try:
        pages = access.client(place, "cloudformation").get_paginator("list_stacks")
        stuck = [
            (stack["StackName"], stack["StackStatus"])
            for page in pages.paginate(StackStatusFilter=list(_STUCK))
            for stack in page["StackSummaries"]
            if stack["StackName"].startswith(ours)
        ]
    except ClientError as error:
        yield unanswered("stacks", place, "cloudformation", error)
        return
    for stack, status in stuck:
        cure = [
            _STUCK[status].format(stack=stack),
            "--region",
            place.region,
            *access.arguments(place.account),
        ]
        name = f"stack-{status.lower().replace('_', '-')}"
        yield fault(name, place, f"{stack} is {status}: no deployment gets past it", " ".join(cure))
    if not stuck:
        yield well("stacks", place, "no stack is stuck")


def check_transitions(deployment: Deployment, access: Access) -> Iterator[Finding]:
    """Transitions of the pipeline that somebody has closed. Raises NoAccess."""
    place, pipeline = deployment.tooling, deployment.pipeline
    try:
        state = access.client(place, "codepipeline").get_pipeline_state(name=pipeline)
    except ClientError as error:
        if is_absent(error):
            yield well("transitions", place, f"{pipeline} is not deployed yet")
        else:
            yield unanswered("transitions", place, "codepipeline", error)
        return
    closed = [
        (stage["stageName"], stage["inboundTransitionState"].get("disabledReason", "no reason given"))
        for stage in state["stageStates"]
        if not stage.get("inboundTransitionState", {}).get("enabled", True)
    ]
    for stage, reason in closed:
        yield fault(
            "transition-disabled",
            place,
            f"nothing gets into the stage {stage} of {pipeline}: {reason}",
            f"aws codepipeline enable-stage-transition --pipeline-name {pipeline} --stage-name {stage} "
            f"--transition-type Inbound --region {place.region}",
        )
    if not closed:
        yield well("transitions", place, "every stage is open")
