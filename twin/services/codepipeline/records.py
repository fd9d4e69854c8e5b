"""What happened: pipeline executions and their actions, kept and persisted."""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

IN_PROGRESS, SUCCEEDED, FAILED, SKIPPED = "InProgress", "Succeeded", "Failed", "Skipped"
# One lock for all records: they are small, and are read whole while actions write to them.
_lock = threading.RLock()


def _set(record: Any, values: Mapping[str, Any]) -> None:
    with _lock:
        record.updated = time.time()
        # The status last: whoever reads an end, without the lock, reads the rest of it.
        for name in sorted(values, key=lambda name: name == "status"):
            setattr(record, name, values[name])


@dataclass
class ActionRun:
    """One run of one action; times are epoch seconds."""

    stage: str
    action: str
    run_order: int
    type_id: dict[str, str]
    version: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = IN_PROGRESS
    started: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    configuration: dict[str, str] = field(default_factory=dict[str, str])
    resolved: dict[str, str] = field(default_factory=dict[str, str])
    role_arn: str | None = None
    region: str | None = None
    namespace: str | None = None
    inputs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    outputs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    variables: dict[str, str] = field(default_factory=dict[str, str])
    external_id: str | None = None
    external_url: str | None = None
    summary: str | None = None
    error: dict[str, str] | None = None
    log_stream_arn: str | None = None
    token: str | None = None
    updated_by: str | None = None

    def set(self, **values: Any) -> None:
        """Change members, and the time of the last change."""
        _set(self, values)


@dataclass
class RuleRun:
    """One run of one rule of a stage condition; `kind` says which condition."""

    stage: str
    kind: str
    rule: str
    version: int
    type_id: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = IN_PROGRESS
    started: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    configuration: dict[str, str] = field(default_factory=dict[str, str])
    resolved: dict[str, str] = field(default_factory=dict[str, str])
    role_arn: str | None = None
    region: str | None = None
    summary: str = ""
    error: dict[str, str] | None = None

    def end(self, status: str) -> None:
        """Note how the rule has ended."""
        self.status, self.updated = status, time.time()


@dataclass
class ConditionRun:
    """One evaluation of a stage condition; `result` engages when it has failed."""

    stage: str
    kind: str
    result: str
    status: str
    summary: str
    rules: list[RuleRun]
    updated: float = field(default_factory=time.time)


@dataclass
class Execution:
    """One execution of a pipeline.

    `artifacts` and `namespaces` are what the actions so far have left for those to come: with them a stage
    can be retried, or another execution can be rolled back to this one. `replaced_by` names the execution
    that runs the definition which took this one's place; `plan` has the stages that this one is to pass,
    `entered` when it did, `retried` how often a stage was tried again, by whom and when.
    """

    pipeline: str
    version: int
    mode: str
    trigger: dict[str, str]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    kind: str = "STANDARD"
    rollback_target: str | None = None
    client_token: str | None = None
    status: str = IN_PROGRESS
    summary: str = ""
    started: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    variables: dict[str, str] = field(default_factory=dict[str, str])
    wanted_revisions: dict[str, str] = field(default_factory=dict[str, str])
    wanted_branches: dict[str, str] = field(default_factory=dict[str, str])
    revisions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    artifacts: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    stages: dict[str, str] = field(default_factory=dict[str, str])
    entered: dict[str, float] = field(default_factory=dict[str, float])
    plan: list[str] = field(default_factory=list[str])
    retried: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    actions: list[ActionRun] = field(default_factory=list[ActionRun])
    conditions: list[ConditionRun] = field(default_factory=list[ConditionRun])
    stop: dict[str, Any] | None = None
    replaced_by: str | None = None

    def set(self, **values: Any) -> None:
        """Change members, and the time of the last change."""
        _set(self, values)

    def add_action(self, run: ActionRun) -> None:
        """Note that an action has begun."""
        with _lock:
            self.actions.append(run)
            self.updated = time.time()

    def set_stage(self, stage: str, status: str) -> None:
        """Note a stage's status."""
        with _lock:
            self.updated = time.time()
            if status == IN_PROGRESS:
                self.entered[stage] = self.updated
            self.stages[stage] = status

    def count_retry(self, stage: str, trigger: str) -> None:
        """Note that a stage is tried again: `trigger` is AutomatedStageRetry or ManualStageRetry."""
        with _lock:
            known = self.retried.setdefault(stage, {})
            known[trigger] = known.get(trigger, 0) + 1
            known |= {"latest": trigger, "at": time.time()}

    def add_condition(self, run: ConditionRun) -> None:
        """Note that a stage's condition was evaluated."""
        with _lock:
            self.conditions.append(run)
            self.updated = time.time()

    def last_condition(self, stage: str, kind: str) -> ConditionRun | None:
        """Return the newest evaluation of a stage's condition."""
        return next((c for c in reversed(self.conditions) if (c.stage, c.kind) == (stage, kind)), None)

    def done_in(self, stage: str) -> frozenset[str]:
        """Return the actions of a stage that have succeeded."""
        last = {run.action: run.status for run in self.actions if run.stage == stage}
        return frozenset(action for action, status in last.items() if status == SUCCEEDED)

    def spaces(self) -> dict[str, dict[str, str]]:
        """Return the variables that actions and rules may name, by namespace."""
        with _lock:
            own = {"codepipeline": {"PipelineExecutionId": self.id}, "variables": self.variables}
            return {**self.namespaces, **own}

    def keep(
        self,
        artifacts: dict[str, dict[str, str]],
        namespace: str | None,
        variables: dict[str, str],
        revisions: list[dict[str, Any]],
    ) -> None:
        """Take over what an action has produced."""
        with _lock:
            self.artifacts.update(artifacts)
            if namespace:
                self.namespaces[namespace] = dict(variables)
            names = {r["name"] for r in revisions}
            self.revisions = [r for r in self.revisions if r["name"] not in names] + revisions

    def last_run(self, stage: str, action: str) -> ActionRun | None:
        """Return the newest run of an action in this execution."""
        for run in reversed(self.actions):
            if (run.stage, run.action) == (stage, action):
                return run
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able data."""
        with _lock:
            return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Execution":
        """Rebuild a record from `to_json`."""
        known = {name: value for name, value in data.items() if name in cls.__dataclass_fields__}
        execution = cls(**known)
        execution.actions = [ActionRun(**item) for item in data["actions"]]
        execution.conditions = [
            replace(ConditionRun(**item), rules=[RuleRun(**rule) for rule in item["rules"]])
            for item in data.get("conditions", [])
        ]
        return execution

    def is_waiting_only(self) -> bool:
        """Whether nothing is lost when the twin stops: only people are waited for, or a stage's turn."""
        return self.status == IN_PROGRESS and all(
            run.type_id["category"] == "Approval" for run in self.actions if run.status == IN_PROGRESS
        )

    def end_with_the_twin(self) -> None:
        """Close a record whose actions ran when the twin stopped: nothing of them runs any more."""
        if self.status == "Stopping":
            self.set(status="Stopped", summary="Stopped by a person, and by the end of the twin")
        if self.status != IN_PROGRESS:
            return
        reason = "the twin was stopped while this ran"
        for run in self.actions:
            if run.status == IN_PROGRESS:
                run.set(status=FAILED, token=None, error={"code": "SystemUnavailable", "message": reason})
        at = [name for name, status in self.stages.items() if status == IN_PROGRESS]
        for name in at:
            self.set_stage(name, FAILED)
        where = f" in stage {at[-1]}" if at else ""
        self.set(status=FAILED, summary=f"The twin was stopped{where}. Retry the stage, or push again.")
