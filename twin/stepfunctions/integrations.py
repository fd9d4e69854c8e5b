"""What a task does with its parameters: the optimised integrations' own rules, and plain SDK calls."""

import json
from collections.abc import Callable
from typing import Any

from twin.stepfunctions import calls
from twin.stepfunctions.calls import Caller
from twin.stepfunctions.errors import StateError
from twin.stepfunctions.resources import Resource


def perform(resource: Resource, parameters: Any, caller: Caller) -> Any:
    """Do what a task asks for, without waiting for the end of a job; raises `StateError`."""
    if resource.kind == "function":
        return _invoke_function({"FunctionName": resource.arn, "Payload": parameters}, caller)["Payload"]
    if resource.kind == "sdk":
        return calls.call(caller, calls.sdk(resource.service, resource.action), parameters)
    special = _SPECIAL.get(f"{resource.service}:{resource.action}")
    if special is not None:
        return special(parameters, caller)
    return calls.call(caller, calls.optimised(resource.service, resource.action), parameters)


def _invoke_function(parameters: Any, caller: Caller) -> dict[str, Any]:
    """Invoke a function; its own error becomes the task's, by the name of its type."""
    if not isinstance(parameters, dict) or "FunctionName" not in parameters:
        raise StateError("States.Runtime", "lambda:invoke needs an object with FunctionName")
    request = {**parameters, "Payload": json.dumps(parameters.get("Payload", {}))}
    raw = calls.call_raw(caller, calls.optimised("lambda", "invoke"), request)
    body = raw["Payload"].read() if "Payload" in raw else b""
    payload = json.loads(body) if body else None
    if raw.get("FunctionError"):
        kind = payload.get("errorType") if isinstance(payload, dict) else None
        raise StateError(kind or "Lambda.Unknown", calls.document(payload))
    metadata = raw.get("ResponseMetadata", {})
    return {
        "ExecutedVersion": raw.get("ExecutedVersion", "$LATEST"),
        "Payload": payload,
        "SdkHttpMetadata": {"HttpStatusCode": metadata.get("HTTPStatusCode", 200)},
        "SdkResponseMetadata": {"RequestId": metadata.get("RequestId", "")},
        "StatusCode": raw.get("StatusCode", 200),
    }


def _put_events(parameters: Any, caller: Caller) -> dict[str, Any]:
    """Put events that name the execution among their resources; one that is refused fails the task."""
    own = [caller.execution_arn, caller.machine_arn]
    entries = [
        {**entry, "Resources": [*(entry.get("Resources") or []), *own]}
        for entry in (parameters or {}).get("Entries", [])
    ]
    operation = calls.optimised("events", "putEvents")
    result = calls.call(caller, operation, {**(parameters or {}), "Entries": entries})
    if result.get("FailedEntryCount"):
        raise StateError("EventBridge.FailedEntry", calls.document(result))
    return result


def _start_execution(parameters: Any, caller: Caller) -> dict[str, Any]:
    """Start another execution; it is told who started it."""
    wanted = dict(parameters or {})
    data = wanted.get("Input", {})
    if isinstance(data, dict):
        wanted["Input"] = {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": caller.execution_arn, **data}
    return calls.call(caller, calls.optimised("states", "startExecution"), wanted)


_SPECIAL: dict[str, Callable[[Any, Caller], Any]] = {
    "events:putEvents": _put_events,
    "lambda:invoke": _invoke_function,
    "states:startExecution": _start_execution,
}
