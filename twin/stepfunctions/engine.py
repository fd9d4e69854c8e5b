"""Walks the states of an execution: one state after the other, branches and items side by side."""

import datetime as dt
import json
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from twin import glue
from twin.stepfunctions import choice, expressions, recovery, tasks
from twin.stepfunctions.calls import Caller
from twin.stepfunctions.errors import Interrupted, StateError
from twin.stepfunctions.expressions import Frame, State
from twin.stepfunctions.history import History, now


@dataclass
class Walk:
    """What all states of one execution share."""

    caller: Caller
    history: History
    machine_arn: str


def run_states(walk: Walk, machine: dict[str, Any], data: Any, frame: Frame) -> Any:
    """Run a state machine, branch or item processor from its StartAt to its end, and return the output.

    Raises `StateError` for an error that no state caught, and `Interrupted`.
    """
    name: str | None = machine["StartAt"]
    while name is not None:
        frame.signal.check()
        state: State = machine["States"][name]
        frame.context["State"] = {"Name": name, "EnteredTime": now(), "RetryCount": 0}
        kind = state["Type"]
        entered = {"name": name, "input": json.dumps(data)}
        walk.history.add(f"{kind}StateEntered", "stateEnteredEventDetails", **entered)
        data, following = _run_state(walk, kind, state, data, frame)
        left = {"name": name, "output": json.dumps(data)}
        walk.history.add(f"{kind}StateExited", "stateExitedEventDetails", **left)
        name = following
    return data


def _run_state(walk: Walk, kind: str, state: State, data: Any, frame: Frame) -> tuple[Any, str | None]:
    """Run one state; returns its output and the next state's name (None at the end)."""
    following: str | None = None if state.get("End") else state.get("Next")
    if kind in _WORK:
        work = _WORK[kind]
        own = dict(frame.context["State"])
        try:
            return recovery.attempt(state, frame, lambda: work(walk, state, data, frame)), following
        except StateError as error:
            frame.context["State"] = own
            caught = recovery.catch(state, error, data, frame)
            if caught is None:
                raise
            return caught
    if kind == "Choice":
        return choice.choose(state, data, frame)
    if kind == "Fail":
        error = expressions.text(state, "Error", data, frame, "")
        raise StateError(error, expressions.text(state, "Cause", data, frame, ""))
    return _SIMPLE[kind](state, data, frame), following


def _pass(state: State, data: Any, frame: Frame) -> Any:
    result = expressions.effective_input(state, data, frame)
    return expressions.output(state, data, state.get("Result", result), frame)


def _succeed(state: State, data: Any, frame: Frame) -> Any:
    if frame.uses_jsonata(state):
        return expressions.output(state, data, data, frame)
    return expressions.select(state, "OutputPath", expressions.select(state, "InputPath", data, frame), frame)


def _wait(state: State, data: Any, frame: Frame) -> Any:
    selected = expressions.effective_input(state, data, frame, arguments=False)
    seconds = expressions.number(state, "Seconds", selected, frame)
    if seconds is None:
        stamp = expressions.text(state, "Timestamp", selected, frame, "")
        try:
            until = dt.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
            seconds = (until - dt.datetime.now(dt.UTC)).total_seconds()
        except (ValueError, TypeError) as fault:
            raise StateError("States.Runtime", f"Timestamp {stamp!r} is not a moment in time") from fault
    frame.signal.sleep(seconds)
    if frame.uses_jsonata(state):
        return expressions.output(state, data, data, frame)
    return expressions.select(state, "OutputPath", selected, frame)


def _task(walk: Walk, state: State, data: Any, frame: Frame) -> Any:
    return tasks.run(state, data, frame, walk.caller, walk.history)


def _parallel(walk: Walk, state: State, data: Any, frame: Frame) -> Any:
    given = expressions.effective_input(state, data, frame)
    walk.history.add("ParallelStateStarted")
    branches = state["Branches"]
    signal = frame.signal.child()
    frames = [frame.branch(signal) for _ in branches]

    def run(position: int) -> Any:
        return run_states(walk, branches[position], given, frames[position])

    results = side_by_side(run, len(branches), len(branches), signal.set)
    walk.history.add("ParallelStateSucceeded")
    return expressions.output(state, data, results, frame)


def _map(walk: Walk, state: State, data: Any, frame: Frame) -> Any:
    from twin.stepfunctions import maps  # items are state machines in turn: each needs the other

    return maps.run(walk, state, data, frame)


def side_by_side(
    run: Callable[[int], Any], count: int, limit: int, interrupt: Callable[[], None]
) -> list[Any]:
    """Return `[run(0), run(1), ...]`, at most `limit` at a time, each in a thread that keeps our scope.

    The first error interrupts the others and is raised.
    """
    if not count:
        return []
    with ThreadPoolExecutor(max_workers=max(1, min(limit, count)), thread_name_prefix="twin-branch") as pool:
        futures = [pool.submit(glue.keep_scope(run), position) for position in range(count)]
        wait(futures, return_when=FIRST_EXCEPTION)
        errors = [error for future in futures if future.done() and (error := future.exception())]
        if errors:
            interrupt()
            for future in futures:
                future.cancel()
            raise next((error for error in errors if not isinstance(error, Interrupted)), errors[0])
    return [future.result() for future in futures]


_WORK: dict[str, Callable[[Walk, State, Any, Frame], Any]] = {
    "Task": _task,
    "Parallel": _parallel,
    "Map": _map,
}
_SIMPLE: dict[str, Callable[[State, Any, Frame], Any]] = {
    "Pass": _pass,
    "Succeed": _succeed,
    "Wait": _wait,
}
