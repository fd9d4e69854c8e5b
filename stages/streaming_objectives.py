"""What the burst path must keep: how long records wait, and that nobody refuses them."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from stages.settings_streaming import StreamingSettings
from vision_platform.claim_stream import ClaimStream
from vision_platform.functions import PlatformFunction
from vision_platform.monitoring import Objective

_NAMESPACE = "Vision"


def stream_objectives(
    stream: ClaimStream, consume: PlatformFunction, settings: StreamingSettings, *, period: Duration
) -> list[Objective]:
    """The objectives of one environment's burst path; errors and failures of the function come with all."""
    early = cloudwatch.Metric(
        namespace=_NAMESPACE,
        metric_name="BatchesEndedEarly",
        dimensions_map={"service": "consume"},
        statistic=cloudwatch.Stats.SUM,
        period=period,
    )
    age = consume.function.metric(
        "IteratorAge", statistic=cloudwatch.Stats.MAXIMUM, period=period, unit=cloudwatch.Unit.MILLISECONDS
    )
    return [
        Objective(
            name="stream-iterator-age",
            metric=age,
            threshold=settings.iterator_age_limit_seconds * 1000,
            says="Images of the burst path wait too long: look whether the endpoint answers (the log of "
            "consume), then at the shards and the parallelization factor.",
        ),
        Objective(
            name="stream-ended-early",
            metric=early,
            threshold=settings.early_ends,
            says="Batches of the burst path end early: the log of consume says what does not answer.",
        ),
        Objective(
            name="stream-throttles",
            metric=consume.function.metric_throttles(period=period),
            threshold=1,
            says="The consumer of the burst path is throttled: raise streaming.reserved_concurrency.",
        ),
        Objective(
            name="stream-refused-writes",
            metric=stream.stream.metric_write_provisioned_throughput_exceeded(
                statistic=cloudwatch.Stats.SUM, period=period
            ),
            threshold=settings.refused_writes,
            says="The stream refuses records: raise streaming.shards, or leave it out, for one on demand.",
        ),
    ]
