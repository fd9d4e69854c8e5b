"""CodeBuild: projects that run their buildspec as processes of this machine."""

import json
from typing import Any

from twin import glue


def install() -> None:
    """Serve CodeBuild in place of ministack's, which records builds without running them."""
    from twin import config
    from twin.services.codebuild import slots, stacks, tools
    from twin.services.codebuild.service import CodeBuild

    tools.install(config.current())
    service = CodeBuild()
    glue.spawn(slots.remove_leftovers, name="build-rubbish")
    glue.register_service(
        "codebuild",
        service.handle,
        target_prefixes=["CodeBuild_20161006"],
        host_patterns=[r"codebuild\."],
        resource_arn=resource_arn,
        state=service,
    )
    stacks.register(service)


def resource_arn(  # noqa: PLR0917  # the form that IAM calls
    method: str, path: str, headers: dict[str, str], body: bytes, region: str, account: str
) -> str:
    """Return the ARN that IAM judges: the project (also for builds), the report group (also for reports)."""
    del method, path, headers
    try:
        request: dict[str, Any] = json.loads(body or b"{}")
    except ValueError:
        return "*"
    prefix = f"arn:aws:codebuild:{region}:{account}:"
    for member in ("projectName", "name", "names", "id", "ids"):
        value = request.get(member)
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str):
            name = first.split(":build/")[-1].rsplit("/", 1)[-1].split(":")[0]
            kind = "report-group" if member == "name" and "type" in request else "project"
            return f"{prefix}{kind}/{name}"
    for member in ("reportGroupArn", "arn", "reportArn", "reportGroupArns", "reportArns"):
        value = request.get(member)
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str):
            return f"{prefix}report-group/{first.rsplit('/', 1)[-1].split(':')[0]}"
    return "*"
