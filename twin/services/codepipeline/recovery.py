"""What is done with stages that have failed: retried, rolled back, or let pass against their conditions."""

import json
import threading
from collections.abc import Callable
from typing import Any

from twin.json_service import ServiceError
from twin.services.codepipeline import events
from twin.services.codepipeline.conditions import BEFORE_ENTRY
from twin.services.codepipeline.engine import Engine
from twin.services.codepipeline.pipelines import Pipelines
from twin.services.codepipeline.records import FAILED, IN_PROGRESS, SKIPPED, SUCCEEDED, Execution
from twin.services.codepipeline.stage_run import OVERRIDDEN


class Recovery:
    """Retries, rollbacks and overrides of one account's executions, by request or by themselves."""

    def __init__(
        self,
        pipelines: Pipelines,
        engine: Engine,
        of: Callable[[str], list[Execution]],
        keep: Callable[[Execution], None],
    ) -> None:
        """`of` gives a pipeline's executions, newest first; `keep` stores a new one."""
        self._pipelines, self._engine, self._of, self._keep = pipelines, engine, of, keep

    # ---- retry

    def retry(self, execution: Execution, stage: str, mode: str) -> None:
        """Run a failed stage again, then those after it; raises `ServiceError` when AWS would not."""
        if execution.stages.get(stage) == SKIPPED:
            raise ServiceError(
                "StageNotRetryableException", f"stage '{stage}' was skipped: there is nothing to retry"
            )
        active = execution.status in (IN_PROGRESS, "Stopping")
        if active or execution.stages.get(stage) not in (FAILED, "Stopped"):
            raise ServiceError(
                "StageNotRetryableException", f"stage '{stage}' has not failed in this execution"
            )
        left = self._stages_from(execution, stage)
        done = execution.done_in(stage) if mode == "FAILED_ACTIONS" else frozenset[str]()
        execution.count_retry(stage, "ManualStageRetry")
        self._resume(execution, left, done)

    def _resume(self, execution: Execution, stages: list[str], done: frozenset[str] = frozenset()) -> None:
        execution.set(status=IN_PROGRESS, summary="", stop=None)
        self._engine.run(execution, stages=stages, done=done, told="RESUMED")

    def _stages_from(self, execution: Execution, stage: str) -> list[str]:
        """Return a stage and those after it; raises `ServiceError` when the execution is out of date."""
        pipeline = self._pipelines.get(execution.pipeline)["declaration"]
        if pipeline["version"] != execution.version:
            raise ServiceError(
                "StageNotRetryableException",
                "Unable to retry: the pipeline's structure changed after the stage failed",
            )
        since = [e for e in self._of(execution.pipeline) if e.started > execution.started]
        newer = next((e for e in since if stage in e.stages), None)
        if newer is not None:
            raise ServiceError(
                "NotLatestPipelineExecutionException",
                f"execution {newer.id} has been in stage '{stage}' since",
            )
        names = [s["name"] for s in pipeline["stages"]]
        return names[names.index(stage) :]

    # ---- override

    def override(self, execution: Execution, stage: str, kind: str) -> None:
        """Let an execution pass a condition that has failed it; raises `ServiceError` when AWS would not."""
        condition = execution.last_condition(stage, kind)
        failed = condition is not None and condition.status not in (SUCCEEDED, OVERRIDDEN)
        if condition is None or not failed:
            raise ServiceError(
                "ConditionNotOverridableException",
                f"no condition {kind} of stage '{stage}' has failed in this execution",
            )
        if condition.result != "FAIL":
            raise ServiceError(
                "ConditionNotOverridableException",
                f"the condition's result {condition.result} has engaged: it cannot be overridden any more",
            )
        if execution.status != FAILED or execution.stages.get(stage) != FAILED:
            raise ServiceError("ConflictException", f"stage '{stage}' does not stand at its condition")
        left = self._stages_from(execution, stage)
        condition.status = OVERRIDDEN
        if kind != BEFORE_ENTRY:
            execution.set_stage(stage, SUCCEEDED)
            events.stage_changed(execution, stage)
            left = left[1:]
        self._resume(execution, left)

    # ---- rollback

    def roll_back(self, target: Execution, stage: str, who: str) -> Execution:
        """Run one stage again with the artifacts and variables of an execution that succeeded in it.

        Raises `ServiceError` when that execution did not, or ran another version of the pipeline.
        """
        pipeline = self._pipelines.get(target.pipeline)["declaration"]
        if target.kind == "ROLLBACK":
            raise ServiceError(
                "UnableToRollbackStageException", f"execution {target.id} is a rollback itself"
            )
        if target.stages.get(stage) != SUCCEEDED:
            raise ServiceError(
                "UnableToRollbackStageException",
                f"execution {target.id} has not succeeded in stage '{stage}'",
            )
        if target.version != pipeline["version"]:
            raise ServiceError(
                "PipelineExecutionOutdatedException",
                f"execution {target.id} was started with version {target.version} of the pipeline's "
                f"structure; it has version {pipeline['version']} now",
            )
        if pipeline["stages"][0]["name"] == stage:
            raise ServiceError("UnableToRollbackStageException", "a source stage cannot be rolled back")
        if pipeline["executionMode"] == "PARALLEL":
            raise ServiceError(
                "UnableToRollbackStageException", "stages of mode PARALLEL are not rolled back"
            )
        inside = self._engine.gates.holder(self._engine.key(target, stage))
        if inside is not None:
            raise ServiceError("UnableToRollbackStageException", f"execution {inside} is in stage '{stage}'")
        return self._start(target, stage, {"type": "ManualRollback", "detail": who}, None)

    def roll_back_failed(self, failed: Execution, stage: str, closed: threading.Event) -> str:
        """Start the rollback of a stage that has just failed, once `closed` is set; says what comes of it."""
        if failed.kind == "ROLLBACK":
            return f"not rolled back: this was the rollback to execution {failed.rollback_target}"
        target = next((e for e in self._of(failed.pipeline) if self._is_target(e, failed, stage)), None)
        if target is None:
            return (
                f"not rolled back: no execution has succeeded in stage {stage} with version "
                f"{failed.version} of the pipeline's structure yet"
            )
        detail = json.dumps({"FailedPipelineExecutionId": failed.id}, separators=(",", ":"))
        started = self._start(target, stage, {"type": "AutomatedRollback", "detail": detail}, closed)
        return f"execution {started.id} rolls it back to what execution {target.id} has delivered"

    @staticmethod
    def _is_target(known: Execution, failed: Execution, stage: str) -> bool:
        succeeded = known.kind == "STANDARD" and known.stages.get(stage) == SUCCEEDED
        return succeeded and known.version == failed.version and known.id != failed.id

    def _start(
        self, target: Execution, stage: str, trigger: dict[str, Any], first: threading.Event | None
    ) -> Execution:
        execution = Execution(
            pipeline=target.pipeline,
            version=target.version,
            mode=target.mode,
            trigger=trigger,
            kind="ROLLBACK",
            rollback_target=target.id,
            variables=dict(target.variables),
            revisions=list(target.revisions),
            artifacts=dict(target.artifacts),
            namespaces={name: dict(values) for name, values in target.namespaces.items()},
        )
        self._keep(execution)
        self._engine.run(execution, stages=[stage], first=first, ahead=True)
        return execution
