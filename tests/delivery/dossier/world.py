"""An environment in memory, as the dossier asks about it: CloudFormation, CodePipeline and S3 without AWS."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from delivery.dossier.cost import COSTS_FILE

ACCOUNT, TOOLING, REGION = "444444444444", "111111111111", "us-east-1"
LOOKUP = f"arn:aws:iam::{ACCOUNT}:role/cdk-hnb659fds-lookup-role-{ACCOUNT}-{REGION}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/vision-prod-dossier"
BEGIN = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
OLD_CODE, NEW_CODE = "a" * 64, "b" * 64
TAGS = {"environment": "prod", "platform": "vision"}
COSTS = {"images_per_day": 500_000, "components": {"endpoint (SageMaker)": 160.6, "key": 1.0}}
Templates = dict[str, dict[str, Any]]


def templates() -> Templates:
    """Two stacks in the shape that the CDK writes: a table, a bucket and a log; a function and its role."""
    table_arn = {"Fn::GetStackOutput": {"StackName": "vision-prod-data", "OutputName": "TableArn"}}
    data = {
        "Table": resource(
            "AWS::DynamoDB::Table",
            "Data/Lineage/Table",
            {
                "TableName": "vision-lineage",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "DeletionProtectionEnabled": True,
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            },
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        ),
        "Bucket": resource("AWS::S3::Bucket", "Data/Images", {}, DeletionPolicy="Retain"),
        "BucketPolicy": resource(
            "AWS::S3::BucketPolicy",
            "Data/Images/Policy",
            {
                "Bucket": {"Ref": "Bucket"},
                "PolicyDocument": {
                    "Statement": [
                        {
                            "Effect": "Deny",
                            "Principal": {"AWS": "*"},
                            "Action": "s3:*",
                            "Resource": {"Fn::GetAtt": ["Bucket", "Arn"]},
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    ]
                },
            },
        ),
    }
    inference = {
        "Role": resource(
            "AWS::IAM::Role",
            "Inference/Predict/Role",
            {"AssumeRolePolicyDocument": {"Statement": [trust("lambda.amazonaws.com")]}},
        ),
        "RolePolicy": resource(
            "AWS::IAM::Policy",
            "Inference/Predict/Role/DefaultPolicy",
            {
                "PolicyName": "RolePolicy",
                "Roles": [{"Ref": "Role"}],
                "PolicyDocument": {"Statement": [allow("dynamodb:PutItem", table_arn)]},
            },
        ),
        "Function": resource(
            "AWS::Lambda::Function",
            "Inference/Predict/Function",
            {
                "Code": {"S3Bucket": f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}", "S3Key": f"{OLD_CODE}.zip"},
                "Handler": "handler.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Runtime": "python3.13",
            },
        ),
    }
    return {
        "vision-prod-data": {
            "Resources": data,
            "Outputs": {"TableArn": {"Value": {"Fn::GetAtt": ["Table", "Arn"]}}},
        },
        "vision-prod-inference": {"Resources": inference},
    }


def resource(type_name: str, path: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    metadata = {"aws:cdk:path": f"Delivery/Prod/{path}/Resource"}
    return {"Type": type_name, "Properties": dict(properties), **more, "Metadata": metadata}


def allow(action: Any, on: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on, **more}


def trust(service: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}


def write_assembly(
    folder: Path,
    planned: Templates,
    accepted: Mapping[str, str] | None = None,
    costs: Mapping[str, Any] | None = None,
) -> Path:
    """A cloud assembly with the stacks in a nested one, as `cdk synth` writes it."""
    nested = folder / "assembly-Delivery-Prod"
    nested.mkdir(parents=True, exist_ok=True)
    artifacts: dict[str, Any] = {}
    for name, template in planned.items():
        title = name.rsplit("-", 1)[-1].capitalize()
        (nested / f"{name}.template.json").write_text(json.dumps(template))
        notes = {"type": "aws:cdk:acknowledged-rules", "data": dict(accepted or {})}
        (nested / f"{name}.metadata.json").write_text(json.dumps({f"/Delivery/Prod/{title}/X": [notes]}))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{ACCOUNT}/{REGION}",
            "displayName": f"Delivery/Prod/{title}",
            "additionalMetadataFile": f"{name}.metadata.json",
            "properties": {
                "templateFile": f"{name}.template.json",
                "stackName": name,
                "tags": TAGS,
            },
        }
    (nested / "manifest.json").write_text(json.dumps({"version": "54.0.0", "artifacts": artifacts}))
    stage = {"type": "cdk:cloud-assembly", "properties": {"directoryName": nested.name}}
    (folder / "manifest.json").write_text(json.dumps({"version": "54.0.0", "artifacts": {"Prod": stage}}))
    (folder / COSTS_FILE).write_text(json.dumps(costs or {"prod": COSTS}))
    return folder


def refusal(code: str, operation: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@dataclass
class World:
    """What is deployed, what the pipeline ran, and what lies in the reports bucket.

    `change_sets` has CloudFormation's changes by stack; a stack without them gets none made. `faults` has
    errors by operation, raised whenever it is called.
    """

    deployed: Templates = field(default_factory=templates)
    executions: list[dict[str, Any]] = field(default_factory=list)
    succeeded: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    change_sets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    faults: dict[str, Exception] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    left: set[tuple[str, str]] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    rollback: bool = True

    def own(self, service: str) -> Any:
        return _Client(self, service)

    def by(self, role: str, service: str, region: str) -> Any:
        if role == ROLE and "AssumeRole" in self.faults:
            raise self.faults["AssumeRole"]
        return _Client(self, service)

    def execution(self, key: str, minutes: int, revision: str, summary: str, **more: Any) -> None:
        """Remember an execution that began some minutes after the first."""
        self.executions.append(
            {
                "pipelineExecutionId": key,
                "startTime": BEGIN + timedelta(minutes=minutes),
                "lastUpdateTime": BEGIN + timedelta(minutes=minutes + 20),
                "sourceRevisions": [{"revisionId": revision, "revisionSummary": summary}],
                **more,
            }
        )


class _Client:
    """The operations that the dossier calls, each answering from the world."""

    def __init__(self, world: World, service: str) -> None:
        self._world, self._service = world, service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = "".join(part.capitalize() for part in name.split("_"))
        answer = getattr(_Answers, name)

        def call(**given: Any) -> Any:
            self._world.calls.append(operation)
            if operation in self._world.faults:
                raise self._world.faults[operation]
            return answer(self._world, **given)

        return call

    def get_paginator(self, name: str) -> Any:
        return _Pages(getattr(self, name))


@dataclass
class _Pages:
    call: Callable[..., Any]

    def paginate(self, **given: Any) -> list[Any]:
        given.pop("PaginationConfig", None)
        return [self.call(**given)]


class _Answers:
    @staticmethod
    def describe_stacks(world: World) -> Any:
        return {
            "Stacks": [
                {
                    "StackName": name,
                    "StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/1",
                    "StackStatus": template.get("_status", "UPDATE_COMPLETE"),
                    "Tags": [{"Key": key, "Value": value} for key, value in TAGS.items()],
                }
                for name, template in world.deployed.items()
            ]
        }

    @staticmethod
    def get_template(world: World, StackName: str, TemplateStage: str) -> Any:
        assert TemplateStage == "Original"
        return {"TemplateBody": copy.deepcopy(world.deployed[StackName.split("/")[1]])}

    @staticmethod
    def create_change_set(world: World, **given: Any) -> Any:
        assert given["ChangeSetType"] == "UPDATE"
        if given["StackName"] not in world.change_sets:
            raise refusal("ValidationError", "CreateChangeSet", "Output Bus of stack events does not exist")
        world.left.add((given["StackName"], given["ChangeSetName"]))
        return {}

    @staticmethod
    def describe_change_set(world: World, StackName: str, ChangeSetName: str) -> Any:
        changes = [{"ResourceChange": each} for each in world.change_sets[StackName]]
        if not changes:
            reason = "The submitted information didn't contain changes. Submit different information"
            return {"Status": "FAILED", "StatusReason": reason}
        return {"Status": "CREATE_COMPLETE", "Changes": changes}

    @staticmethod
    def delete_change_set(world: World, StackName: str, ChangeSetName: str) -> Any:
        world.left.discard((StackName, ChangeSetName))
        return {}

    @staticmethod
    def list_pipeline_executions(world: World, pipelineName: str, filter: Any = None) -> Any:
        newest_first = sorted(world.executions, key=lambda each: each["startTime"], reverse=True)
        if filter:
            newest_first = [each for each in newest_first if each["pipelineExecutionId"] in world.succeeded]
        return {"pipelineExecutionSummaries": newest_first}

    @staticmethod
    def get_pipeline(world: World, name: str) -> Any:
        failing = {"onFailure": {"result": "ROLLBACK"}} if world.rollback else {}
        return {"pipeline": {"version": world.versions.get("", 1), "stages": [{"name": "Prod", **failing}]}}

    @staticmethod
    def get_pipeline_execution(world: World, pipelineName: str, pipelineExecutionId: str) -> Any:
        return {"pipelineExecution": {"pipelineVersion": world.versions.get(pipelineExecutionId, 1)}}

    @staticmethod
    def list_objects_v2(world: World, Bucket: str, Prefix: str) -> Any:
        return {"Contents": [{"Key": key} for key in sorted(world.objects) if key.startswith(Prefix)]}

    @staticmethod
    def get_object(world: World, Bucket: str, Key: str) -> Any:
        if Key not in world.objects:
            raise refusal("NoSuchKey", "GetObject")
        return {"Body": io.BytesIO(world.objects[Key])}

    @staticmethod
    def delete_object(world: World, Bucket: str, Key: str) -> Any:
        world.objects.pop(Key, None)
        return {}

    @staticmethod
    def put_object(world: World, Bucket: str, Key: str, Body: bytes, ContentType: str = "") -> Any:
        world.objects[Key] = Body
        return {}
