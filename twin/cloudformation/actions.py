"""What the provisioning of a resource type asks of the execution role: the table behind `permissions`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Actions:
    """IAM actions to create, update and delete a type, and the ARN they name.

    The handlers of AWS's own resource types ask for more; these are the ones without which nothing goes.
    """

    actions: tuple[str, str, str]
    arn: str
    without_resource: frozenset[str] = frozenset()


def _actions(create: str, update: str, delete: str, arn: str, *without_resource: str) -> Actions:
    service = create.partition(":")[0]
    names = (create, f"{service}:{update}", f"{service}:{delete}")
    return Actions(names, arn, frozenset(without_resource))


_HERE = "{region}:{account}"
ACTIONS: dict[str, Actions] = {
    "AWS::ApiGateway::RestApi": _actions(
        "apigateway:POST", "PATCH", "DELETE", "arn:aws:apigateway:{region}::/restapis/{id}"
    ),
    "AWS::CloudWatch::Alarm": _actions(
        "cloudwatch:PutMetricAlarm",
        "PutMetricAlarm",
        "DeleteAlarms",
        f"arn:aws:cloudwatch:{_HERE}:alarm:{{id}}",
    ),
    "AWS::CodeBuild::Project": _actions(
        "codebuild:CreateProject",
        "UpdateProject",
        "DeleteProject",
        f"arn:aws:codebuild:{_HERE}:project/{{id}}",
    ),
    "AWS::CodePipeline::Pipeline": _actions(
        "codepipeline:CreatePipeline",
        "UpdatePipeline",
        "DeletePipeline",
        f"arn:aws:codepipeline:{_HERE}:{{id}}",
    ),
    "AWS::DynamoDB::Table": _actions(
        "dynamodb:CreateTable", "UpdateTable", "DeleteTable", f"arn:aws:dynamodb:{_HERE}:table/{{id}}"
    ),
    "AWS::EC2::VPC": _actions(
        "ec2:CreateVpc", "ModifyVpcAttribute", "DeleteVpc", f"arn:aws:ec2:{_HERE}:vpc/{{id}}"
    ),
    "AWS::ECR::Repository": _actions(
        "ecr:CreateRepository",
        "PutLifecyclePolicy",
        "DeleteRepository",
        f"arn:aws:ecr:{_HERE}:repository/{{id}}",
    ),
    "AWS::Events::EventBus": _actions(
        "events:CreateEventBus",
        "UpdateEventBus",
        "DeleteEventBus",
        f"arn:aws:events:{_HERE}:event-bus/{{id}}",
    ),
    "AWS::Events::Rule": _actions(
        "events:PutRule", "PutRule", "DeleteRule", f"arn:aws:events:{_HERE}:rule/{{id}}"
    ),
    "AWS::IAM::Role": _actions(
        "iam:CreateRole", "UpdateAssumeRolePolicy", "DeleteRole", "arn:aws:iam::{account}:role/{id}"
    ),
    "AWS::KMS::Key": _actions(
        "kms:CreateKey",
        "PutKeyPolicy",
        "ScheduleKeyDeletion",
        f"arn:aws:kms:{_HERE}:key/{{id}}",
        "kms:CreateKey",
    ),
    "AWS::Lambda::Function": _actions(
        "lambda:CreateFunction",
        "UpdateFunctionConfiguration",
        "DeleteFunction",
        f"arn:aws:lambda:{_HERE}:function:{{id}}",
    ),
    "AWS::Logs::LogGroup": _actions(
        "logs:CreateLogGroup",
        "PutRetentionPolicy",
        "DeleteLogGroup",
        f"arn:aws:logs:{_HERE}:log-group:{{id}}:*",
    ),
    "AWS::S3::Bucket": _actions(
        "s3:CreateBucket", "PutBucketVersioning", "DeleteBucket", "arn:aws:s3:::{id}"
    ),
    "AWS::S3::BucketPolicy": _actions(
        "s3:PutBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy", "arn:aws:s3:::{bucket}"
    ),
    "AWS::SNS::Topic": _actions("sns:CreateTopic", "SetTopicAttributes", "DeleteTopic", "{id}"),
    "AWS::SSM::Parameter": _actions(
        "ssm:PutParameter", "PutParameter", "DeleteParameter", f"arn:aws:ssm:{_HERE}:parameter/{{id}}"
    ),
    "AWS::StepFunctions::StateMachine": _actions(
        "states:CreateStateMachine", "UpdateStateMachine", "DeleteStateMachine", "{id}"
    ),
}
ACTIONS["AWS::DynamoDB::GlobalTable"] = ACTIONS["AWS::DynamoDB::Table"]

# type -> (service that receives the role, property names that carry it)
PASSED_ROLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "AWS::CodeBuild::Project": ("codebuild.amazonaws.com", ("ServiceRole",)),
    "AWS::CodePipeline::Pipeline": ("codepipeline.amazonaws.com", ("RoleArn",)),
    "AWS::EC2::FlowLog": ("vpc-flow-logs.amazonaws.com", ("DeliverLogsPermissionArn",)),
    "AWS::Events::Rule": ("events.amazonaws.com", ("RoleArn", "Targets")),
    "AWS::Lambda::Function": ("lambda.amazonaws.com", ("Role",)),
    "AWS::StepFunctions::StateMachine": ("states.amazonaws.com", ("RoleArn",)),
}


def passed_roles(type_name: str, properties: dict[str, Any]) -> Iterator[str]:
    """Yield the roles that these properties hand to the service of the type."""
    for name in PASSED_ROLES[type_name][1]:
        value = properties.get(name)
        found = [target.get("RoleArn") for target in value] if isinstance(value, list) else [value]
        yield from (role for role in found if isinstance(role, str) and role)
