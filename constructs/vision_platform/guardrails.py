"""The alarms that take a new model back while it is rolled out: on its answers, errors and latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from vision_platform.model_lines import CHAMPION, ModelLines
from vision_platform.monitoring import Graph, Objective
from vision_platform.promotion_requests import VARIANT

_KINDS = ("quality", "5xx", "latency")
# SageMaker and Lambda publish their metrics every minute.
_SHORTEST_PERIOD_OF_SERVICES = 60
# One uncertain answer among two says nothing about a model.
_FEWEST_ANSWERS = 5
_MICROSECONDS = 1000
_SERVERS = {False: "endpoint", True: "function"}


def guardrail_alarms(lines: ModelLines) -> list[str]:
    """The alarms' names, by which deployments of the champion know them."""
    return [f"{lines.endpoint(CHAMPION)}-{kind}" for kind in _KINDS]


def guardrails(
    lines: ModelLines,
    *,
    on_functions: bool = False,
    low_confidence: float,
    low_confidence_percent: float,
    error_percent: float,
    latency_ms: int,
    period_seconds: int,
) -> list[Objective]:
    """The alarms as objectives. Silence is no breach: a model that nobody asks is not a bad one.

    With `on_functions` the champion is served by its line's function, else by its endpoint.
    """
    quality, errors, latency = (f"{CHAMPION}-{kind}" for kind in _KINDS)
    slower = Duration.seconds(max(period_seconds, _SHORTEST_PERIOD_OF_SERVICES))
    failing, slow, unit = (_of_function if on_functions else _of_endpoint)(lines, slower)
    return [
        Objective(
            name=quality,
            metric=_uncertain_percent(Duration.seconds(period_seconds)),
            threshold=low_confidence_percent,
            says=f"Too many of the champion's answers have a confidence below {low_confidence:g}: compare "
            "what it is asked and answers with its baseline; a model that is being rolled out is taken back.",
        ),
        Objective(
            name=errors,
            metric=failing,
            threshold=error_percent / 100,
            says=f"The champion's model fails requests: see its {_SERVERS[on_functions]}'s log; a model that "
            "is being rolled out is taken back.",
        ),
        Objective(
            name=latency,
            metric=slow,
            threshold=latency_ms * unit,
            says="The champion's model is slow: see its function's memory and how often it starts; a model "
            "that is being rolled out is taken back."
            if on_functions
            else "The champion's model is slow: see its instances' load; a model that is being rolled out is "
            "taken back.",
        ),
    ]


def guardrail_graphs(guards: Sequence[Objective], *, on_functions: bool) -> list[Graph]:
    """Graphs for the dashboard: what the alarms of `guardrails` look at, and where they ring."""
    units = ("% of answers", "share of requests", "ms" if on_functions else "microseconds")
    titles = ("The champion's uncertain answers", "The champion's failures", "The champion's latency")
    return [
        Graph(title=title, metrics=[each.metric], unit=unit, limit=each.threshold)
        for title, unit, each in zip(titles, units, guards, strict=True)
    ]


def _of_endpoint(lines: ModelLines, period: Duration) -> tuple[cloudwatch.IMetric, cloudwatch.IMetric, int]:
    """The share of failed requests, the latency, and its unit as a part of a millisecond."""

    def of_endpoint(name: str, statistic: str) -> cloudwatch.IMetric:
        metric = cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=name,
            dimensions_map={"EndpointName": lines.endpoint(CHAMPION), "VariantName": VARIANT},
            statistic=statistic,
            period=period,
        )
        return cast("cloudwatch.IMetric", metric)

    # The average of a count of ones and zeros is the share of failed requests. SageMaker counts microseconds.
    failing = of_endpoint("Invocation5XXErrors", cloudwatch.Stats.AVERAGE)
    return failing, of_endpoint("ModelLatency", "p95"), _MICROSECONDS


def _of_function(lines: ModelLines, period: Duration) -> tuple[cloudwatch.IMetric, cloudwatch.IMetric, int]:
    """The same of the function: what it fails, and what it has no room for, which it never sees."""

    def of_function(name: str, statistic: str) -> cloudwatch.IMetric:
        metric = cloudwatch.Metric(
            namespace="AWS/Lambda",
            metric_name=name,
            dimensions_map={"FunctionName": lines.function(CHAMPION)},
            statistic=statistic,
            period=period,
        )
        return cast("cloudwatch.IMetric", metric)

    failing = cloudwatch.MathExpression(
        expression="(errors + FILL(throttles, 0)) / (invocations + FILL(throttles, 0))",
        using_metrics={
            name: of_function(name.capitalize(), cloudwatch.Stats.SUM)
            for name in ("errors", "throttles", "invocations")
        },
        label="failed requests",
        period=period,
    )
    return cast("cloudwatch.IMetric", failing), of_function("Duration", "p95"), 1


def _uncertain_percent(period: Duration) -> cloudwatch.MathExpression:
    """The share of uncertain answers, as the functions count them that give answers."""

    def counted(service: str, name: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="Vision",
            metric_name=name,
            dimensions_map={"service": service, "line": CHAMPION},
            statistic=cloudwatch.Stats.SUM,
            period=period,
        )

    # SUM of a list passes over what has no data; with a plus, a quiet path would hide the other.
    answers, uncertain = "SUM([api_answers, burst_answers])", "SUM([api_uncertain, burst_uncertain])"
    return cloudwatch.MathExpression(
        expression=f"IF({answers} >= {_FEWEST_ANSWERS}, 100 * {uncertain} / {answers}, 0)",
        using_metrics={
            f"{path}_{kind}": counted(service, name)
            for path, service in (("api", "predict"), ("burst", "consume"))
            for kind, name in (("answers", "Predictions"), ("uncertain", "LowConfidence"))
        },
        label="uncertain answers in percent",
        period=period,
    )
