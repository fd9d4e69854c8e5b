"""Selection of the best trial: by the objective, ties broken, missing metrics counted (R16)."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

TUNING = "t-run-1"
START = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIST = "list_training_jobs_for_hyper_parameter_tuning_job"
URI = "s3://artifacts/models/champion/{}/output/model.tar.gz"


def trial(
    number: int,
    value: float | None = None,
    *,
    seconds: float | None = 60,
    status: str = "Completed",
    metric: str = "validation:accuracy",
) -> dict[str, Any]:
    """A trial as SageMaker lists it."""
    name = f"{TUNING}-{number:03d}-0a1b2c3d"
    summary: dict[str, Any] = {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:us-east-1:222222222222:training-job/{name}",
        "CreationTime": START,
        "TrainingJobStatus": status,
        "TunedHyperParameters": {"learning-rate": f"0.00{number}", "batch-size": "32"},
    }
    if seconds is not None:
        summary |= {"TrainingStartTime": START, "TrainingEndTime": START + timedelta(seconds=seconds)}
    if value is not None:
        summary |= {
            "FinalHyperParameterTuningJobObjectiveMetric": {"MetricName": metric, "Value": value},
            "ObjectiveStatus": "Succeeded",
        }
    return summary


@pytest.fixture
def choose(
    load_function: Callable[..., ModuleType], context: SimpleNamespace
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Runs the step with SageMaker's client; its answers are given: pages of trials, then the best's job."""
    stubs: list[Stubber] = []

    def run(
        *pages: list[dict[str, Any]],
        best: int | None = None,
        artifacts: dict[str, str] | None = None,
        direction: str = "Maximize",
        objective: str = "validation:accuracy",
    ) -> dict[str, Any]:
        step = load_function("select_model", OBJECTIVE=objective, DIRECTION=direction)
        stub = Stubber(step.sagemaker)
        asked: dict[str, Any] = {
            "HyperParameterTuningJobName": TUNING, "SortBy": "Name", "MaxResults": 100
        }  # fmt: skip
        for number, page in enumerate(pages):
            more = {"NextToken": f"page-{number + 1}"} if number + 1 < len(pages) else {}
            stub.add_response(LIST, {"TrainingJobSummaries": page, **more}, asked)
            asked = asked | more
        if best is not None:
            name = f"{TUNING}-{best:03d}-0a1b2c3d"
            described: dict[str, Any] = {
                **trial(best),
                "ModelArtifacts": artifacts or {"S3ModelArtifacts": URI.format(name)},
                "SecondaryStatus": "Completed",
                "AlgorithmSpecification": {"TrainingInputMode": "FastFile"},
                "ResourceConfig": {"VolumeSizeInGB": 5},
                "StoppingCondition": {},
            }
            described.pop("TunedHyperParameters")
            stub.add_response("describe_training_job", described, {"TrainingJobName": name})
        stubs.append(stub)
        with stub:
            event = {"run_id": "run-1", "line": "champion", "tuning_job": TUNING}
            return step.handler(event, context)

    yield run
    for stub in stubs:
        stub.assert_no_pending_responses()


def test_best_of_all_pages_goes_on(choose: Callable[..., dict[str, Any]]) -> None:
    chosen = choose([trial(1, 0.91), trial(2, 0.97)], [trial(3, 0.99)], [trial(4, 0.95)], best=3)
    assert chosen == {
        "training_job": f"{TUNING}-003-0a1b2c3d",
        "model_uri": URI.format(f"{TUNING}-003-0a1b2c3d"),
        "objective": 0.99,
        "hyperparameters": {"learning-rate": "0.003", "batch-size": "32"},
        "trials": [
            {
                "training_job": f"{TUNING}-{number:03d}-0a1b2c3d",
                "objective": value,
                "seconds": 60.0,
                "hyperparameters": {"learning-rate": f"0.00{number}", "batch-size": "32"},
            }
            for number, value in ((3, 0.99), (2, 0.97), (4, 0.95), (1, 0.91))
        ],
        "trial_count": 4,
        "left_out": 0,
        "left_out_because": {},
    }


def test_lowest_is_best_where_the_objective_is_a_loss(choose: Callable[..., dict[str, Any]]) -> None:
    trials = [trial(n, value, metric="validation:loss") for n, value in ((1, 0.3), (2, 0.1), (3, 0.2))]
    chosen = choose(trials, best=2, direction="Minimize", objective="validation:loss")
    assert chosen["objective"] == 0.1


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        ([trial(1, 0.9, seconds=90), trial(2, 0.9, seconds=30), trial(3, 0.9, seconds=60)], 2),
        ([trial(3, 0.9), trial(1, 0.9), trial(2, 0.9)], 1),
        ([trial(1, 0.9, seconds=None), trial(2, 0.9, seconds=9999)], 2),
    ],
    ids=["shorter training", "first by name", "time unknown"],
)
def test_ties_are_broken(
    choose: Callable[..., dict[str, Any]], trials: list[dict[str, Any]], best: int
) -> None:
    assert choose(trials, best=best)["training_job"].startswith(f"{TUNING}-{best:03d}")


def test_a_time_that_is_not_known_is_left_open(choose: Callable[..., dict[str, Any]]) -> None:
    assert choose([trial(1, 0.9, seconds=None)], best=1)["trials"][0]["seconds"] is None


def test_trials_that_cannot_be_chosen_are_counted_by_reason(choose: Callable[..., dict[str, Any]]) -> None:
    chosen = choose(
        [
            trial(1, 0.99, status="Stopped"),
            trial(2, status="Failed"),
            trial(3, 0.98, status="Failed"),
            trial(4),
            trial(5, math.nan),
            trial(6, math.inf),
            trial(7, 0.999, metric="train:accuracy"),
            trial(8, 0.7),
        ],
        best=8,
    )
    assert chosen["objective"] == 0.7
    assert (chosen["trial_count"], chosen["left_out"]) == (8, 7)
    assert chosen["left_out_because"] == {
        "stopped": 1,
        "failed": 2,
        "without the objective": 1,
        "with an objective that is no number": 2,
        "measured train:accuracy instead": 1,
    }


def test_the_answer_shows_twenty_of_many(choose: Callable[..., dict[str, Any]]) -> None:
    chosen = choose([trial(n, n / 1000) for n in range(1, 51)], best=50)
    assert (len(chosen["trials"]), chosen["trial_count"]) == (20, 50)
    assert chosen["trials"][-1]["objective"] == 0.031


@pytest.mark.parametrize(
    ("trials", "named"),
    [
        ([], "none of 0 trials is usable .there were none."),
        (
            [trial(1, status="Failed"), trial(2)],
            "none of 2 trials is usable .1 failed, 1 without the objective.",
        ),
    ],
)
def test_without_a_usable_trial_the_error_says_why(
    choose: Callable[..., dict[str, Any]], trials: list[dict[str, Any]], named: str
) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        choose(trials)
    assert type(caught.value).__name__ == "NoUsableTrial"


def test_best_trial_without_a_model_is_named(choose: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="has no model") as caught:
        choose([trial(1, 0.9)], best=1, artifacts={"S3ModelArtifacts": ""})
    assert type(caught.value).__name__ == "NoUsableTrial"


def test_sagemakers_own_errors_come_through(
    load_function: Callable[..., ModuleType], context: SimpleNamespace
) -> None:
    step = load_function("select_model", OBJECTIVE="validation:accuracy", DIRECTION="Maximize")
    with Stubber(step.sagemaker) as stub:
        stub.add_client_error(LIST, "ResourceNotFound", "no such tuning job")
        with pytest.raises(ClientError, match="no such tuning job"):
            step.handler({"run_id": "run-1", "line": "champion", "tuning_job": TUNING}, context)


@pytest.mark.parametrize("wrong", ["", "-x", "x" * 33, None])
def test_wrong_event_names_its_field(
    load_function: Callable[..., ModuleType], context: SimpleNamespace, wrong: str | None
) -> None:
    step = load_function("select_model", OBJECTIVE="validation:accuracy", DIRECTION="Maximize")
    with pytest.raises(ValueError, match="tuning_job") as caught:
        step.handler({"run_id": "run-1", "line": "champion", "tuning_job": wrong}, context)
    assert type(caught.value).__name__ == "EventError"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OBJECTIVE": "", "DIRECTION": "Maximize"}, "OBJECTIVE is not set"),
        (
            {"OBJECTIVE": "train:loss", "DIRECTION": "down"},
            "DIRECTION is 'down'; it must be Maximize or Minimize",
        ),
    ],
)
def test_wrong_variable_names_itself(
    load_function: Callable[..., ModuleType], variables: dict[str, str], named: str
) -> None:
    with pytest.raises(RuntimeError, match=named):
        load_function("select_model", **variables)
