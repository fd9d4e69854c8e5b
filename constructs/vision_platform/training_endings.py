"""How a run ends: registered and promoted, recorded and announced; or failed, recorded and announced."""

from __future__ import annotations

from vision_platform import training_requests as requests
from vision_platform.model_lines import SMOKE
from vision_platform.states_language import (
    CAUSE_LIMIT,
    CONDITION_FAILED,
    State,
    announce,
    key,
    numbers,
    setting,
    task,
    texts,
)
from vision_platform.training_keys import IS_OWN, OWN, RUN
from vision_platform.training_parts import TrainingParts
from vision_platform.training_queue import leave_queue

_OWN_ID = "{% $states.context.Execution.Id %}"


def registry(parts: TrainingParts) -> dict[str, State]:
    """The approved model enters the registry and the lineage, and goes on to its promotion."""
    return {
        "RegisterModelPackage": task(
            "aws-sdk:sagemaker:createModelPackage",
            requests.model_package(parts.jobs),
            assign={"model_package_arn": "{% $states.result.ModelPackageArn %}"},
            following="RecordModel",
        ),
        # Before any endpoint can answer with it: each prediction finds its model in the lineage.
        "RecordModel": _record_model(parts),
        "Promote": task(
            "states:startExecution.sync:2",
            {
                "StateMachineArn": parts.promotion,
                "Name": "{% $states.context.Execution.Name %}",
                "Input": {
                    "line": "{% $line %}",
                    "deployment_id": "{% $run_id %}",
                    "model_package_arn": "{% $model_package_arn %}",
                    "reason": f"{{% $line = '{SMOKE}' ? 'smoke' : 'training' %}}",
                    "run_id": "{% $run_id %}",
                },
            },
            assign={
                "result": {
                    "run_id": "{% $run_id %}",
                    "line": "{% $line %}",
                    "metrics": "{% $gate.metrics %}",
                    "model_package_arn": "{% $model_package_arn %}",
                    "endpoint_name": "{% $states.result.Output.endpoint_name %}",
                    "endpoint_config_name": "{% $states.result.Output.endpoint_config_name %}",
                    "evaluation_uri": "{% $evaluations & '/evaluation.json' %}",
                    "report_uri": "{% $evaluations & '/report.html' %}",
                    "dataset": "{% $prepared.dataset %}",
                    "counts": "{% $prepared.counts %}",
                    "training_job": "{% $training.job %}",
                    "attempt": "{% $attempt %}",
                    "repeated": False,
                }
            },
            following="RecordSuccess",
        ),
    }


def _record_model(parts: TrainingParts) -> State:
    item = {
        **key("'MODEL#' & $model_package_arn", "'MODEL'"),
        **texts(
            gsi1pk="'DATASET#' & $dataset",
            gsi1sk="'RUN#' & $run_id & '#MODEL#' & $model_package_arn",
            run_id="$run_id",
            line="$line",
            dataset="$dataset",
            model_uri="$training.model_uri",
            training_job="$training.job",
            evaluation_uri="$evaluations & '/evaluation.json'",
            report_uri="$evaluations & '/report.html'",
            baseline_uri="$evaluations & '/baseline.json'",
            registered_at="$now()",
        ),
    }
    attributes = {
        **texts(model_package_arn="$model_package_arn", metrics="$string($gate.metrics)"),
        **numbers(accuracy="$gate.metrics.accuracy"),
    }
    run = {"TableName": parts.table, "Key": RUN, **setting(attributes, condition=IS_OWN, values=OWN)}
    return task(
        "aws-sdk:dynamodb:transactWriteItems",
        {"TransactItems": [{"Put": {"TableName": parts.table, "Item": item}}, {"Update": run}]},
        following="Promote",
    )


def success(parts: TrainingParts) -> dict[str, State]:
    """The run is recorded with its result, which a repeated start answers with as well."""
    attributes = texts(
        status="'SUCCEEDED'",
        finished_at="$now()",
        deployment_id="$run_id",
        endpoint_name="$result.endpoint_name",
        endpoint_config_name="$result.endpoint_config_name",
        result="$string($result)",
    )
    announced = ("metrics", "model_package_arn", "endpoint_name", "endpoint_config_name", "evaluation_uri")
    return {
        "RecordSuccess": task(
            "dynamodb:updateItem",
            {"TableName": parts.table, "Key": RUN, **setting(attributes, condition=IS_OWN, values=OWN)},
            following="AnnounceSuccess",
        ),
        "AnnounceSuccess": announce(
            parts,
            "Training Complete",
            {
                name: f"{{% $result.{name} %}}"
                for name in (*announced, "report_uri", "dataset", "counts", "attempt")
            },
            following="LeaveQueue",
        ),
        "LeaveQueue": leave_queue(parts, "Done"),
        "Done": {"Type": "Succeed", "Output": "{% $result %}"},
    }


def failure(parts: TrainingParts) -> dict[str, State]:
    """One way for every failure; each step is taken even when the one before it could not be."""
    attributes = texts(
        status="'FAILED'",
        finished_at="$now()",
        error="$failure.Error",
        cause="$failure.Cause",
    )
    return {
        "ExplainFailure": {
            "Type": "Pass",
            "Assign": {"failure": f"{{% {explained()} %}}"},
            "Next": "RecordFailure",
        },
        "RecordFailure": task(
            "dynamodb:updateItem",
            {"TableName": parts.table, "Key": RUN, **setting(attributes, condition=IS_OWN, values=OWN)},
            following="AnnounceFailure",
            # Nothing of this execution's is registered, so there is nothing to record.
            catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "AnnounceFailure"}],
            # What went wrong first is what people must hear, even when it cannot be recorded.
            on_error="AnnounceUnrecorded",
            keep_error=False,
        ),
        # It keeps its place in the queue, by which the aftermath finds the run and records it.
        "AnnounceUnrecorded": announce_failure(parts, execution=_OWN_ID, following="Failed"),
        "AnnounceFailure": announce_failure(parts, execution=_OWN_ID, following="LeaveQueueAfterFailure"),
        "LeaveQueueAfterFailure": leave_queue(parts, "Failed"),
        "Failed": {"Type": "Fail", "Error": "{% $failure.Error %}", "Cause": "{% $failure.Cause %}"},
    }


def announce_failure(parts: TrainingParts, *, execution: str, following: str) -> State:
    """Tell people; whatever comes of it, go on."""
    return announce(
        parts,
        "Training Failed",
        {
            "error": "{% $failure.Error %}",
            "cause": f"{{% $substring($failure.Cause, 0, {CAUSE_LIMIT}) %}}",
            "state": "{% $failure.State %}",
            "execution_arn": execution,
            "attempt": "{% $attempt %}",
        },
        following=following,
        on_error=following,
        keep_error=False,
    )


def explained() -> str:
    """The failure in its own words (JSONata): jobs, functions and executions wrap theirs in JSON.

    Read by patterns, because Step Functions cuts what is long, and cut JSON cannot be parsed.
    """

    def found(name: str) -> str:
        pattern = rf'/"{name}"\s*:\s*"((?:[^\\"]+|\\.)*)"/'
        return f"$match($cause, {pattern})[0].groups[0]"

    return (
        "($cause := $failure.Cause; $wrapped := $substring($cause, 0, 1) = '{'; "
        f"$error := $wrapped and $failure.Error = 'States.TaskFailed' ? {found('Error')}; "
        f"$said := $wrapped ? [{found('FailureReason')}, {found('ExitMessage')}, {found('errorMessage')}, "
        f"$exists($error) ? {found('Cause')}]; "
        "{'Error': $exists($error) ? $error : $failure.Error, 'State': $failure.State, "
        "'Cause': $substring($count($said) > 0 ? $parse('\"' & $join($said, ': ') & '\"') : $cause, 0, "
        f"{CAUSE_LIMIT})}})"
    )
