"""The API's adapter: turns images in a request into predictions by the line's SageMaker endpoint."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from config import Config, Line
from inputs import Prepared, prepare

from vision_runtime import answer_metrics, cors, direct_clients, idempotency_key
from vision_runtime.answer_metrics import count_answer
from vision_runtime.asking import CLIENT, Prediction, ask, ask_many
from vision_runtime.breaker import CircuitBreaker
from vision_runtime.budget import BoundedClients, Budget
from vision_runtime.client_limits import bounded
from vision_runtime.hosting import MODE, SHOWN, model_runtime, most_bytes
from vision_runtime.image_request import read_images
from vision_runtime.lineage import PredictionRecord, record_prediction
from vision_runtime.problem import Problem

Document = dict[str, Any]
# The answer waits for its record, but not long: a lost record is counted, a lost answer hurts the caller.
LINEAGE_CLIENT = bounded(connect_seconds=1, read_seconds=1, tries=2)
DOWN = "model-unavailable"
MOST_BYTES = most_bytes(os.environ)

logger = Logger()
metrics = Metrics()
config = Config.from_environment(os.environ)
resolution = answer_metrics.resolution(config.metrics_period_seconds)


def _client(service: str, settings: ClientConfig, shown: dict[str, str], *, direct: bool = True) -> Any:
    if direct and service in direct_clients.CLIENTS and direct_clients.suit(os.environ):
        return direct_clients.CLIENTS[service](settings, shown)
    # Imported here: most functions start without.
    from vision_runtime.quick_session import traced_client  # noqa: PLC0415

    return traced_client(service, settings, shown)


def _make_runtime(settings: ClientConfig) -> Any:
    direct = os.environ.get(MODE) != "asynchronous"  # which asks what the direct client does not know
    return model_runtime(os.environ, lambda service: _client(service, settings, SHOWN, direct=direct))


# Made once per execution environment: connections live from request to request.
runtimes = BoundedClients(_make_runtime, CLIENT)
dynamodb = _client("dynamodb", LINEAGE_CLIENT, {"TableName": "table_name"})
breakers: defaultdict[str, CircuitBreaker] = defaultdict(CircuitBreaker)
_once: list[Any] = []


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Document, context: Any) -> Document:
    """Answer one request. Every outcome is an answer; none is an exception."""
    request_id = (event.get("requestContext") or {}).get("requestId") or context.aws_request_id
    logger.append_keys(request_id=request_id)
    try:
        response = _answer(event, request_id, context)
    except Problem as problem:
        _count("RejectedRequests" if problem.status < 500 else "FailedRequests")
        logger.warning("problem", kind=problem.kind, status=problem.status, detail=problem.detail)
        response = problem.response(request_id)
    except Exception:
        _count("FailedRequests")
        logger.exception("unexpected failure")
        detail = "an unexpected failure; it is in the log under this request id"
        response = Problem("internal", "The request failed", 500, detail).response(request_id)
    return cors.with_origin(response, event, config.origins)


def _answer(event: Document, request_id: str, context: Any) -> Document:
    budget = Budget.of(context)
    line = _line(event)
    key = idempotency_key.read(event)
    if key is None:
        return _response(_predict(event, line, request_id, budget))
    work = lambda: _predict(event, line, request_id, budget)  # noqa: E731
    document, replayed = _remembering().answer(event, key, work, context)
    if replayed:
        _count("ReplayedRequests")
        logger.info("replayed", first_request_id=document["request_id"])
    return _response(document, {"Idempotent-Replayed": "true"} if replayed else {})


def _line(event: Document) -> Line:
    """The line of the path. Callers are kept to their path by IAM, so that the path decides."""
    line = config.routes.get(event.get("resource", "")) or config.routes.get(event.get("path", ""))
    if line is None:
        raise Problem(
            "not-found", "There is no such path", 404, f"{event.get('path')!r} is not served", field="path"
        )
    metrics.add_dimension("line", line.name)
    logger.append_keys(line=line.name)
    return line


def _remembering() -> Any:
    if not _once:
        from once import Once  # noqa: PLC0415 - most callers bring no key: only those who do wait for it

        _once.append(Once(dynamodb, config.keys_table, config.keys_kept_seconds))
    return _once[0]


def _predict(event: Document, line: Line, request_id: str, budget: Budget) -> Document:
    """The answer's document. Its predictions are recorded."""
    asked = read_images(event)
    breakers[line.endpoint].check()
    prepared = prepare(asked, config.spec.input, lambda: budget.seconds)
    predictions = _ask(line, [each.pixels for each in prepared if not each.problem], budget)
    if not asked.several:
        _note(predictions[0], line, request_id)
        return {"request_id": request_id, **_told(predictions[0])}
    return {"request_id": request_id, "predictions": _entries(prepared, predictions, line, request_id)}


def _ask(line: Line, images: list[bytes], budget: Budget) -> list[Prediction]:
    if not images:
        return []
    breaker = breakers[line.endpoint]
    started = time.perf_counter()
    found: list[Prediction] = []
    at_once = max(1, MOST_BYTES // config.spec.input.byte_count)
    try:
        for first in range(0, len(images), at_once):
            runtime, some = runtimes.within(budget), images[first : first + at_once]
            if len(some) == 1:
                found.append(ask(runtime, line.endpoint, some[0], config.spec.classes))
            else:
                found += ask_many(runtime, line.endpoint, some, config.spec.classes)
    except Problem as problem:
        # Whatever else went wrong, the endpoint was there.
        breaker.failed() if problem.kind == DOWN else breaker.succeeded()
        raise
    breaker.succeeded()
    metrics.add_metric("EndpointLatency", MetricUnit.Milliseconds, (time.perf_counter() - started) * 1000)
    return found


def _entries(
    prepared: list[Prepared], predictions: list[Prediction], line: Line, request_id: str
) -> list[Document]:
    """One entry for each image of several, in their order; each prediction has an id of its own."""
    answers = iter(predictions)
    entries: list[Document] = []
    for place, each in enumerate(prepared):
        id = f"{request_id}-{place}"
        if each.problem:
            _count("RejectedImages")
            entries.append({"id": id, "problem": each.problem.document(request_id)})
            continue
        prediction = next(answers)
        _note(prediction, line, id)
        entries.append({"id": id, **_told(prediction)})
    return entries


def _note(prediction: Prediction, line: Line, id: str) -> None:
    """Count, record and log a prediction."""
    count_answer(metrics, prediction.confidence, low=config.low_confidence, every=resolution)
    _record(prediction, line, id)
    logger.info("predicted", label=prediction.label, model_version=prediction.model_version, prediction_id=id)


def _record(prediction: Prediction, line: Line, id: str) -> None:
    record = PredictionRecord(
        request_id=id,
        line=line.name,
        model_version=prediction.model_version,
        run_id=prediction.run,
        dataset=prediction.dataset,
        label=prediction.label,
        confidence=prediction.confidence,
        answered_at=datetime.now(UTC),
        kept_days=line.retention_days,
    )
    try:
        record_prediction(dynamodb, config.lineage_table, record)
    except (BotoCoreError, ClientError):
        _count("LineageWriteFailures")
        logger.exception("the prediction's lineage could not be written")


def _count(name: str) -> None:
    metrics.add_metric(name, MetricUnit.Count, 1)


def _told(prediction: Prediction) -> Document:
    return {
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "model_version": prediction.model_version,
    }


def _response(document: Document, more: dict[str, str] | None = None) -> Document:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **(more or {})}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(document)}
