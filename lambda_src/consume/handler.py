"""The burst path's consumer: claim checks from the stream become results, each once."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from batch import WRITERS, Batch, Outcome
from config import Config
from images import Images
from records import Entry, Unanswered, read_entries
from writing import Writer

from vision_runtime import answer_metrics, environment
from vision_runtime.answer_metrics import count_answer
from vision_runtime.asking import CLIENT
from vision_runtime.client_limits import bounded
from vision_runtime.hosting import SHOWN, model_runtime
from vision_runtime.read_ahead import MOST
from vision_runtime.results import Result, Status
from vision_runtime.tracing import trace_calls

# What one more micro-batch may take: two tries of the endpoint (15 s), then its results are written.
MARGIN_SECONDS = 20
# Left for the answer when the function pauses.
_ANSWER_SECONDS = 3
_STORE = bounded(connect_seconds=2, read_seconds=5, tries=3, connections=max(MOST, WRITERS))

# Made once per execution environment: connections live from batch to batch.
logger = Logger()
config = Config.from_environment(os.environ)
_namespace = environment.text(os.environ, "POWERTOOLS_METRICS_NAMESPACE")
_service = environment.text(os.environ, "POWERTOOLS_SERVICE_NAME")
resolution = answer_metrics.resolution(config.metrics_period_seconds)


def _model_client(service: str) -> Any:
    made: Any = boto3.client(service, config=CLIENT)
    trace_calls(made, shown=SHOWN)
    return made


runtime: Any = model_runtime(os.environ, _model_client)
s3: Any = boto3.client("s3", config=_STORE)
dynamodb: Any = boto3.client("dynamodb", config=_STORE)
firehose: Any = boto3.client("firehose", config=_STORE)
trace_calls(firehose, shown={"DeliveryStreamName": "delivery_stream_name"})


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Work through one batch; the answer names the first record that must come again, if any."""
    entries = read_entries(event["Records"], config.uploads_bucket)

    def time_left() -> float:
        return context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS

    images = Images(s3, config.spec.input, config.limits)
    writer = Writer(dynamodb, firehose, config)
    outcome = Batch(
        config, images=images, writer=writer, runtime=runtime, log=logger, time_left=time_left
    ).work(entries)
    _count(outcome, len(entries))
    if outcome.unanswered is None:
        return {"batchItemFailures": []}
    _pause(outcome.unanswered, entries, time_left() + MARGIN_SECONDS - _ANSWER_SECONDS)
    return {"batchItemFailures": [{"itemIdentifier": outcome.unanswered.sequence_number}]}


def _pause(unanswered: Unanswered, entries: Sequence[Entry], most: float) -> None:
    """Hold the shard back while a service is in trouble: half as long as the first record is old.

    So pauses grow from attempt to attempt without a memory of attempts, and the attempts that the settings
    grant last for as long as an outage does, instead of being used up within seconds.
    """
    arrived = next(each.arrived for each in entries if each.sequence_number == unanswered.sequence_number)
    wanted = max(1.0, (time.time() - arrived) / 2) if unanswered.pause else 0.0
    pause = max(0.0, min(wanted, config.longest_pause_seconds, most))
    logger.warning(
        "batch ended early",
        sequence_number=unanswered.sequence_number,
        reason=unanswered.reason,
        pause_seconds=round(pause, 1),
    )
    time.sleep(pause)


def _count(outcome: Outcome, records: int) -> None:
    """Metrics by line, as the API's function has them, and of the batch as a whole."""
    by_line: defaultdict[str, list[Result]] = defaultdict(list)
    for result in outcome.results:
        by_line[result.line].append(result)
    for line, results in by_line.items():
        with_line = EphemeralMetrics(namespace=_namespace, service=_service)
        with_line.add_dimension("line", line)
        for result in results:
            _count_result(with_line, result)
        with_line.flush_metrics()
    whole = EphemeralMetrics(namespace=_namespace, service=_service)
    whole.add_metric("Records", MetricUnit.Count, records)
    whole.add_metric("RepeatedRecords", MetricUnit.Count, outcome.repeats)
    whole.add_metric("BatchesEndedEarly", MetricUnit.Count, int(outcome.unanswered is not None))
    for milliseconds in outcome.endpoint_ms:
        whole.add_metric("EndpointLatency", MetricUnit.Milliseconds, milliseconds)
    whole.flush_metrics()


def _count_result(metrics: EphemeralMetrics, result: Result) -> None:
    metrics.add_metric("RejectedRecords", MetricUnit.Count, int(result.status is Status.REJECTED))
    waited = datetime.fromisoformat(result.answered_at) - datetime.fromisoformat(result.submitted_at)
    metrics.add_metric("TimeToResult", MetricUnit.Milliseconds, waited.total_seconds() * 1000)
    if result.status is Status.DONE:
        confidence = result.answer["probabilities"][result.answer["label"]]
        count_answer(metrics, confidence, low=config.low_confidence, every=resolution)
