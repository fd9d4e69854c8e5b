"""How functions ask the hosted models, by hosting mode: what their roles may do, their environment says."""

from __future__ import annotations

from constructs import Construct

from stages.data import DataStack
from stages.settings import EnvironmentSettings
from vision_platform import asynchronous_results
from vision_platform.encryption import PlatformKey
from vision_platform.model_lines import ModelLines
from vision_platform.permissions import PlatformRole, allow


def allow_asking(
    scope: Construct,
    role: PlatformRole,
    *,
    environment: EnvironmentSettings,
    lines: ModelLines,
    data: DataStack,
    key: PlatformKey,
    wait_seconds: int,
) -> dict[str, str]:
    """Let `role` ask the models of both lines; returns the variables by which its function knows how.

    `wait_seconds` is how long it can wait for an answer that lies in S3 in the end.
    """
    mode = environment.hosting.mode
    asynchronous = mode == "asynchronous"
    allow(
        role,
        ["sagemaker:InvokeEndpointAsync" if asynchronous else "sagemaker:InvokeEndpoint"],
        [lines.arn(scope, "endpoint", lines.endpoint(line)) for line in lines.names],
    )
    variables = {"HOSTING_MODE": mode}
    if asynchronous:
        asynchronous_results.allow_asking(role, data.lake.artifacts, lines)
        key.allow_use(role)
        variables["ASYNCHRONOUS_FOLDER"] = asynchronous_results.folder_of(data.lake.artifacts)
        variables["ASYNCHRONOUS_WAIT_SECONDS"] = str(wait_seconds)
    if mode == "multi-model":
        data.lineage.allow_actions(role, ["dynamodb:GetItem"])
    return variables
