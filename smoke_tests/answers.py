"""Says what a well-formed answer of the API is, and names every way in which one is not."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smoke_tests.api import Answer

# Probabilities travel as rounded decimals, so their sum misses 1 by a little.
SUM_TOLERANCE = 0.01
PROBLEM_TYPE = "application/problem+json"
# The platform's function types its refusals so; what the gateway refuses itself never reaches the function.
FUNCTION_PROBLEMS = "urn:vision:problem:"
# These refuse the caller or the address, not the image.
_NOT_ABOUT_THE_IMAGE = {401, 403, 404, 405, 407, 429}

_Probability = Annotated[float, Field(ge=0, le=1)]
_Text = Annotated[str, Field(min_length=1)]


class PredictionBody(BaseModel):
    """The body of a successful prediction."""

    model_config = ConfigDict(frozen=True, strict=True, protected_namespaces=())

    request_id: _Text
    label: _Text
    probabilities: dict[str, _Probability]
    model_version: _Text


class ProblemBody(BaseModel):
    """The body of a refusal (RFC 9457), as far as the platform promises it."""

    model_config = ConfigDict(frozen=True, strict=True)

    type: str = "about:blank"
    title: _Text
    detail: _Text
    status: int
    request_id: _Text


def read_prediction(
    answer: Answer, classes: list[str], model_version: str
) -> tuple[PredictionBody | None, list[str]]:
    """The prediction in `answer` (None when it is none) and everything that is wrong with it."""
    if answer.status != 200:
        return None, [f"status {answer.status} instead of 200{_said(answer.body)}"]
    try:
        body = PredictionBody.model_validate(answer.body)
    except ValidationError as error:
        return None, _wrong_fields(error)
    faults: list[str] = []
    if answer.content_type != "application/json":
        faults.append(f"content type {answer.content_type!r} instead of application/json")
    if set(body.probabilities) != set(classes):
        faults.append("the probabilities are not about the dataset's classes")
    total = sum(body.probabilities.values())
    if abs(total - 1) > SUM_TOLERANCE:
        faults.append(f"the probabilities sum to {total:.4f}")
    if body.label not in classes:
        faults.append(f"label {body.label!r} is none of the classes")
    best = max(body.probabilities.values(), default=0.0)
    if body.probabilities.get(body.label, 0.0) < best:
        faults.append(f"label {body.label!r} is not the most probable class")
    if body.model_version != model_version:
        faults.append(f"model_version {body.model_version!r} is not this run's {model_version!r}")
    return body, faults


def read_refusal(answer: Answer) -> tuple[ProblemBody | None, list[str]]:
    """The problem in `answer` (None when it is none) and all that is wrong with it as a refusal."""
    if not 400 <= answer.status < 500:
        return None, [f"status {answer.status} instead of a 4xx{_said(answer.body)}"]
    if answer.status in _NOT_ABOUT_THE_IMAGE:
        return None, [f"status {answer.status} refuses the caller, not the image{_said(answer.body)}"]
    faults: list[str] = []
    if answer.content_type != PROBLEM_TYPE:
        faults.append(f"content type {answer.content_type!r} instead of {PROBLEM_TYPE}")
    try:
        body = ProblemBody.model_validate(answer.body)
    except ValidationError as error:
        return None, faults + _wrong_fields(error)
    if body.status != answer.status:
        faults.append(f"the body says status {body.status}, the answer is {answer.status}")
    return body, faults


def _wrong_fields(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in item['loc']) or 'the body'}: {item['msg'].lower()}"
        for item in error.errors()
    ]


def _said(body: Any) -> str:
    """What the body of a failed call says, shortly."""
    if isinstance(body, dict):
        text = body.get("detail") or body.get("message") or body.get("title")
        return f": {text}" if text else ""
    return ""
