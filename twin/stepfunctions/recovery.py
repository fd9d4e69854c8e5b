"""Retry and Catch: which errors they match, how long a retry waits, and what a catcher hands on."""

import random
from collections.abc import Callable
from typing import Any, TypeVar

from twin.stepfunctions import paths
from twin.stepfunctions.errors import StateError
from twin.stepfunctions.expressions import Frame, State, assign, jsonata

T = TypeVar("T")
# Step Functions ends the execution for these, whatever Retry and Catch say.
_TERMINAL = frozenset({"States.Runtime", "States.DataLimitExceeded"})
_DEFAULT_ATTEMPTS = 3
_DEFAULT_INTERVAL_SECONDS = 1
_DEFAULT_BACKOFF = 2.0


def matches(names: list[str], error: str) -> bool:
    """Whether an ErrorEquals list covers an error."""
    if error in _TERMINAL:
        return False
    if error in names or "States.ALL" in names:
        return True
    if error == "States.HeartbeatTimeout":
        return "States.Timeout" in names
    return "States.TaskFailed" in names and error != "States.Timeout"


def delay(retrier: dict[str, Any], retries: int) -> float:
    """Return the seconds to wait before the next attempt, after `retries` retries of this retrier."""
    base = float(retrier.get("IntervalSeconds", _DEFAULT_INTERVAL_SECONDS))
    wait = base * float(retrier.get("BackoffRate", _DEFAULT_BACKOFF)) ** retries
    if "MaxDelaySeconds" in retrier:
        wait = min(wait, float(retrier["MaxDelaySeconds"]))
    if retrier.get("JitterStrategy", "NONE") == "FULL":
        wait *= random.random()  # noqa: S311  # spreads load, protects nothing
    return wait


def attempt(state: State, frame: Frame, work: Callable[[], T]) -> T:
    """Do the work of a Task, Parallel or Map state, again as its Retry says; raises the last `StateError`.

    ``$states.context.State.RetryCount`` tells the work how often it was retried.
    """
    retriers: list[dict[str, Any]] = state.get("Retry", [])
    used = [0] * len(retriers)
    while True:
        frame.context["State"]["RetryCount"] = sum(used)
        try:
            return work()
        except StateError as error:
            position = next(
                (i for i, retrier in enumerate(retriers) if matches(retrier["ErrorEquals"], error.error)),
                None,
            )
            if position is None or used[position] >= retriers[position].get("MaxAttempts", _DEFAULT_ATTEMPTS):
                raise
            wait = delay(retriers[position], used[position])
            used[position] += 1
        frame.signal.sleep(wait)


def catch(state: State, error: StateError, data: Any, frame: Frame) -> tuple[Any, str] | None:
    """Return the output and the next state of the catcher that covers `error`; None when none does."""
    catcher = next((c for c in state.get("Catch", []) if matches(c["ErrorEquals"], error.error)), None)
    if catcher is None:
        return None
    told = {"Error": error.error, "Cause": error.cause}
    in_jsonata = frame.uses_jsonata(state)
    if in_jsonata:
        made = told
        if "Output" in catcher:
            made = jsonata(catcher["Output"], frame, input=data, errorOutput=told)
        assign(catcher, frame, True, input=data, errorOutput=told)
        return made, catcher["Next"]
    assign(catcher, frame, False, input=told)
    path = catcher.get("ResultPath", "$")
    return data if path is None else paths.write(path, data, told), catcher["Next"]
