"""The record of a distributed Map: its child executions, their counts, and the failures it tolerates."""

import json
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from twin.glue import stepfunctions as seam
from twin.stepfunctions.engine import Walk
from twin.stepfunctions.errors import StateError
from twin.stepfunctions.history import History, now

_COUNTS = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "timedOut",
    "aborted",
    "total",
    "resultsWritten",
    "failuresNotRedrivable",
    "pendingRedrive",
)


@dataclass(frozen=True)
class Tolerance:
    """How many of the items may fail: a number, a percentage, either, or none when both are None."""

    count: float | None
    percentage: float | None

    def is_exceeded(self, failed: int, total: int) -> bool:
        """Whether `failed` of `total` items are too many."""
        if not failed:
            return False
        limits = [failed > self.count] if self.count is not None else []
        if self.percentage is not None:
            limits.append(failed * 100 > self.percentage * total)
        return any(limits) if limits else True


class MapRun:
    """One run of a distributed Map; safe against children that end at the same time."""

    def __init__(  # what a run is made of
        self,
        walk: Walk,
        label: str,
        weights: Sequence[int],
        limit: int,
        tolerance: Tolerance,
        *,
        is_express: bool = False,
    ) -> None:
        """Record the run as begun; `weights` are the numbers of items that its children get.

        Express children have no record of their own, as on AWS.
        """
        self._walk, self._lock, self._tolerance = walk, threading.Lock(), tolerance
        self._is_express, self._total = is_express, sum(weights)
        base, _, name = walk.machine_arn.rpartition(":stateMachine:")
        self._children_of = f"{base}:stateMachine:{name}/{label}"
        self._child_prefix = f"{base}:execution:{name}/{label}"
        self.arn = f"{base}:mapRun:{name}/{label}:{uuid.uuid4()}"
        self._failed = 0
        total, children = self._total, len(weights)
        self._record: dict[str, Any] = {
            "mapRunArn": self.arn,
            "executionArn": walk.caller.execution_arn,
            "status": "RUNNING",
            "startDate": now(),
            "maxConcurrency": limit,
            "toleratedFailureCount": int(tolerance.count or 0),
            "toleratedFailurePercentage": float(tolerance.percentage or 0),
            "itemCounts": {**dict.fromkeys(_COUNTS, 0), "total": total, "pending": total},
            "executionCounts": {**dict.fromkeys(_COUNTS, 0), "total": children, "pending": children},
            "redriveCount": 0,
            "_stateMachineArn": self._children_of,
        }
        seam.map_runs()[self.arn] = self._record

    def is_over_tolerance(self) -> bool:
        """Whether more items have failed than the state tolerates."""
        return self._tolerance.is_exceeded(self._failed, self._total)

    def child(self, data: Any, weight: int) -> "Child":
        """Record a child execution as begun, with its input and the number of items in it."""
        name = str(uuid.uuid4())
        execution: dict[str, Any] = {
            "executionArn": f"{self._child_prefix}:{name}",
            "stateMachineArn": self._children_of,
            "name": name,
            "status": "RUNNING",
            "startDate": now(),
            "stopDate": None,
            "input": json.dumps(data),
            "output": None,
            "mapRunArn": self.arn,
            "events": [],
        }
        if not self._is_express:
            seam.executions()[execution["executionArn"]] = execution
        self.count("pending", "running", weight)
        return Child(self, self._walk, execution, weight)

    def count(self, before: str, after: str, weight: int) -> None:
        """Move one child, with its items, from one state to another."""
        with self._lock:
            if after in ("failed", "timedOut"):
                self._failed += weight
            for counts, moved in ((self._record["itemCounts"], weight), (self._record["executionCounts"], 1)):
                counts[before] -= moved
                counts[after] += moved

    def finish(self, status: str) -> None:
        """Record the end of the run; what was not begun is aborted."""
        with self._lock:
            for counts in (self._record["itemCounts"], self._record["executionCounts"]):
                counts["aborted"] += counts["pending"]
                counts["pending"] = 0
            self._record.update(status=status, stopDate=now())


class Child:
    """One child execution, with a history of its own."""

    def __init__(self, run: MapRun, walk: Walk, execution: dict[str, Any], weight: int) -> None:
        """`walk` is the parent's, `weight` the number of items in the child's input."""
        self._run, self.execution, self._weight = run, execution, weight
        caller = replace(walk.caller, execution_arn=execution["executionArn"])
        self.walk = Walk(caller, History(execution, {}, execution["name"]), walk.machine_arn)
        self.walk.history.add("ExecutionStarted", "executionStartedEventDetails", input=execution["input"])

    def succeed(self, output: Any) -> None:
        """Record success with its output."""
        self._end("SUCCEEDED", "succeeded", output=json.dumps(output))
        self.walk.history.add(
            "ExecutionSucceeded", "executionSucceededEventDetails", output=json.dumps(output)
        )

    def fail(self, error: StateError) -> None:
        """Record an error that no state caught."""
        self._end("FAILED", "failed", error=error.error, cause=error.cause)
        self.walk.history.add(
            "ExecutionFailed", "executionFailedEventDetails", error=error.error, cause=error.cause
        )

    def time_out(self) -> None:
        """Record that the child has run for longer than it may."""
        cause = "The express workflow did not end within five minutes"
        self._end("TIMED_OUT", "timedOut", error="States.Timeout", cause=cause)
        self.walk.history.add("ExecutionTimedOut", "executionTimedOutEventDetails", error="States.Timeout")

    def abort(self) -> None:
        """Record that the run ended before this child did."""
        self._end("ABORTED", "aborted")
        self.walk.history.add("ExecutionAborted", "executionAbortedEventDetails")

    def _end(self, status: str, counted: str, **changes: Any) -> None:
        self.execution.update(status=status, stopDate=now(), **changes)
        self._run.count("running", counted, self._weight)
