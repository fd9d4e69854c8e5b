"""Faults that are injected: what each looks like to the caller, when it strikes, and how it is taken back."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import BotoCoreError, ClientError
from typer.testing import CliRunner

from tests.twin.conftest import DEV, STAGING, Twin
from twin.cli import app

pytestmark = pytest.mark.twin


@pytest.fixture
def faults(twin: Twin) -> Iterator["Faults"]:
    yield Faults(twin)
    requests.delete(f"{twin.endpoint}/_twin/faults", timeout=10)


class Faults:
    """The faults of a twin, as a person sets them."""

    def __init__(self, twin: Twin) -> None:
        self.url = f"{twin.endpoint}/_twin/faults"

    def post(self, **wanted: Any) -> requests.Response:
        return requests.post(self.url, json={"times": 1, "account": "dev", **wanted}, timeout=10)

    def set(self, **wanted: Any) -> dict[str, Any]:
        answer = self.post(**wanted)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def listed(self) -> list[dict[str, Any]]:
        return requests.get(self.url, timeout=10).json()["faults"]


def code_of(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("target", "error", "expected"),
    [
        ("sagemaker:ListModels", "throttle", ("ThrottlingException", 400)),
        ("sagemaker:ListModels", "denied", ("AccessDeniedException", 403)),
        ("dynamodb:ListTables", "throttle", ("ProvisionedThroughputExceededException", 400)),
        ("dynamodb:ListTables", "unavailable", ("InternalServerError", 500)),
        ("s3:ListBuckets", "throttle", ("SlowDown", 503)),
        ("sns:ListTopics", "denied", ("AuthorizationError", 403)),
        ("lambda:ListFunctions", "throttle", ("TooManyRequestsException", 429)),
        ("cloudwatch:ListMetrics", "throttle", ("Throttling", 400)),
        ("stepfunctions:ListStateMachines", "unavailable", ("InternalFailure", 500)),
        ("sagemaker:ListModels", "ResourceLimitExceeded", ("ResourceLimitExceeded", 400)),
    ],
)
def test_fault_looks_like_the_services_own(
    twin: Twin, faults: Faults, target: str, error: str, expected: tuple[str, int]
) -> None:
    service, operation = target.split(":")
    # As many times as the SDK asks at the most: one call, one retry.
    faults.set(service=service, operation=operation, error=error, times=2)
    client = twin.client(service, DEV)
    call = getattr(
        client, next(m for m, name in client.meta.method_to_api_mapping.items() if name == operation)
    )
    assert code_of(call) == expected
    requests.delete(faults.url, timeout=10)
    call()


def test_fault_strikes_as_often_as_asked_and_what_it_matches(twin: Twin, faults: Faults) -> None:
    faults.set(
        service="sqs", operation="GetQueueUrl", error="QueueDoesNotExist", match="orders", message="gone"
    )
    sqs = twin.client("sqs", DEV)
    for name in ("orders", "returns"):
        sqs.create_queue(QueueName=name)
    sqs.get_queue_url(QueueName="returns")
    twin.client("sqs", STAGING).create_queue(QueueName="orders")
    twin.client("sqs", STAGING).get_queue_url(QueueName="orders")
    (listed,) = faults.listed()
    assert (listed["left"], listed["hits"], listed["account"]) == (1, 0, DEV)
    with pytest.raises(ClientError, match="gone"):
        sqs.get_queue_url(QueueName="orders")
    sqs.get_queue_url(QueueName="orders")
    assert [(fault["left"], fault["hits"]) for fault in faults.listed()] == [(0, 1)]


@pytest.mark.parametrize("error", ["connection", "timeout"])
def test_connection_ends_without_an_answer(twin: Twin, faults: Faults, error: str) -> None:
    faults.set(service="dynamodb", operation="ListTables", error=error, times=2, seconds=0.1)
    with pytest.raises(BotoCoreError):
        twin.client("dynamodb", DEV).list_tables()
    twin.client("dynamodb", DEV).list_tables()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"service": "sagemakr", "operation": "*", "error": "throttle"}, "'sagemakr'"),
        ({"service": "sagemaker", "operation": "CreateTraining", "error": "throttle"}, "'CreateTraining'"),
        ({"service": "sagemaker", "operation": "*"}, "error is missing"),
        ({"service": "s3", "operation": "PutObject", "error": "crash"}, "crash is for"),
        ({"service": "s3", "operation": "PutObject", "error": "throttle", "times": 0}, "at least 1"),
        ({"service": "s3", "operation": "PutObject", "error": "throttle", "account": "nobody"}, "twin.toml"),
        ({"service": "s3", "operation": "PutObject", "error": "throttle", "often": 1}, "often is unknown"),
    ],
)
def test_fault_that_could_never_strike_is_refused(faults: Faults, wanted: dict[str, Any], said: str) -> None:
    answer = faults.post(**wanted)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert faults.listed() == []


def test_command_line_sets_shows_and_takes_back_faults(twin: Twin, faults: Faults) -> None:
    (twin.home / "server.json").write_text(json.dumps({"pid": twin.process.pid, "port": twin.port}))

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--home", str(twin.home)])
        assert done.exit_code == 0, done.output
        return done.output

    said = run("faults", "add", "sagemaker", "ListModels", "throttle", "--times", "2", "--account", "dev")
    assert "throttle on sagemaker:ListModels" in said
    assert "0 of 2 times so far" in run("faults", "list")
    assert "throttle on sagemaker:ListModels" in run("status")
    assert "1 fault(s) taken back" in run("faults", "clear")
    assert "no faults are set" in run("faults", "list")
    refused = CliRunner().invoke(app, ["interrupt", "nobody", "--home", str(twin.home)])
    assert refused.exit_code == 1


@pytest.fixture(scope="module")
def function(twin: Twin) -> str:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as packed:
        packed.writestr("index.py", "def handler(event, context):\n    return 'fine'\n")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = twin.client("iam", DEV).create_role(RoleName="struck", AssumeRolePolicyDocument=document)["Role"]
    twin.client("lambda", DEV).create_function(
        FunctionName="struck",
        Runtime="python3.13",
        Handler="index.handler",
        Role=role["Arn"],
        Code={"ZipFile": package.getvalue()},
    )
    return "struck"


@pytest.mark.parametrize(("error", "kind"), [("crash", "Runtime.ExitError"), ("timeout", "Sandbox.Timedout")])
def test_function_is_killed_or_runs_out_of_time_once(
    twin: Twin, faults: Faults, function: str, error: str, kind: str
) -> None:
    client = twin.client("lambda", DEV)
    faults.set(service="lambda", operation="Invoke", error=error, match=function)
    struck = client.invoke(FunctionName=function)
    assert struck["FunctionError"] == "Unhandled"
    assert json.loads(struck["Payload"].read())["errorType"] == kind
    assert json.loads(client.invoke(FunctionName=function)["Payload"].read()) == "fine"
