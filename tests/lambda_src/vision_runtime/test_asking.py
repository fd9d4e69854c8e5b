"""Several images go to the endpoint in one request, and their answers come back in their order (R22, R23)."""

import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from vision_runtime.asking import CLIENT, MAX_BODY, ask_many
from vision_runtime.problem import Problem

CLASSES = ("cat", "dog")
CAT = {"label": "cat", "probabilities": {"cat": 0.9, "dog": 0.1}}
DOG = {"label": "dog", "probabilities": {"cat": 0.2, "dog": 0.8}}


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return boto3.client("sagemaker-runtime", config=CLIENT, region_name="us-east-1")


@pytest.fixture
def endpoint(runtime: Any) -> Iterator[Stubber]:
    with Stubber(runtime) as stub:
        yield stub
        stub.assert_no_pending_responses()


def announce(endpoint: Stubber, predictions: list[Any], body: bytes) -> None:
    content = json.dumps(
        {"predictions": predictions, "model_version": "model/3", "model_run": "run-a"}
    ).encode()
    endpoint.add_response(
        "invoke_endpoint",
        {"Body": StreamingBody(io.BytesIO(content), len(content)), "ContentType": "application/json"},
        {
            "EndpointName": "champion",
            "ContentType": "application/octet-stream",
            "Accept": "application/json",
            "Body": body,
        },
    )


def test_images_travel_back_to_back_and_answers_keep_their_order(runtime: Any, endpoint: Stubber) -> None:
    announce(endpoint, [CAT, DOG], b"aabb")
    answers = ask_many(runtime, "champion", [b"aa", b"bb"], CLASSES)
    assert [(answer.label, answer.confidence) for answer in answers] == [("cat", 0.9), ("dog", 0.8)]
    assert {(answer.model_version, answer.run) for answer in answers} == {("model/3", "run-a")}


@pytest.mark.parametrize("predictions", [[], [CAT], [CAT, DOG, DOG]])
def test_answers_for_another_number_of_images_are_not_trusted(
    runtime: Any, endpoint: Stubber, predictions: list[Any]
) -> None:
    announce(endpoint, predictions, b"aabb")
    with pytest.raises(Problem) as raised:
        ask_many(runtime, "champion", [b"aa", b"bb"], CLASSES)
    assert (raised.value.status, raised.value.kind) == (502, "model-failed")


@pytest.mark.parametrize("images", [[], [b"a" * (MAX_BODY // 2), b"b" * (MAX_BODY // 2 + 1)]])
def test_what_does_not_fit_one_request_is_refused_before_it_is_sent(
    runtime: Any, endpoint: Stubber, images: list[bytes]
) -> None:
    with pytest.raises(ValueError, match="fit"):
        ask_many(runtime, "champion", images, CLASSES)
