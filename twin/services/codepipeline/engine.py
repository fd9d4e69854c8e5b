"""Carries executions through their stages, in threads: one per execution, one per running action."""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from twin import glue
from twin.services.codepipeline import events
from twin.services.codepipeline.approvals import Approvals
from twin.services.codepipeline.errors import Cancelled, StageFailed, Stopped
from twin.services.codepipeline.gates import Gates, Key, Superseded
from twin.services.codepipeline.pipelines import Pipelines
from twin.services.codepipeline.records import FAILED, IN_PROGRESS, SUCCEEDED, Execution
from twin.services.codepipeline.stage_run import StageRun

log = logging.getLogger("twin.codepipeline")
# Starts the rollback of an execution's failed stage once the event is set; returns what became of it.
RollBack = Callable[[Execution, str, threading.Event], str]


@dataclass
class _Work:
    """What an execution's thread has to do; `closed` is set when it has ended."""

    execution: Execution
    declaration: dict[str, Any]
    stages: list[dict[str, Any]]
    done: frozenset[str]
    first: threading.Event | None
    told: str | None
    closed: threading.Event = field(default_factory=threading.Event)


class Engine:
    """Runs executions and keeps what is in their way: occupied stages, undecided approvals."""

    def __init__(self, pipelines: Pipelines, roll_back: RollBack) -> None:
        """`roll_back` is asked when a stage has failed that says so, while nobody else may enter it."""
        self._pipelines, self._roll_back = pipelines, roll_back
        self.gates = Gates()
        self.approvals = Approvals()
        self._abandoned: dict[str, threading.Event] = {}

    def run(
        self,
        execution: Execution,
        *,
        stages: Iterable[str] | None = None,
        done: frozenset[str] = frozenset(),
        first: threading.Event | None = None,
        ahead: bool = False,
        told: str | None = "STARTED",
    ) -> None:
        """Start an execution's thread.

        Args:
            execution: a new record, or one whose stage is retried.
            stages: the stages to run, in the pipeline's order; all when left out.
            done: actions of the first of these stages that are not run again.
            first: awaited before anything happens.
            ahead: before all that wait for the first of these stages.
            told: the state that the pipeline's event tells; None after a restart of the twin.
        """
        pipeline = self._pipelines.get(execution.pipeline)
        wanted = None if stages is None else set(stages)
        chosen = [s for s in pipeline["declaration"]["stages"] if wanted is None or s["name"] in wanted]
        execution.set(plan=[stage["name"] for stage in chosen])
        self._abandoned[execution.id] = threading.Event()
        if chosen:
            key = self.key(execution, chosen[0]["name"])
            self.gates.join(key, execution.id, execution.mode, ahead=ahead)
        work = _Work(execution, pipeline["declaration"], chosen, done, first, told)
        glue.spawn(self._run, work, name=f"pipeline-{execution.pipeline}")

    def stop(self, execution: Execution, reason: str, *, abandon: bool) -> None:
        """Let the running actions end and no other begin, or (`abandon`) wait for none of them."""
        execution.set(status="Stopping", stop={"reason": reason, "abandon": abandon})
        events.pipeline_changed(execution, "STOPPING")
        for stage, status in list(execution.stages.items()):
            if status == IN_PROGRESS:
                events.stage_stopping(execution, stage)
        waiting_only = all(
            run.type_id["category"] == "Approval" for run in execution.actions if run.status == IN_PROGRESS
        )
        if (abandon or waiting_only) and execution.id in self._abandoned:
            self._abandoned[execution.id].set()
        self.gates.wake()

    def abandon_all(self) -> None:
        """Abandon everything that runs; for a reset."""
        for event in list(self._abandoned.values()):
            event.set()
        self.gates.wake()

    # ---- one execution

    @staticmethod
    def key(execution: Execution, stage: str) -> Key:
        """Return what the gate before a stage goes by."""
        here = glue.current_scope()
        return (here.account, here.region, execution.pipeline, stage)

    def _run(self, work: _Work) -> None:
        execution = work.execution
        if work.first is not None:
            work.first.wait()
        if work.told is not None:
            events.pipeline_changed(execution, work.told)
        ending = self._ending(work)
        # Before the end can be seen: who sees it may retry, which begins with an event of its own.
        self._abandoned.pop(execution.id, None)
        execution.set(**ending)
        events.pipeline_changed(execution, ending["status"])
        work.closed.set()

    def _ending(self, work: _Work) -> dict[str, str]:
        """Carry an execution through its stages; returns the status and summary that it ends with."""
        execution = work.execution
        try:
            for index in range(len(work.stages)):
                self._pass_stage(work, index)
        except StageFailed as fault:
            return {"status": FAILED, "summary": str(fault)}
        except Stopped:
            reason = (execution.stop or {}).get("reason") or "no reason given"
            return {"status": "Stopped", "summary": f"Stopped by a person: {reason}"}
        except Superseded:
            return {"status": "Superseded", "summary": "A newer execution took the place of this one"}
        except Cancelled:
            said = "The pipeline's definition was updated before the execution could be completed"
            successor = execution.replaced_by
            return {
                "status": "Cancelled",
                "summary": f"{said}; execution {successor} runs the new one" if successor else said,
            }
        except Exception as fault:
            log.exception("execution %s of %s failed in the twin itself", execution.id, execution.pipeline)
            return {"status": FAILED, "summary": f"The twin failed ({type(fault).__name__}): see its log"}
        return {"status": SUCCEEDED}

    def _pass_stage(self, work: _Work, index: int) -> None:
        execution, stage = work.execution, work.stages[index]
        following = work.stages[index + 1]["name"] if index + 1 < len(work.stages) else None
        key = self.key(execution, stage["name"])
        self.gates.enter(key, execution.id, execution.mode, lambda: self._check(execution))
        try:
            StageRun(
                execution=execution,
                declaration=work.declaration,
                stage=stage,
                abandoned=self._abandoned[execution.id],
                approvals=self.approvals,
                outdated=lambda: following is not None and self._outdated(execution),
                roll_back=lambda: self._roll_back(execution, stage["name"], work.closed),
            ).run(work.done if index == 0 else frozenset())
            if following:
                # Before this stage is free for those behind: nobody overtakes.
                self.gates.join(self.key(execution, following), execution.id, execution.mode)
        finally:
            self.gates.leave(key, execution.id)

    def _check(self, execution: Execution) -> None:
        """Raise when the execution may not go on to another stage."""
        if execution.status == "Stopping":
            raise Stopped
        if self._outdated(execution):
            raise Cancelled

    def _outdated(self, execution: Execution) -> bool:
        """Whether the pipeline's definition is no longer the one that this execution started with."""
        if execution.mode == "PARALLEL":  # on AWS, too, an update leaves these alone
            return False
        pipeline = self._pipelines.find(execution.pipeline)
        return pipeline is None or pipeline["declaration"]["version"] != execution.version
