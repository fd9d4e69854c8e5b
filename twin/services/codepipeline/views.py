"""Records of pipelines and executions in the shapes that CodePipeline's API answers with."""

import time
from collections.abc import Mapping
from typing import Any

from twin import glue
from twin.json_service import ServiceError
from twin.services.codepipeline import condition_views
from twin.services.codepipeline.gates import Gates
from twin.services.codepipeline.records import IN_PROGRESS, ActionRun, Execution

_PAGE = 100


def now() -> float:
    """Return the time, in epoch seconds."""
    return time.time()


def page(member: str, items: list[Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one page of a list, with the token of the next."""
    token = request.get("nextToken") or "0"
    if not token.isdigit():
        raise ServiceError("InvalidNextTokenException", "nextToken is not one that this service gave")
    first, size = int(token), request.get("maxResults") or _PAGE
    more = first + size < len(items)
    return {member: items[first : first + size], **({"nextToken": str(first + size)} if more else {})}


def pipeline_summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pipeline as ListPipelines shows it."""
    declaration = record["declaration"]
    names = ("name", "version", "pipelineType", "executionMode")
    return {**{k: declaration[k] for k in names}, "created": record["created"], "updated": record["updated"]}


def execution(record: Execution) -> dict[str, Any]:
    """Return an execution as GetPipelineExecution shows it."""
    return {
        **_common(record),
        "pipelineName": record.pipeline,
        "pipelineVersion": record.version,
        "artifactRevisions": record.revisions,
        "variables": [{"name": k, "resolvedValue": v} for k, v in record.variables.items()],
    }


def execution_summary(record: Execution) -> dict[str, Any]:
    """Return an execution as ListPipelineExecutions shows it."""
    return {
        **_common(record),
        "startTime": record.started,
        "lastUpdateTime": record.updated,
        "sourceRevisions": record.revisions or _awaited(record),
        "stopTrigger": {"reason": record.stop["reason"]} if record.stop else None,
    }


def _awaited(record: Execution) -> list[dict[str, Any]]:
    """Return the revisions that the execution was started with, while its source actions have not run."""
    return [{"actionName": name, "revisionId": value} for name, value in record.wanted_revisions.items()]


def _common(record: Execution) -> dict[str, Any]:
    rollback = record.rollback_target
    return {
        "pipelineExecutionId": record.id,
        "status": record.status,
        "statusSummary": record.summary or None,
        "executionMode": record.mode,
        "executionType": record.kind,
        "trigger": {"triggerType": record.trigger["type"], "triggerDetail": record.trigger["detail"]},
        "rollbackMetadata": {"rollbackTargetPipelineExecutionId": rollback} if rollback else None,
    }


def action_detail(record: Execution, run: ActionRun) -> dict[str, Any]:
    """Return an action's run as ListActionExecutions shows it."""

    def artifact(item: Mapping[str, str]) -> dict[str, Any]:
        return {"name": item["name"], "s3location": {"bucket": item["bucket"], "key": item["key"]}}

    return {
        "pipelineExecutionId": record.id,
        "actionExecutionId": run.id,
        "pipelineVersion": run.version,
        "stageName": run.stage,
        "actionName": run.action,
        "startTime": run.started,
        "lastUpdateTime": run.updated,
        "updatedBy": run.updated_by,
        "status": run.status,
        "input": {
            "actionTypeId": run.type_id,
            "configuration": run.configuration,
            "resolvedConfiguration": run.resolved,
            "roleArn": run.role_arn,
            "region": run.region,
            "inputArtifacts": [artifact(item) for item in run.inputs],
            "namespace": run.namespace,
        },
        "output": {
            "outputArtifacts": [artifact(item) for item in run.outputs],
            "executionResult": {
                "externalExecutionId": run.external_id,
                "externalExecutionSummary": run.summary,
                "externalExecutionUrl": run.external_url,
                "errorDetails": run.error,
                "logStreamARN": run.log_stream_arn,
            },
            "outputVariables": run.variables,
        },
    }


def pipeline_state(record: Mapping[str, Any], executions: list[Execution], gates: Gates) -> dict[str, Any]:
    """Return a pipeline's state; `executions` are its own, newest first."""
    declaration = record["declaration"]
    here = glue.current_scope()
    kinds = {e.id: e.kind for e in executions}
    stages: list[dict[str, Any]] = []
    for stage in declaration["stages"]:
        key = (here.account, here.region, declaration["name"], stage["name"])
        waiting = [
            {"pipelineExecutionId": key, "status": "InProgress", "type": kinds.get(key)}
            for key in gates.waiting(key)
        ]
        latest = _latest_in(stage["name"], executions)
        closed = gates.closed_because(key)
        stages.append(
            {
                "stageName": stage["name"],
                "inboundExecution": waiting[0] if waiting else None,
                "inboundExecutions": waiting or None,
                "inboundTransitionState": {"enabled": closed is None, "disabledReason": closed},
                "actionStates": [_action_state(stage["name"], a, executions) for a in stage["actions"]],
                "latestExecution": {
                    "pipelineExecutionId": latest.id,
                    "status": _stage_status(latest, stage["name"]),
                    "type": latest.kind,
                }
                if latest
                else None,
                **(condition_views.stage_members(latest, stage["name"]) if latest else {}),
            }
        )
    return {
        "pipelineName": declaration["name"],
        "pipelineVersion": declaration["version"],
        "stageStates": stages,
        "created": record["created"],
        "updated": record["updated"],
    }


def _latest_in(stage: str, executions: list[Execution]) -> Execution | None:
    inside = [e for e in executions if stage in e.stages]
    return max(inside, key=lambda e: _entered(e, stage), default=None)


def _entered(record: Execution, stage: str) -> float:
    return record.entered.get(stage, record.started)


def _stage_status(record: Execution, stage: str) -> str:
    status = record.stages[stage]
    return "Stopping" if (status, record.status) == (IN_PROGRESS, "Stopping") else status


def _action_state(stage: str, action: Mapping[str, Any], executions: list[Execution]) -> dict[str, Any]:
    runs = [run for e in executions if (run := e.last_run(stage, action["name"])) is not None]
    run = max(runs, key=lambda r: r.started, default=None)
    if run is None:
        return {"actionName": action["name"]}
    return {
        "actionName": action["name"],
        "latestExecution": {
            "actionExecutionId": run.id,
            "status": run.status,
            "summary": run.summary,
            "lastStatusChange": run.updated,
            "token": run.token,
            "lastUpdatedBy": run.updated_by,
            "externalExecutionId": run.external_id,
            "externalExecutionUrl": run.external_url,
            "errorDetails": run.error,
            "logStreamARN": run.log_stream_arn,
        },
    }
