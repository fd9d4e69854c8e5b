"""Answers what is asked around predictions: upload addresses, later answers, the model, the document."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import champion
import document
import results
import submit
import uploads
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.exceptions import BotoCoreError, ClientError

from vision_runtime import cors
from vision_runtime.problem import Problem

Event = dict[str, Any]
Respond = Callable[[Event, str, str], dict[str, Any]]
CHAMPION, SMOKE = "champion", "smoke"
_SMOKE_PATH = "/v1/smoke/"
RETRY_SECONDS = 2
# What answers each operation: with the event, the model's line and the request's id.
ROUTES: dict[tuple[str, str], Respond] = {
    ("POST", "/v1/predictions:submit"): submit.respond,
    ("GET", "/v1/predictions/{id}"): results.respond,
    ("POST", "/v1/smoke/predictions:submit"): submit.respond,
    ("GET", "/v1/smoke/predictions/{id}"): results.respond,
    ("POST", "/v1/uploads"): uploads.respond,
    ("GET", "/v1/model"): champion.respond,
    ("GET", "/openapi.json"): document.respond,
}

logger = Logger()
metrics = Metrics()
origins = cors.allowed_origins(os.environ)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: Event, context: Any) -> dict[str, Any]:
    """Answer one request. Every outcome is an answer; none is an exception."""
    request_id = (event.get("requestContext") or {}).get("requestId") or context.aws_request_id
    logger.append_keys(request_id=request_id)
    if event.get("httpMethod") == "OPTIONS":
        return cors.preflight(event, origins)
    try:
        response = _answer(event, request_id)
    except Problem as problem:
        metrics.add_metric(
            "RejectedRequests" if problem.status < 500 else "FailedRequests", MetricUnit.Count, 1
        )
        logger.warning("problem", kind=problem.kind, status=problem.status, detail=problem.detail)
        response = problem.response(request_id)
    except (BotoCoreError, ClientError):
        # What these operations need of AWS is throttled or away for a while; a wrong grant is in the log.
        response = _failed(
            Problem(
                "unavailable",
                "The service is not available",
                503,
                "a part of the platform did not answer; try again, it is in the log under this request id",
                retry_after=RETRY_SECONDS,
            ),
            request_id,
        )
    except Exception:
        detail = "an unexpected failure; it is in the log under this request id"
        response = _failed(Problem("internal", "The request failed", 500, detail), request_id)
    return cors.with_origin(response, event, origins)


def _answer(event: Event, request_id: str) -> dict[str, Any]:
    operation = str(event.get("httpMethod")), str(event.get("resource"))
    respond = ROUTES.get(operation)
    if respond is None:
        raise Problem("not-found", "There is no such path", 404, f"{operation} is not served", field="path")
    line = SMOKE if operation[1].startswith(_SMOKE_PATH) else CHAMPION
    metrics.add_dimension("line", line)
    logger.append_keys(line=line, operation=" ".join(operation))
    metrics.add_metric("Requests", MetricUnit.Count, 1)
    return respond(event, line, request_id)


def _failed(problem: Problem, request_id: str) -> dict[str, Any]:
    metrics.add_metric("FailedRequests", MetricUnit.Count, 1)
    logger.exception("failed")
    return problem.response(request_id)
