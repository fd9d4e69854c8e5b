"""Seams into ministack's Step Functions: its records and expression languages; the engine is our own."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from twin.glue.internals import internal

Response = tuple[int, dict[str, str], bytes]
_states = internal("services.stepfunctions")


class ExpressionFault(Exception):
    """An expression failed: `error` is Step Functions' name for it (``States.QueryEvaluationError``)."""

    def __init__(self, error: str, cause: str) -> None:
        """`cause` says what was wrong."""
        super().__init__(cause)
        self.error, self.cause = error, cause


def evaluate_jsonata(expression: str, states: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """Evaluate what stands between ``{%`` and ``%}``; `states` has input, result, errorOutput and context.

    Raises `ExpressionFault`.
    """
    context = {**states["context"], "variables": dict(variables)}
    try:
        return _states._evaluate_jsonata(
            expression, states.get("input"), context, states.get("result"), states.get("errorOutput")
        )
    except _states._ExecutionError as fault:
        raise ExpressionFault(fault.error, fault.cause) from fault


def evaluate_intrinsic(expression: str, data: Any, context: Mapping[str, Any]) -> Any:
    """Evaluate a JSONPath state's intrinsic function (``States.Format(...)``); raises `ExpressionFault`."""
    try:
        return _states._evaluate_intrinsic(expression, data, context)
    except _states._ExecutionError as fault:
        raise ExpressionFault(fault.error, fault.cause) from fault
    except Exception as fault:
        raise ExpressionFault("States.IntrinsicFailure", f"{expression}: {fault}") from fault


def executions() -> Any:
    """Return the executions of the current scope, by ARN."""
    return _states._executions


def machines() -> Any:
    """Return the state machines of the current scope, by ARN."""
    return _states._state_machines


def map_runs() -> Any:
    """Return the map runs of the current scope, by ARN."""
    return _states._map_runs


def emit_status(execution: Mapping[str, Any]) -> None:
    """Put the event of an execution's new status on the default bus."""
    _states._emit_execution_status_event(execution)


@dataclass(frozen=True)
class Engine:
    """What the twin puts in the place of ministack's engine.

    `run` walks an execution (by ARN) to its end, on the caller's thread; `stopped` is told of an execution
    that StopExecution has ended, which holds `ending` meanwhile; `check_machine` and `check_start` may answer
    a request with an error.
    """

    run: Callable[[str], None]
    stopped: Callable[[str], None]
    ending: AbstractContextManager[Any]
    check_machine: Callable[[Mapping[str, Any]], Response | None]
    check_start: Callable[[Mapping[str, Any]], Response | None]


def install_engine(engine: Engine) -> None:
    """Run executions with `engine`."""
    stop, start = _states._stop_execution, _states._start_execution
    start_sync = _states._start_sync_execution
    create, update = _states._create_state_machine, _states._update_state_machine

    def stop_execution(data: dict[str, Any]) -> Response:
        with engine.ending:
            answer = stop(data)
        if answer[0] == 200:
            engine.stopped(data["executionArn"])
        return answer

    def checked(
        original: Callable[[dict[str, Any]], Response], check: Callable[[Mapping[str, Any]], Response | None]
    ) -> Callable[[dict[str, Any]], Response]:
        return lambda data: check(data) or original(data)

    _states._run_execution = engine.run
    _states._stop_execution = stop_execution
    _states._start_execution = checked(start, engine.check_start)
    _states._start_sync_execution = checked(start_sync, engine.check_start)
    _states._create_state_machine = checked(create, engine.check_machine)
    _states._update_state_machine = checked(update, engine.check_machine)


def refuse_operation(name: str, function: str) -> None:
    """Answer operation `name`, served by ministack's `function`, as not implemented."""

    def refuse(_data: Mapping[str, Any]) -> Response:
        return error("NotImplementedInTwin", f"states:{name} is not implemented by the local twin", 501)

    setattr(_states, function, refuse)


def error(code: str, message: str, status: int = 400) -> Response:
    """Return an error as the service words it."""
    body = {"__type": code, "message": message}
    return status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(body).encode()


def answer(body: Mapping[str, Any]) -> Response:
    """Return a result; times are epoch seconds."""
    return 200, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(body).encode()


def on_restored(repair: Callable[[dict[str, Any]], None]) -> None:
    """Call `repair` with every execution that a stop of the twin cut off, after the state was loaded."""
    load = _states.load_persisted_state

    def load_and_repair(data: Any) -> None:
        load(data)
        for execution in _states._executions.all_values():
            if execution.get("error") == "States.ServiceRestart":
                repair(execution)

    _states.load_persisted_state = load_and_repair


class Callback:
    """A task token that SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat know."""

    def __init__(self, token: str) -> None:
        """Make the token known."""
        self.token = token
        self.done = threading.Event()
        self._record: dict[str, Any] = {"event": self.done, "result": None, "error": None, "heartbeat": None}
        _states._task_tokens[token] = self._record

    @property
    def heartbeat(self) -> Any:
        """A value that changes with every heartbeat."""
        return self._record["heartbeat"]

    @property
    def failure(self) -> tuple[str, str] | None:
        """Error and cause, when SendTaskFailure was called."""
        found = self._record["error"]
        return (found["Error"], found["Cause"]) if found else None

    @property
    def output(self) -> str:
        """The JSON text that SendTaskSuccess gave."""
        return self._record["result"]

    def close(self) -> None:
        """Forget the token: later answers are refused."""
        _states._task_tokens.pop(self.token, None)


def offer_activity(activity_arn: str, token: str, data: Any) -> bool:
    """Queue a task for an activity's workers; False when there is no such activity."""
    if activity_arn not in _states._activities:
        return False
    _states._activity_tasks[activity_arn].append({"taskToken": token, "input": json.dumps(data)})
    return True
