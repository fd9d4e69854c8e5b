"""Sends one training run through the real workflow and waits for what becomes of it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smoke_tests import history
from smoke_tests.budget import Budget
from smoke_tests.faults import CheckFailed, code_of, first_wrong
from smoke_tests.history import StateTime


class Dataset(BaseModel):
    """The dataset that the workflow says it trained on."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str


class Outcome(BaseModel):
    """The output of a successful execution."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    run_id: str
    metrics: dict[str, float]
    model_package_arn: str
    endpoint_name: str
    endpoint_config_name: str
    evaluation_uri: str
    report_uri: str
    training_job: str
    attempt: int
    repeated: bool
    dataset: Dataset
    counts: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True)
class Execution:
    """One execution of the workflow: its identity, the time each state took, and the names of its jobs.

    `promotion` are the states of the promotion that it started.
    """

    arn: str
    states: tuple[StateTime, ...] = ()
    promotion: tuple[StateTime, ...] = ()
    training_job: str = ""
    processing_job: str = ""

    def seconds_of(self, word: str) -> float:
        """Seconds spent in the states that have `word` in their name, those of the promotion included."""
        return sum(state.seconds for state in (*self.states, *self.promotion) if word in state.name)


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN that an execution called `name` has, whether or not it was started."""
    return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"


def start(states: Any, state_machine_arn: str, run_id: str, manifest_uri: str) -> str:
    """Start the workflow for the smoke line; the execution bears the run's id, so it cannot start twice."""
    answer = states.start_execution(
        stateMachineArn=state_machine_arn,
        name=run_id,
        input=json.dumps(
            {"run_id": run_id, "line": "smoke", "manifest_uri": manifest_uri, "reason": "smoke"}
        ),
    )
    return str(answer["executionArn"])


def wait(
    states: Any, arn: str, promotion_machine_arn: str, budget: Budget, say: Callable[[str], None]
) -> Outcome:
    """Wait until the execution has ended and return its output.

    Raises:
        CheckFailed: when it did not succeed, naming the state that failed, its error and its cause; or when
            its output is not what the workflow promises, naming the field.
        OutOfTime, Interrupted: when the wait had to end before.
    """
    shown = ""
    answer: dict[str, Any] = {}
    for _ in budget.polls(f"waiting for the training run {arn}"):
        answer = states.describe_execution(executionArn=arn)
        if answer["status"] != "RUNNING":
            break
        state = history.latest_state(states, arn)
        if state != shown:
            shown = state
            say(f"        training: {state}")
    if answer["status"] != "SUCCEEDED":
        why = _explain(states, arn, promotion_machine_arn, answer).in_words()
        raise CheckFailed(f"the workflow ended as {answer['status']}: {why}")
    return _outcome(answer.get("output", ""))


def _explain(states: Any, arn: str, promotion_machine_arn: str, answer: dict[str, Any]) -> history.Failure:
    """Why the execution failed; what its promotion failed of stands in the promotion's own history."""
    error, cause = answer.get("error", ""), answer.get("cause", "")
    events = history.events_of(states, arn)
    why = history.explain(events, error, cause)
    promotion = history.started(events, promotion_machine_arn)
    if why.state or not promotion:
        return why
    return history.explain(
        history.events_of(states, execution_arn(promotion_machine_arn, promotion)), error, cause
    )


def _outcome(output: str) -> Outcome:
    try:
        return Outcome.model_validate_json(output)
    except ValidationError as error:
        raise CheckFailed(f"the workflow's output is wrong at {first_wrong(error)}") from None


def examine(states: Any, arn: str, promotion_machine_arn: str) -> Execution:
    """What the history tells of an execution that ended, well or not, and of its promotion."""
    events = history.events_of(states, arn)
    name = history.started(events, promotion_machine_arn)
    promotion = history.events_of(states, execution_arn(promotion_machine_arn, name)) if name else []
    return Execution(
        arn=arn,
        states=tuple(history.state_times(events)),
        promotion=tuple(history.state_times(promotion)),
        training_job=history.parameter(events, "TrainingJobName"),
        processing_job=history.parameter(events, "ProcessingJobName"),
    )


def stop(states: Any, arn: str, budget: Budget) -> bool:
    """End an execution that may still run and wait until it has ended; tell whether it was running."""
    try:
        if states.describe_execution(executionArn=arn)["status"] != "RUNNING":
            return False
    except ClientError as error:
        if code_of(error) == "ExecutionDoesNotExist":
            return False
        raise
    states.stop_execution(
        executionArn=arn, error="SmokeRunEnded", cause="the smoke run that started it has ended"
    )
    for _ in budget.polls(f"stopping the training run {arn}"):
        if states.describe_execution(executionArn=arn)["status"] != "RUNNING":
            break
    return True


def running(states: Any, state_machine_arn: str, *, prefix: str) -> list[str]:
    """ARNs of the running executions whose name begins with `prefix`."""
    return [arn for arn, name in _running(states, state_machine_arn) if name.startswith(prefix)]


def running_promotions(states: Any, state_machine_arn: str, *, prefix: str) -> list[str]:
    """ARNs of the running promotions of runs whose id begins with `prefix`.

    One that clears up after another has a name of its own, and the other's in its input.
    """
    return [
        arn
        for arn, name in _running(states, state_machine_arn)
        if name.startswith(prefix) or _cleared_up_after(states, arn).startswith(prefix)
    ]


def _cleared_up_after(states: Any, arn: str) -> str:
    """The name of the execution after which this one clears up; empty when it does something else."""
    asked = json.loads(states.describe_execution(executionArn=arn).get("input", "{}"))
    return str(asked.get("after", "")).rpartition(":")[2]


def _running(states: Any, state_machine_arn: str) -> Iterator[tuple[str, str]]:
    pages = states.get_paginator("list_executions").paginate(
        stateMachineArn=state_machine_arn, statusFilter="RUNNING"
    )
    for page in pages:
        for item in page["executions"]:
            yield item["executionArn"], item["name"]
