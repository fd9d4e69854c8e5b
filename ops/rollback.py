"""Takes a stage of the pipeline back to what it ran before, and waits until it is there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ops.deployment import Deployment
from ops.faults import OperatorFault
from ops.pipeline import Pipeline
from ops.terminal import confirm, say

_POLL_SECONDS = 2.0
_STANDARD = "STANDARD"
_UNDER_WAY = ("InProgress", "Stopping")

Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a rollback would do: the stage, what it runs now, and what it would run."""

    stage: str
    now: Record
    target: Record


def plan(pipeline: Pipeline, stage: str) -> Plan:
    """The last good execution of a stage that is not what it runs now.

    CodePipeline takes back only to executions of the pipeline's present form. Raises OperatorFault.
    """
    state = pipeline.state()
    stages = {each["stageName"]: each for each in state["stageStates"]}
    if stage not in stages:
        raise OperatorFault(f"{pipeline.name} has no stage {stage}; it has {', '.join(stages)}")
    latest = stages[stage].get("latestExecution")
    if latest is None:
        raise OperatorFault(f"nothing has been in the stage {stage} yet")
    if latest["status"] in _UNDER_WAY:
        raise OperatorFault(f"{stage} is {latest['status']}: wait for its end, or stop the execution first")
    known = {each["pipelineExecutionId"]: each for each in pipeline.executions()}
    now = known.get(latest["pipelineExecutionId"], {"pipelineExecutionId": latest["pipelineExecutionId"]})
    # A rollback runs what its target ran.
    running = now.get("rollbackMetadata", {}).get("rollbackTargetPipelineExecutionId")
    there = {running or now["pipelineExecutionId"]}
    others = [
        each
        for each in pipeline.executions(succeeded_in=stage)
        if each.get("executionType", _STANDARD) == _STANDARD and each["pipelineExecutionId"] not in there
    ]
    target = next((each for each in others if _fits(pipeline, each, state["pipelineVersion"])), None)
    if target is None:
        why = (
            "the pipeline itself has changed since, and CodePipeline refuses earlier ones: revert the commit"
            if others
            else "no other execution has ever succeeded in it"
        )
        raise OperatorFault(f"there is nothing to take {stage} back to: {why}")
    return Plan(stage, now, target)


def _fits(pipeline: Pipeline, execution: Record, version: int) -> bool:
    told = pipeline.api.get_pipeline_execution(
        pipelineName=pipeline.name, pipelineExecutionId=execution["pipelineExecutionId"]
    )["pipelineExecution"]
    return told["pipelineVersion"] == version


def run(pipeline: Pipeline, deployment: Deployment, environment: str | None, *, yes: bool) -> Record:
    """Shows what it would do, asks, does it and waits for the end; answers how it ended.

    `environment` is the last one of the settings when none is named. Raises OperatorFault, Cancelled.
    """
    name = environment or deployment.environments[-1].name
    if name not in deployment.accounts():
        raise OperatorFault(f"there is no environment {name} in the settings")
    intended = plan(pipeline, name.capitalize())
    say(f"{intended.stage} would go", style="bold")
    say(f"  from {_described(intended.now)}")
    say(f"  back to {_described(intended.target)}")
    say("  Stacks, functions and workflows go back; data stays as it is, and so do the models that serve.")
    confirm(f"Take {intended.stage} back?", yes=yes)
    started = pipeline.api.rollback_stage(
        pipelineName=pipeline.name,
        stageName=intended.stage,
        targetPipelineExecutionId=intended.target["pipelineExecutionId"],
    )["pipelineExecutionId"]
    say(f"execution {started} takes {intended.stage} back ...")
    status = _wait(pipeline, started)
    return {"stage": intended.stage, "execution": started, "status": status}


def _wait(pipeline: Pipeline, execution: str) -> str:
    told: set[str] = set()
    while True:
        found = pipeline.api.get_pipeline_execution(
            pipelineName=pipeline.name, pipelineExecutionId=execution
        )["pipelineExecution"]
        if found["status"] not in _UNDER_WAY:
            return found["status"]
        for approval in pipeline.approvals():
            if approval.execution == execution and approval.token not in told:
                told.add(approval.token)
                say(f"  {approval.stage} / {approval.action} waits: python -m ops approve, elsewhere")
        time.sleep(_POLL_SECONDS)


def _described(execution: Record) -> str:
    revisions = execution.get("sourceRevisions", [])
    what = ", ".join(
        f"{each.get('revisionId', '?')[:12]} {each.get('revisionSummary', '').splitlines()[0][:80]}".strip()
        if each.get("revisionSummary")
        else each.get("revisionId", "?")[:12]
        for each in revisions
    )
    started = execution.get("startTime")
    when = f", {started:%Y-%m-%d %H:%M}" if started else ""
    key, status = execution["pipelineExecutionId"], execution.get("status", "?")
    return f"{what or 'an unknown commit'} ({status}{when}, {key})"
