"""Asks the deployed model about images whose truth is known, and holds every answer against it."""

import base64
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from statistics import quantiles

from smoke_tests.answers import read_prediction
from smoke_tests.api import CALLERS, Answer, Api
from smoke_tests.dataset import Sample
from smoke_tests.faults import CheckFailed
from smoke_tests.journal import require

IMAGES_ASKED, RIGHT_AT_LEAST = 30, 28
_SHOWN_FAULTS = 3


@dataclass(frozen=True)
class Prediction:
    """One image, what was said about it, and what was wrong with the answer's form."""

    sample: Sample
    encoding: str  # "bytes" or "json"
    status: int
    milliseconds: float
    tries: int
    label: str = ""
    confidence: float = 0.0
    request_id: str = ""
    trace_id: str = ""
    faults: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether the label is the truth."""
        return self.label == self.sample.label


@dataclass(frozen=True)
class Latency:
    """Milliseconds a caller waits; the first call, which may start a function cold, stands apart."""

    first: float
    p50: float
    p95: float


def as_json(content: bytes) -> bytes:
    """The JSON body that carries an image."""
    return json.dumps({"image": base64.b64encode(content).decode("ascii")}).encode()


def ask(api: Api, samples: Sequence[Sample], classes: list[str], model_version: str) -> list[Prediction]:
    """Ask about every sample, alternately as bytes and as base64 in JSON; answers in the samples' order."""

    def one(numbered: tuple[int, Sample]) -> Prediction:
        number, sample = numbered
        if number % 2 == 0:
            return _judge(api.post(sample.content, "image/png"), sample, "bytes", classes, model_version)
        answer = api.post(as_json(sample.content), "application/json")
        return _judge(answer, sample, "json", classes, model_version)

    numbered = list(enumerate(samples))
    # One call alone meets the cold start; the others show what the API is like when it is warm.
    first = [one(numbered[0])]
    with ThreadPoolExecutor(CALLERS, thread_name_prefix="ask") as pool:
        return _mark_repeated_ids(first + list(pool.map(one, numbered[1:])))


def _judge(
    answer: Answer, sample: Sample, encoding: str, classes: list[str], model_version: str
) -> Prediction:
    body, faults = read_prediction(answer, classes, model_version)
    bare = Prediction(
        sample,
        encoding,
        answer.status,
        answer.milliseconds,
        answer.tries,
        trace_id=answer.trace_id,
        faults=tuple(faults),
    )
    if body is None:
        return bare
    return replace(
        bare,
        label=body.label,
        confidence=body.probabilities.get(body.label, 0.0),
        request_id=body.request_id,
    )


def _mark_repeated_ids(predictions: list[Prediction]) -> list[Prediction]:
    counted = Counter(prediction.request_id for prediction in predictions if prediction.request_id)
    return [
        replace(
            prediction, faults=(*prediction.faults, f"request id {prediction.request_id} came more than once")
        )
        if counted[prediction.request_id] > 1
        else prediction
        for prediction in predictions
    ]


def require_right(predictions: Sequence[Prediction]) -> str:
    """Fail unless enough labels are right; return the count in words."""
    right = sum(prediction.right for prediction in predictions)
    wrong = [
        f"{prediction.sample.key} is {prediction.sample.label}, answered {prediction.label or 'nothing'}"
        for prediction in predictions
        if not prediction.right
    ]
    words = f"{right} of {len(predictions)} images right, at least {RIGHT_AT_LEAST} needed"
    shown = "; ".join(wrong[:_SHOWN_FAULTS]) + (" ..." if len(wrong) > _SHOWN_FAULTS else "")
    require(right >= RIGHT_AT_LEAST, f"{words}: {shown}")
    return f"{words}{': ' + shown if wrong else ''}"


def require_well_formed(predictions: Sequence[Prediction]) -> str:
    """Fail if any answer is malformed, naming the image and the fault; return what was checked, in words."""
    malformed = [prediction for prediction in predictions if prediction.faults]
    if malformed:
        first = "; ".join(
            f"{prediction.sample.key} ({prediction.encoding}): {', '.join(prediction.faults)}"
            for prediction in malformed[:_SHOWN_FAULTS]
        )
        raise CheckFailed(f"{len(malformed)} of {len(predictions)} answers are malformed: {first}")
    retried = sum(prediction.tries > 1 for prediction in predictions)
    return (
        "label is the most probable class, probabilities sum to 1, this run's model, every request id once"
        + (f"; {retried} calls needed a second try" if retried else "")
    )


def latency(predictions: Sequence[Prediction]) -> Latency | None:
    """How long callers waited; None when fewer than three calls were answered."""
    warm = sorted(prediction.milliseconds for prediction in predictions[1:])
    if len(warm) < 2:
        return None
    cuts = quantiles(warm, n=20, method="inclusive")
    return Latency(predictions[0].milliseconds, cuts[9], cuts[18])
