"""Who may promote, as states: a deployment is recorded once, and one promotion holds a line at a time."""

from __future__ import annotations

from vision_platform.promotion_language import (
    DEPLOYMENT,
    LOCK,
    PromotionParts,
    choose,
    failed,
    fresh_pauses,
    get_item,
    pause,
    put_item,
    remove_lock,
    task,
)
from vision_platform.states_language import CONDITION_FAILED, EXECUTION_UNKNOWN, State, setting, texts


def registration(parts: PromotionParts) -> dict[str, State]:
    """From RecordDeployment, or FindDeployment, to DescribePackage."""
    patience = parts.hosting.rollout.patience_seconds
    return {**_registration(parts, patience), **_line(parts, patience)}


def _registration(parts: PromotionParts, patience: int) -> dict[str, State]:
    """A deployment is recorded once; who comes later repeats its result, waits for it, or goes on with it."""
    record = "$record"
    return {
        "RecordDeployment": put_item(
            parts,
            {
                **DEPLOYMENT,
                "status": {"S": "RUNNING"},
                **texts(
                    line="$line",
                    deployment_id="$deployment_id",
                    model_package_arn="$package",
                    run_id="$run_id",
                    reason="$reason",
                    execution_arn="$own",
                    started_at="$states.context.Execution.StartTime",
                    endpoint_name="$endpoint",
                ),
            },
            "attribute_not_exists(pk)",
            assign={"started_at": "{% $states.context.Execution.StartTime %}"},
            catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "FindDeployment"}],
            following="TakeLine",
            on_error="RecordFailure",
        ),
        "FindDeployment": get_item(
            parts,
            DEPLOYMENT,
            assign={
                "record": "{% $exists($states.result.Item) ? "
                "$merge($each($states.result.Item, function($value, $key) {{$key: $value.S}})) : {} %}"
            },
            following="WhatIsKnown",
            on_error="AnnounceFailure",
        ),
        "WhatIsKnown": choose(
            # Of one that was stopped: unless it is still as it left it, there is nothing to do.
            (
                f"$after != '' and $not($exists({record}.status) and {record}.status = 'RUNNING' and "
                f"{record}.execution_arn = $after)",
                "NothingToTidy",
            ),
            (f"$not($exists({record}.status))", "RecordDeployment"),
            (f"{record}.model_package_arn != $package", "DeploymentIdTaken"),
            (f"{record}.status = 'PROMOTED'", "Repeated"),
            (f"{record}.status = 'RUNNING'", "LookAtOther"),
            default="TakeOver",
        ),
        "DeploymentIdTaken": failed(
            "InvalidInput",
            "'deployment ' & $deployment_id & ' is known already, of ' & $record.model_package_arn & "
            "': start with another deployment_id'",
            following="AnnounceFailure",
        ),
        "Repeated": {
            "Type": "Succeed",
            "Output": {
                "status": "Promoted",
                "line": "{% $line %}",
                "deployment_id": "{% $deployment_id %}",
                "endpoint_name": "{% $record.endpoint_name %}",
                "endpoint_config_name": "{% $record.endpoint_config_name %}",
                "model_package_arn": "{% $package %}",
                "previous_model_package_arn": "{% $record.previous_model_package_arn = '' ? null : "
                "$record.previous_model_package_arn %}",
                "repeated": True,
            },
        },
        "LookAtOther": task(
            "aws-sdk:sfn:describeExecution",
            {"ExecutionArn": "{% $record.execution_arn %}"},
            assign={"other": "{% $states.result.Status %}"},
            catch_first=[{"ErrorEquals": [EXECUTION_UNKNOWN], "Next": "TakeOver"}],
            following="OtherStillRuns",
            on_error="AnnounceFailure",
        ),
        "OtherStillRuns": choose(
            ("$other != 'RUNNING'", "TakeOver"),
            (f"$waited >= {patience}", "OtherTakesTooLong"),
            default="WaitForOther",
        ),
        "WaitForOther": pause("FindDeployment"),
        "OtherTakesTooLong": failed(
            "LineBusy",
            "'Deployment ' & $deployment_id & ' still runs in ' & $record.execution_arn & ' after ' & "
            "$waited & ' s'",
            following="AnnounceFailure",
        ),
        "TakeOver": task(
            "dynamodb:updateItem",
            {
                "TableName": parts.table,
                "Key": DEPLOYMENT,
                **setting(
                    {"status": {"S": "RUNNING"}, **texts(execution_arn="$own")},
                    condition="#execution_arn = :seen AND #status = :was",
                    remove=("error", "cause", "finished_at"),
                    values={
                        ":seen": {"S": "{% $record.execution_arn %}"},
                        ":was": {"S": "{% $record.status %}"},
                    },
                ),
            },
            assign={
                "started_at": "{% $record.started_at %}",
                "previous": {
                    "config": "{% $exists($record.previous_config) ? $record.previous_config : '' %}",
                    "package": "{% $exists($record.previous_model_package_arn) ? "
                    "$record.previous_model_package_arn : '' %}",
                    "deployment_id": "{% $exists($record.previous_deployment_id) ? "
                    "$record.previous_deployment_id : '' %}",
                },
                "made": True,
                **fresh_pauses(),
            },
            catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "FindDeployment"}],
            following="TakeLine",
            on_error="AnnounceFailure",
        ),
    }


def _line(parts: PromotionParts, patience: int) -> dict[str, State]:
    """One promotion of a line at a time; a holder whose execution has ended is passed by."""
    return {
        "TakeLine": put_item(
            parts,
            {**LOCK, **texts(execution_arn="$own", deployment_id="$deployment_id", taken_at="$now()")},
            "attribute_not_exists(pk) OR execution_arn = :own",
            {":own": {"S": "{% $own %}"}},
            catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "FindHolder"}],
            following="DescribePackage",
            on_error="RecordFailure",
        ),
        "FindHolder": get_item(
            parts,
            LOCK,
            assign={
                "holder": "{% $exists($states.result.Item) ? $states.result.Item.execution_arn.S : '' %}"
            },
            following="HolderFound",
            on_error="RecordFailure",
        ),
        "HolderFound": choose(("$holder = ''", "TakeLine"), default="LookAtHolder"),
        "LookAtHolder": task(
            "aws-sdk:sfn:describeExecution",
            {"ExecutionArn": "{% $holder %}"},
            assign={"other": "{% $states.result.Status %}"},
            catch_first=[{"ErrorEquals": [EXECUTION_UNKNOWN], "Next": "PassByHolder"}],
            following="HolderStillRuns",
            on_error="RecordFailure",
        ),
        "HolderStillRuns": choose(
            ("$other != 'RUNNING'", "PassByHolder"),
            (f"$waited >= {patience}", "LineBusy"),
            default="WaitForLine",
        ),
        "WaitForLine": pause("TakeLine"),
        "LineBusy": failed(
            "LineBusy",
            "'Another promotion of ' & $endpoint & ' still runs after ' & $waited & ' s: ' & $holder",
            following="RecordFailure",
        ),
        "PassByHolder": remove_lock(
            parts,
            "$holder",
            # Someone else was quicker.
            catch_first=[{"ErrorEquals": [CONDITION_FAILED], "Next": "TakeLine"}],
            following="TakeLine",
            on_error="RecordFailure",
        ),
    }
