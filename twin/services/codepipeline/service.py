"""CodePipeline's API: definitions, executions, approvals, retries, rollbacks and conditions."""

import contextvars
from collections.abc import Callable, Mapping
from typing import Any

from twin import glue
from twin.json_service import JsonService, Response, ServiceError
from twin.services import permissions
from twin.services.codepipeline import condition_views, views
from twin.services.codepipeline.actions import lambda_invoke
from twin.services.codepipeline.executions import Executions
from twin.services.codepipeline.pipelines import Pipelines
from twin.services.codepipeline.records import IN_PROGRESS, SUCCEEDED, Execution

_caller: contextvars.ContextVar[str] = contextvars.ContextVar("codepipeline_caller", default="")


class CodePipeline(JsonService):
    """Executes pipelines."""

    service_name = "codepipeline"

    def __init__(self) -> None:
        """Start without pipelines."""
        super().__init__()
        self.pipelines = Pipelines()
        self.executions = Executions(self.pipelines)
        self._engine = self.executions.engine
        # Called before a pipeline comes into being: what was pushed earlier is not a push to it.
        self.notice_pushes: Callable[[], None] = lambda: None

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        """Answer one request, and remember who asks: records name the person."""
        authorization = headers.get("authorization", "")
        _caller.set(authorization.partition("Credential=")[2].partition("/")[0])
        return await super().handle(method, path, headers, body, query)

    # ---- state

    def get_state(self) -> dict[str, Any]:
        """Return everything that outlives the process."""
        return {"pipelines": self.pipelines.store.state(), "executions": self.executions.state()}

    def load_persisted_state(self, data: dict[str, Any]) -> None:
        """Take up the last state; what only waited goes on."""
        self.pipelines.store.restore(data.get("pipelines", []))
        self.executions.restore(data.get("executions", []))

    def reset(self) -> None:
        """Abandon what runs, and forget everything."""
        self.executions.reset()
        self.pipelines.store.reset()

    # ---- definitions

    def CreatePipeline(self, p: dict[str, Any]) -> dict[str, Any]:
        name = p["pipeline"]["name"]
        if self.pipelines.find(name):
            raise ServiceError(
                "PipelineNameInUseException", f"A pipeline with the name '{name}' already exists"
            )
        self.notice_pushes()
        self.pipelines.put(p["pipeline"], restart=False, tags=p.get("tags", []))
        self.executions.start(name, "CreatePipeline", _who())
        return {"pipeline": self.pipelines.get(name)["declaration"], "tags": p.get("tags", [])}

    def UpdatePipeline(self, p: dict[str, Any]) -> dict[str, Any]:
        record = self.pipelines.get(p["pipeline"]["name"])
        self.pipelines.put(p["pipeline"], restart=record["restart"], tags=record["tags"])
        return {"pipeline": self.pipelines.get(p["pipeline"]["name"])["declaration"]}

    def DeletePipeline(self, p: dict[str, Any]) -> dict[str, Any]:
        for execution in self.executions.of(p["name"]):
            if execution.status in (IN_PROGRESS, "Stopping"):
                self._engine.stop(execution, "the pipeline was deleted", abandon=True)
        self.pipelines.store.pop(p["name"], None)
        return {}

    def GetPipeline(self, p: dict[str, Any]) -> dict[str, Any]:
        record = self.pipelines.get(p["name"])
        declaration = record["declaration"]
        if p.get("version", declaration["version"]) != declaration["version"]:
            raise ServiceError("PipelineVersionNotFoundException", "the twin keeps the current version only")
        metadata = {
            "pipelineArn": self.pipelines.arn(p["name"]),
            "created": record["created"],
            "updated": record["updated"],
        }
        return {"pipeline": declaration, "metadata": metadata}

    def ListPipelines(self, p: dict[str, Any]) -> dict[str, Any]:
        summaries = [
            views.pipeline_summary(self.pipelines.store[name]) for name in sorted(self.pipelines.store)
        ]
        return views.page("pipelines", summaries, p)

    def ListTagsForResource(self, p: dict[str, Any]) -> dict[str, Any]:
        return {"tags": self.pipelines.get(p["resourceArn"].rsplit(":", 1)[-1])["tags"]}

    def GetPipelineState(self, p: dict[str, Any]) -> dict[str, Any]:
        return views.pipeline_state(
            self.pipelines.get(p["name"]), self.executions.of(p["name"]), self._engine.gates
        )

    def DisableStageTransition(self, p: dict[str, Any]) -> dict[str, Any]:
        self._transition(p, p["reason"])
        return {}

    def EnableStageTransition(self, p: dict[str, Any]) -> dict[str, Any]:
        self._transition(p, None)
        return {}

    def _transition(self, p: Mapping[str, Any], closed_because: str | None) -> None:
        if p["transitionType"] != "Inbound":
            raise ServiceError("ValidationException", "the twin knows Inbound transitions only")
        self._stage(p["pipelineName"], p["stageName"])
        self.set_transition(p["pipelineName"], p["stageName"], closed_because)

    def set_transition(self, pipeline: str, stage: str, closed_because: str | None) -> None:
        """Close the way into a stage, or open it (None)."""
        here = glue.current_scope()
        self._engine.gates.set_transition((here.account, here.region, pipeline, stage), closed_because)

    def _stage(self, pipeline: str, name: str) -> dict[str, Any]:
        for stage in self.pipelines.get(pipeline)["declaration"]["stages"]:
            if stage["name"] == name:
                return stage
        raise ServiceError("StageNotFoundException", f"pipeline '{pipeline}' has no stage '{name}'")

    # ---- executions

    def StartPipelineExecution(self, p: dict[str, Any]) -> dict[str, Any]:
        token = p.get("clientRequestToken")
        self.pipelines.get(p["name"])
        for execution in self.executions.of(p["name"]):
            if token and execution.client_token == token:
                return {"pipelineExecutionId": execution.id}
        execution = self.executions.start(
            p["name"],
            "StartPipelineExecution",
            _who(),
            variables={v["name"]: v["value"] for v in p.get("variables", [])},
            revisions={r["actionName"]: r["revisionValue"] for r in p.get("sourceRevisions", [])},
            token=token,
        )
        return {"pipelineExecutionId": execution.id}

    def StopPipelineExecution(self, p: dict[str, Any]) -> dict[str, Any]:
        execution = self.executions.execution(p["pipelineName"], p["pipelineExecutionId"])
        if execution.status == "Stopping" and not p.get("abandon"):
            raise ServiceError("DuplicatedStopRequestException", "The execution is already stopping")
        if execution.status not in (IN_PROGRESS, "Stopping"):
            raise ServiceError(
                "PipelineExecutionNotStoppableException",
                f"The execution is {execution.status}: it cannot be stopped",
            )
        self._engine.stop(execution, p.get("reason") or "no reason given", abandon=bool(p.get("abandon")))
        return {"pipelineExecutionId": execution.id}

    def GetPipelineExecution(self, p: dict[str, Any]) -> dict[str, Any]:
        found = self.executions.execution(p["pipelineName"], p["pipelineExecutionId"])
        return {"pipelineExecution": views.execution(found)}

    def ListPipelineExecutions(self, p: dict[str, Any]) -> dict[str, Any]:
        version = self.pipelines.get(p["pipelineName"])["declaration"]["version"]
        found = self.executions.of(p["pipelineName"])
        stage = ((p.get("filter") or {}).get("succeededInStage") or {}).get("stageName")
        if stage is not None:
            found = [e for e in found if e.stages.get(stage) == SUCCEEDED and e.version == version]
        return views.page("pipelineExecutionSummaries", [views.execution_summary(e) for e in found], p)

    def ListActionExecutions(self, p: dict[str, Any]) -> dict[str, Any]:
        runs = [(e, r) for e in self._chosen_executions(p) for r in list(e.actions)]
        runs.sort(key=lambda pair: pair[1].started, reverse=True)
        return views.page("actionExecutionDetails", [views.action_detail(e, r) for e, r in runs], p)

    def _chosen_executions(self, p: Mapping[str, Any]) -> list[Execution]:
        self.pipelines.get(p["pipelineName"])
        wanted = p.get("filter") or {}
        latest = wanted.get("latestInPipelineExecution") or {}
        only = wanted.get("pipelineExecutionId") or latest.get("pipelineExecutionId")
        return [e for e in self.executions.of(p["pipelineName"]) if only in (None, e.id)]

    # ---- approvals and jobs

    def PutApprovalResult(self, p: dict[str, Any]) -> dict[str, Any]:
        self._stage(p["pipelineName"], p["stageName"])
        decision = self._engine.approvals.find(p["token"])
        place = (p["pipelineName"], p["stageName"], p["actionName"])
        if decision is None or (decision.pipeline, decision.stage, decision.action) != place:
            raise ServiceError(
                "InvalidApprovalTokenException",
                "The approval token is not that of an approval that waits here",
            )
        decision.status, decision.summary = p["result"]["status"], p["result"].get("summary", "")
        decision.by = _who()
        decision.made.set()
        return {"approvedAt": views.now()}

    def PutJobSuccessResult(self, p: dict[str, Any]) -> dict[str, Any]:
        if p.get("continuationToken"):
            raise ServiceError(
                "ValidationException", "continuationToken is not implemented by the local twin"
            )
        job = self._job(p["jobId"])
        job.variables = dict(p.get("outputVariables") or {})
        job.summary = (p.get("executionDetails") or {}).get("summary")
        job.reported.set()
        return {}

    def PutJobFailureResult(self, p: dict[str, Any]) -> dict[str, Any]:
        job = self._job(p["jobId"])
        job.failure = p["failureDetails"]
        job.reported.set()
        return {}

    @staticmethod
    def _job(key: str) -> lambda_invoke.Job:
        job = lambda_invoke.pending(key)
        if job is None:
            raise ServiceError("JobNotFoundException", f"no job {key} waits for a result")
        return job

    # ---- retry and rollback

    def RetryStageExecution(self, p: dict[str, Any]) -> dict[str, Any]:
        execution = self.executions.execution(p["pipelineName"], p["pipelineExecutionId"])
        self._stage(p["pipelineName"], p["stageName"])
        self.executions.recovery.retry(execution, p["stageName"], p["retryMode"])
        return {"pipelineExecutionId": execution.id}

    def RollbackStage(self, p: dict[str, Any]) -> dict[str, Any]:
        target = self.executions.execution(p["pipelineName"], p["targetPipelineExecutionId"])
        self._stage(p["pipelineName"], p["stageName"])
        rollback = self.executions.recovery.roll_back(target, p["stageName"], _who())
        return {"pipelineExecutionId": rollback.id}

    # ---- conditions

    def OverrideStageCondition(self, p: dict[str, Any]) -> dict[str, Any]:
        execution = self.executions.execution(p["pipelineName"], p["pipelineExecutionId"])
        self._stage(p["pipelineName"], p["stageName"])
        self.executions.recovery.override(execution, p["stageName"], p["conditionType"])
        return {}

    def ListRuleExecutions(self, p: dict[str, Any]) -> dict[str, Any]:
        chosen = self._chosen_executions(p)
        runs = [(e, r) for e in chosen for c in list(e.conditions) for r in c.rules]
        runs.sort(key=lambda pair: pair[1].started, reverse=True)
        details = [condition_views.rule_detail(e, r) for e, r in runs]
        return views.page("ruleExecutionDetails", details, p)

    def ListRuleTypes(self, p: dict[str, Any]) -> dict[str, Any]:
        del p  # there is one owner, and the twin's rules are the same in every region
        return {"ruleTypes": condition_views.rule_types()}


def _who() -> str:
    return permissions.caller_arn(_caller.get())
