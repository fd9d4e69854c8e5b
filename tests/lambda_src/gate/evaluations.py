"""Evaluations as the job writes them, for tests of the gate."""

from typing import Any

ARN = "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-champion/7"
SETTINGS: dict[str, Any] = {
    "min_accuracy": 0.95,
    "min_class_recall": 0.5,
    "max_calibration_error": 0.2,
    "max_latency_p95_ms": None,
    "champion_metric": "accuracy",
    "max_regression": 0.02,
    "confidence": 0.95,
}


def evaluation(right: int = 147, count: int = 150, **changes: Any) -> dict[str, Any]:
    """A model that answers `right` of `count` images rightly; its classes are halves of the holdout."""
    half = count // 2
    missed = count - right
    scores = {"precision": 0.98, "f1": 0.98}
    return {
        "schema": "vision.evaluation/2",
        "run": "run-1",
        "model": "letters",
        "count": count,
        "accuracy": right / count,
        "macro_f1": right / count,
        "per_class": {
            "a": {**scores, "recall": 1.0, "support": count - half},
            "b": {**scores, "recall": (half - missed) / half, "support": half},
        },
        "confusion_matrix": [[count - half, 0], [missed, half - missed]],
        "calibration": {"ece": 0.03, "bins": []},
        "latency_ms": {"p50": 1.0, "p95": 2.0},
        "champion": None,
    } | changes


def champion(
    both_right: int, only_candidate: int, only_champion: int, both_wrong: int, **changes: Any
) -> dict[str, Any]:
    """The champion's part, with a made-up bootstrap of macro F1 from -0.03 to 0.03."""
    count = both_right + only_candidate + only_champion + both_wrong
    return {
        "version": ARN,
        "comparable": True,
        "accuracy": (both_right + only_champion) / count,
        "macro_f1": (both_right + only_champion) / count,
        "both_right": both_right,
        "only_candidate": only_candidate,
        "only_champion": only_champion,
        "both_wrong": both_wrong,
        "macro_f1_differences": {
            "resamples": 2000,
            "seed": 7,
            "quantiles": [[0.0, -0.03], [0.05, -0.01], [0.5, 0.0], [0.95, 0.01], [1.0, 0.03]],
        },
        "unknown_classes": [],
    } | changes


def compared(table: tuple[int, int, int, int], **changes: Any) -> dict[str, Any]:
    """An evaluation with a champion: both right, only the new model, only the champion, neither."""
    return evaluation(table[0] + table[1], sum(table), champion=champion(*table, **changes))
