"""How models on functions are asked: which one, by whose record, in which form, and how failures are told."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from vision_runtime.asking import CLIENT, MAX_BODY, Prediction, ask
from vision_runtime.environment import ConfigurationError
from vision_runtime.hosting import model_runtime, most_bytes
from vision_runtime.model_function import MAX_IMAGES
from vision_runtime.problem import Problem

VARIABLES = {
    "HOSTING_MODE": "lambda",
    "LINEAGE_TABLE": "lineage",
    "MODELS_FOLDER": "s3://lake/models",
    "CHAMPION_FUNCTION": "vision-dev-champion-model",
    "SMOKE_FUNCTION": "vision-dev-smoke-model",
}
ENDPOINT = "vision-dev-champion"


class Account:
    """Lambda and DynamoDB as AWS has them; the function says which model it was asked for."""

    def __init__(self, **items: dict[str, Any]) -> None:
        self.items, self.asked, self.reads = items, list[dict[str, Any]](), list[str]()
        self.fault: dict[str, Any] = {}
        self.failure: bytes = b""

    def make(self, service: str) -> Any:
        return self

    def get_item(self, *, TableName: str, Key: dict[str, Any]) -> dict[str, Any]:
        self.reads.append(f"{Key['pk']['S']} {Key['sk']['S']}")
        found = self.items.get(Key["sk"]["S"].lower())
        return {"Item": found} if found else {}

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        if self.fault:
            raise ClientError({"Error": self.fault}, "Invoke")
        event = json.loads(Payload)
        self.asked.append({"function": FunctionName, "bytes": len(Payload), **event})
        if self.failure:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(self.failure)}
        if base64.b64decode(event["images"]) == b"wrong":
            return {"Payload": io.BytesIO(b'{"refused": "the body has 5 bytes"}')}
        one = {"label": "a", "probabilities": {"a": 0.9, "b": 0.1}}
        return {"Payload": io.BytesIO(json.dumps({"predictions": [one], **event["origin"]}).encode())}


def item(deployment: str, share: int = 100, before: str = "") -> dict[str, Any]:
    def fields(of: str, prefix: str = "") -> dict[str, str]:
        return {
            f"{prefix}model": f"{of}/output/model.tar.gz",
            f"{prefix}package": f"m/{of}",
            f"{prefix}run_id": of,
            f"{prefix}dataset": "digits#v1",
            f"{prefix}deployment_id": of,
        }

    texts = fields(deployment) | (fields(before, "previous_") if before else {})
    return {name: {"S": value} for name, value in texts.items()} | {"share": {"N": str(share)}}


def champion(deployment: str, folder: str = "s3://lake/models/champion") -> dict[str, Any]:
    texts = {
        "deployment_id": deployment,
        "model_package_arn": f"m/{deployment}",
        "model_uri": f"{folder}/{deployment}/output/model.tar.gz",
        "run_id": deployment,
        "dataset": "digits#v1",
    }
    return {name: {"S": value} for name, value in texts.items()}


def asked(account: Account, pixels: bytes = b"pixels") -> Prediction:
    return ask(model_runtime(VARIABLES, account.make), ENDPOINT, pixels, ("a", "b"))


def failed(account: Account, pixels: bytes = b"pixels") -> Problem:
    with pytest.raises(Problem) as caught:
        asked(account, pixels)
    return caught.value


def test_the_lines_function_is_asked_for_the_model_of_its_target() -> None:
    account = Account(target=item("run-a"), champion=champion("run-a"))

    prediction = asked(account)

    assert (prediction.label, prediction.model_version, prediction.run) == ("a", "m/run-a", "run-a")
    (request,) = account.asked
    assert request["function"] == "vision-dev-champion-model"
    assert request["model"] == "run-a/output/model.tar.gz"
    assert base64.b64decode(request["images"]) == b"pixels"


def test_targets_are_read_now_and_then_and_not_for_every_request() -> None:
    account = Account(target=item("run-a"), champion=champion("run-a"))
    runtime = model_runtime(VARIABLES, account.make)
    for _ in range(3):
        ask(runtime, ENDPOINT, b"pixels", ("a", "b"))
    assert account.reads == ["LINE#champion TARGET", "LINE#champion CHAMPION"]


def test_share_of_a_canary_goes_to_the_new_model_and_the_rest_to_the_one_before() -> None:
    account = Account(target=item("run-b", 25, "run-a"), champion=champion("run-a"))
    runtime = model_runtime(VARIABLES, account.make)
    for _ in range(400):
        ask(runtime, ENDPOINT, b"pixels", ("a", "b"))
    models = [each["model"].partition("/")[0] for each in account.asked]
    assert 50 <= models.count("run-b") <= 150
    assert set(models) == {"run-a", "run-b"}


def test_champion_of_another_hosting_mode_answers_until_the_first_promotion() -> None:
    assert asked(Account(champion=champion("run-c"))).model_version == "m/run-c"


def test_target_that_is_older_than_the_champion_is_passed_by() -> None:
    account = Account(target=item("run-b", before="run-a"), champion=champion("run-z"))
    assert asked(account).model_version == "m/run-z"


@pytest.mark.parametrize("items", [{}, {"champion": champion("x", "s3://elsewhere/models/champion")}])
def test_line_without_a_model_here_has_none(items: dict[str, Any]) -> None:
    problem = failed(Account(**items))
    assert (problem.status, problem.kind, problem.retry_after) == (503, "no-model", 60)


@pytest.mark.parametrize(
    "code", ["TooManyRequestsException", "ResourceNotFoundException", "ServiceException"]
)
def test_function_that_is_busy_or_being_changed_can_be_asked_again(code: str) -> None:
    account = Account(target=item("run-a"))
    account.fault = {"Code": code, "Message": "Rate Exceeded."}
    problem = failed(account)
    assert (problem.status, problem.kind, problem.retry_after) == (503, "model-unavailable", 2)


@pytest.mark.parametrize("code", ["AccessDeniedException", "KMSAccessDeniedException"])
def test_function_that_may_not_be_asked_fails(code: str) -> None:
    account = Account(target=item("run-a"))
    account.fault = {"Code": code, "Message": "no"}
    assert (failed(account).status, failed(account).kind) == (502, "model-failed")


def test_error_of_the_function_is_the_models_failure() -> None:
    account = Account(target=item("run-a"))
    account.failure = b'{"errorType": "ModelBroken", "errorMessage": "no model.onnx"}'
    assert (failed(account).status, failed(account).kind) == (502, "model-failed")


def test_refusal_of_the_function_is_the_models_failure() -> None:
    problem = failed(Account(target=item("run-a")), b"wrong")
    assert (problem.status, problem.kind) == (502, "model-failed")


def test_most_images_of_one_request_fit_into_an_invocation() -> None:
    account = Account(target=item("run-a"))
    asked(account, bytes(MAX_IMAGES))
    assert MAX_IMAGES * 4 // 3 < account.asked[0]["bytes"] <= 6 * 1024 * 1024
    with pytest.raises(ValueError, match="at most"):
        asked(account, bytes(MAX_IMAGES + 1))


def test_callers_know_how_much_fits_by_the_mode() -> None:
    assert most_bytes({"HOSTING_MODE": "lambda"}) == MAX_IMAGES
    assert most_bytes({"HOSTING_MODE": "serverless"}) < 4 * 1024 * 1024, "SageMaker takes 4 MB there"
    assert most_bytes({"HOSTING_MODE": "multi-model"}) == most_bytes({}) == MAX_BODY


@pytest.mark.parametrize("name", ["LINEAGE_TABLE", "MODELS_FOLDER", "CHAMPION_FUNCTION", "SMOKE_FUNCTION"])
def test_missing_variable_names_itself(name: str) -> None:
    variables = {key: value for key, value in VARIABLES.items() if key != name}
    with pytest.raises(ConfigurationError, match=f"{name} is not set"):
        model_runtime(variables, Account().make)


def test_folder_that_is_none_names_its_variable() -> None:
    with pytest.raises(ConfigurationError, match="it must be s3://"):
        model_runtime(VARIABLES | {"MODELS_FOLDER": "lake"}, Account().make)


def test_invocation_is_one_that_lambda_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    client = boto3.client("lambda", config=CLIENT, region_name="us-east-1")
    account = Account(target=item("run-a"))
    runtime = model_runtime(VARIABLES, lambda service: client if service == "lambda" else account)
    origin = {"model_version": "m/run-a", "model_run": "run-a", "model_dataset": "digits#v1"}
    one = {"label": "a", "probabilities": {"a": 0.9, "b": 0.1}}
    content = json.dumps({"predictions": [one], **origin}).encode()
    event = {"model": "run-a/output/model.tar.gz", "origin": origin, "images": "cGl4ZWxz"}
    with Stubber(client) as stub:
        stub.add_response(
            "invoke",
            {"StatusCode": 200, "Payload": io.BytesIO(content)},
            {"FunctionName": "vision-dev-champion-model", "Payload": json.dumps(event).encode()},
        )
        assert ask(runtime, ENDPOINT, b"pixels", ("a", "b")).label == "a"
        stub.assert_no_pending_responses()
