"""How functions ask the hosted models, by hosting mode: what they may do, and what their environment says."""

from __future__ import annotations

from typing import cast

from aws_cdk import aws_lambda as lambda_

from stages.data import DataStack
from stages.settings import EnvironmentSettings
from vision_platform import asynchronous_results
from vision_platform.encryption import PlatformKey
from vision_platform.functions import PlatformFunction
from vision_platform.model_lines import ModelLines
from vision_platform.permissions import allow


def allow_asking(
    function: PlatformFunction,
    *,
    environment: EnvironmentSettings,
    lines: ModelLines,
    data: DataStack,
    key: PlatformKey,
    wait_seconds: int,
) -> None:
    """Let a function ask the models of both lines, and tell it how.

    `wait_seconds` is how long it can wait for an answer that comes by way of S3.
    """
    mode, role = environment.hosting.mode, function.role
    asynchronous = mode == "asynchronous"
    if mode == "lambda":
        asked = [lines.function_arn(function, line) for line in lines.names]
        allow(role, ["lambda:InvokeFunction"], asked)
    else:
        allow(
            role,
            ["sagemaker:InvokeEndpointAsync" if asynchronous else "sagemaker:InvokeEndpoint"],
            [lines.arn(function, "endpoint", lines.endpoint(line)) for line in lines.names],
        )
    variables = {"HOSTING_MODE": mode}
    if asynchronous:
        asynchronous_results.allow_asking(role, data.lake.artifacts, lines)
        key.allow_use(role)
        variables["ASYNCHRONOUS_FOLDER"] = asynchronous_results.folder_of(data.lake.artifacts)
        variables["ASYNCHRONOUS_WAIT_SECONDS"] = str(wait_seconds)
    if mode == "lambda":
        variables["MODELS_FOLDER"] = data.models_folder
        variables |= {f"{line.upper()}_FUNCTION": lines.function(line) for line in lines.names}
    if mode in ("multi-model", "lambda"):
        data.lineage.allow_actions(role, ["dynamodb:GetItem"])
    made = cast("lambda_.Function", function.function)
    for name, value in variables.items():
        made.add_environment(name, value)
