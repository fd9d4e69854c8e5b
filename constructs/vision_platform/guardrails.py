"""The alarms that take a new model back while it is rolled out: on its answers, errors and latency."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from vision_platform.model_lines import CHAMPION, ModelLines
from vision_platform.monitoring import Graph, Objective
from vision_platform.promotion_requests import VARIANT

_KINDS = ("quality", "5xx", "latency")
# SageMaker publishes its metrics every minute.
_SHORTEST_PERIOD_OF_SAGEMAKER = 60
# One uncertain answer among two says nothing about a model.
_FEWEST_ANSWERS = 5
_MICROSECONDS = 1000


def guardrail_alarms(lines: ModelLines) -> list[str]:
    """The alarms' names, by which deployments of the champion know them."""
    return [f"{lines.endpoint(CHAMPION)}-{kind}" for kind in _KINDS]


def guardrails(
    lines: ModelLines,
    *,
    low_confidence: float,
    low_confidence_percent: float,
    error_percent: float,
    latency_ms: int,
    period_seconds: int,
) -> list[Objective]:
    """The alarms as objectives. Silence is no breach: a model that nobody asks is not a bad one."""
    quality, errors, latency = (f"{CHAMPION}-{kind}" for kind in _KINDS)
    of_endpoint = {"EndpointName": lines.endpoint(CHAMPION), "VariantName": VARIANT}
    slower = Duration.seconds(max(period_seconds, _SHORTEST_PERIOD_OF_SAGEMAKER))
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
            # The average of a count of ones and zeros is the share of failed requests.
            metric=cloudwatch.Metric(
                namespace="AWS/SageMaker",
                metric_name="Invocation5XXErrors",
                dimensions_map=of_endpoint,
                statistic=cloudwatch.Stats.AVERAGE,
                period=slower,
            ),
            threshold=error_percent / 100,
            says="The champion's model fails requests: see its endpoint's log; a model that is being rolled "
            "out is taken back.",
        ),
        Objective(
            name=latency,
            metric=cloudwatch.Metric(
                namespace="AWS/SageMaker",
                metric_name="ModelLatency",
                dimensions_map=of_endpoint,
                statistic="p95",
                period=slower,
            ),
            # SageMaker counts microseconds.
            threshold=latency_ms * _MICROSECONDS,
            says="The champion's model is slow: see its instances' load; a model that is being rolled out is "
            "taken back.",
        ),
    ]


def guardrail_graphs(guards: Sequence[Objective]) -> list[Graph]:
    """Graphs for the dashboard: what the alarms of `guardrails` look at, and where they ring."""
    units = ("% of answers", "share of requests", "microseconds")
    titles = ("The champion's uncertain answers", "The champion's failures", "The champion's latency")
    return [
        Graph(title=title, metrics=[each.metric], unit=unit, limit=each.threshold)
        for title, unit, each in zip(titles, units, guards, strict=True)
    ]


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
