"""The CodeBuild action: starts a build with the acting role, waits for it, and says why it failed."""

import json
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from twin import config
from twin.services.codebuild import job as jobs
from twin.services.codebuild.phases import first_failure
from twin.services.codepipeline.context import ActionContext, Result
from twin.services.codepipeline.errors import ActionFailed, from_client_error

_POLL_SECONDS = 0.25
_TAIL_LINES = 3


def run(context: ActionContext) -> Result:
    """Run a build of the project to its end; its exported variables are the action's."""
    settings = context.configuration
    project = settings["ProjectName"]
    inputs = context.inputs()
    if not inputs:
        raise ActionFailed("ConfigurationError", "a CodeBuild action needs an input artifact")
    primary = settings.get("PrimarySource") or inputs[0]
    if primary not in inputs:
        raise ActionFailed("ConfigurationError", f"PrimarySource {primary!r} is not an input artifact")
    outputs = {name: context.reserve(name) for name in context.outputs()}
    places = {name: context.locate(name) for name in inputs}
    token = jobs.offer(
        jobs.PipelineJob(
            pipeline=context.declaration["name"],
            inputs=tuple(jobs.StoredArtifact(name, p["bucket"], p["key"]) for name, p in places.items()),
            primary=primary,
            outputs=tuple(jobs.StoredArtifact(name, p["bucket"], p["key"]) for name, p in outputs.items()),
            encryption_key=context.encryption_key(),
            revision=next((r["revisionId"] for r in context.execution.revisions), ""),
        )
    )
    codebuild = context.client("codebuild")
    try:
        build = codebuild.start_build(
            projectName=project,
            idempotencyToken=token,
            environmentVariablesOverride=_variables(settings.get("EnvironmentVariables", "[]")),
        )["build"]
        log_path = build_log(build["id"])
        context.run.set(
            external_id=build["id"],
            external_url=log_path.as_uri(),
            log_stream_arn=(build.get("logs") or {}).get("cloudWatchLogsArn"),
        )
        while not build["buildComplete"]:
            context.pause(_POLL_SECONDS)
            build = codebuild.batch_get_builds(ids=[build["id"]])["builds"][0]
    except ClientError as fault:
        jobs.take(token)
        raise from_client_error(fault, f"Error calling startBuild on project {project}") from fault
    if build["buildStatus"] != "SUCCEEDED":
        raise ActionFailed("JobFailed", _explain(build, log_path))
    exported = {v["name"]: v["value"] for v in build.get("exportedEnvironmentVariables", [])}
    return Result(variables=exported)


def build_log(build_id: str) -> Path:
    """Return the file that a build's log is written to."""
    return config.current().home / "logs" / "builds" / f"{build_id.replace(':', '-')}.log"


def _variables(text: str) -> list[dict[str, str]]:
    try:
        variables = json.loads(text)
    except ValueError as fault:
        raise ActionFailed("ConfigurationError", f"EnvironmentVariables is not JSON: {fault}") from fault
    wanted = ("name", "value", "type")
    return [{k: str(v) for k, v in variable.items() if k in wanted} for variable in variables]


def _explain(build: dict[str, Any], log_path: Path) -> str:
    """Return AWS's sentence on a failed build, with the place of the log and its last words."""
    failure = first_failure(build) or {"phase": build["currentPhase"], "code": "", "message": ""}
    sentence = f"Build terminated with state: {build['buildStatus']}. Phase: {failure['phase']}"
    if failure["code"]:
        sentence += f", Code: {failure['code']}, Message: {failure['message']}"
    said = [
        line
        for line in log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip() and not line.startswith("[Container] ")
    ]
    last = " | ".join(line.strip() for line in said[-_TAIL_LINES:])
    return f"{sentence}. Log: {log_path}" + (f". Last output: {last}" if last else "")
