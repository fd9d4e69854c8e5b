"""A failed execution is explained by the state that was caught, not by the Fail state at its end."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from smoke_tests import history

BEGAN = datetime(2026, 11, 22, tzinfo=UTC)


def events(*steps: tuple[str, Any]) -> list[dict[str, Any]]:
    """A history from (kind, what) pairs, one second apart."""
    made: list[dict[str, Any]] = []
    for number, (kind, what) in enumerate(steps, 1):
        event = {"id": number, "previousEventId": number - 1, "timestamp": BEGAN + timedelta(seconds=number)}
        if kind == "enter":
            event |= {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": what}}
        elif kind == "exit":
            event |= {"type": "TaskStateExited", "stateExitedEventDetails": {"name": what}}
        elif kind == "schedule":
            event |= {"type": "TaskScheduled", "taskScheduledEventDetails": {"parameters": json.dumps(what)}}
        else:
            details = f"{kind[0].lower()}{kind[1:]}EventDetails"
            event |= {"type": kind, details: {"error": what[0], "cause": what[1]}}
        made.append(event)
    return made


def test_the_caught_state_is_named_with_its_cause() -> None:
    job = json.dumps({"TrainingJobName": "x", "FailureReason": "AlgorithmError: exit code 1"})
    found = history.explain(
        events(
            ("enter", "Preprocess"), ("exit", "Preprocess"),
            ("enter", "Train"), ("TaskFailed", ("States.TaskFailed", job)), ("exit", "Train"),
            ("enter", "RecordFailure"), ("exit", "RecordFailure"),
            ("enter", "Failed"), ("ExecutionFailed", ("States.TaskFailed", job)),
        ),
        "States.TaskFailed",
        job,
    )  # fmt: skip
    assert (found.state, found.error, found.cause) == (
        "Train",
        "States.TaskFailed",
        "AlgorithmError: exit code 1",
    )
    assert found.path == ("Preprocess", "Train", "RecordFailure", "Failed")


def test_a_lookup_that_may_fail_is_not_blamed_for_what_came_later() -> None:
    found = history.explain(
        events(
            ("enter", "FindEndpoint"), ("TaskFailed", ("SageMaker.NotFound", "Could not find endpoint")),
            ("exit", "FindEndpoint"), ("enter", "Compare"), ("exit", "Compare"), ("enter", "RolledBack"),
            ("ExecutionFailed", ("RolledBack", "the endpoint kept its old configuration")),
        ),
        "RolledBack",
        "the endpoint kept its old configuration",
    )  # fmt: skip
    assert (found.state, found.error) == ("", "RolledBack")
    assert "it gave up with RolledBack: the endpoint kept its old configuration" in found.in_words()


def test_a_lambda_error_is_given_by_its_message() -> None:
    cause = json.dumps(
        {"errorType": "ManifestError", "errorMessage": "class 7 is missing", "stackTrace": ["..."]}
    )
    steps = events(("enter", "Preprocess"), ("LambdaFunctionFailed", ("ManifestError", cause)))
    assert history.explain(steps, "ManifestError", cause).cause == "class 7 is missing"


def test_an_execution_that_timed_out_is_explained_by_where_it_was() -> None:
    found = history.explain(events(("enter", "Preprocess"), ("exit", "Preprocess"), ("enter", "Train")))
    assert found.state == "Train"


def test_an_execution_that_entered_no_state_is_explained_too() -> None:
    assert "no state was entered" in history.explain([], "States.Runtime", "no such field").in_words()


def test_time_is_summed_per_state_and_visits_are_counted() -> None:
    times = history.state_times(
        events(
            ("enter", "Wait"),
            ("exit", "Wait"),
            ("enter", "Look"),
            ("exit", "Look"),
            ("enter", "Wait"),
            ("exit", "Wait"),
        )
    )
    assert [(time.name, time.seconds, time.visits) for time in times] == [("Wait", 2.0, 2), ("Look", 1.0, 1)]


def test_job_names_are_found_in_the_parameters_of_tasks() -> None:
    steps = events(("schedule", {"FunctionName": "f"}), ("schedule", {"TrainingJobName": "vision-dev-1"}))
    assert history.parameter(steps, "TrainingJobName") == "vision-dev-1"
    assert history.parameter(steps, "ProcessingJobName") == ""
