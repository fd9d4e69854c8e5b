"""Map states: items inline or as child executions, read from the state's input or from S3, in batches."""

import json
import threading
from typing import Any

from twin.role_checks import role_may
from twin.stepfunctions import expressions, items, map_runs
from twin.stepfunctions.engine import Walk, run_states, side_by_side
from twin.stepfunctions.errors import Interrupted, StateError
from twin.stepfunctions.expressions import Frame, State
from twin.stepfunctions.history import now

# Step Functions runs 40 items of an inline Map, and 10,000 children of a distributed one, at a time; the
# second is more than a laptop has threads for.
_INLINE_LIMIT = 40
_DISTRIBUTED_LIMIT = 32
# An express workflow ends after five minutes, whatever it does.
_EXPRESS_SECONDS = 300.0


def run(walk: Walk, state: State, data: Any, frame: Frame) -> Any:
    """Run a Map state once and return its output; raises `StateError` and `Interrupted`."""
    given = expressions.effective_input(state, data, frame, arguments=False)
    processor = state.get("ItemProcessor") or state["Iterator"]
    distributed = processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
    found = items.read(state, data, given, frame, walk.caller)
    inputs = [
        _item_input(state, data, given, _with_item(frame, position, item), item)
        for position, item in enumerate(found)
    ]
    if distributed:
        inputs = items.batches(state, data, inputs, frame)
    most = _DISTRIBUTED_LIMIT if distributed else _INLINE_LIMIT
    limit = min(int(expressions.number(state, "MaxConcurrency", data, frame) or most), most)
    walk.history.add("MapStateStarted", "mapStateStartedEventDetails", length=len(inputs))
    if distributed:
        tolerance = map_runs.Tolerance(
            expressions.number(state, "ToleratedFailureCount", data, frame),
            expressions.number(state, "ToleratedFailurePercentage", data, frame),
        )
        result = _distributed(walk, state, inputs, frame, limit, tolerance)
    else:
        result = _inline(walk, processor, inputs, frame, limit)
    walk.history.add("MapStateSucceeded")
    return expressions.output(state, data, result, frame)


def _with_item(frame: Frame, position: int, item: Any) -> Frame:
    own = frame.branch(frame.signal)
    own.context["Map"] = {"Item": {"Index": position, "Value": item}}
    return own


def _item_input(state: State, data: Any, given: Any, frame: Frame, item: Any) -> Any:
    """Return what the item's processor gets: the item itself, or what ItemSelector makes of it."""
    selector = state.get("ItemSelector", state.get("Parameters"))
    if selector is None:
        return item
    if frame.uses_jsonata(state):
        return expressions.jsonata(selector, frame, input=data)
    return expressions.template(selector, given, frame)


def _inline(walk: Walk, processor: dict[str, Any], inputs: list[Any], frame: Frame, limit: int) -> list[Any]:
    signal = frame.signal.child()
    name = frame.context["State"]["Name"]

    def run_item(position: int) -> Any:
        own = _with_item(frame, position, inputs[position])
        own.signal = signal
        about = {"name": name, "index": position}
        walk.history.add("MapIterationStarted", "mapIterationStartedEventDetails", **about)
        try:
            made = run_states(walk, processor, inputs[position], own)
        except StateError:
            walk.history.add("MapIterationFailed", "mapIterationFailedEventDetails", **about)
            raise
        walk.history.add("MapIterationSucceeded", "mapIterationSucceededEventDetails", **about)
        return made

    return side_by_side(run_item, len(inputs), limit, signal.set)


def _distributed(  # noqa: PLR0917  # what a run of children is made of
    walk: Walk, state: State, inputs: list[Any], frame: Frame, limit: int, tolerance: map_runs.Tolerance
) -> Any:
    """Run every item or batch as a child execution, and tolerate as many failures as the state says."""
    if not role_may(walk.caller.role_arn, "states:StartExecution", walk.machine_arn, "StepFunctions"):
        text = f"{walk.caller.role_arn} is not authorized to perform: states:StartExecution on resource: "
        raise StateError("States.Permissions", f"{text}{walk.machine_arn}, to start the Map's children")
    processor = state.get("ItemProcessor") or state["Iterator"]
    label = state.get("Label") or frame.context["State"]["Name"]
    weights = [len(given["Items"]) if state.get("ItemBatcher") else 1 for given in inputs]
    is_express = processor["ProcessorConfig"].get("ExecutionType") == "EXPRESS"
    record = map_runs.MapRun(walk, label, weights, limit, tolerance, is_express=is_express)
    signal = frame.signal.child()

    def run_child(position: int) -> Any:
        child = record.child(inputs[position], weights[position])
        own = frame.branch(signal.child())
        own.context["Execution"] = {
            **own.context["Execution"],
            "Id": child.execution["executionArn"],
            "Name": child.execution["name"],
            "Input": inputs[position],
            "StartTime": now(),
        }
        late = threading.Event()
        timer = threading.Timer(_EXPRESS_SECONDS, lambda: (late.set(), own.signal.set()))
        timer.daemon = True
        if is_express:
            timer.start()
        try:
            child.succeed(run_states(child.walk, processor, inputs[position], own))
        except StateError as error:
            child.fail(error)
        except Interrupted:
            if late.is_set():
                child.time_out()
            else:
                child.abort()
        finally:
            timer.cancel()
        if record.is_over_tolerance():
            signal.set()
        return child.execution

    children = side_by_side(run_child, len(inputs), limit, signal.set)
    if frame.signal.is_set():
        record.finish("ABORTED")
        raise Interrupted
    if record.is_over_tolerance():
        record.finish("FAILED")
        raise StateError(
            "States.ExceedToleratedFailureThreshold",
            "The specified tolerated failure threshold was exceeded",
        )
    record.finish("SUCCEEDED")
    writer = state.get("ResultWriter")
    if writer:
        return items.write_results(writer, record.arn, children, frame, walk.caller)
    return [json.loads(child["output"]) for child in children if child["status"] == "SUCCEEDED"]
