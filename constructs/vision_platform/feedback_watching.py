"""What the labels say of the champion, as an alarm and as graphs of the feedback function's metrics."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from vision_platform.model_lines import CHAMPION
from vision_platform.monitoring import Graph, Objective

# The sweep publishes once in it; the alarm looks at four of them, so that one that is late is no gap.
SWEEP_MINUTES = 15
_PERIOD = Duration.minutes(4 * SWEEP_MINUTES)


def accuracy_alarm(*, min_accuracy: float, min_labels: int, days: int, confidence: float) -> Objective:
    """An alarm that goes off when the champion is surely worse than `min_accuracy`, by at least `min_labels`.

    Surely: the upper bound of the confidence interval lies below it. So a few wrong answers call nobody.
    """
    return Objective(
        name=f"{CHAMPION}-accuracy",
        metric=cloudwatch.MathExpression(
            expression=f"IF(labels >= {min_labels}, 100 - high, 0)",
            using_metrics={
                "labels": _of_champion("LabelledPredictions"),
                "high": _of_champion("AccuracyHigh"),
            },
            label="wrong answers in percent, at least",
            period=_PERIOD,
        ),
        threshold=round(100 * (1 - min_accuracy), 6),
        says=f"By its labels the champion's accuracy of the last {days} days is below {min_accuracy:g} with "
        f"a confidence of {confidence:g}: see python -m ops accuracy, then train on newer data or roll back.",
    )


def feedback_graphs() -> list[Graph]:
    """Graphs for the dashboard: accuracy with its interval, labels and their share, labels that wait."""
    accuracy = [
        _of_champion(name, label)
        for name, label in (
            ("AccuracyHigh", "at most"),
            ("Accuracy", "measured"),
            ("AccuracyLow", "at least"),
        )
    ]
    counts = [
        _of_function(name, cloudwatch.Stats.SUM, label)
        for name, label in (("Labels", "taken"), ("Corrections", "corrected"), ("ExpiredLabels", "too late"))
    ]
    waiting = _of_function("PendingLabels", cloudwatch.Stats.MAXIMUM, "waiting for their prediction")
    share = _of_champion("LabelledShare", "labelled")
    return [
        Graph(title="The champion's accuracy by labels", metrics=[*accuracy], unit="%"),
        Graph(title="Labels", metrics=[*counts, waiting], unit="labels"),
        Graph(title="Answers with a label", metrics=[share], unit="% of answers"),
    ]


def _of_champion(name: str, label: str | None = None) -> cloudwatch.Metric:
    return _metric(name, cloudwatch.Stats.AVERAGE, label, {"line": CHAMPION})


def _of_function(name: str, statistic: str, label: str) -> cloudwatch.Metric:
    return _metric(name, statistic, label, {})


def _metric(name: str, statistic: str, label: str | None, dimensions: dict[str, str]) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="Vision",
        metric_name=name,
        label=label,
        dimensions_map={"service": "feedback", **dimensions},
        statistic=statistic,
        period=_PERIOD,
    )
