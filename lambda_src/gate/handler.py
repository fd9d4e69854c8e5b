"""Gate step of the training workflow: reads the evaluation of a run and says whether its model may go on."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from decision import decide
from evaluation import EvaluationError, read_evaluation
from thresholds import read_thresholds

from vision_runtime.run_event import RunEvent, read_event
from vision_runtime.s3_uri import ObjectMissing, S3Uri

MAX_EVALUATION_BYTES = 16 * 1024 * 1024  # a confusion matrix of 1,000 classes has a few MB

logger = Logger()
s3: Any = boto3.client("s3")
thresholds = read_thresholds(os.environ)


class GateEvent(RunEvent):
    """What the workflow passes in. `thresholds_only` leaves the champion out of it."""

    evaluation_uri: str
    thresholds_only: bool = False


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The decision about one run. Raises EvaluationError, by this name, when there is nothing to judge."""
    request = read_event(GateEvent, event)
    logger.append_keys(run_id=request.run_id, line=request.line)
    try:
        content = S3Uri.parse(request.evaluation_uri).read(s3, MAX_EVALUATION_BYTES)
    except (ObjectMissing, ValueError) as error:
        raise EvaluationError(f"evaluation_uri: {error}") from error
    decision = decide(read_evaluation(content), thresholds, thresholds_only=request.thresholds_only)
    logger.info("gate", passed=decision.passed, reasons=decision.reasons, metrics=decision.metrics)
    return asdict(decision)
