"""The part of evaluation.json that the gate reads, and what makes it unusable."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from paired import PairedTable
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Difference = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]

_ROUNDING = 1e-9


class EvaluationError(ValueError):
    """The evaluation cannot be judged; the message names the field."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ClassScores(_Part):
    """How one class did: the share of its images that were found, and how many it has."""

    recall: Share
    support: Count


class Calibration(_Part):
    """How far confidence and accuracy lie apart."""

    ece: Share


class Latency(_Part):
    """Milliseconds for one image in the model alone."""

    p50: Milliseconds
    p95: Milliseconds


class Bootstrap(_Part):
    """Quantiles of a difference over resamples of the holdout, as (probability, difference)."""

    resamples: Annotated[int, Field(ge=1)]
    quantiles: Annotated[list[tuple[Share, Difference]], Field(min_length=2)]

    def quantile(self, probability: float) -> float:
        """The difference at `probability`, between two given ones by a straight line."""
        (below, low), (above, high) = next(
            pair for pair in pairwise(self.quantiles) if probability <= pair[1][0]
        )
        return low + (high - low) * (probability - below) / (above - below)


class Champion(_Part):
    """Today's champion, asked about the same images."""

    version: str
    comparable: Literal[True]
    accuracy: Share
    macro_f1: Share
    both_right: Count
    only_candidate: Count
    only_champion: Count
    both_wrong: Count
    macro_f1_differences: Bootstrap
    unknown_classes: list[str]

    @property
    def table(self) -> PairedTable:
        """The paired answers."""
        return PairedTable(self.both_right, self.only_candidate, self.only_champion, self.both_wrong)


class OtherChampion(_Part):
    """A champion that cannot be asked about this holdout."""

    version: str
    comparable: Literal[False]
    reason: str


class Evaluation(_Part):
    """One model on its holdout."""

    format: Literal["vision.evaluation/2"] = Field(alias="schema")
    count: Annotated[int, Field(ge=1)]
    accuracy: Share
    macro_f1: Share
    per_class: Annotated[dict[str, ClassScores], Field(min_length=1)]
    calibration: Calibration
    latency_ms: Latency
    champion: Annotated[Champion | OtherChampion, Field(discriminator="comparable")] | None


def read_evaluation(content: bytes) -> Evaluation:
    """The evaluation in `content`. Raises EvaluationError naming each wrong field."""
    try:
        evaluation = Evaluation.model_validate_json(content)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'document'}: {fault['msg']}" for fault in error.errors()
        ]
        raise EvaluationError(f"the evaluation is not usable: {'; '.join(faults)}") from error
    _check_counts(evaluation)
    return evaluation


def _check_counts(evaluation: Evaluation) -> None:
    """The figures are of one and the same holdout."""
    count, champion = evaluation.count, evaluation.champion
    support = sum(scores.support for scores in evaluation.per_class.values())
    if support != count:
        raise EvaluationError(f"per_class: its support is {support} images in sum, count is {count}")
    if not isinstance(champion, Champion):
        return
    table = champion.table
    if table.count != count:
        raise EvaluationError(f"champion: its table has {table.count} images, count is {count}")
    for field, accuracy, right in (
        ("accuracy", evaluation.accuracy, table.both_right + table.only_candidate),
        ("champion.accuracy", champion.accuracy, table.both_right + table.only_champion),
    ):
        if abs(accuracy - right / count) > _ROUNDING:
            raise EvaluationError(f"{field}: it is {accuracy}, champion's table says {right} of {count}")
    probabilities = [probability for probability, _ in champion.macro_f1_differences.quantiles]
    rising = all(a < b for a, b in pairwise(probabilities))
    if probabilities[0] != 0.0 or probabilities[-1] != 1.0 or not rising:
        raise EvaluationError(
            "champion.macro_f1_differences.quantiles: their probabilities must rise from 0 to 1"
        )
