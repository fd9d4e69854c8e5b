"""An execution of a state machine, followed by its history: the states it has been in, and with what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from ops.faults import OperatorFault, is_absent

RUNNING = "RUNNING"
_RUN = re.compile(r'"RUN#([a-z0-9][a-z0-9-]{0,24})"')
_PAGE = 1000
# Where an event of failure tells its error and cause.
_FAILURES = (
    "taskFailedEventDetails",
    "taskTimedOutEventDetails",
    "taskSubmitFailedEventDetails",
    "taskStartFailedEventDetails",
    "lambdaFunctionFailedEventDetails",
    "lambdaFunctionTimedOutEventDetails",
    "mapRunFailedEventDetails",
)

Record = dict[str, Any]


@dataclass
class Step:
    """A stay in a state. `kind` is that of its events, such as Task, Map, Wait; `resource` what it calls."""

    state: str
    kind: str
    entered: datetime
    exited: datetime | None = None
    resource: str = ""
    # What the service answered when the work was handed to it, for work that is waited for.
    submitted: Record = field(default_factory=dict[str, Any])
    faults: list[str] = field(default_factory=list[str])
    # Whether the last try went well: an error that is caught leads out of the state as well.
    succeeded: bool = True

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it lasts."""
        return (self.exited - self.entered).total_seconds() if self.exited else None


class Execution:
    """One execution; `look` reads what is new."""

    def __init__(self, api: Any, arn: str) -> None:
        """Nothing is asked yet; `api` is a Step Functions client."""
        self._api, self.arn = api, arn
        self.steps: list[Step] = []
        self.run_id = ""
        self._by_event: dict[int, Step] = {}
        self._last = 0
        self.told: Record = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rsplit(":", 1)[1]

    def is_of(self, machine: str) -> bool:
        """Whether it is of the state machine with this ending of its name, such as `promotion`."""
        return self.arn.split(":")[6].endswith(f"-{machine}")

    @property
    def status(self) -> str:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED, as of the last look."""
        return str(self.told.get("status", RUNNING))

    @property
    def started(self) -> datetime:
        """When it was started."""
        return self.told["startDate"]

    @property
    def input(self) -> Record:
        """What it was started with, where that is an object."""
        return _parsed(self.told.get("input", ""))

    @property
    def output(self) -> Record:
        """What it answered, where that is an object; empty when it did not succeed."""
        return _parsed(self.told.get("output", ""))

    @property
    def failure(self) -> tuple[str, str]:
        """Error and cause, where it failed."""
        return str(self.told.get("error") or self.status), str(self.told.get("cause") or "")

    def look(self) -> None:
        """Reads how it stands, and what is new in its history. Raises OperatorFault when there is none."""
        try:
            # The status first: what is written after it belongs to the next look.
            self.told = self._api.describe_execution(executionArn=self.arn)
        except ClientError as fault:
            if is_absent(fault) or "ExecutionDoesNotExist" in str(fault):
                raise OperatorFault(f"there is no execution {self.arn}") from None
            raise
        for event in self._new():
            self._take(event)
        self.run_id = self.run_id or str(self.output.get("run_id") or self.input.get("run_id") or "")

    def _new(self) -> list[Record]:
        """The events since the last look, oldest first: read backwards, so that a look stays short."""
        found, token = list[Record](), dict[str, str]()
        while True:
            page = self._api.get_execution_history(
                executionArn=self.arn, reverseOrder=True, maxResults=_PAGE, includeExecutionData=True, **token
            )
            fresh = [event for event in page["events"] if event["id"] > self._last]
            found += fresh
            if len(fresh) < len(page["events"]) or not page.get("nextToken"):
                break
            token = {"nextToken": page["nextToken"]}
        found.reverse()
        if found:
            self._last = found[-1]["id"]
        return found

    def _take(self, event: Record) -> None:
        kind, number = event["type"], event["id"]
        if kind.endswith("StateEntered"):
            step = Step(
                event["stateEnteredEventDetails"]["name"],
                kind.removesuffix("StateEntered"),
                event["timestamp"],
            )
            self.steps.append(step)
            self._by_event[number] = step
            return
        step = self._by_event.get(event.get("previousEventId", 0))
        if step is None:
            return
        self._by_event[number] = step
        if kind.endswith("StateExited"):
            step.exited = event["timestamp"]
        elif kind == "TaskScheduled":
            details = event["taskScheduledEventDetails"]
            step.resource = f"{details['resourceType']}:{details['resource']}"
            step.succeeded = True
            self._find_run(details.get("parameters", ""))
        elif kind == "TaskSubmitted":
            step.submitted = _parsed(event["taskSubmittedEventDetails"].get("output", ""))
        else:
            for fault in _faults(event):
                step.faults.append(fault)
                step.succeeded = False

    def _find_run(self, parameters: str) -> None:
        """The run's id, from the first call that keys its record."""
        found = _RUN.search(parameters)
        if not self.run_id and found:
            self.run_id = found[1]


def _faults(event: Record) -> Iterator[str]:
    for name in _FAILURES:
        if name in event:
            yield f"{event[name].get('error', 'failed')}: {event[name].get('cause', '')}".strip(": ")


def _parsed(text: str) -> Record:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        # Long data is cut by the history.
        return {}
    return found if isinstance(found, dict) else {}
