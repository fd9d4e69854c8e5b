"""One image down the burst path: handed in, asked for until it is done, right, and recorded."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smoke_tests.api import Answer, Api
from smoke_tests.budget import Budget
from smoke_tests.dataset import Sample
from smoke_tests.faults import CheckFailed, first_wrong
from smoke_tests.journal import require

# The first batch meets a cold function behind a new stream, and the batching window.
ANSWERED_WITHIN = 120.0
WAITING = "QUEUED"

_Text = Annotated[str, Field(min_length=1)]


class _Submitted(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    id: _Text
    status: _Text


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, protected_namespaces=())

    id: _Text
    status: _Text
    submitted_at: _Text
    answered_at: str = ""
    label: str = ""
    model_version: str = ""
    problem: dict[str, Any] | None = None


@dataclass(frozen=True)
class Burst:
    """What became of the image."""

    id: str
    label: str
    seconds: float


def ask_later(api: Api, sample: Sample, model_version: str, budget: Budget) -> Burst:
    """Hand an image in and wait for its result. Raises CheckFailed when it is not the right one."""
    began = budget.elapsed()
    submitted = _submitted(api.submit(sample.content, "image/png"))
    found = _result(submitted.id, api, budget)
    require(
        found.status == "DONE",
        f"prediction {found.id} ended as {found.status}: {(found.problem or {}).get('detail', '')}",
    )
    require(
        found.label == sample.label,
        f"prediction {found.id} says {found.label!r}, the image shows {sample.label!r}",
    )
    require(
        found.model_version == model_version,
        f"prediction {found.id} was answered by {found.model_version!r}, not by {model_version!r}",
    )
    return Burst(found.id, found.label, budget.elapsed() - began)


def _submitted(answer: Answer) -> _Submitted:
    require(answer.status == 202, f"handing in was answered {answer.status} instead of 202: {answer.body}")
    try:
        return _Submitted.model_validate(answer.body)
    except ValidationError as error:
        raise CheckFailed(f"the answer to handing in is wrong at {first_wrong(error)}") from None


def _result(id: str, api: Api, budget: Budget) -> _Result:
    for _ in budget.polls(f"waiting for prediction {id}", at_most=ANSWERED_WITHIN):
        answer = api.result(id)
        require(answer.status == 200, f"asking for {id} was answered {answer.status}: {answer.body}")
        try:
            found = _Result.model_validate(answer.body)
        except ValidationError as error:
            raise CheckFailed(f"the result of {id} is wrong at {first_wrong(error)}") from None
        require(found.id == id, f"asking for {id} told of {found.id}")
        if found.status != WAITING:
            return found
    raise CheckFailed(f"prediction {id} has waited {ANSWERED_WITHIN:.0f} s and is still {WAITING}")
