"""A run is found again: what a deployment fails to emit is named, and what it emits is shown."""

from collections.abc import Callable

import pytest

from tests.smoke_tests.conftest import Finished
from tests.smoke_tests.watched import FUNCTION_LOG, JOB_LOGS, WORKFLOW_LOG
from tests.smoke_tests.world import World

Smoke = Callable[..., Finished]


@pytest.mark.parametrize(
    ("silent", "check", "words"),
    [
        (JOB_LOGS[0], "log-jobs", "/aws/sagemaker/TrainingJobs has no lines of vision-dev-job"),
        (JOB_LOGS[1], "log-jobs", "/aws/sagemaker/ProcessingJobs has no lines of vision-dev-job"),
        (WORKFLOW_LOG, "log-workflow", "has 0 events of execution smoke-"),
        (FUNCTION_LOG, "log-requests", "has no line of 35 of 35 requests"),
        ("train:accuracy", "metrics-training", "has no train:accuracy of vision-dev-job"),
        (
            "Predictions",
            "metrics-requests",
            "count RejectedRequests 5 since",
        ),
        ("RejectedRequests", "metrics-requests", "not Predictions 30, RejectedRequests 5"),
        ("AWS::ApiGateway::Stage", "trace", "lacks a segment of AWS::ApiGateway::Stage"),
        ("AWS::Lambda::Function", "trace", "lacks a segment of AWS::Lambda::Function"),
        ("SageMaker Runtime", "trace", "lacks the function's call of endpoint vision-dev-smoke"),
    ],
)
def test_what_a_deployment_does_not_emit_is_named(
    smoke: Smoke, world: World, silent: str, check: str, words: str
) -> None:
    world.watched.silent = {silent}
    done = smoke()
    assert [one.name for one in done.result.failed] == [check]
    assert words in done.detail(check)


def test_the_workflows_success_is_looked_for_not_just_its_lines(smoke: Smoke, world: World) -> None:
    write = world.watched.write
    world.watched.write = lambda group, line: (  # type: ignore[method-assign]
        None if line.get("type") == "ExecutionSucceeded" else write(group, line)
    )
    assert "has 1 events of execution" in smoke().detail("log-workflow")


def test_a_trace_is_shown_from_the_gateway_inwards(smoke: Smoke) -> None:
    found = smoke().result.evidence.trace
    assert found is not None
    assert [(hop.name, hop.depth) for hop in found.hops] == [
        ("api", 0),
        ("Lambda", 1),
        ("f", 1),
        ("f", 2),
        ("SageMaker Runtime", 3),
    ]
    assert found.hops[-1].begun == 2 and found.hops[-1].seconds == 1


def test_an_endpoint_that_says_something_else_than_the_api_fails_the_run(smoke: Smoke, world: World) -> None:
    world.direct_label = "another"
    done = smoke()
    assert [one.name for one in done.result.failed] == ["direct"]
    assert "label another (0.910), through the API 0" in done.detail("direct")


def test_a_model_in_another_group_is_not_this_runs(smoke: Smoke, world: World) -> None:
    world.group_of_package = "vision-dev-champion"
    assert "is in group vision-dev-champion, not in vision-dev-smoke" in smoke().detail("sdk-training")


def test_a_job_on_another_machine_than_settings_say_is_named(smoke: Smoke, world: World) -> None:
    world.instance_type = "ml.g5.xlarge"
    assert "ran on ml.g5.xlarge, settings say ml.c7i.xlarge" in smoke().detail("sdk-training")
