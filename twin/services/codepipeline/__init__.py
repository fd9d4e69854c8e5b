"""CodePipeline: pipelines are executed, started by pushes to the twin's repositories."""

import json
from typing import Any

from twin import endpoints, glue, lifecycle


def install() -> None:
    """Serve CodePipeline, and watch the sources of its pipelines."""
    from twin.services.codepipeline import stacks
    from twin.services.codepipeline.approvals import EXPIRE_PATH
    from twin.services.codepipeline.service import CodePipeline
    from twin.services.codepipeline.triggers import Triggers

    service = CodePipeline()
    triggers = Triggers(service)
    glue.register_service(
        "codepipeline",
        service.handle,
        target_prefixes=["CodePipeline_20150709"],
        host_patterns=[r"codepipeline\."],
        resource_arn=resource_arn,
        state=service,
    )
    glue.register_state("git", triggers)
    endpoints.register("GET", "pushes", triggers.of_push)
    endpoints.register("POST", EXPIRE_PATH, service.executions.engine.approvals.expire)
    stacks.register(service)
    # Not before the commits last seen are known again: they would count as pushed.
    lifecycle.when_restored(triggers.start)


def resource_arn(  # noqa: PLR0917  # the form that IAM calls
    method: str, path: str, headers: dict[str, str], body: bytes, region: str, account: str
) -> str:
    """Return the ARN that IAM judges: the pipeline, its stage or its action."""
    del method, path, headers
    try:
        request: dict[str, Any] = json.loads(body or b"{}")
    except ValueError:
        return "*"
    declared = request.get("pipeline")
    name = request.get("name") or request.get("pipelineName") or (declared or {}).get("name")
    if request.get("resourceArn"):
        return str(request["resourceArn"])
    if not isinstance(name, str):
        return "*"
    parts = [name, *(str(request[k]) for k in ("stageName", "actionName") if k in request)]
    return f"arn:aws:codepipeline:{region}:{account}:{'/'.join(parts)}"
