"""An environment small enough for tests: a table, a bucket, and workflows that record what runs record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.access import Access
from ops.deployment import Deployment, read_deployment
from ops.models.home import Home, find
from tests.ops.conftest import DEV, REGION, Twin

PACKAGES = f"arn:aws:sagemaker:{REGION}:{DEV}:model-package/vision-dev-champion/"
TABLE = "vision-dev-data-lineage"
_TEXT = {"AttributeType": "S"}
_ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"Service": ["states.amazonaws.com", "events.amazonaws.com"]},
                }
            ],
        },
        "Policies": [
            {
                "PolicyName": "All",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
                },
            }
        ],
    },
}


def put_run(status: str, following: str) -> dict[str, Any]:
    """A state that writes the run's record, as the workflow's own does."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Arguments": {
            "TableName": TABLE,
            "Item": {
                "pk": {"S": "{% 'RUN#' & $run_id %}"},
                "sk": {"S": "RUN"},
                "status": {"S": status},
                "execution_arn": {"S": "{% $states.context.Execution.Id %}"},
                "line": {"S": "champion"},
                "manifest_uri": {
                    "S": "{% $exists($given.manifest_uri) ? $given.manifest_uri : 'recalled' %}"
                },
            },
        },
        "Next": following,
    }


# Input `fails` lets it fail; without a run id it makes one up, as the real one does.
TRAINING = {
    "QueryLanguage": "JSONata",
    "StartAt": "Plan",
    "States": {
        "Plan": {
            "Type": "Pass",
            "Assign": {
                "given": "{% $states.input %}",
                "run_id": "{% $exists($states.input.run_id) ? $states.input.run_id : 'r-computed' %}",
            },
            "Next": "RegisterRun",
        },
        "RegisterRun": put_run("RUNNING", "Turn"),
        "Turn": {"Type": "Wait", "Seconds": 1, "Next": "Promote"},
        "Promote": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Arguments": {
                "StateMachineArn": f"arn:aws:states:{REGION}:{DEV}:stateMachine:vision-dev-promotion",
                "Input": {"line": "champion", "model_package_arn": f"{PACKAGES}1"},
            },
            "Next": "Good",
        },
        "Good": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $given.hyperparameters.epochs = '13' %}", "Next": "RecordFailure"}],
            "Default": "RecordSuccess",
        },
        "RecordSuccess": put_run("SUCCEEDED", "Done"),
        "Done": {
            "Type": "Succeed",
            "Output": {
                "run_id": "{% $run_id %}",
                "metrics": {"accuracy": 0.975, "macro_f1": 0.97, "lowest_class_recall": 0.9},
                "model_package_arn": f"{PACKAGES}1",
                "endpoint_name": "vision-dev-champion",
                "report_uri": "s3://artifacts/evaluations/champion/report.html",
                "dataset": {"name": "digits", "version": "v1"},
                "counts": {"train": 3, "holdout": 2},
                "repeated": False,
            },
        },
        "RecordFailure": put_run("FAILED", "Failed"),
        "Failed": {"Type": "Fail", "Error": "GateRejected", "Cause": "accuracy 0.1 is below 0.95"},
    },
}
# `refuse` in the deployment's id lets it be refused.
PROMOTION = {
    "QueryLanguage": "JSONata",
    "StartAt": "Describe",
    "States": {
        "Describe": {
            "Type": "Pass",
            "Assign": {"given": "{% $states.input %}"},
            "Next": "Known",
        },
        "Known": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $given.reason = 'rollback' %}", "Next": "RecordChampion"}],
            "Default": "Settle",
        },
        "RecordChampion": {
            "Type": "Task",
            "Resource": "arn:aws:states:::dynamodb:putItem",
            "Arguments": {
                "TableName": TABLE,
                "Item": {
                    "pk": {"S": "LINE#champion"},
                    "sk": {"S": "CHAMPION"},
                    "model_package_arn": {"S": "{% $given.model_package_arn %}"},
                },
            },
            "Next": "Settle",
        },
        "Settle": {"Type": "Wait", "Seconds": 1, "Next": "Verdict"},
        "Verdict": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $given.reason = 'package' %}", "Next": "Refused"}],
            "Default": "Promoted",
        },
        "Refused": {"Type": "Fail", "Error": "RolledBack", "Cause": "the quality alarm went off"},
        "Promoted": {"Type": "Succeed", "Output": {"status": "Promoted"}},
    },
}


def _template(**outputs: Any) -> dict[str, Any]:
    return {"Outputs": {name: {"Value": value} for name, value in outputs.items()}}


DATA = {
    "Resources": {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": TABLE,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": name, **_TEXT} for name in ("pk", "sk", "gsi1pk", "gsi1sk")
                ],
                "KeySchema": [
                    {"AttributeName": "pk", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": "gsi1",
                        "KeySchema": [
                            {"AttributeName": "gsi1pk", "KeyType": "HASH"},
                            {"AttributeName": "gsi1sk", "KeyType": "RANGE"},
                        ],
                        "Projection": {"ProjectionType": "ALL"},
                    }
                ],
            },
        },
        "Datasets": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "NotificationConfiguration": {
                    "EventBridgeConfiguration": {"EventBridgeEnabled": True},
                }
            },
        },
    },
    **_template(LineageTableName=TABLE, DatasetsBucket={"Ref": "Datasets"}, ArtifactsBucket="artifacts"),
}


def _machine(kind: str, definition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": f"vision-dev-{kind}",
            "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
            "DefinitionString": json.dumps(definition),
        },
    }


WORKFLOWS = {
    "Resources": {
        "Role": _ROLE,
        "Promotion": _machine("promotion", PROMOTION),
        "Training": _machine("training", TRAINING),
        "Arrival": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "EventPattern": {
                    "source": ["aws.s3"],
                    "detail-type": ["Object Created"],
                    "detail": {"object": {"key": [{"wildcard": "datasets/*manifest.json"}]}},
                },
                "Targets": [
                    {
                        "Id": "Training",
                        "Arn": {"Ref": "Training"},
                        "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                        "InputTransformer": {
                            "InputPathsMap": {
                                "bucket": "$.detail.bucket.name",
                                "key": "$.detail.object.key",
                                "tag": "$.detail.object.etag",
                            },
                            "InputTemplate": '{"line": "champion", "reason": "dataset", "manifest_uri": '
                            '"s3://<bucket>/<key>", "manifest_tag": "<tag>"}',
                        },
                    }
                ],
            },
        },
    },
    **_template(StateMachineArn={"Ref": "Training"}),
}
API = {
    "Resources": {"Nothing": {"Type": "AWS::SNS::Topic"}},
    **_template(ApiUrl="https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/v/"),
}


@pytest.fixture(scope="session")
def deployed(twin: Twin) -> Twin:
    """The twin with what stands for the platform in dev."""
    api = twin.client("cloudformation", DEV)
    for name, template in (("data", DATA), ("training", WORKFLOWS), ("inference", API)):
        api.create_stack(
            StackName=f"vision-dev-{name}",
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        api.get_waiter("stack_create_complete").wait(
            StackName=f"vision-dev-{name}", WaiterConfig={"Delay": 1}
        )
    return twin


@pytest.fixture(scope="session")
def deployment() -> Deployment:
    """The settings of the project, read once."""
    return read_deployment()


@pytest.fixture
def home(deployed: Twin, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Dev, as an operator has it who is root in the twin."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "OPS_PROFILES", "OPS_ROLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in deployed.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr("ops.options.read_deployment", lambda: deployment)
    return find(deployment, Access(deployment, {}), None)


@pytest.fixture
def command(home: Home) -> Callable[..., Any]:
    """Runs the command line in this process."""
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def write(deployed: Twin) -> Callable[..., None]:
    """Writes an item of the lineage table."""
    table = deployed.client("dynamodb", DEV)

    def put(pk: str, sk: str, **attributes: str) -> None:
        item = {"pk": pk, "sk": sk, **attributes}
        table.put_item(TableName=TABLE, Item={name: {"S": value} for name, value in item.items()})

    return put
