"""All executions: started, found again, and resumed after a restart of the twin."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError

from twin import glue
from twin.json_service import ServiceError
from twin.services.codepipeline.engine import Engine
from twin.services.codepipeline.pipelines import Pipelines
from twin.services.codepipeline.records import IN_PROGRESS, SKIPPED, SUCCEEDED, Execution
from twin.services.codepipeline.recovery import Recovery


class Executions:
    """Executions by id, per account and region, and the engine that runs them."""

    def __init__(self, pipelines: Pipelines) -> None:
        """`pipelines` gives the definitions."""
        self._pipelines = pipelines
        self.store = glue.ScopedStore()
        self.engine = Engine(pipelines, self._after_failure)
        self.recovery = Recovery(pipelines, self.engine, self.of, self._keep)

    def _keep(self, execution: Execution) -> None:
        self.store[execution.id] = execution

    def _after_failure(self, execution: Execution, stage: str, closed: threading.Event) -> str:
        return self.recovery.roll_back_failed(execution, stage, closed)

    def start(
        self,
        name: str,
        trigger: str,
        detail: str,
        *,
        variables: Mapping[str, str] | None = None,
        revisions: Mapping[str, str] | None = None,
        branches: Mapping[str, str] | None = None,
        token: str | None = None,
        first: threading.Event | None = None,
    ) -> Execution:
        """Start an execution; `revisions` and `branches` are by source action, `first` is awaited."""
        declaration = self._pipelines.get(name)["declaration"]
        execution = Execution(
            pipeline=name,
            version=declaration["version"],
            mode=declaration["executionMode"],
            trigger={"type": trigger, "detail": detail},
            variables=_pipeline_variables(declaration, variables or {}),
            wanted_revisions=dict(revisions or {}),
            wanted_branches=dict(branches or {}),
            client_token=token,
        )
        self._keep(execution)
        self.engine.run(execution, first=first)
        return execution

    def replace_running(self, name: str, successor: Execution) -> None:
        """Note that `successor` runs the new definition in place of the running executions."""
        for execution in self.of(name):
            if execution.status == IN_PROGRESS and execution.version < successor.version:
                execution.set(replaced_by=successor.id)

    def of(self, pipeline: str) -> list[Execution]:
        """Return a pipeline's executions, newest first."""
        found = [e for e in self.store.values() if e.pipeline == pipeline]
        return sorted(found, key=lambda e: e.started, reverse=True)

    def execution(self, pipeline: str, key: str) -> Execution:
        """Return an execution; raises `ServiceError` when there is none."""
        self._pipelines.get(pipeline)
        found = self.store.get(key)
        if found is None or found.pipeline != pipeline:
            raise ServiceError(
                "PipelineExecutionNotFoundException", f"pipeline '{pipeline}' has no execution '{key}'"
            )
        return found

    # ---- state

    def state(self) -> list[list[Any]]:
        """Return all records as JSON-able rows."""
        return [
            [where.account, where.region, key, execution.to_json()]
            for where, key, execution in self.store.everywhere()
        ]

    def restore(self, saved: list[list[Any]]) -> None:
        """Take up the last state: approvals wait on; executions whose actions ran have failed."""
        rows: list[list[Any]] = []
        for account, region, key, record in saved:
            execution = Execution.from_json(record)
            if not execution.is_waiting_only():
                execution.end_with_the_twin()
            rows.append([account, region, key, execution])
        self.store.restore(rows)
        waiting = [(where, e) for where, _, e in self.store.everywhere() if e.status == IN_PROGRESS]
        ready = _when_served() if waiting else threading.Event()
        for where, execution in sorted(waiting, key=_order_of_return):
            with glue.scope(where.account, where.region):
                self._resume(execution, ready)

    def _resume(self, execution: Execution, ready: threading.Event) -> None:
        """Go on where an execution stood: before a stage, or at an approval in it."""
        record = self._pipelines.find(execution.pipeline)
        passed = (SUCCEEDED, SKIPPED)
        left = [name for name in execution.plan if execution.stages.get(name) not in passed]
        if not left or record is None or record["declaration"]["version"] != execution.version:
            execution.end_with_the_twin()
            return
        for run in execution.actions:
            if run.status == IN_PROGRESS and run.token:
                self.engine.approvals.open(execution.pipeline, run, run.token)  # it can be decided at once
        self.engine.run(execution, stages=left, done=execution.done_in(left[0]), first=ready, told=None)

    def reset(self) -> None:
        """Abandon what runs, and forget everything."""
        self.engine.abandon_all()
        self.store.reset()


def _order_of_return(waiting: tuple[glue.Scope, Execution]) -> tuple[bool, float]:
    """Return the place in the order in which executions queue up again: rollbacks go first."""
    _, execution = waiting
    return execution.kind == "STANDARD", execution.started


def _when_served() -> threading.Event:
    """Return an event that is set once the twin answers: all services have their state then."""
    ready = threading.Event()
    api = glue.client("sts", glue.root_credentials("000000000000"), "us-east-1")

    def look() -> None:
        while not ready.is_set():
            try:
                api.get_caller_identity()
                ready.set()
            except BotoCoreError:
                time.sleep(0.2)

    glue.spawn(look, name="pipelines-resume")
    return ready


def _pipeline_variables(declaration: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    declared = {v["name"]: v.get("defaultValue") for v in declaration.get("variables", [])}
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise ServiceError("ValidationException", f"the pipeline declares no variable {unknown[0]!r}")
    values = {**declared, **given}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise ServiceError("ValidationException", f"variable {missing[0]!r} has no default: give it a value")
    return {name: str(value) for name, value in values.items()}
