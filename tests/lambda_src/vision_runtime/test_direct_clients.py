"""The direct clients ask as boto3's do, over real HTTP, and tell the same answers and errors."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.lambda_src.vision_runtime.aws_over_http import REQUEST_ID, Asked, Service, serving
from vision_runtime.client_limits import bounded
from vision_runtime.direct_clients import CLIENTS
from vision_runtime.environment import ConfigurationError

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
USUAL = bounded(connect_seconds=1, read_seconds=6, tries=2)
JSON = {"Content-Type": "application/json"}
Call = Callable[[Any], Any]


def invoke(client: Any) -> Any:
    return client.invoke_endpoint(
        EndpointName="vision-dev-champion",
        ContentType="application/octet-stream",
        Accept="application/json",
        Body=bytes(range(256)),
    )["Body"].read()


def invoke_one_of_many(client: Any) -> Any:
    return client.invoke_endpoint(
        EndpointName="vision-dev-champion",
        ContentType="application/octet-stream",
        Accept="application/json",
        Body=b"pixels",
        TargetModel="run-a/model.tar.gz",
        CustomAttributes='{"model_version":"arn:3"}',
    )["Body"].read()


def put(client: Any) -> Any:
    item = {"pk": {"S": "PREDICTION#ä"}, "confidence": {"N": "0.91"}}
    return client.put_item(TableName="lineage", Item=item, ConditionExpression="attribute_not_exists(pk)")


def get(client: Any) -> Any:
    return client.get_item(TableName="lineage", Key={"pk": {"S": "LINE#smoke"}}, ConsistentRead=True)


def update(client: Any) -> Any:
    return client.update_item(
        TableName="keys",
        Key={"pk": {"S": "k"}},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "COMPLETED"}},
    )


def delete(client: Any) -> Any:
    return client.delete_item(TableName="keys", Key={"pk": {"S": "k"}})


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


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lambda gives to a function, and retries without pauses."""
    for name, value in {**KEYS, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "predict")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-581cf771-a006649127e371903a2de979;Sampled=0")
    monkeypatch.setattr(random, "random", lambda: 0.0)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with serving() as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
        yield service


def direct(service: str, settings: Config = USUAL) -> Any:
    return CLIENTS[service](settings, {})


def usual(service: Any, settings: Config = USUAL) -> Any:
    # A session of its own: the default one remembers the keys of whoever used it first.
    return boto3.session.Session().client(service, config=settings)


def ask_both(aws: Service, service: str, call: Call) -> tuple[list[Any], list[list[Asked]]]:
    """What the direct client and boto3's gave or raised, and what each of them sent."""
    told, sent, answers = list[Any](), list[list[Asked]](), list(aws.answers)
    for client in (direct(service), usual(service)):
        aws.answers, before = list(answers), len(aws.asked)
        try:
            told.append(call(client))
        except ClientError as error:
            told.append(error)
        sent.append(aws.asked[before:])
    return told, sent


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


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("service", ["sagemaker-runtime", "dynamodb"])
def test_asks_where_boto3_asks(monkeypatch: pytest.MonkeyPatch, service: str, region: str) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    client: Any = boto3.session.Session().client(service, region_name=region)  # pyright: ignore
    assert direct(service).url == client.meta.endpoint_url


def test_an_endpoint_of_one_service_comes_before_that_of_all(
    aws: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:1/")
    assert direct("sagemaker-runtime").url == "http://127.0.0.1:1"
    assert direct("dynamodb").url == aws.url


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


def _raised(client: Any, call: Call) -> type[Exception]:
    with pytest.raises(BotoCoreError) as raised:
        call(client)
    return raised.type


class TestWithoutAnAnswer:
    """Each kind is the exception that boto3's client raises, after as many tries."""

    def test_nobody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        assert _raised(direct("dynamodb"), put) is _raised(usual("dynamodb"), put)

    def test_the_connection_is_closed(self, aws: Service) -> None:
        assert _raised(direct("dynamodb"), put) is _raised(usual("dynamodb"), put)
        assert len(aws.asked) == 4

    def test_the_answer_is_late(self, aws: Service) -> None:
        aws.hangs_seconds = 0.5
        hurried = USUAL.merge(Config(read_timeout=0.1))
        assert _raised(direct("dynamodb", hurried), put) is _raised(usual("dynamodb", hurried), put)
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
