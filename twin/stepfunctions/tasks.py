"""Task states: prepares the call, waits for its answer, its job or its token, and keeps the time limits."""

import json
import time
import uuid
from dataclasses import replace
from typing import Any

from twin.glue import stepfunctions as seam
from twin.stepfunctions import expressions, integrations, jobs
from twin.stepfunctions.calls import Caller
from twin.stepfunctions.errors import StateError
from twin.stepfunctions.expressions import Frame, State
from twin.stepfunctions.history import History
from twin.stepfunctions.resources import Resource, UnknownResource, parse
from twin.stepfunctions.signals import Signal

# Step Functions' limit for the result of a task and the input of a state.
DATA_LIMIT_BYTES = 262_144
_CHECK_SECONDS = 0.2


def run(state: State, data: Any, frame: Frame, caller: Caller, history: History) -> Any:
    """Run a Task state once and return its output; raises `StateError` and `Interrupted`."""
    try:
        resource = parse(state["Resource"])
    except UnknownResource as fault:
        raise StateError("States.Runtime", str(fault)) from fault
    token = str(uuid.uuid4())
    if resource.pattern == ".waitForTaskToken":
        frame.context["Task"] = {"Token": token}
    parameters = expressions.effective_input(state, data, frame)
    limit = expressions.number(state, "TimeoutSeconds", data, frame)
    about = {"resourceType": resource.resource_type, "resource": resource.shown}
    scheduled: dict[str, Any] = {**about, "region": caller.region, "parameters": json.dumps(parameters)}
    if limit is not None:
        scheduled["timeoutInSeconds"] = limit
    history.add("TaskScheduled", "taskScheduledEventDetails", **scheduled)
    history.add("TaskStarted", "taskStartedEventDetails", **about)
    name = f"{caller.machine_arn.rpartition(':')[2]}/{frame.context['State']['Name']}"
    caller = replace(_as_credentials_say(state, data, frame, caller), state=name)
    task = _Task(resource, parameters, caller, history, token)
    task.heartbeat_seconds = expressions.number(state, "HeartbeatSeconds", data, frame)
    try:
        late = StateError("States.Timeout", f"The task did not end within {limit} seconds")
        result = frame.signal.run(task.perform, limit, late)
        _check_size(result, frame.context["State"]["Name"])
    except StateError as error:
        kind = (
            "TaskTimedOut" if error.error in ("States.Timeout", "States.HeartbeatTimeout") else "TaskFailed"
        )
        member = f"{kind[0].lower()}{kind[1:]}EventDetails"
        history.add(kind, member, **about, error=error.error, cause=error.cause)
        raise
    history.add("TaskSucceeded", "taskSucceededEventDetails", **about, output=json.dumps(result))
    return expressions.output(state, data, result, frame)


def _as_credentials_say(state: State, data: Any, frame: Frame, caller: Caller) -> Caller:
    """Return who calls: the state machine's role, or the role that it assumes for this task."""
    if "Credentials" not in state:
        return caller
    wanted = state["Credentials"]
    if frame.uses_jsonata(state):
        filled = expressions.jsonata(wanted, frame, input=data)
    else:
        filled = expressions.template(wanted, data, frame)
    return replace(caller, target_role_arn=filled["RoleArn"])


def _check_size(result: Any, state_name: str) -> None:
    if len(json.dumps(result).encode()) > DATA_LIMIT_BYTES:
        raise StateError(
            "States.DataLimitExceeded",
            f"The state/task '{state_name}' returned a result with a size exceeding the maximum number of "
            "bytes service limit.",
        )


class _Task:
    """The blocking part of a task; it runs in a thread that a time limit or a stop leaves behind."""

    def __init__(
        self, resource: Resource, parameters: Any, caller: Caller, history: History, token: str
    ) -> None:
        self.resource, self.parameters, self.caller = resource, parameters, caller
        self.history, self.token = history, token
        self.heartbeat_seconds: float | None = None

    def perform(self, signal: Signal) -> Any:
        if self.resource.kind == "activity":
            return self._await_token(signal)
        if self.resource.pattern == ".waitForTaskToken":
            return self._await_token(signal)
        if self.resource.pattern.startswith(".sync"):
            return jobs.run(self.resource, self.parameters, self.caller, signal, self._submitted)
        return integrations.perform(self.resource, self.parameters, self.caller)

    def _submitted(self, answer: dict[str, Any]) -> None:
        self.history.add(
            "TaskSubmitted",
            "taskSubmittedEventDetails",
            resourceType=self.resource.resource_type,
            resource=self.resource.shown,
            output=json.dumps(answer),
        )

    def _await_token(self, signal: Signal) -> Any:
        """Hand the work out together with a token, then wait until somebody answers with that token."""
        callback = seam.Callback(self.token)
        try:
            self._hand_out()
            beat, seen_at = callback.heartbeat, time.monotonic()
            while not callback.done.wait(_CHECK_SECONDS):
                signal.check()
                if callback.heartbeat != beat:
                    beat, seen_at = callback.heartbeat, time.monotonic()
                silent = time.monotonic() - seen_at
                if self.heartbeat_seconds is not None and silent > self.heartbeat_seconds:
                    text = f"No heartbeat came for {self.heartbeat_seconds} seconds"
                    raise StateError("States.HeartbeatTimeout", text)
        finally:
            callback.close()
        if callback.failure is not None:
            raise StateError(*callback.failure)
        return json.loads(callback.output)

    def _hand_out(self) -> None:
        if self.resource.kind != "activity":
            integrations.perform(self.resource, self.parameters, self.caller)
        elif not seam.offer_activity(self.resource.arn, self.token, self.parameters):
            raise StateError("States.Runtime", f"Activity {self.resource.arn} does not exist")
