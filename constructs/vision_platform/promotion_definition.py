"""The promotion workflow as states: one model package becomes what a line's endpoint serves, or does not.

An execution holds the line while it works. It looks at what is there before each step, so that one that was
stopped anywhere is finished by the next of the same deployment.
"""

from __future__ import annotations

from typing import Any

from vision_platform.model_lines import CHAMPION, FUNCTION
from vision_platform.promotion_endings import failure, success
from vision_platform.promotion_endpoints import deployment
from vision_platform.promotion_functions import change_on_functions
from vision_platform.promotion_language import PromotionParts, choose, failed, fresh_pauses, task
from vision_platform.promotion_packages import package
from vision_platform.promotion_registration import registration
from vision_platform.states_language import State

_ID = "/^[a-z0-9][a-z0-9-]{0,24}$/"
_REASONS = ("training", "rollback", "drill", "package", "smoke")
# Beyond the waits: everything else that an execution does takes seconds.
_SLACK_SECONDS = 900
_FROM_ELSEWHERE = (
    f"$packages_elsewhere != '' and $line = '{CHAMPION}' and "
    "$substring($package, 0, $length($packages_elsewhere)) = $packages_elsewhere"
)


def definition(parts: PromotionParts) -> dict[str, Any]:
    """The whole state machine."""
    patience = parts.hosting.rollout.patience_seconds
    hosting = parts.hosting
    waits = 3 if hosting.watched_by_sagemaker and hosting.multi_model is None else 5
    return {
        "Comment": "Gives a line's endpoint a model package, watched by alarms, and records the outcome",
        "QueryLanguage": "JSONata",
        "StartAt": "Begin",
        # It may wait for the line, for the endpoint to become free, for its own deployment, and for the way
        # back.
        "TimeoutSeconds": waits * patience + _SLACK_SECONDS,
        "States": {
            **_request(parts),
            **registration(parts),
            **package(parts),
            **(change_on_functions(parts) if hosting.functions else deployment(parts)),
            **success(parts),
            **failure(parts),
        },
    }


def _suffix(parts: PromotionParts) -> str:
    """What the names of models and configurations end in: the deployment, or the fleet that many share.

    Where functions serve, there are none: the line's function has the name.
    """
    if parts.hosting.functions:
        return f"'{FUNCTION}'"
    many = parts.hosting.multi_model
    # A smoke test's endpoint is its own, and goes with it.
    return f"($line = '{CHAMPION}' ? '{many.fleet}' : $deployment_id)" if many else "$deployment_id"


def _request(parts: PromotionParts) -> dict[str, State]:
    """What is asked for: by a caller, or by the end of an execution that could not clean up after itself."""
    run = "$request"
    given = {
        name: f"{{% $exists({run}.{field}) ? $string({run}.{field}) : '' %}}"
        for name, field in (
            ("line", "line"),
            ("deployment_id", "deployment_id"),
            ("package", "model_package_arn"),
            ("reason", "reason"),
            ("run_id", "run_id"),
        )
    }
    return {
        "Begin": {
            "Type": "Pass",
            "Assign": {
                "request": "{% $states.input %}",
                "after": "{% $exists($states.input.after) ? $string($states.input.after) : '' %}",
                "own": "{% $states.context.Execution.Id %}",
                "prefix": parts.prefix,
                "packages": parts.packages,
                "packages_elsewhere": parts.packages_elsewhere,
                "previous": {"config": "", "package": "", "deployment_id": ""},
                "made": False,
                "unscaled": False,
                "replaced": "",
                "ringing": "",
                "share": 100,
                "left_behind": "",
                **fresh_pauses(),
            },
            "Next": "AfterAnother",
        },
        "AfterAnother": choose(("$after != ''", "FindStopped"), default="Read"),
        "FindStopped": task(
            "aws-sdk:sfn:describeExecution",
            {"ExecutionArn": "{% $after %}"},
            assign={"request": "{% $parse($states.result.Input) %}"},
            following="AfterATidyOne",
            on_error="NothingToTidy",
        ),
        "AfterATidyOne": choose(("$exists($request.after)", "NothingToTidy"), default="Read"),
        "NothingToTidy": {"Type": "Succeed", "Output": {"status": "NothingToTidy"}},
        "Read": {"Type": "Pass", "Assign": given, "Next": "Check"},
        "Check": {
            "Type": "Pass",
            "Assign": {
                "endpoint": "{% $prefix & '-' & $line %}",
                "name": f"{{% $prefix & '-' & $line & '-' & {_suffix(parts)} %}}",
                "elsewhere": f"{{% {_FROM_ELSEWHERE} %}}",
                "fault": "{% ($own_group := $packages & $prefix & '-' & $line & '/'; "
                f"$not($line in ['{CHAMPION}', 'smoke']) ? "
                "'line must be champion or smoke; it is ' & $line : "
                f"$not($contains($deployment_id, {_ID})) ? "
                "'deployment_id must be 1 to 25 lower-case letters, digits and hyphens; it is ' "
                "& $deployment_id : "
                f"$run_id != '' and $not($contains($run_id, {_ID})) ? "
                "'run_id must be 1 to 25 lower-case letters, digits and hyphens; it is ' & $run_id : "
                f"$not($reason in {list(_REASONS)}) ? "
                f"'reason must be one of {', '.join(_REASONS)}; it is ' & $reason : "
                f"$substring($package, 0, $length($own_group)) != $own_group and $not({_FROM_ELSEWHERE}) ? "
                "'model_package_arn must be a model package of ' & $own_group & "
                "($packages_elsewhere != '' ? ' or ' & $packages_elsewhere : '') & '; it is ' & $package : "
                "'') %}",
            },
            "Next": "InputAcceptable",
        },
        "InputAcceptable": choose(
            ("$fault = '' and $after = ''", "RecordDeployment"),
            ("$fault = ''", "FindDeployment"),
            # One that was stopped had refused it, and said so.
            ("$after != ''", "NothingToTidy"),
            default="RefuseInput",
        ),
        # Nothing is recorded yet, and what may be there of that name is not this execution's.
        "RefuseInput": failed("InvalidInput", "$fault", following="AnnounceFailure"),
    }
