"""Decides from an evaluation whether a model may be registered and promoted, and says why in words."""

from __future__ import annotations

from dataclasses import dataclass

from comparison import compare
from evaluation import Evaluation
from finding import Finding
from thresholds import Thresholds

_CLASSES_NAMED = 5


@dataclass(frozen=True)
class Decision:
    """The verdict. `reasons` tells every check, the missed ones first; `metrics` the figures behind them."""

    passed: bool
    reasons: list[str]
    metrics: dict[str, float]


def decide(evaluation: Evaluation, thresholds: Thresholds, *, thresholds_only: bool = False) -> Decision:
    """Compare with the thresholds and, unless `thresholds_only`, with the champion.

    A value equal to its threshold passes.
    """
    findings = [
        _accuracy(evaluation, thresholds),
        *_class_recall(evaluation, thresholds),
        _calibration(evaluation, thresholds),
        *_latency(evaluation, thresholds),
    ]
    metrics = _metrics(evaluation)
    if thresholds_only:
        findings.append(Finding(True, "only the thresholds were asked for: there was no comparison"))
    else:
        comparison = compare(evaluation, thresholds)
        findings.append(comparison.finding)
        metrics |= comparison.metrics
    findings.sort(key=lambda finding: finding.passed)
    return Decision(all(each.passed for each in findings), [each.words for each in findings], metrics)


def _accuracy(evaluation: Evaluation, thresholds: Thresholds) -> Finding:
    missed = evaluation.accuracy < thresholds.min_accuracy
    return Finding(
        not missed,
        f"accuracy {evaluation.accuracy:.4f} on {evaluation.count} holdout images "
        f"{'is below' if missed else 'reaches'} the gate's {thresholds.min_accuracy:.4f}",
    )


def _class_recall(evaluation: Evaluation, thresholds: Thresholds) -> list[Finding]:
    """The worst classes by name. A class without holdout images cannot be judged, which is said."""
    wanted = thresholds.min_class_recall
    recalls = sorted(
        (scores.recall, label, scores.support)
        for label, scores in evaluation.per_class.items()
        if scores.support
    )
    missed = [each for each in recalls if each[0] < wanted]
    if missed:
        words = f"recall of {_classes(len(missed))} is below the gate's {wanted:.4f}: " + _first(
            [f"{label!r} {recall:.4f} ({support} images)" for recall, label, support in missed]
        )
    else:
        recall, label, support = recalls[0]
        words = (
            f"recall of every class reaches the gate's {wanted:.4f}; "
            f"the lowest is {recall:.4f} of {label!r} ({support} images)"
        )
    findings = [Finding(not missed, words)]
    unseen = [repr(label) for label, scores in evaluation.per_class.items() if not scores.support]
    if unseen:
        findings.append(
            Finding(True, f"not judged, for want of holdout images: {_classes(len(unseen))} {_first(unseen)}")
        )
    return findings


def _calibration(evaluation: Evaluation, thresholds: Thresholds) -> Finding:
    ece = evaluation.calibration.ece
    missed = ece > thresholds.max_calibration_error
    return Finding(
        not missed,
        f"calibration error {ece:.4f} (ECE) is {'above' if missed else 'within'} "
        f"the gate's {thresholds.max_calibration_error:.4f}",
    )


def _latency(evaluation: Evaluation, thresholds: Thresholds) -> list[Finding]:
    limit = thresholds.max_latency_p95_ms
    if limit is None:
        return []
    missed = evaluation.latency_ms.p95 > limit
    words = (
        f"latency {evaluation.latency_ms.p95:.2f} ms per image (p95, model alone) is "
        f"{'above' if missed else 'within'} the gate's {limit:.2f} ms"
    )
    return [Finding(not missed, words)]


def _metrics(evaluation: Evaluation) -> dict[str, float]:
    return {
        "accuracy": evaluation.accuracy,
        "macro_f1": evaluation.macro_f1,
        "ece": evaluation.calibration.ece,
        "latency_p50_ms": evaluation.latency_ms.p50,
        "latency_p95_ms": evaluation.latency_ms.p95,
        "lowest_class_recall": min(each.recall for each in evaluation.per_class.values() if each.support),
        "holdout_count": evaluation.count,
    }


def _classes(number: int) -> str:
    return "1 class" if number == 1 else f"{number} classes"


def _first(items: list[str]) -> str:
    """The first few, and how many are left out."""
    left_out = len(items) - _CLASSES_NAMED
    named = ", ".join(items[:_CLASSES_NAMED])
    return f"{named} and {left_out} more" if left_out > 0 else named
