"""Answers what became of a prediction that was handed in for a later answer."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from burst_path import table

from vision_runtime.claim_check import is_prediction_id
from vision_runtime.problem import TYPE_PREFIX, Problem
from vision_runtime.results import Result, Status

RETRY_SECONDS = 2


def respond(event: dict[str, Any], line: str, request_id: str) -> dict[str, Any]:
    """Answer one request for a prediction of the line `line`. Raises Problem."""
    id = (event.get("pathParameters") or {}).get("id")
    if not is_prediction_id(id):
        raise Problem("bad-id", "The id is not a prediction's", 400, f"{str(id)[:64]!r} is no id", field="id")
    try:
        result = table.find(id)
    except (ClientError, BotoCoreError) as error:
        detail = "the results cannot be read just now"
        raise Problem(
            "results-unavailable",
            "The results are not available",
            503,
            detail,
            retry_after=RETRY_SECONDS,
        ) from error
    if result is None or result.line != line:
        raise Problem(
            "no-such-prediction",
            "There is no such prediction",
            404,
            f"{id} is not known: it was never submitted, has not been uploaded yet, or is no longer kept",
            field="id",
        )
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    if result.status is Status.QUEUED:
        headers["Retry-After"] = "1"
    return {"statusCode": 200, "headers": headers, "body": json.dumps(_document(result, request_id))}


def _document(result: Result, request_id: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "request_id": request_id,
        "id": result.id,
        "status": result.status.value,
        "submitted_at": result.submitted_at,
    }
    if result.answered_at:
        document["answered_at"] = result.answered_at
    for name in ("label", "probabilities", "model_version"):
        if name in result.answer:
            document[name] = result.answer[name]
    if result.problem:
        problem = dict(result.problem)
        kind = problem.pop("kind")
        document["problem"] = {"type": TYPE_PREFIX + kind, **problem, "request_id": result.id}
    return document
