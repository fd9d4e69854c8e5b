"""Parts that pipeline tests put together: buildspecs, stages, actions, roles, whole templates."""

import json
from typing import Any

from tests.twin.conftest import DEV, REGION, TOOLING

__all__ = ["DEV", "REGION", "TOOLING"]
CONNECTION = (
    f"arn:aws:codestar-connections:{REGION}:{TOOLING}:connection/0b7bd0a4-0000-4000-8000-000000000000"
)


def buildspec(*commands: str, **more: Any) -> dict[str, str]:
    """The file `buildspec.yml` with these build commands."""
    document = {"version": "0.2", "phases": {"build": {"commands": list(commands)}}, **more}
    return {"buildspec.yml": json.dumps(document)}


def role(service: str, statements: list[dict[str, Any]], name: str | None = None) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            **({"RoleName": name} if name else {}),
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
                ],
            },
            "Policies": [
                {
                    "PolicyName": "own",
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [{"Effect": "Allow", **s} for s in statements],
                    },
                }
            ],
        },
    }


def source_stage(repository: str) -> dict[str, Any]:
    return {
        "Name": "Source",
        "Actions": [
            {
                "Name": "Code",
                "ActionTypeId": {
                    "Category": "Source",
                    "Owner": "AWS",
                    "Provider": "CodeStarSourceConnection",
                    "Version": "1",
                },
                "Configuration": {
                    "ConnectionArn": CONNECTION, "FullRepositoryId": repository, "BranchName": "main"
                },
                "OutputArtifacts": [{"Name": "Source"}],
                "Namespace": "Code",
            }
        ],
    }  # fmt: skip


def build_action(name: str = "Build", **extra: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "ActionTypeId": {"Category": "Build", "Owner": "AWS", "Provider": "CodeBuild", "Version": "1"},
        "Configuration": {"ProjectName": {"Ref": "Project"}, **extra.pop("configuration", {})},
        "InputArtifacts": [{"Name": "Source"}],
        **extra,
    }


def approval_action(name: str = "Approve", **configuration: str) -> dict[str, Any]:
    return {
        "Name": name,
        "ActionTypeId": {"Category": "Approval", "Owner": "AWS", "Provider": "Manual", "Version": "1"},
        "Configuration": configuration,
    }


def pipeline_template(
    name: str,
    repository: str,
    *,
    stages: list[dict[str, Any]],
    pipeline: dict[str, Any] | None = None,
    pipeline_statements: list[dict[str, Any]] | None = None,
    build_statements: list[dict[str, Any]] | None = None,
    resources: dict[str, Any] | None = None,
    project: dict[str, Any] | None = None,
) -> dict[str, Any]:
    objects = {"Fn::Sub": "${Bucket.Arn}/*"}
    return {
        "Resources": {
            "Bucket": {"Type": "AWS::S3::Bucket"},
            "BuildRole": role(
                "codebuild.amazonaws.com",
                [
                    {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": objects},
                    *(build_statements or []),
                ],
            ),
            "Project": {
                "Type": "AWS::CodeBuild::Project",
                "Properties": {
                    "ServiceRole": {"Fn::GetAtt": ["BuildRole", "Arn"]},
                    "Source": {"Type": "CODEPIPELINE"},
                    "Artifacts": {"Type": "CODEPIPELINE"},
                    "Environment": {
                        "Type": "LINUX_CONTAINER",
                        "ComputeType": "BUILD_GENERAL1_SMALL",
                        "Image": "aws/codebuild/standard:7.0",
                    },
                    **(project or {}),
                },
            },
            "PipelineRole": role(
                "codepipeline.amazonaws.com",
                [
                    {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": objects},
                    {"Action": ["codebuild:StartBuild", "codebuild:BatchGetBuilds"],
                     "Resource": {"Fn::GetAtt": ["Project", "Arn"]}},
                    {"Action": "codestar-connections:UseConnection", "Resource": CONNECTION},
                    *(pipeline_statements or []),
                ],
                name=f"{name}-pipeline",
            ),
            "Pipeline": {
                "Type": "AWS::CodePipeline::Pipeline",
                "Properties": {
                    "Name": name,
                    "RoleArn": {"Fn::GetAtt": ["PipelineRole", "Arn"]},
                    "PipelineType": "V2",
                    "ExecutionMode": "QUEUED",
                    "RestartExecutionOnUpdate": True,
                    "ArtifactStore": {"Type": "S3", "Location": {"Ref": "Bucket"}},
                    "Stages": [source_stage(repository), *stages],
                    **(pipeline or {}),
                },
            },
            **(resources or {}),
        }
    }  # fmt: skip


def variable_rule(variable: str, operator: str, value: str, name: str = "Check") -> dict[str, Any]:
    """A rule that checks a variable."""
    return {
        "Name": name,
        "RuleTypeId": {"Category": "Rule", "Owner": "AWS", "Provider": "VariableCheck", "Version": "1"},
        "Configuration": {"Variable": variable, "Operator": operator, "Value": value},
    }


def conditions(result: str, *rules: dict[str, Any]) -> dict[str, Any]:
    """What `BeforeEntry`, `OnSuccess` and `OnFailure` hold."""
    return {"Conditions": [{"Result": result, "Rules": list(rules)}]}


def exporting(**variables: str) -> dict[str, str]:
    """A buildspec whose build exports these variables."""
    commands = [f"export {name}={value}" for name, value in variables.items()]
    return buildspec(*commands, env={"exported-variables": list(variables)})
