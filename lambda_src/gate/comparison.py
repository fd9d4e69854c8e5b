"""Compares a model with today's champion on the same images: shown not to be worse by more than a margin.

The burden of proof is the new model's: where the images are too few to show it, it does not pass, and the
reason says how many would be needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from evaluation import Champion, Evaluation, OtherChampion
from finding import Finding
from paired import disagreements_allowed, images_needed, lower_limit, mcnemar_exact
from thresholds import Thresholds


@dataclass(frozen=True)
class Comparison:
    """The finding, and the figures behind it."""

    finding: Finding
    metrics: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class _Estimate:
    """The difference in the settings' metric (new minus champion) and what the images say about it."""

    difference: float
    limit: float
    method: str
    needed: int | None


def compare(evaluation: Evaluation, thresholds: Thresholds) -> Comparison:
    """Whether the champion may be replaced. Without one, or with one that cannot be asked, it may."""
    match evaluation.champion:
        case None:
            return Comparison(Finding(True, _first_model(evaluation.count, thresholds)))
        case OtherChampion(version=version, reason=reason):
            words = f"champion {version} cannot be asked about this holdout ({reason}): the thresholds decide"
            return Comparison(Finding(True, words))
        case champion:
            return _with(champion, evaluation, thresholds)


def _first_model(count: int, thresholds: Thresholds) -> str:
    margin, confidence = thresholds.max_regression, thresholds.confidence
    allowed = disagreements_allowed(count, margin, confidence)
    if allowed is None:
        outlook = (
            "are too few to show that of any model; use a larger holdout, or another gate.max_regression"
        )
    else:
        outlook = f"show that of an equally good model when at most {allowed} of them divide the two"
    return (
        "there is no champion yet to compare with; a later model must not be worse by more than "
        f"{margin:.4f} with {confidence:.0%} confidence, and {count} images {outlook}"
    )


def _with(champion: Champion, evaluation: Evaluation, thresholds: Thresholds) -> Comparison:
    table, margin = champion.table, thresholds.max_regression
    if thresholds.champion_metric == "accuracy":
        own, other, name = evaluation.accuracy, champion.accuracy, "accuracy"
        estimate = _Estimate(
            table.difference,
            lower_limit(table, thresholds.confidence),
            "Tango's score limit for paired proportions",
            images_needed(table, margin, thresholds.confidence),
        )
    else:
        own, other, name = evaluation.macro_f1, champion.macro_f1, "macro F1"
        estimate = _macro_f1(own - other, champion, thresholds, table.count)
    passed = estimate.limit >= -margin and (margin > 0 or estimate.limit > 0)
    p_value = mcnemar_exact(table)
    words = (
        f"champion {champion.version}: {name} {other:.4f}, "
        f"this model {own:.4f} on the same {table.count} images "
        f"({table.both_right} right by both, {table.only_candidate} only by this model, "
        f"{table.only_champion} only by the champion, {table.both_wrong} by neither); "
        f"{_verdict(estimate, passed, thresholds)}; "
        f"McNemar's exact test of equal accuracy: p = {p_value:.4f}{_unknown(champion)}"
    )
    figures = {
        "champion_accuracy": champion.accuracy,
        "champion_macro_f1": champion.macro_f1,
        "difference": estimate.difference,
        "difference_lower_limit": estimate.limit,
        "mcnemar_p": p_value,
    }
    return Comparison(Finding(passed, words), figures)


def _macro_f1(difference: float, champion: Champion, thresholds: Thresholds, count: int) -> _Estimate:
    bootstrap = champion.macro_f1_differences
    limit = bootstrap.quantile(1 - thresholds.confidence)
    room = difference + thresholds.max_regression
    # An interval shrinks with the root of the number of images.
    needed = math.ceil(count * ((difference - limit) / room) ** 2) if room > 0 else None
    method = f"paired bootstrap of {bootstrap.resamples} resamples"
    return _Estimate(difference, limit, method, needed)


def _verdict(estimate: _Estimate, passed: bool, thresholds: Thresholds) -> str:
    margin, sure = thresholds.max_regression, f"with {thresholds.confidence:.0%} confidence"
    if estimate.limit > 0:
        return f"{sure} it is better by at least {estimate.limit:.4f} ({estimate.method})"
    at_most = f"{sure} it is worse by at most {-estimate.limit:.4f} ({estimate.method})"
    if passed:
        return f"{at_most}, and {margin:.4f} is allowed"
    if estimate.needed is None:
        return f"it is worse by {-estimate.difference:.4f}, and {margin:.4f} is allowed ({at_most})"
    return (
        f"{at_most}, and {margin:.4f} is allowed: the holdout is too small to show that it is not worse. "
        f"About {estimate.needed} images would show it if they came out in the same proportions"
    )


def _unknown(champion: Champion) -> str:
    if not champion.unknown_classes:
        return ""
    number = len(champion.unknown_classes)
    return f"; {number} of this model's classes the champion does not know, and it is wrong on their images"
