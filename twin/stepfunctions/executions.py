"""The life of an execution: its start, its end in one of four ways, its events and metrics."""

import datetime as dt
import json
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from twin import glue
from twin.glue import stepfunctions as seam
from twin.stepfunctions import calls, definition, service_needs
from twin.stepfunctions.calls import Caller
from twin.stepfunctions.engine import Walk, run_states
from twin.stepfunctions.errors import Interrupted, StateError
from twin.stepfunctions.expressions import Frame
from twin.stepfunctions.history import ENDING, History, now
from twin.stepfunctions.signals import Signal

INPUT_LIMIT_BYTES = 262_144
log = logging.getLogger("twin.stepfunctions")
_running: dict[str, Signal] = {}
_lock = threading.Lock()


def fault_of(text: str | None, role_arn: str | None, region: str) -> seam.Response | None:
    """Return how a definition or role that cannot work is refused, or None; either may be left out."""
    if text is not None:
        try:
            definition.check(text)
        except definition.DefinitionError as fault:
            return seam.error("InvalidDefinition", f"Invalid State Machine Definition: '{fault}'")
    if role_arn is None:
        return None
    try:
        glue.check_trust(role_arn, calls.STATES_PRINCIPAL)
    except glue.TrustError as fault:
        about = f"Neither the global service principal {calls.STATES_PRINCIPAL}, nor the regional one is "
        return seam.error(
            "AccessDeniedException", f"{about}authorized to assume the provided role. ({fault})"
        )
    lacking = service_needs.missing_for_rules(text, role_arn, region) if text is not None else []
    if lacking:
        about = f"'{role_arn}' is not authorized to create managed-rule. It lacks "
        return seam.error("AccessDeniedException", about + ", ".join(lacking))
    return None


def check_machine(data: Mapping[str, Any]) -> seam.Response | None:
    """Answer CreateStateMachine and UpdateStateMachine for a definition or role that cannot work."""
    known: Mapping[str, Any] = seam.machines().get(str(data.get("stateMachineArn", ""))) or {}
    text, role = data.get("definition", known.get("definition")), data.get("roleArn", known.get("roleArn"))
    if "definition" in data or "roleArn" in data:
        refusal = fault_of(text, role, glue.current_scope().region)
        if refusal is not None:
            return refusal
    level = (data.get("loggingConfiguration") or {}).get("level", "OFF")
    lacking = service_needs.missing_for_logs(role) if role and level != "OFF" else []
    if lacking:
        about = "The state machine IAM Role is not authorized to access the Log Destination. It lacks "
        return seam.error("AccessDeniedException", about + ", ".join(lacking))
    return None


def check_start(data: Mapping[str, Any]) -> seam.Response | None:
    """Answer StartExecution for a broken input, and for the repetition of a request that was served."""
    text = str(data.get("input", "{}"))
    try:
        json.loads(text)
    except ValueError as fault:
        return seam.error("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{fault}'")
    if len(text.encode()) > INPUT_LIMIT_BYTES:
        return seam.error("ValidationException", f"The input is larger than {INPUT_LIMIT_BYTES} bytes")
    arn = str(data.get("stateMachineArn", ""))
    if not data.get("name") or ":stateMachine:" not in arn:
        return None
    base, _, name = arn.partition(":stateMachine:")
    before = seam.executions().get(f"{base}:execution:{name.split(':')[0]}:{data['name']}")
    if before is not None and before["status"] == "RUNNING" and before["input"] == text:
        return seam.answer({"executionArn": before["executionArn"], "startDate": _epoch(before["startDate"])})
    return None


def run(execution_arn: str) -> None:
    """Walk an execution to its end, on this thread."""
    execution = seam.executions().get(execution_arn)
    if execution is None:
        return
    machine = seam.machines().get(execution["stateMachineArn"])
    if machine is None:
        _end(execution, None, "FAILED", error="States.Runtime", cause="The state machine was deleted")
        return
    signal = Signal()
    history = History(execution, machine.get("loggingConfiguration") or {}, machine["name"])
    _count(execution, "ExecutionsStarted")
    with _lock:
        begins = execution["status"] == "RUNNING"
        if begins:
            _running[execution_arn] = signal
    if not begins:  # stopped already, when there was nobody to be told
        _count(execution, "ExecutionsAborted")
        return
    try:
        _walk(execution, machine, signal, history)
    finally:
        with _lock:
            _running.pop(execution_arn, None)


def stopped(execution_arn: str) -> None:
    """Interrupt an execution that StopExecution has ended."""
    with _lock:
        signal = _running.pop(execution_arn, None)
    if signal is not None:
        _count(seam.executions()[execution_arn], "ExecutionsAborted")
        signal.set()


def interrupt_all() -> None:
    """Interrupt every execution, on reset."""
    with _lock:
        running = list(_running.values())
    for signal in running:
        signal.set()


def cut_off(execution: dict[str, Any]) -> None:
    """Give an execution that ran when the twin was stopped its proper end: it cannot be resumed."""
    cause = "The twin was stopped while this execution ran; start a new execution."
    execution.update(status="ABORTED", error="Twin.Stopped", cause=cause)
    History(execution, {}, execution["name"]).add(
        "ExecutionAborted", "executionAbortedEventDetails", error="Twin.Stopped", cause=cause
    )


def _walk(execution: dict[str, Any], machine: Mapping[str, Any], signal: Signal, history: History) -> None:
    parsed: dict[str, Any] = json.loads(machine["definition"])
    limit = parsed.get("TimeoutSeconds")
    late = threading.Event()

    def expire() -> None:
        late.set()
        signal.set()

    timer = threading.Timer(float(limit), expire) if limit else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        glue.check_trust(machine["roleArn"], calls.STATES_PRINCIPAL, machine["stateMachineArn"])
        output = run_states(*_surroundings(execution, machine, parsed, signal, history))
        text = json.dumps(output)
        _end(execution, history, "SUCCEEDED", output=text)
    except glue.TrustError as fault:
        _end(execution, history, "FAILED", error="States.Permissions", cause=str(fault))
    except StateError as error:
        _end(execution, history, "FAILED", error=error.error, cause=error.cause)
    except Interrupted:
        if late.is_set():
            cause = f"The execution did not end within TimeoutSeconds ({limit})"
            _end(execution, history, "TIMED_OUT", error="States.Timeout", cause=cause)
    except Exception as fault:
        log.exception("execution %s failed in the twin", execution["executionArn"])
        cause = f"The twin failed ({type(fault).__name__}: {fault}): see its log"
        _end(execution, history, "FAILED", error="States.Runtime", cause=cause)
    finally:
        if timer is not None:
            timer.cancel()


def _surroundings(
    execution: Mapping[str, Any],
    machine: Mapping[str, Any],
    parsed: dict[str, Any],
    signal: Signal,
    history: History,
) -> tuple[Walk, dict[str, Any], Any, Frame]:
    """Return what `run_states` needs for the outermost states."""
    data = json.loads(execution["input"])
    context = {
        "Execution": {
            "Id": execution["executionArn"],
            "Input": data,
            "Name": execution["name"],
            "RoleArn": machine["roleArn"],
            "StartTime": execution["startDate"],
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": machine["stateMachineArn"], "Name": machine["name"]},
    }
    arn = machine["stateMachineArn"]
    caller = Caller(machine["roleArn"], arn, arn.split(":")[3], execution_arn=execution["executionArn"])
    frame = Frame(context, parsed.get("QueryLanguage", "JSONPath"), signal)
    return Walk(caller, history, arn), parsed, data, frame


_ENDS = {
    "SUCCEEDED": ("ExecutionSucceeded", "ExecutionsSucceeded"),
    "FAILED": ("ExecutionFailed", "ExecutionsFailed"),
    "TIMED_OUT": ("ExecutionTimedOut", "ExecutionsTimedOut"),
}


def _end(execution: dict[str, Any], history: History | None, status: str, **facts: str) -> None:
    """Record the end of an execution, unless StopExecution was first."""
    kind, metric = _ENDS[status]
    member = f"{kind[0].lower()}{kind[1:]}EventDetails"
    with ENDING:
        if execution["status"] != "RUNNING":
            return
        (history or History(execution, {}, execution["name"])).add(kind, member, **facts)
        execution.update(facts, stopDate=now(), status=status)
    _count(execution, metric)
    begun = _epoch(execution["startDate"])
    dimensions = {"StateMachineArn": execution["stateMachineArn"]}
    glue.record_metric(
        "AWS/States", "ExecutionTime", (time.time() - begun) * 1000, "Milliseconds", dimensions
    )
    seam.emit_status(execution)


def _count(execution: Mapping[str, Any], metric: str) -> None:
    dimensions = {"StateMachineArn": execution["stateMachineArn"]}
    glue.record_metric("AWS/States", metric, 1, "Count", dimensions)


def _epoch(stamp: str) -> float:
    return dt.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
