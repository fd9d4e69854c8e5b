"""What a training run leaves when its execution is stopped from outside: found, recorded, announced, freed.

A run that ends by its own states has left the queue by then: whoever still stands in it could not do so.
"""

from __future__ import annotations

from typing import Any

from vision_platform.states_language import (
    CAUSE_LIMIT,
    CONDITION_FAILED,
    SAGEMAKER_REFUSES,
    State,
    choose,
    key,
    rule,
    setting,
    task,
    texts,
)
from vision_platform.training_endings import announce_failure
from vision_platform.training_keys import RUN, job_name, tuning_name
from vision_platform.training_parts import TrainingParts
from vision_platform.training_queue import leave_queue

_EVENT = "$states.context.Execution.Input"
_TIMEOUT_SECONDS = 900


def definition(parts: TrainingParts) -> dict[str, Any]:
    """The state machine; its input is the event of the execution's end."""
    return {
        "Comment": "Records, announces and clears up what a stopped training run could not itself",
        "QueryLanguage": "JSONata",
        "StartAt": "Note",
        "TimeoutSeconds": _TIMEOUT_SECONDS,
        "States": {
            "Note": _note(parts),
            "FindPlace": _find_place(parts),
            "PlaceFound": choose(rule("$run_id = ''", "NothingLeft"), default="FindRun"),
            "FindRun": task(
                "dynamodb:getItem",
                {"TableName": parts.table, "Key": RUN, "ConsistentRead": True},
                assign={"status": "{% $states.result.Item.status.S & '' %}"},
                following="StopTraining",
                on_error="CouldNotClearUp",
            ),
            **_stop_jobs(parts),
            "RunSucceeded": choose(rule("$status = 'SUCCEEDED'", "LeaveQueue"), default="RecordFailure"),
            "RecordFailure": _record(parts),
            "AnnounceFailure": announce_failure(
                parts, execution="{% $execution_arn %}", following="LeaveQueue"
            ),
            "LeaveQueue": leave_queue(parts, "NothingLeft", execution="$execution_arn"),
            "NothingLeft": {"Type": "Succeed", "Output": {"run_id": "{% $run_id %}"}},
            "CouldNotClearUp": {
                "Type": "Fail",
                "Error": "{% $failure.Error %}",
                "Cause": "{% $failure.Cause %}",
            },
        },
    }


def _note(parts: TrainingParts) -> State:
    """What ended how. The input of the execution travels in its event as text."""
    failures = (
        "{'ABORTED': {'Error': 'Aborted', 'Cause': 'The execution was stopped from outside: start the run "
        "again as it was started, and it goes on where it stopped'}, 'TIMED_OUT': {'Error': 'TimedOut', "
        "'Cause': 'The execution took longer than all its steps together may: look where it hung, then "
        "start the run again as it was started'}, 'FAILED': {'Error': $exists($event.error) ? $event.error "
        ": 'Failed', 'Cause': $exists($event.cause) ? $event.cause : 'See the history of the execution'}}"
    )
    return {
        "Type": "Pass",
        "Assign": {
            "prefix": parts.prefix,
            "execution_arn": f"{{% {_EVENT}.executionArn %}}",
            "line": f"{{% ($input := $exists({_EVENT}.input) ? $parse({_EVENT}.input); "
            "$exists($input.line) ? $string($input.line) : '') %}",
            "run_id": "",
            "failure": f"{{% ($event := {_EVENT}; "
            f"$merge([{{'State': ''}}, $lookup({failures}, $event.status)])) %}}",
        },
        "Next": "FindPlace",
    }


def _find_place(parts: TrainingParts) -> State:
    """The execution's place in the queue of its line tells the run and the attempt."""
    mine = "$states.result.Items[execution_arn.S = $execution_arn]"
    place = f"{mine}[sk.S != 'LOCK'][0]"
    return task(
        "aws-sdk:dynamodb:query",
        {
            "TableName": parts.table,
            "ConsistentRead": True,
            "KeyConditionExpression": "pk = :line AND sk BETWEEN :lock AND :last",
            "FilterExpression": "execution_arn = :execution",
            "ExpressionAttributeValues": {
                **texts(**{":line": "'LINE#' & $line", ":execution": "$execution_arn"}),
                ":lock": {"S": "LOCK"},
                ":last": {"S": "QUEUE#~"},
            },
        },
        assign={
            "run_id": f"{{% $exists({place}) ? {place}.run_id.S : '' %}}",
            "attempt": f"{{% $exists({place}) ? $number({place}.attempt.N) : 1 %}}",
            # QUEUE#<started>#<run id>
            "started": f"{{% $exists({place}) ? $split({place}.sk.S, '#')[1] : '' %}}",
            "locked": f"{{% $exists({mine}[sk.S = 'LOCK']) %}}",
        },
        following="PlaceFound",
        on_error="CouldNotClearUp",
    )


def _stop_jobs(parts: TrainingParts) -> dict[str, State]:
    """Step Functions stops what it waited for, as well as it can: this makes sure."""

    def stop(kind: str, name: str, following: str) -> State:
        return task(
            f"aws-sdk:sagemaker:stop{kind}",
            {f"{kind}Name": f"{{% {name} %}}"},
            following=following,
            # There is no such job, or it has ended.
            catch_first=[
                {
                    "ErrorEquals": [SAGEMAKER_REFUSES, "SageMaker.ResourceNotFoundException"],
                    "Next": following,
                }
            ],
            on_error="CouldNotClearUp",
        )

    return {
        "StopTraining": stop("TrainingJob", job_name("$attempt"), "StopTuning"),
        "StopTuning": stop(
            "HyperParameterTuningJob", tuning_name("$attempt", parts.prefix), "StopEvaluation"
        ),
        "StopEvaluation": stop("ProcessingJob", job_name("$attempt"), "RunSucceeded"),
    }


def _record(parts: TrainingParts) -> State:
    """Unless the run has recorded its failure itself, or another execution has taken it over."""
    attributes = texts(
        status="'FAILED'",
        finished_at="$now()",
        error="$failure.Error",
        cause=f"$substring($failure.Cause, 0, {CAUSE_LIMIT})",
    )
    return task(
        "dynamodb:updateItem",
        {
            "TableName": parts.table,
            "Key": key("'RUN#' & $run_id", "'RUN'"),
            **setting(
                attributes,
                condition="#execution_arn = :own AND #status <> :failed",
                values={**texts(**{":own": "$execution_arn"}), ":failed": {"S": "FAILED"}},
            ),
        },
        following="AnnounceFailure",
        catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "AnnounceFailure"}],
        on_error="AnnounceFailure",
        keep_error=False,
    )
