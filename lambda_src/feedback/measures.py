"""How good a model is by its labels: accuracy, precision and recall, each with its confidence interval.

Everything follows from counts of (truth, predicted) pairs, so that days and models are added up before they
are measured. An interval is Wilson's: it keeps what it promises for few labels and near 0 and 1, where the
usual plus-minus does not.

E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927), 209-212;
L. D. Brown, T. T. Cai, A. DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16
(2001), 101-133, recommend it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

Pair = tuple[str, str]
"""The truth, and what the model has said."""


@dataclass(frozen=True)
class Proportion:
    """`hits` of `trials`; the true share lies from `low` to `high` with the confidence that was asked for.

    Without trials nothing is known: `value` is None, and the interval is everything.
    """

    hits: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The observed share, from 0 to 1."""
        return self.hits / self.trials if self.trials else None

    def as_record(self) -> dict[str, float | int | None]:
        """For JSON."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "hits": self.hits,
            "trials": self.trials,
        }


@dataclass(frozen=True)
class ClassMeasures:
    """One class: how often it was the truth, how often the model said it, and how far the two agree.

    `f1` is no proportion of independent trials and has no such interval; None where the class never occurs.
    """

    label: str
    labelled: int
    predicted: int
    precision: Proportion
    recall: Proportion
    f1: float | None


@dataclass(frozen=True)
class Measures:
    """A model over some time. `macro_f1` is the mean over the classes that occur; None without labels."""

    labels: int
    accuracy: Proportion
    macro_f1: float | None
    classes: tuple[ClassMeasures, ...]


def measure(counts: Mapping[Pair, int], classes: Sequence[str], *, confidence: float) -> Measures:
    """What `counts` say. `classes` come first and in their order; others, of older models, behind them.

    Raises ValueError for a negative count, and for a confidence that is not between 0 and 1.
    """
    wrong = next((pair for pair, count in counts.items() if count < 0), None)
    if wrong is not None:
        raise ValueError(f"the count of {wrong} is {counts[wrong]}; it cannot be below 0")
    labelled: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for (truth, said), count in counts.items():
        labelled[truth] += count
        predicted[said] += count
    older = sorted((set(labelled) | set(predicted)) - set(classes))
    found = tuple(
        _of_class(label, counts.get((label, label), 0), labelled[label], predicted[label], confidence)
        for label in (*classes, *older)
    )
    scores = [each.f1 for each in found if each.f1 is not None]
    return Measures(
        labels=labelled.total(),
        accuracy=proportion(
            sum(counts.get((label, label), 0) for label in labelled), labelled.total(), confidence=confidence
        ),
        macro_f1=sum(scores) / len(scores) if scores else None,
        classes=found,
    )


def proportion(hits: int, trials: int, *, confidence: float) -> Proportion:
    """The share of hits with Wilson's interval. Raises ValueError for numbers that cannot be."""
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} cannot be")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence:g}; it must lie between 0 and 1")
    if trials == 0:
        return Proportion(0, 0, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spread = hits / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    # At the ends the bound is exact; rounding would put it beside.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == trials else min(1.0, centre + half)
    return Proportion(hits, trials, low, high)


def added(parts: Iterable[Mapping[Pair, int]]) -> dict[Pair, int]:
    """Counts of several days as one."""
    total: Counter[Pair] = Counter()
    for part in parts:
        for pair, count in part.items():
            total[pair] += count
    return dict(total)


def _of_class(label: str, right: int, labelled: int, predicted: int, confidence: float) -> ClassMeasures:
    return ClassMeasures(
        label=label,
        labelled=labelled,
        predicted=predicted,
        precision=proportion(right, predicted, confidence=confidence),
        recall=proportion(right, labelled, confidence=confidence),
        f1=2 * right / (labelled + predicted) if labelled + predicted else None,
    )
