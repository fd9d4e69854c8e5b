"""Asks a SageMaker endpoint about images; each way to fail becomes a Problem that says when to retry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from vision_runtime.client_limits import bounded
from vision_runtime.problem import Problem

# The function has 20 s by default, API Gateway 29 s. Two tries of 1 + 6 s and the pause between them fit;
# more would be a retry storm on a model in trouble. InvokeEndpoint changes nothing: a second try is safe.
CLIENT = bounded(connect_seconds=1, read_seconds=6, tries=2)
MAX_BODY = 6 * 1024 * 1024  # InvokeEndpoint takes 6 MB
BUSY = {"ThrottlingException", "ServiceUnavailable", "ModelNotReadyException", "InternalDependencyException"}
RETRY_BUSY_SECONDS = 2
RETRY_ABSENT_SECONDS = 60  # a first training run takes minutes


@dataclass(frozen=True)
class Prediction:
    """The model's answer for one image; `model_version` is the model package's ARN.

    `run` and `dataset` (`name#version`) made the model; empty where its deployment does not say.
    """

    label: str
    probabilities: dict[str, float]
    model_version: str
    run: str = ""
    dataset: str = ""

    @property
    def confidence(self) -> float:
        """The probability of the label."""
        return self.probabilities[self.label]


def ask(runtime: Any, endpoint: str, pixels: bytes, classes: tuple[str, ...]) -> Prediction:
    """One prediction for one image, given as the model's input. Raises Problem (502 or 503)."""
    (prediction,) = ask_many(runtime, endpoint, [pixels], classes)
    return prediction


def ask_many(
    runtime: Any, endpoint: str, images: Sequence[bytes], classes: tuple[str, ...]
) -> list[Prediction]:
    """One prediction for each image, in their order, by one InvokeEndpoint with the images back to back.

    Raises ValueError when there is no image or they are more than MAX_BODY bytes together, and Problem
    (502 or 503) when the endpoint does not answer, which then answers none of them.
    """
    body = b"".join(images)
    if not images or len(body) > MAX_BODY:
        raise ValueError(f"{len(images)} images of {len(body)} bytes; from one image to {MAX_BODY} bytes fit")
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType="application/octet-stream",
            Accept="application/json",
            Body=body,
        )
        content = answer["Body"].read()
    except ClientError as error:
        raise _refusal(error) from error
    except BotoCoreError as error:
        raise _busy(f"the model did not answer in time ({type(error).__name__})") from error
    return _predictions(content, len(images), classes)


def _refusal(error: ClientError) -> Problem:
    details: Mapping[str, Any] = error.response["Error"]
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    if code == "ValidationError" and "not found" in message.lower():
        return Problem(
            "no-model",
            "No model is deployed",
            503,
            "no training run has promoted a model in this environment yet; try again later",
            retry_after=RETRY_ABSENT_SECONDS,
        )
    if code in BUSY:
        return _busy(f"the model is busy ({code})")
    if code == "ModelError" and error.response.get("OriginalStatusCode") == 503:
        return _busy("the model is overloaded")
    return _failed(f"the endpoint refused the request ({code})")


def _predictions(content: bytes, count: int, classes: tuple[str, ...]) -> list[Prediction]:
    try:
        document = json.loads(content)
        answers = cast("list[Any]", document["predictions"])
        if len(answers) != count:
            raise ValueError(f"{len(answers)} answers for {count} images")
        return [_prediction(answer, document, classes) for answer in answers]
    except (ValueError, KeyError, TypeError) as error:
        raise _failed("the model's answer is not what this version of the API expects") from error


def _prediction(
    answer: Mapping[str, Any], document: Mapping[str, Any], classes: tuple[str, ...]
) -> Prediction:
    found = Prediction(
        label=answer["label"],
        probabilities={label: float(answer["probabilities"][label]) for label in classes},
        model_version=str(document["model_version"]),
        run=str(document.get("model_run", "")),
        dataset=str(document.get("model_dataset", "")),
    )
    if found.label not in classes:
        raise ValueError(f"label {found.label!r}")
    return found


def _busy(detail: str) -> Problem:
    return Problem(
        "model-unavailable", "The model is not available", 503, detail, retry_after=RETRY_BUSY_SECONDS
    )


def _failed(detail: str) -> Problem:
    return Problem("model-failed", "The model failed", 502, detail)
