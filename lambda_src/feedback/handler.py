"""Takes labels for predictions, counts them, and tells how good models are by them.

It is called in three ways: by the API (`POST /v1/feedback`), by a schedule (the sweep, which joins labels
that came before their predictions and publishes the champion's accuracy), and by operators, who invoke it
with `{"report": {"line": ..., "days": ...}}`.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from config import Config
from labels import Change, Outcome
from ledger import Contended, Ledger, written
from measures import Measures
from predictions import Predictions, answered
from report import days_until, labelled_share, of_model, read_window, report
from request import read_label
from sweep import AT_ONCE, sweep

from vision_runtime import cors
from vision_runtime.problem import Problem
from vision_runtime.tracing import trace_calls

CHAMPION = "champion"
MOST_DAYS = 366
RETRY_SECONDS = 2
# The sweep stops so long before Lambda would end it: a page of labels is a matter of a second or two.
RESERVED_MS = 30_000
CLIENT = ClientConfig(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 3, "mode": "standard"},
    max_pool_connections=AT_ONCE + 2,
    tcp_keepalive=True,
)

logger = Logger()
metrics = Metrics()
config = Config.from_environment(os.environ)
origins = cors.allowed_origins(os.environ)
dynamodb: Any = boto3.client("dynamodb", config=CLIENT)
cloudwatch: Any = boto3.client("cloudwatch", config=CLIENT)
trace_calls(dynamodb, shown={"TableName": "table_name"})
predictions = Predictions(dynamodb, config.lineage_table)
ledger = Ledger(dynamodb, config.feedback_table, predictions, wait=config.wait)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a request, sweep, or report."""
    if "report" in event:
        return _reported(event["report"] or {})
    if event.get("detail-type") == "Scheduled Event":
        return _swept(context)
    return cors.with_origin(_answered(event, context), event, origins)


@metrics.log_metrics
def _answered(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Every outcome of a request is an answer; none is an exception."""
    request_id = (event.get("requestContext") or {}).get("requestId") or context.aws_request_id
    logger.append_keys(request_id=request_id)
    try:
        now = datetime.now(UTC)
        told = read_label(event, config.spec.classes, now)
        logger.append_keys(prediction_id=told.prediction_id)
        change = ledger.tell(told, now)
    except Problem as problem:
        return _refused(problem, request_id)
    except (Contended, ClientError, BotoCoreError) as error:
        logger.exception("the label could not be kept")
        detail = f"the label could not be kept ({type(error).__name__}); send the same request again"
        busy = Problem("unavailable", "The label was not kept", 503, detail, retry_after=RETRY_SECONDS)
        return _refused(busy, request_id)
    except Exception:
        logger.exception("unexpected failure")
        detail = "an unexpected failure; it is in the log under this request id"
        return _refused(Problem("internal", "The request failed", 500, detail), request_id)
    metrics.add_metric("Labels", MetricUnit.Count, 1)
    metrics.add_metric("Corrections", MetricUnit.Count, int(change.outcome is Outcome.CORRECTED))
    logger.info("label", outcome=change.outcome, revision=change.after.revision)
    return _response(change, request_id)


def _refused(problem: Problem, request_id: str) -> dict[str, Any]:
    metrics.add_metric("RejectedRequests" if problem.status < 500 else "FailedRequests", MetricUnit.Count, 1)
    logger.warning("problem", kind=problem.kind, status=problem.status, detail=problem.detail)
    return problem.response(request_id)


def _response(change: Change, request_id: str) -> dict[str, Any]:
    """The label that stands now: not the one of the request where a later one is known."""
    standing, known = change.after, change.after.prediction
    document: dict[str, Any] = {
        "request_id": request_id,
        "prediction_id": standing.prediction_id,
        "status": change.outcome.value,
        "label": standing.label,
        "labelled_at": written(standing.labelled_at),
    }
    if known is not None:
        document |= {"model_version": known.model, "predicted": known.label}
    return {
        "statusCode": 202 if change.outcome is Outcome.PENDING else 200,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps(document),
    }


def _swept(context: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    found = sweep(
        ledger,
        predictions,
        now,
        time_is_up=lambda: context.get_remaining_time_in_millis() < RESERVED_MS,
    )
    _emit(
        JoinedLabels=(MetricUnit.Count, found.joined),
        ExpiredLabels=(MetricUnit.Count, found.expired),
        PendingLabels=(MetricUnit.Count, found.pending),
    )
    if found.expired:
        logger.warning("no prediction ever came for some labels", expired=found.expired)
    if not found.complete:
        logger.warning("the sweep's time was over before it had looked at all waiting labels")
    champion = predictions.champion(CHAMPION)
    told: dict[str, Any] = {
        "joined": found.joined,
        "expired": found.expired,
        "pending": found.pending,
        "complete": found.complete,
    }
    if champion is not None:
        told |= _publish(champion, now)
    logger.info("swept", result=told)
    return told


def _publish(champion: str, now: datetime) -> dict[str, Any]:
    """The champion's accuracy over the window, as metrics. Without labels there is none to tell."""
    days = days_until(now, config.window_days)
    window = read_window(ledger, CHAMPION, days)
    measures = of_model(window, champion, config.spec.classes, config.confidence)
    labels = sum(sum(counts.values()) for by_day in window.values() for counts in by_day.values())
    share = labelled_share(labels, _answered_on(CHAMPION, days))
    values: dict[str, tuple[MetricUnit, float]] = {"LabelledPredictions": (MetricUnit.Count, measures.labels)}
    if share is not None:
        values["LabelledShare"] = (MetricUnit.Percent, 100 * share)
    if measures.accuracy.value is not None:
        values |= _accuracy(measures, measures.accuracy.value)
    _emit(line=CHAMPION, **values)
    return {"champion": champion, "labels": measures.labels, "accuracy": measures.accuracy.value}


def _accuracy(measures: Measures, value: float) -> dict[str, tuple[MetricUnit, float]]:
    percent = MetricUnit.Percent
    return {
        "Accuracy": (percent, 100 * value),
        "AccuracyLow": (percent, 100 * measures.accuracy.low),
        "AccuracyHigh": (percent, 100 * measures.accuracy.high),
    }


def _reported(asked: dict[str, Any]) -> dict[str, Any]:
    """The report that operators ask for. Raises ValueError for a wish that cannot be met."""
    line, count = asked.get("line", CHAMPION), asked.get("days", config.window_days)
    if not isinstance(count, int) or not 1 <= count <= MOST_DAYS:
        raise ValueError(f"days is {count!r}; it must be a whole number from 1 to {MOST_DAYS}")
    days = days_until(datetime.now(UTC), count)
    return report(
        read_window(ledger, str(line), days),
        line=str(line),
        days=days,
        champion=predictions.champion(str(line)),
        classes=config.spec.classes,
        confidence=config.confidence,
        answered=_answered_on(str(line), days),
        pending=ledger.count_waiting(),
    )


def _answered_on(line: str, days: list[str]) -> int | None:
    try:
        return answered(cloudwatch, line, days)
    except (ClientError, BotoCoreError):
        # The share is good to know; accuracy must be told without it too.
        logger.exception("CloudWatch does not tell how many answers were given")
        return None


def _emit(line: str | None = None, **values: tuple[MetricUnit, float]) -> None:
    """Write metrics of this function, by line where one is named."""
    # It would read the environment with every call.
    told = EphemeralMetrics(namespace=config.metrics_namespace, service=config.service)
    if line is not None:
        told.add_dimension("line", line)
    for name, (unit, value) in values.items():
        told.add_metric(name, unit, value)
    told.flush_metrics()
