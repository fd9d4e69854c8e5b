"""Project records: what CodeBuild fills in, what a build takes over from them, and what the twin refuses."""

import copy
import time
from typing import Any

from twin import glue
from twin.json_service import NotImplementedInTwin, ServiceError

_SOURCES = ("CODEPIPELINE", "NO_SOURCE", "S3")
_ARTIFACTS = ("CODEPIPELINE", "NO_ARTIFACTS", "S3")
_DEFAULT_TIMEOUT_MINUTES = 60
_DEFAULT_QUEUE_MINUTES = 480
# Parts of a project that would change what a build does, and that nothing here acts on.
_REFUSED = (
    "secondarySources", "secondaryArtifacts", "fileSystemLocations", "buildBatchConfig", "autoRetryLimit",
)  # fmt: skip
_OVERRIDES = {
    "imageOverride": ("environment", "image"),
    "computeTypeOverride": ("environment", "computeType"),
    "environmentTypeOverride": ("environment", "type"),
    "privilegedModeOverride": ("environment", "privilegedMode"),
    "buildspecOverride": ("source", "buildspec"),
    "sourceLocationOverride": ("source", "location"),
    "sourceTypeOverride": ("source", "type"),
    "timeoutInMinutesOverride": ("timeoutInMinutes",),
    "queuedTimeoutInMinutesOverride": ("queuedTimeoutInMinutes",),
    "serviceRoleOverride": ("serviceRole",),
    "encryptionKeyOverride": ("encryptionKey",),
    "cacheOverride": ("cache",),
    "artifactsOverride": ("artifacts",),
    "logsConfigOverride": ("logsConfig",),
}
_HANDLED = ("projectName", "environmentVariablesOverride", "idempotencyToken", "sourceVersion")


def check_project(given: dict[str, Any], existing: dict[str, Any] | None) -> dict[str, Any]:
    """Return the project record for the input of CreateProject or UpdateProject; raises `ServiceError`."""
    now = time.time()
    here = glue.current_scope()
    project = {**(existing or {}), **{k: v for k, v in given.items() if k != "badgeEnabled"}}
    for part in _REFUSED:
        if project.get(part):
            raise NotImplementedInTwin(f"codebuild project member {part}")
    project.setdefault("source", {"type": "NO_SOURCE"})
    project.setdefault("artifacts", {"type": "NO_ARTIFACTS"})
    _check_kinds(project)
    project.setdefault("timeoutInMinutes", _DEFAULT_TIMEOUT_MINUTES)
    project.setdefault("queuedTimeoutInMinutes", _DEFAULT_QUEUE_MINUTES)
    project.setdefault("cache", {"type": "NO_CACHE"})
    project.setdefault("encryptionKey", f"arn:aws:kms:{here.region}:{here.account}:alias/aws/s3")
    project.setdefault("tags", [])
    project |= {
        "arn": f"arn:aws:codebuild:{here.region}:{here.account}:project/{given['name']}",
        "created": existing["created"] if existing else now,
        "lastModified": now,
        "badge": {"badgeEnabled": False},
    }
    return project


def _check_kinds(project: dict[str, Any]) -> None:
    source, artifacts = project["source"]["type"], project["artifacts"]["type"]
    if source not in _SOURCES:
        raise NotImplementedInTwin(f"codebuild source type {source}")
    if artifacts not in _ARTIFACTS:
        raise NotImplementedInTwin(f"codebuild artifacts type {artifacts}")
    if (source == "CODEPIPELINE") != (artifacts == "CODEPIPELINE"):
        raise ServiceError(
            "InvalidInputException",
            "Invalid artifacts: source and artifacts must both be CODEPIPELINE, or neither",
        )
    if source == "NO_SOURCE" and "\n" not in (project["source"].get("buildspec") or ""):
        raise ServiceError(
            "InvalidInputException", "Invalid buildspec: a project without a source needs an inline buildspec"
        )
    kind, image = project["environment"]["type"], project["environment"]["image"]
    if kind.startswith("WINDOWS") or kind.startswith("MAC"):
        raise NotImplementedInTwin(f"codebuild environment type {kind}")
    if image.startswith("aws/codebuild/") and ("aarch64" in image) != kind.startswith("ARM_"):
        raise ServiceError(
            "InvalidInputException",
            f"Invalid image: {image} does not run in environment type {kind}: AWS's images for ARM_CONTAINER "
            "have aarch64 in their names, and only those",
        )


def with_overrides(
    project: dict[str, Any], request: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return a new build's record and variables (project's, then the caller's); raises `ServiceError`."""
    effective = copy.deepcopy(project)
    for name, value in request.items():
        if name in _HANDLED:
            continue
        if name not in _OVERRIDES:
            raise NotImplementedInTwin(f"codebuild:StartBuild with {name}")
        *parents, last = _OVERRIDES[name]
        target = effective
        for parent in parents:
            target = target[parent]
        target[last] = value
    _check_kinds(effective)
    variables = list(effective["environment"].get("environmentVariables", []))
    variables += request.get("environmentVariablesOverride", [])
    effective["environment"]["environmentVariables"] = list({v["name"]: v for v in variables}.values())
    record: dict[str, Any] = {
        "projectName": project["name"],
        "buildStatus": "IN_PROGRESS",
        "buildComplete": False,
        "currentPhase": "SUBMITTED",
        "phases": [],
        "initiator": f"{glue.current_scope().account}/user",
        "sourceVersion": request.get("sourceVersion") or project.get("sourceVersion"),
        "artifacts_declared": effective["artifacts"],
        "artifacts": {},
        "logs_declared": effective.get("logsConfig") or {},
    }
    for part in ("source", "environment", "serviceRole", "timeoutInMinutes", "queuedTimeoutInMinutes",
                 "encryptionKey", "cache"):  # fmt: skip
        record[part] = effective[part]
    if "vpcConfig" in effective:
        record["vpcConfig"] = effective["vpcConfig"]
    return {k: v for k, v in record.items() if v is not None}, variables
