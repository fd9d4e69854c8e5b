"""From shards to a model: one training job, or a tuning job and the best of its trials; both found again."""

from __future__ import annotations

from typing import Any

from vision_platform import training_requests as requests
from vision_platform.states_language import (
    SAGEMAKER_REFUSES,
    State,
    choose,
    invoke,
    key,
    rule,
    setting,
    task,
    texts,
)
from vision_platform.training_keys import IS_OWN, OWN, RUN
from vision_platform.training_parts import TrainingParts

# Of a training job: its name, model and last metrics, or nothing unless it has completed.
_TRAINED = (
    "{% $states.result.TrainingJobStatus = 'Completed' ? $states.result.{'job': TrainingJobName, "
    "'model_uri': ModelArtifacts.S3ModelArtifacts, "
    "'metrics': $merge([{}, FinalMetricDataList.{MetricName: Value}])} : "
    "{'job': '', 'model_uri': '', 'metrics': {}} %}"
)
_LAST_TUNING = key("'LINE#' & $line", "'TUNING'")


def making_a_model(parts: TrainingParts) -> dict[str, State]:
    """Train or tune, unless this run has done so, and go on at `FindChampion`.

    An attempt before may have lost a job that was done: each is looked for by its name first.
    """
    return {
        "ChooseTraining": choose(
            rule("$training.model_uri != ''", "FindChampion"),
            rule("$tune and $attempt > 1", "FindTuning"),
            rule("$tune", _first_tuning(parts)),
            rule("$attempt > 1", "FindTraining"),
            default="Train",
        ),
        "FindTraining": task(
            "aws-sdk:sagemaker:describeTrainingJob",
            {"TrainingJobName": "{% $earlier_job %}"},
            assign={"training": _TRAINED},
            following="TrainingFound",
            catch_first=[_none("Train")],
        ),
        "TrainingFound": choose(rule("$training.model_uri != ''", "RecordTraining"), default="Train"),
        "Train": task(
            "sagemaker:createTrainingJob.sync",
            requests.training_job(parts.jobs, parts.identity),
            assign={"training": _TRAINED},
            following="RecordTraining",
        ),
        **_tuning(parts),
        "RecordTraining": _record(parts),
    }


def _tuning(parts: TrainingParts) -> dict[str, State]:
    first_tuning = _first_tuning(parts)
    states: dict[str, State] = {
        "FindTuning": task(
            "aws-sdk:sagemaker:describeHyperParameterTuningJob",
            {"HyperParameterTuningJobName": "{% $earlier_tuning %}"},
            assign={
                "tuning_job": "{% $states.result.HyperParameterTuningJobStatus = 'Completed' ? "
                "$earlier_tuning : '' %}"
            },
            following="TuningFound",
            catch_first=[_none(first_tuning)],
        ),
        "TuningFound": choose(rule("$tuning_job != ''", "SelectModel"), default=first_tuning),
        "Tune": _tune(parts, warm_start=False),
        "SelectModel": invoke(
            parts.functions.select_model,
            {"run_id": "{% $run_id %}", "line": "{% $line %}", "tuning_job": "{% $tuning_job %}"},
            assign={
                "selection": "{% $states.result.Payload %}",
                "training": "{% $states.result.Payload.{'job': training_job, 'model_uri': model_uri, "
                f"'metrics': {{'{parts.tuning.objective}': objective}}}} %}}",
            },
            following="RecordTraining",
        ),
    }
    if parts.tuning.warm_start:
        states |= {
            "FindParent": task(
                "dynamodb:getItem",
                {"TableName": parts.table, "Key": _LAST_TUNING},
                assign={
                    "parent": "{% $exists($states.result.Item.job.S) ? $states.result.Item.job.S : '' %}"
                },
                following="ParentFound",
            ),
            "ParentFound": choose(rule("$parent != ''", "TuneFurther"), default="Tune"),
            "TuneFurther": _tune(parts, warm_start=True),
        }
    return states


def _first_tuning(parts: TrainingParts) -> str:
    return "FindParent" if parts.tuning.warm_start else "Tune"


def _tune(parts: TrainingParts, *, warm_start: bool) -> State:
    return task(
        "sagemaker:createHyperParameterTuningJob.sync",
        requests.tuning_job(parts.jobs, parts.identity, parts.tuning, warm_start=warm_start),
        assign={"tuning_job": "{% $tuning_name %}"},
        following="SelectModel",
    )


def _none(following: str) -> State:
    """There is no such job."""
    return {"ErrorEquals": [SAGEMAKER_REFUSES, "SageMaker.ResourceNotFoundException"], "Next": following}


def _record(parts: TrainingParts) -> State:
    """The model is the run's; a tuning job is also what the line's next one may begin with."""
    attributes: dict[str, Any] = texts(
        model_uri="$training.model_uri",
        training_job="$training.job",
        training_metrics="$string($training.metrics)",
        tuning_job="$tuning_job",
        selection="$string($selection)",
    )
    run = {
        "TableName": parts.table,
        "Key": RUN,
        **setting(attributes, condition=IS_OWN, values=OWN),
    }
    # A transaction has a fixed number of parts: without tuning, the second one writes beside it.
    line = {
        "TableName": parts.table,
        "Item": {
            **key("'LINE#' & $line", "$tuning_job = '' ? 'TRAINING' : 'TUNING'"),
            **texts(job="$tuning_job = '' ? $training.job : $tuning_job", run_id="$run_id", at="$now()"),
        },
    }
    return task(
        "aws-sdk:dynamodb:transactWriteItems",
        {"TransactItems": [{"Update": run}, {"Put": line}]},
        following="FindChampion",
    )
