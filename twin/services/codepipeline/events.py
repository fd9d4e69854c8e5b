"""The events that CodePipeline puts on the default bus: pipeline, stage and action state changes.

Their details are those that AWS documents for emitted events. What only its notification rules add
(`additionalAttributes`) is not here.
"""

import time
from collections.abc import Mapping
from typing import Any

from twin import glue
from twin.services.codepipeline.records import ActionRun, Execution

_STATES = {"InProgress": "STARTED", "Cancelled": "CANCELED", "Abandoned": "ABANDONED"}
# What a pushed commit's execution tells of it, by the variable of the source action.
_PUSHED = {
    "author-display-name": "AuthorDisplayName",
    "full-repository-name": "FullRepositoryName",
    "provider-type": "ProviderType",
    "commit-message": "CommitMessage",
    "author-date": "AuthorDate",
    "branch-name": "BranchName",
    "commit-id": "CommitId",
    "connection-arn": "ConnectionArn",
}


def pipeline_changed(execution: Execution, status: str) -> None:
    """Tell of an execution's new status, or of a state that is not one (STARTED)."""
    state = _state(status)
    detail: dict[str, Any] = {"start-time": _iso(execution.started), "state": state}
    trigger = {"trigger-type": execution.trigger["type"], "trigger-detail": execution.trigger["detail"]}
    pushed = _pushed(execution)
    if pushed or state == "STARTED":
        detail["execution-trigger"] = pushed or trigger
    if execution.stop:
        detail["stop-execution-comments"] = execution.stop["reason"]
    _put("Pipeline", execution, detail)


def stage_changed(execution: Execution, stage: str, *, resumed: bool = False) -> None:
    """Tell of a stage's new status."""
    _put_stage(execution, stage, "RESUMED" if resumed else _state(execution.stages[stage]))


def stage_stopping(execution: Execution, stage: str) -> None:
    """Tell that a stage comes to a stop."""
    _put_stage(execution, stage, "STOPPING")


def action_changed(execution: Execution, run: ActionRun) -> None:
    """Tell of an action's new status; an approval that has STARTED waits for a person."""
    result: dict[str, Any] = {
        "external-execution-id": run.external_id,
        "external-execution-url": run.external_url,
        "external-execution-summary": run.summary,
    }
    if run.error:
        result |= {"error-code": run.error["code"], "external-execution-summary": run.error["message"]}
    result = {key: value for key, value in result.items() if value}
    detail = {
        "start-time": _iso(run.started),
        "stage": run.stage,
        "action": run.action,
        "action-execution-id": run.id,
        "state": _state(run.status),
        "type": run.type_id,
        "region": run.region,
        "execution-result": result if run.status != "InProgress" else None,
        "input-artifacts": _artifacts(run.inputs),
        "output-artifacts": _artifacts(run.outputs),
    }
    _put("Action", execution, {key: value for key, value in detail.items() if value})


def _put_stage(execution: Execution, stage: str, state: str) -> None:
    detail = {"start-time": _iso(execution.started), "stage": stage, "state": state}
    if retried := execution.retried.get(stage):
        detail["stage-last-retry-attempt-time"] = _iso(retried["at"])
    _put("Stage", execution, detail)


def _put(kind: str, execution: Execution, detail: dict[str, Any]) -> None:
    here = glue.current_scope()
    arn = f"arn:aws:codepipeline:{here.region}:{here.account}:{execution.pipeline}"
    tries = sum(stage.get(k, 0) for stage in execution.retried.values() for k in _RETRY_TRIGGERS)
    glue.put_service_event(
        "aws.codepipeline",
        f"CodePipeline {kind} Execution State Change",
        {
            "pipeline": execution.pipeline,
            "execution-id": execution.id,
            "version": float(execution.version),
            "pipeline-execution-attempt": float(1 + tries),
            **detail,
        },
        [arn],
    )


_RETRY_TRIGGERS = ("AutomatedStageRetry", "ManualStageRetry")


def _state(status: str) -> str:
    return _STATES.get(status, status.upper())


def _pushed(execution: Execution) -> dict[str, str]:
    """Return what is told of the commit that started an execution, once its source action has run."""
    if execution.trigger["type"] != "WebhookV2":
        return {}
    for run in execution.actions:
        if run.action in execution.wanted_revisions and "CommitId" in run.variables:
            return {key: run.variables[name] for key, name in _PUSHED.items() if name in run.variables}
    return {}


def _artifacts(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def place(item: Mapping[str, Any]) -> dict[str, str]:
        return {"bucket": item["bucket"], "key": item["key"]}

    return [{"name": item["name"], "s3location": place(item)} for item in items]


def _iso(at: float) -> str:
    """Return a time as these events write it: UTC with milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at))}.{int(at % 1 * 1000):03d}Z"
