"""A training run is registered once; who comes later finds it done, under way, or takes it up again."""

from __future__ import annotations

from typing import Any

from vision_platform.states_language import (
    EXECUTION_UNKNOWN,
    TRANSACTION_CANCELLED,
    State,
    choose,
    failed,
    numbers,
    rule,
    setting,
    task,
    texts,
)
from vision_platform.training_keys import QUEUE_ITEM, RUN, job_name, tuning_name
from vision_platform.training_parts import TrainingParts


def registration(parts: TrainingParts) -> dict[str, State]:
    """From a request to a registered run, which goes on at `LookAtQueue`."""
    return {"RegisterRun": _register(parts), **_existing_run(parts)}


def _queue_item() -> dict[str, Any]:
    return {
        **QUEUE_ITEM,
        **texts(run_id="$run_id", execution_arn="$states.context.Execution.Id", reason="$reason"),
    }


def _register(parts: TrainingParts) -> State:
    """The run's record and its place in the line's queue come into being together, or not at all."""
    record = {
        **RUN,
        **texts(
            status="'QUEUED'",
            line="$line",
            reason="$reason",
            manifest_uri="$manifest_uri",
            manifest_tag="$manifest_tag",
            request="$request",
            tune="$string($tune)",
            hyperparameters="$string($overrides)",
            execution_arn="$states.context.Execution.Id",
            started_at="$states.context.Execution.StartTime",
        ),
        **numbers(attempt="1"),
    }
    put = {"TableName": parts.table, "Item": record, "ConditionExpression": "attribute_not_exists(pk)"}
    queued = {"TableName": parts.table, "Item": {**_queue_item(), **numbers(attempt="1")}}
    return task(
        "aws-sdk:dynamodb:transactWriteItems",
        {"TransactItems": [{"Put": put}, {"Put": queued}]},
        assign=_names(1, parts),
        following="LookAtQueue",
        catch_first=[{"ErrorEquals": [TRANSACTION_CANCELLED], "Next": "FindRun"}],
    )


def _existing_run(parts: TrainingParts) -> dict[str, State]:
    """A run of that id is there: it is done, under way, or to be taken up again."""
    return {
        "FindRun": task(
            "dynamodb:getItem",
            {"TableName": parts.table, "Key": RUN, "ConsistentRead": True},
            assign={"record": "{% $exists($states.result.Item) ? $states.result.Item : {} %}"},
            following="RunKnown",
        ),
        "RunKnown": choose(
            # Another transaction on these items was under way.
            rule("$not($exists($record.status))", "RegisterRun"),
            rule(
                "$record.request.S != $request or $record.line.S != $line",
                "ExplainFailure",
                failed(
                    "RunIdTaken",
                    "'There is a run ' & $run_id & ' already, of ' & $record.manifest_uri.S & ' or with "
                    "other parameters, and nothing was changed: start with another run_id, or exactly as "
                    "that run was started'",
                ),
            ),
            rule("$record.status.S = 'SUCCEEDED'", "Repeated"),
            # The answer to our own registration was lost.
            rule("$record.execution_arn.S = $states.context.Execution.Id", "LookAtQueue", _names(1, parts)),
            rule("$record.status.S = 'FAILED'", "TakeOver"),
            default="FindExecution",
        ),
        "FindExecution": task(
            "aws-sdk:sfn:describeExecution",
            {"ExecutionArn": "{% $record.execution_arn.S %}"},
            assign={"holder": "{% $states.result.Status %}"},
            following="ExecutionRuns",
            catch_first=[{"ErrorEquals": [EXECUTION_UNKNOWN], "Next": "TakeOver"}],
        ),
        "ExecutionRuns": choose(rule("$holder = 'RUNNING'", "Repeated"), default="TakeOver"),
        "TakeOver": _take_over(parts),
        "Repeated": {
            "Type": "Succeed",
            "Output": "{% $merge([$record.status.S = 'SUCCEEDED' ? $parse($record.result.S) : "
            "{'run_id': $run_id}, {'repeated': true}]) %}",
        },
    }


def _take_over(parts: TrainingParts) -> State:
    def recorded(name: str, otherwise: str = "''") -> str:
        return f"$exists($record.{name}.S) ? $record.{name}.S : {otherwise}"

    update = {
        "TableName": parts.table,
        "Key": RUN,
        **setting(
            {
                **texts(status="'QUEUED'", execution_arn="$states.context.Execution.Id"),
                **numbers(attempt="$number($record.attempt.N) + 1"),
            },
            # Of two that take it over at the same time one is refused, and finds it under way.
            # And one that has come to its good end meanwhile is left alone.
            condition="#execution_arn = :before AND #attempt = :attempt_before AND #status = :status_before",
            values={
                ":before": {"S": "{% $record.execution_arn.S %}"},
                ":attempt_before": {"N": "{% $record.attempt.N %}"},
                ":status_before": {"S": "{% $record.status.S %}"},
            },
            remove=["error", "cause", "finished_at"],
        ),
    }
    item = {**_queue_item(), **numbers(attempt="$number($record.attempt.N) + 1")}
    done = {
        "attempt": "{% $number($record.attempt.N) + 1 %}",
        "registered": "{% $record.started_at.S %}",
        "prepared": f"{{% $parse({recorded('prepared', chr(39) + '{}' + chr(39))}) %}}",
        "prepared_at": f"{{% {recorded('prepared_at')} %}}",
        "training": f"{{% {{'model_uri': {recorded('model_uri')}, 'job': {recorded('training_job')}, "
        f"'metrics': $parse({recorded('training_metrics', chr(39) + '{}' + chr(39))})}} %}}",
        "evaluated_against": f"{{% {recorded('evaluated_against', chr(39) + '-' + chr(39))} %}}",
        "gate": f"{{% {{'metrics': $parse({recorded('metrics', chr(39) + '{}' + chr(39))})}} %}}",
        "model_package_arn": f"{{% {recorded('model_package_arn')} %}}",
        "dataset": f"{{% {recorded('dataset')} %}}",
        **_names("$number($record.attempt.N) + 1", parts),
    }
    return task(
        "aws-sdk:dynamodb:transactWriteItems",
        {"TransactItems": [{"Update": update}, {"Put": {"TableName": parts.table, "Item": item}}]},
        assign=done,
        following="LookAtQueue",
        catch_first=[{"ErrorEquals": [TRANSACTION_CANCELLED], "Next": "FindRun"}],
    )


def _names(attempt: int | str, parts: TrainingParts) -> dict[str, str]:
    """Names of this attempt's jobs, of those of the attempt before, and where the evaluation lies."""
    return {
        "job": f"{{% {job_name(attempt)} %}}",
        "earlier_job": f"{{% {job_name(f'({attempt}) - 1')} %}}",
        "tuning_name": f"{{% {tuning_name(attempt, parts.prefix)} %}}",
        "earlier_tuning": f"{{% {tuning_name(f'({attempt}) - 1', parts.prefix)} %}}",
        "evaluations": "{% $artifacts & 'evaluations/' & $line & '/' & $run_id %}",
    }
