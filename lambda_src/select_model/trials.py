"""The trials of a tuning job, and which of them is the best by the tuning's objective."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["Maximize", "Minimize"]


class NoUsableTrial(ValueError):
    """None of a tuning job's trials can go on; the message says why not."""


@dataclass(frozen=True)
class Trial:
    """One training job of the search that finished with a value of the objective."""

    training_job: str
    objective: float
    seconds: float
    hyperparameters: dict[str, str]


@dataclass(frozen=True)
class Selection:
    """The usable trials, the best first, and how many were left out for which reason."""

    ranked: list[Trial]
    left_out: Counter[str]

    @property
    def count(self) -> int:
        """All trials of the tuning job."""
        return len(self.ranked) + sum(self.left_out.values())


def select(summaries: Iterable[dict[str, Any]], objective: str, direction: Direction) -> Selection:
    """Rank TrainingJobSummaries as SageMaker lists them.

    The better objective goes first; of equal ones the trial that trained for a shorter time, and of these the
    first by name. Raises NoUsableTrial.
    """
    ranked, left_out = list[Trial](), Counter[str]()
    for summary in summaries:
        found = _usable(summary, objective)
        if isinstance(found, str):
            left_out[found] += 1
        else:
            ranked.append(found)
    if not ranked:
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(left_out.items()))
        raise NoUsableTrial(
            f"none of {sum(left_out.values())} trials is usable ({reasons or 'there were none'}): "
            f"look at the logs of the trials' training jobs, and whether they report {objective}"
        )
    sign = -1.0 if direction == "Maximize" else 1.0
    ranked.sort(key=lambda trial: (sign * trial.objective, trial.seconds, trial.training_job))
    return Selection(ranked, left_out)


def _usable(summary: dict[str, Any], objective: str) -> Trial | str:
    """The trial, or why it cannot be chosen. One that was stopped has left no model."""
    status = summary["TrainingJobStatus"]
    if status != "Completed":
        return status.lower()
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    if metric is None:
        return "without the objective"
    if metric["MetricName"] != objective:
        return f"measured {metric['MetricName']} instead"
    if not math.isfinite(metric["Value"]):
        return "with an objective that is no number"
    return Trial(
        summary["TrainingJobName"],
        float(metric["Value"]),
        _seconds(summary),
        dict(summary.get("TunedHyperParameters", {})),
    )


def _seconds(summary: dict[str, Any]) -> float:
    """How long it trained; a trial that does not tell goes behind those that do."""
    started, ended = summary.get("TrainingStartTime"), summary.get("TrainingEndTime")
    return (ended - started).total_seconds() if started and ended else math.inf
