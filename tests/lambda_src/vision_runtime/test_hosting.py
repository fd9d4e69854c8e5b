"""How a model is asked, by hosting mode: what stands for SageMaker's client, and how failures are told."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError

from vision_runtime.asking import ask
from vision_runtime.environment import ConfigurationError
from vision_runtime.hosting import model_runtime
from vision_runtime.multi_model import MultiModelRuntime
from vision_runtime.problem import Problem
from vision_runtime.targets import TargetModel, Targets

ASYNCHRONOUS = {
    "HOSTING_MODE": "asynchronous",
    "ASYNCHRONOUS_FOLDER": "s3://lake/asynchronous",
    "ASYNCHRONOUS_WAIT_SECONDS": "1",
}
ENDPOINT = "vision-dev-champion"
ANSWER = (
    b"""{"predictions": [{"label": "a", "probabilities": {"a": 0.9, "b": 0.1}}], "model_version": "m/1"}"""
)


class Account:
    """Services that answer as AWS does: objects in a bucket, a queue that somebody works on or nobody."""

    def __init__(self, **written: bytes) -> None:
        """`written` is what appears at `output` or `failure` once a request is in the queue."""
        self.written, self.objects, self.asked = written, dict[str, bytes](), list[dict[str, Any]]()
        self.items: list[dict[str, Any]] = []

    def make(self, service: str) -> Any:
        return self

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:
        self.objects[f"s3://{Bucket}/{Key}"] = Body

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if (body := self.objects.get(f"s3://{Bucket}/{Key}")) is None:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no"}}, "GetObject")
        return {"Body": io.BytesIO(body)}

    def invoke_endpoint_async(self, **request: Any) -> dict[str, str]:
        self.asked.append(request)
        places = {"output": "s3://lake/out/1.out", "failure": "s3://lake/failed/1-error.out"}
        self.objects |= {places[name]: body for name, body in self.written.items()}
        return {"OutputLocation": places["output"], "FailureLocation": places["failure"]}

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.asked.append(request)
        return {"Body": io.BytesIO(ANSWER)}

    def get_item(self, *, TableName: str, Key: dict[str, Any]) -> dict[str, Any]:
        self.asked.append({"table": TableName, "key": Key["pk"]["S"]})
        return {"Item": self.items[0]} if self.items else {}


def asked(account: Account, variables: dict[str, str]) -> Any:
    return ask(model_runtime(variables, account.make), ENDPOINT, b"pixels", ("a", "b"))


@pytest.mark.parametrize("mode", ["real-time", "serverless"])
def test_endpoints_that_answer_at_once_are_asked_by_the_client_itself(mode: str) -> None:
    account = Account()
    assert model_runtime({"HOSTING_MODE": mode}, account.make) is account


def test_mode_that_is_none_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="HOSTING_MODE is 'batch'"):
        model_runtime({"HOSTING_MODE": "batch"}, Account().make)
    with pytest.raises(ConfigurationError, match="ASYNCHRONOUS_FOLDER is not set"):
        model_runtime({"HOSTING_MODE": "asynchronous"}, Account().make)
    with pytest.raises(ConfigurationError, match="it must be s3://"):
        model_runtime(ASYNCHRONOUS | {"ASYNCHRONOUS_FOLDER": "lake"}, Account().make)


def test_asynchronous_answer_is_read_where_the_reply_says() -> None:
    account = Account(output=ANSWER)

    prediction = asked(account, ASYNCHRONOUS)

    assert (prediction.label, prediction.model_version) == ("a", "m/1")
    source = account.asked[0]["InputLocation"]
    assert source.startswith("s3://lake/asynchronous/champion/input/")
    assert account.objects[source] == b"pixels"


def test_asynchronous_failure_is_the_models_failure() -> None:
    with pytest.raises(Problem) as caught:
        asked(Account(failure=b"Received server error (500) from primary"), ASYNCHRONOUS)
    assert (caught.value.status, caught.value.kind) == (502, "model-failed")


def test_asynchronous_answer_that_does_not_come_in_time_can_be_asked_for_again() -> None:
    with pytest.raises(Problem) as caught:
        asked(Account(), ASYNCHRONOUS)
    assert (caught.value.status, caught.value.retry_after) == (503, 60)
    assert "did not answer within 1 s" in caught.value.detail


def item(**more: str) -> dict[str, Any]:
    fields = {
        "model": "run-a/output/model.tar.gz",
        "package": "m/1",
        "run_id": "run-a",
        "dataset": "digits#v1",
    }
    return {name: {"S": value} for name, value in (fields | more).items()} | {"share": {"N": "100"}}


MANY = {"HOSTING_MODE": "multi-model", "LINEAGE_TABLE": "lineage"}


def test_multi_model_request_names_the_lines_model_and_where_it_comes_from() -> None:
    account = Account()
    account.items = [item()]
    runtime: MultiModelRuntime = model_runtime(MANY, account.make)

    for _ in range(2):
        ask(runtime, ENDPOINT, b"pixels", ("a", "b"))

    reads = [each for each in account.asked if "key" in each]
    assert reads == [{"table": "lineage", "key": "LINE#champion"}]  # remembered for some seconds
    request = account.asked[1]
    assert request["TargetModel"] == "run-a/output/model.tar.gz"
    assert request["CustomAttributes"] == (
        '{"model_version":"m/1","model_run":"run-a","model_dataset":"digits#v1"}'
    )


def test_line_without_a_target_has_no_model() -> None:
    with pytest.raises(Problem) as caught:
        asked(Account(), MANY)
    assert (caught.value.status, caught.value.kind) == (503, "no-model")


def test_model_before_has_the_rest_of_the_requests() -> None:
    before, newest = TargetModel("b", "m/1", "r", "d"), TargetModel("n", "m/2", "r", "d")
    chosen = [Targets(newest, before, 25).choose() for _ in range(400)]
    assert 50 <= chosen.count(newest) <= 150
    assert {Targets(newest, before, 100).choose() for _ in range(50)} == {newest}
    assert Targets(newest, None, 25).choose() == newest
