"""One execution in one stage: its conditions, its actions, their retry, and the way back after a failure."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twin import glue
from twin.services.codepipeline import events
from twin.services.codepipeline.acting import act
from twin.services.codepipeline.approvals import Approvals
from twin.services.codepipeline.conditions import BEFORE_ENTRY, ON_FAILURE, ON_SUCCESS
from twin.services.codepipeline.definition import run_orders
from twin.services.codepipeline.errors import Cancelled, StageFailed, Stopped
from twin.services.codepipeline.records import (
    FAILED,
    IN_PROGRESS,
    SKIPPED,
    SUCCEEDED,
    ActionRun,
    ConditionRun,
    Execution,
)
from twin.services.codepipeline.rules import ERRORED, run_condition

_MESSAGE_LIMIT = 5000
OVERRIDDEN = "Overridden"


@dataclass
class StageRun:
    """An execution in a stage that it holds.

    `outdated` tells whether the definition has changed so that nothing may follow; `roll_back` starts the
    rollback of a stage that has failed, and returns what became of that in words.
    """

    execution: Execution
    declaration: dict[str, Any]
    stage: dict[str, Any]
    abandoned: threading.Event
    approvals: Approvals
    outdated: Callable[[], bool]
    roll_back: Callable[[], str]

    @property
    def name(self) -> str:
        """The stage's name."""
        return self.stage["name"]

    def run(self, done: frozenset[str]) -> None:
        """Bring the stage to its end, without the actions that are `done`.

        Raises `StageFailed`, `Stopped` and `Cancelled`; the stage's status is set in any case.
        """
        if not self._is_inside():
            self.execution.set_stage(self.name, IN_PROGRESS)
            if not self._may_enter():
                self.execution.set_stage(self.name, SKIPPED)
                return
            events.stage_changed(self.execution, self.name, resumed=self.name in self.execution.retried)
        try:
            self._act(done)
        except Stopped:
            self._end("Stopped")
            raise
        if self.outdated():
            self._end("Cancelled")
            raise Cancelled
        self._leave_well()

    def _is_inside(self) -> bool:
        """Whether a restart of the twin has interrupted the stage while an approval waited in it."""
        begun = any(run.stage == self.name for run in self.execution.actions)
        return begun and self.execution.stages.get(self.name) == IN_PROGRESS

    def _end(self, status: str) -> None:
        self.execution.set_stage(self.name, status)
        events.stage_changed(self.execution, self.name)

    def _fail(self, reason: str, *, roll_back: bool = False) -> StageFailed:
        """End the stage as failed; returns what is to be raised."""
        self._end(FAILED)
        if roll_back:
            reason = f"{reason}; {self.roll_back()}"
        return StageFailed(reason[:_MESSAGE_LIMIT])

    # ---- conditions

    def _may_enter(self) -> bool:
        """Run the entry condition; False when it lets the stage be skipped. Raises `StageFailed`."""
        before = self.execution.last_condition(self.name, BEFORE_ENTRY)
        if before is not None and before.status == OVERRIDDEN:
            return True
        verdict = run_condition(self.execution, self.stage, BEFORE_ENTRY)
        if verdict is None or verdict.status == SUCCEEDED:
            return True
        if verdict.result == "SKIP" and verdict.status != ERRORED:
            return False
        raise self._fail(self._not_met("entry condition", verdict))

    def _leave_well(self) -> None:
        """Run the condition on success, and end the stage; raises `StageFailed`."""
        verdict = run_condition(self.execution, self.stage, ON_SUCCESS)
        if verdict is not None and verdict.status != SUCCEEDED:
            engaged = verdict.result == "ROLLBACK" and verdict.status != ERRORED
            raise self._fail(self._not_met("condition on success", verdict), roll_back=engaged)
        self._end(SUCCEEDED)

    def _wants_rollback(self) -> bool:
        failure = self.stage.get("onFailure") or {}
        verdict = run_condition(self.execution, self.stage, ON_FAILURE)
        if verdict is not None:
            return verdict.result == "ROLLBACK" and verdict.status == FAILED
        return failure.get("result") == "ROLLBACK"

    def _not_met(self, which: str, verdict: ConditionRun) -> str:
        return f"{self.name}: its {which} is not met: {verdict.summary}"

    # ---- actions

    def _act(self, done: frozenset[str]) -> None:
        """Run the actions, once more where the stage says so; raises `StageFailed` and `Stopped`."""
        try:
            self._run_actions(done)
        except StageFailed as fault:
            failure = self.stage.get("onFailure") or {}
            tried = self.execution.retried.get(self.name, {}).get("AutomatedStageRetry", 0)
            if failure.get("result") != "RETRY" or tried or self.outdated():
                raise self._fail(str(fault), roll_back=self._wants_rollback()) from None
            mode = (failure.get("retryConfiguration") or {}).get("retryMode", "FAILED_ACTIONS")
            self._try_again(self.execution.done_in(self.name) if mode == "FAILED_ACTIONS" else frozenset())

    def _try_again(self, done: frozenset[str]) -> None:
        self._end(FAILED)
        self.execution.count_retry(self.name, "AutomatedStageRetry")
        self.execution.set_stage(self.name, IN_PROGRESS)
        events.stage_changed(self.execution, self.name, resumed=True)
        try:
            self._run_actions(done)
        except StageFailed as fault:
            raise self._fail(f"{fault} (the second time: the stage was retried once)") from None

    def _run_actions(self, done: frozenset[str]) -> None:
        for group in run_orders(self.stage):
            if self.execution.status == "Stopping":
                raise Stopped
            runs = [self._begin(action) for action in group if action["name"] not in done]
            for _, thread in runs:
                thread.join()
            failures = [
                f"{run.stage}/{run.action}: {(run.error or {}).get('message', '')}"
                for run, _ in runs
                if run.status == FAILED
            ]
            if failures:
                raise StageFailed("; ".join(failures))
            if any(run.status == "Abandoned" for run, _ in runs):
                raise Stopped

    def _begin(self, action: dict[str, Any]) -> tuple[ActionRun, threading.Thread]:
        """Start an action's thread; an approval from before a restart of the twin waits on, token and all."""
        last = self.execution.last_run(self.name, action["name"])
        waiting = last is not None and last.status == IN_PROGRESS
        run = last if last is not None and waiting else self._record(action)
        work = (self.execution, self.declaration, action, run, self.abandoned, self.approvals)
        return run, glue.spawn(act, *work, name=f"action-{action['name']}")

    def _record(self, action: dict[str, Any]) -> ActionRun:
        run = ActionRun(
            stage=self.name,
            action=action["name"],
            run_order=action.get("runOrder", 1),
            type_id=action["actionTypeId"],
            version=self.execution.version,
            configuration=dict(action.get("configuration", {})),
            role_arn=action.get("roleArn"),
            region=action.get("region") or glue.current_scope().region,
            namespace=action.get("namespace"),
        )
        self.execution.add_action(run)
        return run
