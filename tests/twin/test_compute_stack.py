"""A deployed stack, used as its clients do: a signed API, a function with native wheels, a state machine."""

import hashlib
import json
import time
from typing import Any

import pytest

from tests.twin.apigateway.conftest import Apis
from tests.twin.lambda_runtime.conftest import archive, native_package
from tests.twin.stepfunctions.conftest import Machines

__all__ = ["native_package"]  # a fixture
pytestmark = pytest.mark.twin
ACCOUNT = "333333333333"
BUCKET = "assets-of-the-compute-stack"
HANDLER = """
import json, os, pydantic_core
class RunKnown(Exception): pass
def handler(event, context):
    if "requestContext" in event:
        body = json.loads(event["body"])
        answer = {"request_id": event["requestContext"]["requestId"], "core": pydantic_core.__version__,
                  "doubled": body["n"] * 2, "setting": os.environ["SETTING"]}
        return {"statusCode": 200, "body": json.dumps(answer)}
    if event["run_id"].startswith("bad"):
        raise RunKnown("this run is bad")
    return {"accuracy": 0.9}
"""


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def arn_of(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


def role(service: str, *statements: dict[str, Any]) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    policy = {"PolicyName": "own", "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)}}
    properties: dict[str, Any] = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}}
    if statements:
        properties["Policies"] = [policy]
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def workflow() -> dict[str, Any]:
    """Register a run once, ask the function, catch its error by name, record the end."""
    key = {"pk": {"S": "{% 'RUN#' & $run %}"}}
    register = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Arguments": {
            "TableName": "${Table}",
            "Item": {**key, "status": {"S": "RUNNING"}},
            "ConditionExpression": "attribute_not_exists(pk)",
        },
        "Catch": [{"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "Next": "AlreadyThere"}],
        "Next": "Gate",
    }
    gate = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "${Function}", "Payload": {"run_id": "{% $run %}"}},
        "Assign": {"status": "SUCCEEDED", "told": "{% $states.result.Payload.accuracy %}"},
        "Catch": [
            {
                "ErrorEquals": ["RunKnown"],
                "Assign": {"status": "FAILED", "told": "{% $states.errorOutput.Error %}"},
                "Next": "Record",
            }
        ],
        "Next": "Record",
    }
    record = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:updateItem",
        "Arguments": {
            "TableName": "${Table}",
            "Key": key,
            "UpdateExpression": "SET #s = :s",
            "ExpressionAttributeNames": {"#s": "status"},
            "ExpressionAttributeValues": {":s": {"S": "{% $status %}"}},
        },
        "Output": {"status": "{% $status %}", "told": "{% $told %}"},
        "End": True,
    }
    return {
        "QueryLanguage": "JSONata",
        "StartAt": "Begin",
        "States": {
            "Begin": {"Type": "Pass", "Assign": {"run": "{% $states.input.run_id %}"}, "Next": "Register"},
            "Register": register,
            "Gate": gate,
            "Record": record,
            "AlreadyThere": {"Type": "Fail", "Error": "RunExists", "Cause": "{% $run & ' ran before' %}"},
        },
    }


def template(code_key: str, setting: str = "one") -> dict[str, Any]:
    api = {"RestApiId": ref("Api")}
    source = "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/POST/predictions"
    uri = "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
    resources = {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        },
        "FunctionRole": role("lambda.amazonaws.com"),
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Architectures": ["arm64"],
                "Handler": "handler.handler",
                "Role": arn_of("FunctionRole"),
                "Timeout": 20,
                "Environment": {"Variables": {"SETTING": setting}},
                "Code": {"S3Bucket": BUCKET, "S3Key": code_key},
            },
        },
        "MachineRole": role(
            "states.amazonaws.com",
            {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn_of("Function")},
            {
                "Effect": "Allow",
                "Action": ["dynamodb:PutItem", "dynamodb:UpdateItem"],
                "Resource": arn_of("Table"),
            },
        ),
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "Properties": {
                "RoleArn": arn_of("MachineRole"),
                "DefinitionString": {"Fn::Sub": json.dumps(workflow())},
            },
        },
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "compute-stack"}},
        "Path": {
            "Type": "AWS::ApiGateway::Resource",
            "Properties": {
                **api,
                "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                "PathPart": "predictions",
            },
        },
        "Body": {
            "Type": "AWS::ApiGateway::Model",
            "Properties": {
                **api,
                "ContentType": "application/json",
                "Schema": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
            },
        },
        "Validator": {
            "Type": "AWS::ApiGateway::RequestValidator",
            "Properties": {**api, "ValidateRequestBody": True},
        },
        "Post": {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {
                **api,
                "ResourceId": ref("Path"),
                "HttpMethod": "POST",
                "AuthorizationType": "AWS_IAM",
                "RequestValidatorId": ref("Validator"),
                "RequestModels": {"application/json": ref("Body")},
                "Integration": {
                    "Type": "AWS_PROXY",
                    "IntegrationHttpMethod": "POST",
                    "Uri": {"Fn::Sub": uri},
                    "TimeoutInMillis": 20_000 if setting == "one" else 25_000,
                },
            },
        },
        "Deployment": {"Type": "AWS::ApiGateway::Deployment", "DependsOn": "Post", "Properties": api},
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {**api, "StageName": "live", "DeploymentId": ref("Deployment")},
        },
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": arn_of("Function"),
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {"Fn::Sub": source},
            },
        },
    }
    outputs = {"Api": ref("Api"), "Machine": ref("Machine"), "Function": ref("Function")}
    return {"Resources": resources, "Outputs": {key: {"Value": value} for key, value in outputs.items()}}


class StackApis(Apis):
    """Calls APIs of the stack's account, signed as its root."""

    account = ACCOUNT

    def __init__(self, twin: Any) -> None:
        self.twin = twin


def deploy(twin: Any, body: dict[str, Any], update: bool = False) -> dict[str, str]:
    formation = twin.client("cloudformation", ACCOUNT)
    act = formation.update_stack if update else formation.create_stack
    act(StackName="compute", TemplateBody=json.dumps(body), Capabilities=["CAPABILITY_IAM"])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        stack = formation.describe_stacks(StackName="compute")["Stacks"][0]
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.05)
    events = formation.describe_stack_events(StackName="compute")["StackEvents"]
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), [
        event["ResourceStatusReason"] for event in events if "ResourceStatusReason" in event
    ]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@pytest.fixture(scope="module")
def code(twin: Any, native_package: dict[str, str | bytes]) -> str:
    package = archive({**native_package, "handler.py": HANDLER})
    key = f"{hashlib.sha256(package).hexdigest()}.zip"
    storage = twin.client("s3", ACCOUNT)
    storage.create_bucket(Bucket=BUCKET)
    storage.put_object(Bucket=BUCKET, Key=key, Body=package)
    return key


@pytest.fixture(scope="module")
def stack(twin: Any, code: str) -> dict[str, str]:
    return deploy(twin, template(code))


def test_signed_client_gets_an_answer_from_the_function(twin: Any, stack: dict[str, str]) -> None:
    apis = StackApis(twin)
    answer = apis.call(stack["Api"], '{"n": 21}', path="/predictions", credentials=ACCOUNT)
    assert answer.status_code == 200, answer.text
    assert answer.json()["doubled"] == 42
    assert answer.json()["core"]
    assert answer.json()["request_id"] == answer.headers["x-amzn-RequestId"]
    assert apis.call(stack["Api"], '{"n": 1}', path="/predictions", credentials=None).status_code == 403
    refused = apis.call(stack["Api"], '{"n": "x"}', path="/predictions", credentials=ACCOUNT)
    assert (refused.status_code, refused.json()["message"]) == (400, "Invalid request body")


def test_workflow_records_success_failure_by_name_and_repetition(twin: Any, stack: dict[str, str]) -> None:
    machines = Machines.__new__(Machines)
    machines.client = twin.client("stepfunctions", ACCOUNT)

    def run(run_id: str) -> dict[str, Any]:
        return machines.wait(machines.start(stack["Machine"], {"run_id": run_id}))

    assert json.loads(run("run-1")["output"]) == {"status": "SUCCEEDED", "told": 0.9}
    assert json.loads(run("bad-1")["output"]) == {"status": "FAILED", "told": "RunKnown"}
    again = run("run-1")
    assert (again["status"], again["error"], again["cause"]) == ("FAILED", "RunExists", "run-1 ran before")


def test_updated_stack_serves_the_new_settings_and_keeps_its_checks(
    twin: Any, code: str, stack: dict[str, str]
) -> None:
    deploy(twin, template(code, setting="two"), update=True)
    apis = StackApis(twin)
    answer = apis.call(stack["Api"], '{"n": 1}', path="/predictions", credentials=ACCOUNT)
    assert answer.json()["setting"] == "two"
    refused = apis.call(stack["Api"], '{"n": "x"}', path="/predictions", credentials=ACCOUNT)
    assert refused.status_code == 400
