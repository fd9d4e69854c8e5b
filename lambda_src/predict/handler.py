"""The API's adapter: turns an image in a request into a prediction by the line's SageMaker endpoint."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricResolution, MetricUnit
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from config import Config, Line
from request import ImageRequest, read_request

from vision_runtime.asking import CLIENT, Prediction, ask
from vision_runtime.images import ImageFault, ImageRejected, to_model_input
from vision_runtime.lineage import PredictionRecord, record_prediction
from vision_runtime.problem import Problem
from vision_runtime.tracing import trace_calls

IMAGE_STATUS = {ImageFault.TOO_MANY_BYTES: 413, ImageFault.UNSUPPORTED_FORMAT: 415}
# The answer waits for its record, but not long: a lost record is counted, a lost answer hurts the caller.
LINEAGE_CLIENT = ClientConfig(
    connect_timeout=1,
    read_timeout=1,
    retries={"total_max_attempts": 2, "mode": "standard"},
    tcp_keepalive=True,
)

# Made once per execution environment: connections live from request to request.
logger = Logger()
metrics = Metrics()
config = Config.from_environment(os.environ)
# An alarm that looks more often than once a minute needs every second.
resolution = MetricResolution.High if config.metrics_period_seconds < 60 else MetricResolution.Standard
runtime: Any = boto3.client("sagemaker-runtime", config=CLIENT)
dynamodb: Any = boto3.client("dynamodb", config=LINEAGE_CLIENT)
trace_calls(runtime, shown={"EndpointName": "endpoint_name"})
trace_calls(dynamodb, shown={"TableName": "table_name"})


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request. Every outcome is an answer; none is an exception."""
    request_id = (event.get("requestContext") or {}).get("requestId") or context.aws_request_id
    logger.append_keys(request_id=request_id)
    try:
        line = _line(event)
        prediction = _predict(event, line)
    except Problem as problem:
        _count("RejectedRequests" if problem.status < 500 else "FailedRequests")
        logger.warning("problem", kind=problem.kind, status=problem.status, detail=problem.detail)
        return problem.response(request_id)
    except Exception:
        _count("FailedRequests")
        logger.exception("unexpected failure")
        detail = "an unexpected failure; it is in the log under this request id"
        return Problem("internal", "The request failed", 500, detail).response(request_id)
    _count("Predictions", resolution)
    uncertain = prediction.confidence < config.low_confidence
    metrics.add_metric("LowConfidence", MetricUnit.Count, int(uncertain), resolution)
    metrics.add_metric("Confidence", MetricUnit.Percent, prediction.confidence * 100)
    _record(prediction, line, request_id)
    logger.info("predicted", label=prediction.label, model_version=prediction.model_version)
    return _response(prediction, request_id)


def _line(event: dict[str, Any]) -> Line:
    """The line of the path. Callers are kept to their path by IAM, so that the path decides."""
    line = config.routes.get(event.get("resource", "")) or config.routes.get(event.get("path", ""))
    if line is None:
        raise Problem(
            "not-found", "There is no such path", 404, f"{event.get('path')!r} is not served", field="path"
        )
    metrics.add_dimension("line", line.name)
    logger.append_keys(line=line.name)
    return line


def _predict(event: dict[str, Any], line: Line) -> Prediction:
    request = read_request(event)
    pixels = _model_input(request)
    started = time.perf_counter()
    prediction = ask(runtime, line.endpoint, pixels, config.spec.classes)
    metrics.add_metric("EndpointLatency", MetricUnit.Milliseconds, (time.perf_counter() - started) * 1000)
    return prediction


def _model_input(request: ImageRequest) -> bytes:
    try:
        return to_model_input(request.data, config.spec.input)
    except ImageRejected as rejected:
        status = IMAGE_STATUS.get(rejected.fault, 400)
        kind = f"image-{rejected.fault}"
        title = "The image is not accepted"
        raise Problem(kind, title, status, rejected.detail, field=request.field) from rejected


def _record(prediction: Prediction, line: Line, request_id: str) -> None:
    record = PredictionRecord(
        request_id=request_id,
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


def _count(name: str, every: MetricResolution = MetricResolution.Standard) -> None:
    metrics.add_metric(name, MetricUnit.Count, 1, every)


def _response(prediction: Prediction, request_id: str) -> dict[str, Any]:
    document = {
        "request_id": request_id,
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "model_version": prediction.model_version,
    }
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": 200, "headers": headers, "body": json.dumps(document)}
