"""Selection step of the training workflow: the best trial of a tuning job goes on to the evaluation."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Annotated, Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from pydantic import StringConstraints
from trials import Direction, NoUsableTrial, Trial, select

from vision_runtime import environment
from vision_runtime.run_event import RunEvent, read_event

PAGE = 100  # SageMaker's most
TRIALS_SHOWN = 20  # a workflow's state holds 256 KiB

logger = Logger()
# Listing is throttled per account: a wait is cheaper than a failed run.
sagemaker: Any = boto3.client("sagemaker", config=Config(retries={"mode": "adaptive", "max_attempts": 10}))
objective = environment.text(os.environ, "OBJECTIVE")


def _direction(written: str) -> Direction:
    if written == "Maximize" or written == "Minimize":  # noqa: PLR1714 - type checkers understand this form
        return written
    raise environment.ConfigurationError(
        f"the environment variable DIRECTION is {written!r}; it must be Maximize or Minimize"
    )


direction: Direction = _direction(environment.text(os.environ, "DIRECTION"))


class SelectionEvent(RunEvent):
    """What the workflow passes in."""

    tuning_job: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}$")]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The best trial and what it was chosen from. Raises NoUsableTrial, by this name."""
    request = read_event(SelectionEvent, event)
    logger.append_keys(run_id=request.run_id, line=request.line, tuning_job=request.tuning_job)
    selection = select(_summaries(request.tuning_job), objective, direction)
    best = selection.ranked[0]
    logger.info(
        "selected",
        training_job=best.training_job,
        objective=best.objective,
        trials=selection.count,
        left_out=dict(selection.left_out),
    )
    return {
        "training_job": best.training_job,
        "model_uri": _model_uri(best.training_job),
        "objective": best.objective,
        "hyperparameters": best.hyperparameters,
        "trials": [_shown(trial) for trial in selection.ranked[:TRIALS_SHOWN]],
        "trial_count": selection.count,
        "left_out": sum(selection.left_out.values()),
        "left_out_because": dict(selection.left_out),
    }


def _summaries(tuning_job: str) -> Iterator[dict[str, Any]]:
    """Every trial. Sorted by the objective, SageMaker would leave those without one out of the list."""
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=tuning_job, SortBy="Name", PaginationConfig={"PageSize": PAGE}
    )
    for page in pages:
        yield from page["TrainingJobSummaries"]


def _model_uri(training_job: str) -> str:
    found = sagemaker.describe_training_job(TrainingJobName=training_job)
    uri = found.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    if not uri:
        raise NoUsableTrial(f"the best trial, {training_job}, has no model: look at its training job's log")
    return uri


def _shown(trial: Trial) -> dict[str, Any]:
    return {
        "training_job": trial.training_job,
        "objective": trial.objective,
        "seconds": trial.seconds if math.isfinite(trial.seconds) else None,
        "hyperparameters": trial.hyperparameters,
    }
