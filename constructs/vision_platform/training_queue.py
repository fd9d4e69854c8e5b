"""Runs of one line go one after the other: a queue in the order of their start, and a lock for its head."""

from __future__ import annotations

from typing import Any

from vision_platform.states_language import (
    CONDITION_FAILED,
    EXECUTION_UNKNOWN,
    TRANSACTION_CANCELLED,
    State,
    announce,
    choose,
    failed,
    key,
    rule,
    setting,
    task,
    texts,
)
from vision_platform.training_keys import IS_OWN, OWN, QUEUE_ITEM, RUN
from vision_platform.training_parts import TrainingParts

LOCK = key("'LINE#' & $line", "'LOCK'")
# A run that waits so long is told to give up; an execution has room for about three days of looks.
QUEUE_SECONDS = 24 * 3600
_LONGEST_WAIT_SECONDS = 60
_OWN_ID = "$states.context.Execution.Id"


def queue(parts: TrainingParts) -> dict[str, State]:
    """Wait for the line, take it, say so, and go on at `Resume`.

    Only one that works may hold the others up: entries of executions that have ended are taken out.
    """
    return {
        "LookAtQueue": task(
            "aws-sdk:dynamodb:query",
            {
                "TableName": parts.table,
                "ConsistentRead": True,
                # The lock sorts before the queue, and the queue by the time of starting.
                "KeyConditionExpression": "pk = :line AND sk BETWEEN :lock AND :last",
                "ExpressionAttributeValues": {
                    **texts(**{":line": "'LINE#' & $line"}),
                    ":lock": {"S": "LOCK"},
                    ":last": {"S": "QUEUE#~"},
                },
                "Limit": 2,
            },
            assign={"blocker": f"{{% {_blocker()} %}}"},
            following="MyTurn",
        ),
        "MyTurn": choose(rule("$blocker.sk = ''", "TakeLock"), default="FindHolder"),
        "FindHolder": task(
            "aws-sdk:sfn:describeExecution",
            {"ExecutionArn": "{% $blocker.execution_arn %}"},
            assign={"holder": "{% $states.result.Status %}"},
            following="HolderRuns",
            catch_first=[{"ErrorEquals": [EXECUTION_UNKNOWN], "Next": "PassBy"}],
        ),
        "HolderRuns": choose(
            rule("$holder != 'RUNNING'", "PassBy"),
            rule(
                f"$millis() - $waited_since > {QUEUE_SECONDS * 1000}",
                "ExplainFailure",
                failed(
                    "QueueTimedOut",
                    f"'The line ' & $line & ' was busy for {QUEUE_SECONDS // 3600} hours, now with ' & "
                    "$blocker.execution_arn & ': start the run again when that one has ended'",
                ),
            ),
            default="WaitForTurn",
        ),
        "PassBy": _remove(
            parts, key("'LINE#' & $line", "$blocker.sk"), "$blocker.execution_arn", following="LookAtQueue"
        ),
        "WaitForTurn": {
            "Type": "Wait",
            "Seconds": "{% $wait %}",
            "Assign": {"wait": f"{{% $min([$wait * 2, {_LONGEST_WAIT_SECONDS}]) %}}"},
            "Next": "LookAtQueue",
        },
        "TakeLock": _take_lock(parts),
        "AnnounceStart": announce(
            parts,
            "Training Started",
            {
                "reason": "{% $reason %}",
                "manifest_uri": "{% $manifest_uri %}",
                "attempt": "{% $attempt %}",
                "execution_arn": f"{{% {_OWN_ID} %}}",
            },
            following="Resume",
        ),
    }


def leave_queue(parts: TrainingParts, following: str, *, execution: str = _OWN_ID) -> State:
    """Give up the place in the queue, and the lock if it is ours. What stays would be passed by."""
    place = {"TableName": parts.table, "Key": QUEUE_ITEM}
    lock = {
        "TableName": parts.table,
        # A transaction has a fixed number of parts: without the lock, this one is about nothing.
        "Key": key("'LINE#' & $line", "$locked ? 'LOCK' : 'NOTHING'"),
        "ConditionExpression": "attribute_not_exists(pk) OR execution_arn = :own",
        "ExpressionAttributeValues": texts(**{":own": execution}),
    }
    return task(
        "aws-sdk:dynamodb:transactWriteItems",
        {"TransactItems": [{"Delete": place}, {"Delete": lock}]},
        following=following,
        on_error=following,
        keep_error=False,
    )


def _blocker() -> str:
    """Who is before us (JSONata): the holder of the lock, else the head of the queue; or nobody."""
    return (
        "($others := $states.result.Items[sk.S = 'LOCK' or $substring(sk.S, 0, 6) = 'QUEUE#']; "
        "$lock := $others[sk.S = 'LOCK'][0]; $head := $others[sk.S != 'LOCK'][0]; "
        f"$first := $exists($lock) and $lock.execution_arn.S != {_OWN_ID} ? $lock : "
        f"$exists($head) and $head.execution_arn.S != {_OWN_ID} ? $head; "
        "$exists($first) ? {'sk': $first.sk.S, 'execution_arn': $first.execution_arn.S} : {'sk': ''})"
    )


def _remove(parts: TrainingParts, item: dict[str, Any], execution: str, *, following: str) -> State:
    """Take an entry out unless it has become another's meanwhile."""
    return task(
        "dynamodb:deleteItem",
        {
            "TableName": parts.table,
            "Key": item,
            "ConditionExpression": "execution_arn = :execution",
            "ExpressionAttributeValues": texts(**{":execution": execution}),
        },
        following=following,
        catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": following}],
    )


def _take_lock(parts: TrainingParts) -> State:
    lock = {
        "TableName": parts.table,
        "Item": {**LOCK, **texts(execution_arn=_OWN_ID, run_id="$run_id", since="$now()")},
        "ConditionExpression": "attribute_not_exists(pk) OR execution_arn = :own",
        "ExpressionAttributeValues": OWN,
    }
    running = {
        "TableName": parts.table,
        "Key": RUN,
        **setting(texts(status="'RUNNING'"), condition=IS_OWN, values=OWN),
    }
    return task(
        "aws-sdk:dynamodb:transactWriteItems",
        {"TransactItems": [{"Put": lock}, {"Update": running}]},
        assign={"locked": True},
        following="AnnounceStart",
        # Somebody else was quicker.
        catch_first=[{"ErrorEquals": [TRANSACTION_CANCELLED], "Next": "WaitForTurn"}],
    )
