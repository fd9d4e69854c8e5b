"""The direct clients ask as boto3's do, over real HTTP, and tell the same answers and errors."""

from __future__ import annotations

import json
import random
import time
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.lambda_src.vision_runtime.aws_over_http import REQUEST_ID, Service
from tests.lambda_src.vision_runtime.direct_clients.both import (
    JSON,
    USUAL,
    Call,
    ask_both,
    delete,
    direct,
    get,
    invoke,
    invoke_one_of_many,
    put,
    raised,
    update,
    usual,
)
from vision_runtime.client_limits import bounded
from vision_runtime.environment import ConfigurationError

CALLS = [
    pytest.param(service, call, id=call.__name__)
    for service, call in (
        ("sagemaker-runtime", invoke),
        ("sagemaker-runtime", invoke_one_of_many),
        ("dynamodb", put),
        ("dynamodb", get),
        ("dynamodb", update),
        ("dynamodb", delete),
    )
]


@pytest.mark.parametrize(("service", "call"), CALLS)
def test_sends_what_boto3_sends(aws: Service, service: str, call: Call) -> None:
    aws.answers = [(200, JSON, b"{}")]
    _, ((ours,), (theirs,)) = ask_both(aws, service, call)
    assert ours.path == theirs.path
    if service == "dynamodb":
        assert json.loads(ours.body) == json.loads(theirs.body)
    else:
        assert ours.body == theirs.body
    of_a_try = {"amz-sdk-invocation-id", "amz-sdk-request"}
    assert set(theirs.headers) - set(ours.headers) <= of_a_try
    assert set(ours.headers) - set(theirs.headers) == set()
    assert "x-amzn-trace-id" in ours.headers
    differing = {name for name in ours.headers if ours.headers[name] != theirs.headers[name]}
    assert differing <= {"authorization", "x-amz-date", "content-length", "user-agent"}
    assert ours.headers["user-agent"].startswith("vision-platform")
    scope = ours.headers["authorization"].partition(", SignedHeaders")[0]
    assert theirs.headers["authorization"].startswith(scope)
    signed = set(ours.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";"))
    assert {"host", "content-type", "x-amz-date", "x-amz-security-token"} <= signed


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_what_lambda_should_have_given_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=name):
        direct("dynamodb")


def test_gives_what_boto3_gives(aws: Service) -> None:
    aws.answers = [(200, JSON, b'{"predictions": []}')]
    (ours, theirs), _ = ask_both(aws, "sagemaker-runtime", invoke)
    assert ours == theirs == b'{"predictions": []}'
    aws.answers = [(200, JSON, b'{"Item": {"share": {"N": "10"}}}')]
    (ours, theirs), _ = ask_both(aws, "dynamodb", get)
    assert ours["Item"] == theirs["Item"] == {"share": {"N": "10"}}
    aws.answers = [(200, JSON, b"{}")]
    (ours, theirs), _ = ask_both(aws, "dynamodb", get)
    assert "Item" not in ours and "Item" not in theirs


NAMESPACE = "com.amazonaws.dynamodb.v20120810#"


def refusal(code: str, **fields: Any) -> bytes:
    return json.dumps({"__type": NAMESPACE + code, **fields}).encode()


@pytest.mark.parametrize(
    ("status", "error", "fields"),
    [
        (400, "ValidationError", {"Message": "Endpoint x not found."}),
        (424, "ModelError", {"OriginalStatusCode": 503, "LogStreamArn": "arn"}),
        (429, "ModelNotReadyException:http://aws/", {"Message": "later"}),
        (403, "AccessDeniedException", {"Message": "no"}),
        (530, "InternalDependencyException", {"Message": "no"}),
        (500, "InternalFailure", {}),
        (503, "ServiceUnavailable", {"Message": "no"}),
        (400, "ThrottlingException", {"Message": "slow"}),
    ],
)
def test_refusals_of_an_endpoint_are_told_and_tried_again_as_by_boto3(
    aws: Service, status: int, error: str, fields: dict[str, Any]
) -> None:
    aws.answers = [(status, {**JSON, "x-amzn-ErrorType": error}, json.dumps(fields).encode())]
    (ours, theirs), (first, second) = ask_both(aws, "sagemaker-runtime", invoke)
    assert ours.response["Error"]["Code"] == theirs.response["Error"]["Code"]
    assert ours.response["Error"]["Message"] == theirs.response["Error"].get("Message", "")
    assert ours.response.get("OriginalStatusCode") == theirs.response.get("OriginalStatusCode")
    _assert_same_metadata(ours, theirs)
    assert len(first) == len(second)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refusal("ConditionalCheckFailedException", message="no", Item={"pk": {"S": "k"}})),
        (400, refusal("ProvisionedThroughputExceededException", message="slow")),
        (400, refusal("ThrottlingException", message="slow")),
        (400, refusal("RequestLimitExceeded", message="slow")),
        (400, refusal("ResourceNotFoundException", message="no table")),
        (400, refusal("TransactionInProgressException", Message="wait")),
        (500, refusal("InternalServerError", message="no")),
        (502, b"<html>Bad Gateway</html>"),
        (503, b""),
        (504, b""),
    ],
)
def test_refusals_of_a_table_are_told_and_tried_again_as_by_boto3(
    aws: Service, status: int, body: bytes
) -> None:
    aws.answers = [(status, {"Content-Type": "application/x-amz-json-1.0"}, body)]
    (ours, theirs), (first, second) = ask_both(aws, "dynamodb", put)
    if body.startswith(b"{"):
        assert ours.response["Error"]["Code"] == theirs.response["Error"]["Code"]
        assert ours.response["Error"]["Message"] == theirs.response["Error"]["Message"]
    assert ours.response.get("Item") == theirs.response.get("Item")
    _assert_same_metadata(ours, theirs)
    assert len(first) == len(second)


def _assert_same_metadata(ours: ClientError, theirs: ClientError) -> None:
    assert ours.operation_name == theirs.operation_name
    ours_told, theirs_told = (each.response["ResponseMetadata"] for each in (ours, theirs))
    assert ours_told["HTTPStatusCode"] == theirs_told["HTTPStatusCode"]
    # botocore does not read it where a gateway answers in the service's place.
    assert ours_told["RequestId"] == theirs_told.get("RequestId", REQUEST_ID)


def test_an_answer_that_is_none_is_one_of_botocores_errors(aws: Service) -> None:
    aws.answers = [(200, JSON, b"<html>")]
    with pytest.raises(BotoCoreError, match="GetItem was answered with what is no JSON"):
        get(direct("dynamodb"))


def test_a_second_try_that_is_answered_is_the_answer(aws: Service) -> None:
    aws.answers = [(503, {}, b""), (200, JSON, b"{}")]
    assert put(direct("dynamodb")) == {}
    assert len(aws.asked) == 2


@pytest.mark.parametrize("tries", [1, 3])
def test_tries_as_often_as_it_is_told(aws: Service, tries: int) -> None:
    aws.answers = [(500, {}, b"")]
    with pytest.raises(ClientError):
        put(direct("dynamodb", bounded(connect_seconds=1, read_seconds=1, tries=tries)))
    assert len(aws.asked) == tries


def test_pauses_between_tries_by_chance_and_grows(monkeypatch: pytest.MonkeyPatch, aws: Service) -> None:
    pauses = list[float]()
    monkeypatch.setattr(random, "random", lambda: 0.5)
    clock = SimpleNamespace(sleep=pauses.append, time=time.time)
    monkeypatch.setattr("vision_runtime.direct_clients.time", clock)
    aws.answers = [(500, {}, b"")]
    with pytest.raises(ClientError):
        put(direct("dynamodb", bounded(connect_seconds=1, read_seconds=1, tries=4)))
    assert pauses == [0.5, 1.0, 2.0]


class TestWithoutAnAnswer:
    """Each kind is the exception that boto3's client raises, after as many tries."""

    def test_nobody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        assert raised(direct("dynamodb"), put) is raised(usual("dynamodb"), put)

    def test_the_connection_is_closed(self, aws: Service) -> None:
        assert raised(direct("dynamodb"), put) is raised(usual("dynamodb"), put)
        assert len(aws.asked) == 4

    def test_the_answer_is_late(self, aws: Service) -> None:
        aws.hangs_seconds = 30
        hurried = USUAL.merge(Config(read_timeout=0.1))
        assert raised(direct("dynamodb", hurried), put) is raised(usual("dynamodb", hurried), put)
        aws.wait_for(4)
        assert len(aws.asked) == 4


def test_calls_share_a_connection_and_a_lost_one_is_made_anew(aws: Service) -> None:
    aws.answers = [(200, JSON, b"{}")]
    client = direct("sagemaker-runtime")
    for _ in range(3):
        invoke(client)
    assert len({each.connection for each in aws.asked}) == 1
    aws.closes = True
    for _ in range(3):
        invoke(client)
    assert len(aws.asked) == 6
