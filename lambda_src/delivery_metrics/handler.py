"""Turns what the delivery pipeline tells of its stages into metrics, each attempt at a stage exactly once.

An event says only where to look: the figures come from the pipeline's history. So they do not depend on the
order of events, a lost event is made up for by the execution's next one, and a metric carries the time at
which the thing happened, not the time of its event.

EventBridge delivers at least once, and CloudWatch adds up whatever it gets. Statistics that forgive
duplicates (a maximum per minute) cannot be summed over a month, so that each attempt is recorded under its id
in a table first, with a lease: a repetition finds it done; after a crash the retry waits until the lease has
ended, and does it again.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import boto3
from attempts import Attempt, Outcome, attempts
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from history import PATIENT, Execution, History, HistoryBehind
from measures import Measure, durations, production

from vision_runtime import environment

# Longer than CodePipeline remembers executions (12 months): nothing that it can tell of is counted again.
REMEMBERED_SECONDS = 400 * 24 * 3600

logger = Logger(service="delivery-metrics")
codepipeline: Any = boto3.client("codepipeline", config=PATIENT)
pipeline = environment.text(os.environ, "PIPELINE_NAME")
namespace = environment.text(os.environ, "METRICS_NAMESPACE")
production_stages = frozenset(environment.text(os.environ, "PRODUCTION_STAGES").split(","))
records = DynamoDBPersistenceLayer(
    table_name=environment.text(os.environ, "RECORDS_TABLE"),
    key_attr="id",
    expiry_attr="expires_at",
    boto3_client=boto3.client("dynamodb"),
)
once = IdempotencyConfig(
    event_key_jmespath="id", raise_on_no_idempotency_key=True, expires_after_seconds=REMEMBERED_SECONDS
)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Record what has finished in the event's execution. Raises HistoryBehind to be called again later."""
    detail = event.get("detail") or {}
    if detail.get("pipeline") != pipeline or not detail.get("stage"):
        logger.warning("not an event of a stage of the pipeline", event_detail=detail)
        return {"measured": 0}
    logger.append_keys(execution_id=detail["execution-id"], stage=detail["stage"], state=detail["state"])
    once.register_lambda_context(context)
    history = History(codepipeline, pipeline)
    execution = history.execution(detail["execution-id"])
    passed = detail["stage"] if detail["state"] == "SUCCEEDED" else None
    found = attempts(history, execution, passed=passed)
    finished = [each for each in found if each.finished]
    for attempt in finished:
        _record(
            attempt={"id": f"{execution.id}/{attempt.stage}/{attempt.id}"},
            measured=(history, execution, attempt),
        )
    last = [each for each in found if each.stage == detail["stage"]][-1:]
    # What still runs by the history, and began before the event, is what the event calls finished.
    if any(each.outcome is Outcome.RUNNING and each.began < _time(event) for each in last):
        raise HistoryBehind(f"the history of {pipeline} shows {detail['stage']} still running")
    return {"measured": len(finished)}


def _time(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"])


@idempotent_function(data_keyword_argument="attempt", persistence_store=records, config=once)
def _record(*, attempt: dict[str, str], measured: tuple[History, Execution, Attempt]) -> None:
    history, execution, what = measured
    measures = durations(what)
    if what.stage in production_stages:
        measures += production(history, execution, what)
    for measure in measures:
        _emit(measure)
    logger.info("measured", attempt=attempt["id"], outcome=what.outcome, measures=len(measures))


def _emit(measure: Measure) -> None:
    # Without a service: its dimension would have to be named by everybody who reads the metric.
    metrics = EphemeralMetrics(namespace=namespace, service="")
    metrics.add_dimension("Pipeline", pipeline)
    if measure.stage is not None:
        metrics.add_dimension("Stage", measure.stage)
    metrics.set_timestamp(measure.at)
    for value in measure.values:
        metrics.add_metric(measure.metric, measure.unit, value)
    metrics.flush_metrics()
