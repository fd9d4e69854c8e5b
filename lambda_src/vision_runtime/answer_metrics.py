"""Counts answers alike wherever they are given: by these metrics a model that is uncertain is taken back."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.metrics import MetricResolution, MetricUnit


def resolution(period_seconds: int) -> MetricResolution:
    """How finely answers are counted for alarms that look so often."""
    # An alarm that looks more often than once a minute needs every second.
    return MetricResolution.High if period_seconds < 60 else MetricResolution.Standard


def count_answer(metrics: Any, confidence: float, *, low: float, every: MetricResolution) -> None:
    """One answer of a model line; below the confidence `low` it counts as uncertain."""
    metrics.add_metric("Predictions", MetricUnit.Count, 1, every)
    metrics.add_metric("LowConfidence", MetricUnit.Count, int(confidence < low), every)
    metrics.add_metric("Confidence", MetricUnit.Percent, confidence * 100)
