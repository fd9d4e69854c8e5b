"""The report on models by their labels: measures over a window of days, and of each day, for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ledger import Ledger
from measures import Measures, Pair, added, measure

SCHEMA = "vision.accuracy/1"
# By model, by day (ISO): what was counted.
Window = dict[str, dict[str, dict[Pair, int]]]


def days_until(now: datetime, count: int) -> list[str]:
    """The last `count` days in UTC (ISO), today included."""
    return [(now - timedelta(days=back)).date().isoformat() for back in reversed(range(count))]


def read_window(ledger: Ledger, line: str, days: Sequence[str]) -> Window:
    """What was counted of a line's answers on these days."""
    window: Window = {}
    for day in days:
        for model, counts in ledger.counts(line, day).items():
            window.setdefault(model, {})[day] = counts
    return window


def of_model(
    window: Window, model: str, classes: Sequence[str], confidence: float, days: Sequence[str] | None = None
) -> Measures:
    """One model's measures over the window, or over some of its days."""
    by_day = window.get(model, {})
    wanted = by_day if days is None else [day for day in by_day if day in days]
    return measure(added(by_day[day] for day in wanted), classes, confidence=confidence)


def report(
    window: Window,
    *,
    line: str,
    days: Sequence[str],
    champion: str | None,
    classes: Sequence[str],
    confidence: float,
    answered: int | None,
    pending: int,
) -> dict[str, Any]:
    """The report as a JSON document; `answered` is how many answers the line gave, where that is known."""
    labels = sum(sum(counts.values()) for by_day in window.values() for counts in by_day.values())
    models = sorted(window, key=lambda model: (model != champion, model))
    return {
        "schema": SCHEMA,
        "line": line,
        "days": [days[0], days[-1]],
        "confidence": confidence,
        "champion": champion,
        "labels": labels,
        "answered": answered,
        "labelled_share": labelled_share(labels, answered),
        "pending": pending,
        "models": [
            {
                "model": model,
                "champion": model == champion,
                **_as_record(of_model(window, model, classes, confidence)),
                "confusion": _confusion(added(window[model].values())),
                "by_day": [
                    {"day": day, **_day(of_model(window, model, classes, confidence, [day]))}
                    for day in sorted(window[model])
                ],
            }
            for model in models
        ],
    }


def labelled_share(labels: int, answered: int | None) -> float | None:
    """The share of answers that have a label; None where there were none, or nobody knows how many.

    Metrics and labels are counted by different services, a moment apart: the share is never above 1.
    """
    return min(1.0, labels / answered) if answered else None


def _as_record(measures: Measures) -> dict[str, Any]:
    return {
        "labels": measures.labels,
        "accuracy": measures.accuracy.as_record(),
        "macro_f1": measures.macro_f1,
        "classes": [
            {
                "label": each.label,
                "labelled": each.labelled,
                "predicted": each.predicted,
                "precision": each.precision.as_record(),
                "recall": each.recall.as_record(),
                "f1": each.f1,
            }
            for each in measures.classes
        ],
    }


def _day(measures: Measures) -> dict[str, Any]:
    return {"labels": measures.labels, "accuracy": measures.accuracy.as_record()}


def _confusion(counts: Mapping[Pair, int]) -> list[dict[str, Any]]:
    return [
        {"truth": truth, "predicted": predicted, "count": count}
        for (truth, predicted), count in sorted(counts.items())
        if count
    ]
