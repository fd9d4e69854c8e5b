"""What a state machine's role must be allowed besides its tasks: rules for ``.sync``, delivery of logs."""

import json
from collections.abc import Iterator
from typing import Any

from twin.role_checks import role_may
from twin.stepfunctions.resources import UnknownResource, parse

_RULES = {
    "codebuild:startBuild": "StepFunctionsGetEventForCodeBuildStartBuildRule",
    "sagemaker:createHyperParameterTuningJob": "StepFunctionsGetEventsForSageMakerTuningJobsRule",
    "sagemaker:createProcessingJob": "StepFunctionsGetEventsForSageMakerProcessingJobsRule",
    "sagemaker:createTrainingJob": "StepFunctionsGetEventsForSageMakerTrainingJobsRule",
    "sagemaker:createTransformJob": "StepFunctionsGetEventsForSageMakerTransformJobsRule",
    "states:startExecution": "StepFunctionsGetEventsForStepFunctionsExecutionRule",
}
_ACTIONS = ("events:PutTargets", "events:PutRule", "events:DescribeRule")


_LOG_ACTIONS = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
)
_SESSION = "StepFunctions"


def missing_for_rules(definition: str, role_arn: str, region: str) -> list[str]:
    """Return what the role lacks, as ``action on ARN``, to learn of the ends of ``.sync`` tasks."""
    account = role_arn.split(":")[4]
    arns = {f"arn:aws:events:{region}:{account}:rule/{rule}" for rule in _needed(json.loads(definition))}
    return [
        f"{action} on {arn}"
        for arn in sorted(arns)
        for action in _ACTIONS
        if not role_may(role_arn, action, arn, _SESSION)
    ]


def missing_for_logs(role_arn: str) -> list[str]:
    """Return the actions that the role lacks to have the history delivered to a log group."""
    return [action for action in _LOG_ACTIONS if not role_may(role_arn, action, "*", _SESSION)]


def _needed(machine: dict[str, Any]) -> Iterator[str]:
    for state in machine.get("States", {}).values():
        try:
            resource = parse(str(state.get("Resource", ""))) if state.get("Type") == "Task" else None
        except UnknownResource:
            resource = None
        if resource is not None and resource.pattern.startswith(".sync"):
            yield _RULES[f"{resource.service}:{resource.action}"]
        for inner in (*state.get("Branches", []), state.get("ItemProcessor"), state.get("Iterator")):
            yield from _needed(inner) if inner else ()
