"""Whole smoke runs against an environment in memory: what passes, what fails, what is cleaned up."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from smoke_tests import burst, plan
from smoke_tests.context import Context, new_run_id
from tests.smoke_tests.conftest import RUN_ID, Finished
from tests.smoke_tests.fake_api import FakeApi
from tests.smoke_tests.world import ARTIFACTS, CHAMPION, DATASETS, PROMOTION, SMOKE, UPLOADS, World

Smoke = Callable[..., Finished]


def nothing_of_the_run(world: World) -> bool:
    return not (
        world.current(DATASETS)
        or world.current(ARTIFACTS)
        or world.current(UPLOADS)
        or SMOKE in world.endpoints
        or world.configurations
        or world.models
        or world.packages
    )


def test_a_sound_environment_passes_every_check_and_is_left_clean(
    smoke: Smoke, world: World, api: FakeApi
) -> None:
    done = smoke()
    assert [check.detail for check in done.result.checks if not check.passed] == []
    assert nothing_of_the_run(world)
    assert world.versions == [], "older versions count as left behind too"
    assert world.endpoints[CHAMPION]["configuration"] == f"{CHAMPION}-first"
    predictions = done.result.evidence.predictions
    assert len(predictions) == 30 and all(prediction.right for prediction in predictions)
    assert {prediction.encoding for prediction in predictions} == {"bytes", "json"}
    assert sum(prediction.encoding == "json" for prediction in predictions) == 15
    assert api.connections <= 5, "connections are kept open"


def test_the_workflow_is_started_for_the_smoke_line_and_uploads_are_left_to_the_bucket_to_encrypt(
    smoke: Smoke, world: World
) -> None:
    smoke()
    started = next(given for name, given in world.calls if name == "StartExecution")
    assert started["name"] == RUN_ID
    assert json.loads(started["input"]) == {
        "run_id": RUN_ID,
        "line": "smoke",
        "manifest_uri": f"s3://{DATASETS}/smoke/{RUN_ID}/manifest.json",
        "reason": "smoke",
    }
    puts = [given for name, given in world.calls if name == "PutObject"]
    assert puts[-1]["Key"].endswith("manifest.json"), (
        "the manifest declares images that must be there already"
    )
    assert not any("ServerSideEncryption" in given for given in puts)


def test_progress_is_one_line_per_start_and_end(smoke: Smoke) -> None:
    printed = smoke().printed
    assert "      training: The training workflow runs to its end" in printed
    assert "PASS  training (" in printed
    assert all(line.startswith("[") for line in printed.splitlines())


def test_two_wrong_labels_are_tolerated_and_named(smoke: Smoke, api: FakeApi) -> None:
    api.spoil = lambda number, body: mislabelled(body) if number < 2 else body
    done = smoke()
    assert done.result.passed
    assert "28 of 30 images right" in done.detail("predictions")
    assert "answered" in done.detail("predictions")


def test_three_wrong_labels_fail_the_run(smoke: Smoke, api: FakeApi, world: World) -> None:
    api.spoil = lambda number, body: mislabelled(body) if number < 3 else body
    done = smoke()
    assert done.status("predictions") == "failed"
    assert done.status("answers") == "passed", "wrong labels are not malformed answers"
    assert not done.result.passed
    assert nothing_of_the_run(world)


def mislabelled(body: dict[str, Any]) -> dict[str, Any]:
    other = str((int(body["label"]) + 1) % 10)
    return body | {
        "label": other,
        "probabilities": body["probabilities"] | {body["label"]: 0.01, other: 0.91},
    }


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"probabilities": {"7": 1.0}}, "not about the dataset's classes"),
        ({"label": "cat"}, "none of the classes"),
        ({"model_version": "another"}, "model_version"),
        ({"request_id": "always-the-same"}, "came more than once"),
        ({"request_id": ""}, "request_id"),
        ({"label": None}, "label"),
    ],
)
def test_a_malformed_answer_fails_the_run_and_is_named(
    smoke: Smoke, api: FakeApi, change: dict[str, Any], fault: str
) -> None:
    api.spoil = lambda _, body: body | change
    done = smoke()
    assert done.status("answers") == "failed"
    assert fault in done.detail("answers")


def test_probabilities_that_do_not_sum_to_one_are_malformed(smoke: Smoke, api: FakeApi) -> None:
    api.spoil = lambda _, body: body | {"probabilities": {k: v / 2 for k, v in body["probabilities"].items()}}
    assert "sum to 0.5" in smoke().detail("answers")


def test_a_passing_fault_of_the_service_is_retried_and_told(smoke: Smoke, api: FakeApi) -> None:
    api.spoil = busy_once(api)
    done = smoke()
    assert done.result.passed, done.printed
    assert "needed a second try" in done.detail("answers")


def busy_once(api: FakeApi) -> Callable[[int, dict[str, Any]], dict[str, Any]]:
    def spoil(number: int, body: dict[str, Any]) -> dict[str, Any]:
        api.busy_times = 1 if number == 0 else api.busy_times
        return body

    return spoil


def test_bad_inputs_that_are_accepted_fail_one_check_each(smoke: Smoke, api: FakeApi) -> None:
    api.accept_anything = True
    done = smoke()
    failed = [check.name for check in done.result.failed if check.name.startswith("refuses-")]
    assert len(failed) == 5
    assert "status 200 instead of a 4xx" in done.detail("refuses-not-an-image")


def test_an_api_open_to_everybody_fails_the_run(smoke: Smoke, api: FakeApi) -> None:
    api.accept_unsigned = True
    assert "anybody on the internet" in smoke().detail("refuses-unsigned")


def test_low_accuracy_fails_the_run(smoke: Smoke, world: World) -> None:
    world.accuracy = 0.9
    done = smoke()
    assert done.status("accuracy") == "failed"
    assert "0.9000 on 40 holdout images, at least 0.95 needed" in done.detail("accuracy")
    assert smoke(SMOKE_MIN_ACCURACY="0.9").status("accuracy") == "passed"


def test_a_failed_workflow_names_state_error_and_cause_and_skips_what_needs_it(
    smoke: Smoke, world: World
) -> None:
    cause = json.dumps({"errorType": "ManifestError", "errorMessage": "images/00007.png: wrong checksum"})
    world.workflow_error = ("Preprocess", "ManifestError", cause)
    done = smoke()
    assert "state Preprocess failed with ManifestError: images/00007.png: wrong checksum" in done.detail(
        "training"
    )
    assert done.status("predictions") == "skipped"
    assert done.status("refuses-not-an-image") == "passed", "refusals do not need a model"
    assert done.status("clean-up") == done.status("nothing-left") == "passed"
    assert nothing_of_the_run(world)


def test_an_endpoint_that_was_rolled_back_is_not_taken_for_this_runs(smoke: Smoke, world: World) -> None:
    world.configuration_on_endpoint = f"{SMOKE}-older"
    done = smoke()
    assert "it was rolled back" in done.detail("endpoint")
    assert SMOKE in world.endpoints, "an endpoint that serves something else is not this run's to delete"


@pytest.mark.parametrize(
    ("kind", "check", "words"),
    [
        ("RUN", "lineage-run", "has no record RUN#"),
        ("MODEL", "lineage-influence", "MODEL of smoke-"),
        ("EVALUATION", "lineage-influence", "EVALUATION of smoke-"),
        ("DEPLOYMENT", "lineage-influence", "DEPLOYMENT of smoke-"),
        ("PREDICTION", "lineage-source", "has no record PREDICTION#"),
        ("PREDICTION", "lineage-influence", "30 of 34 records: PREDICTION#"),
    ],
)
def test_a_gap_in_the_lineage_is_named(smoke: Smoke, world: World, kind: str, check: str, words: str) -> None:
    world.drops_lineage_of = kind
    assert words in smoke().detail(check)


def test_a_prediction_that_names_another_run_is_named(smoke: Smoke, world: World) -> None:
    world.run_of_predictions = "run-of-yesterday"
    assert "run_id is 'run-of-yesterday' instead of" in smoke().detail("lineage-source")


def test_a_run_that_was_known_before_fails(smoke: Smoke, world: World) -> None:
    world.attempt = 2
    assert "was known before: attempt 2" in smoke().detail("training")


def test_a_failed_promotion_is_explained_by_its_own_history(smoke: Smoke, world: World) -> None:
    world.workflow_error = ("CreateEndpoint", "SageMaker.SageMakerException", "no capacity")
    done = smoke()
    assert "state CreateEndpoint failed with SageMaker.SageMakerException: no capacity" in done.detail(
        "training"
    )


def test_a_promotion_that_clears_up_after_this_run_is_stopped_and_no_other(
    smoke: Smoke, world: World
) -> None:
    after = PROMOTION.replace("stateMachine", "execution") + f":{RUN_ID}"
    inputs = {"event-1": {"after": after}, "event-2": {}}
    arns = {name: f"{after.rpartition(':')[0]}:{name}" for name in inputs}

    def promotions_begin(operation: str) -> None:
        if operation == "BatchGetTraces" and not set(arns.values()) & set(world.executions):
            for name, asked in inputs.items():
                started = {"stateMachineArn": PROMOTION, "name": name, "input": json.dumps(asked)}
                world.StartExecution(started)
                world.executions[arns[name]]["polls"] = -1000

    world.on_call = promotions_begin
    done = smoke()
    assert done.result.passed, done.printed
    assert [world.executions[arns[name]]["status"] for name in inputs] == ["ABORTED", "RUNNING"]


def test_a_champion_that_moves_with_the_smoke_run_fails_the_run(smoke: Smoke, world: World) -> None:
    def move(operation: str) -> None:
        if operation == "StartExecution":
            world.endpoints[CHAMPION]["configuration"] = f"{CHAMPION}-{RUN_ID}"

    world.on_call = move
    assert "this smoke run moved the champion" in smoke().detail("champion")


def test_a_champion_that_its_own_deployment_moves_meanwhile_is_no_fault(smoke: Smoke, world: World) -> None:
    def move(operation: str) -> None:
        if operation == "StartExecution":
            world.record("DEPLOYMENT", "champion#arrival-7", line="champion")
            world.endpoints[CHAMPION]["configuration"] = f"{CHAMPION}-arrival-7"

    world.on_call = move
    done = smoke()
    assert "moved on by its own deployment arrival-7" in done.detail("champion")


def test_a_missing_permission_is_said_without_a_stack_trace(smoke: Smoke, world: World) -> None:
    world.denied = {"StartExecution"}
    done = smoke()
    assert done.status("training") == "failed"
    assert "AWS answered AccessDenied to StartExecution" in done.detail("training")
    assert "lacks the action" in done.detail("training")
    assert not any(check.trace for check in done.result.checks)
    assert nothing_of_the_run(world)


def test_a_role_of_another_account_stops_everything(smoke: Smoke) -> None:
    done = smoke(
        STATE_MACHINE_ARN="arn:aws:states:us-east-1:333333333333:stateMachine:vision-staging-training"
    )
    assert "leads to account 222222222222" in done.detail("role")
    assert {str(check.status) for check in done.result.checks} == {"failed", "skipped"}


def test_what_cannot_be_deleted_fails_the_run_by_name(smoke: Smoke, world: World) -> None:
    world.undeletable = {"DeleteModel"}
    done = smoke()
    assert done.status("clean-up") == "passed"
    assert done.detail("nothing-left") == f"still there: model {SMOKE}-{RUN_ID}"


def test_without_the_right_to_delete_versions_todays_objects_go_and_the_report_says_so(
    smoke: Smoke, world: World
) -> None:
    world.denied = {"s3:DeleteObjectVersion"}
    done = smoke()
    assert done.result.passed, done.printed
    assert "older versions in datasets stay" in done.detail("clean-up")
    assert nothing_of_the_run(world)


def test_an_endpoint_still_being_created_is_deleted_when_it_can_be(smoke: Smoke, world: World) -> None:
    def creating(operation: str) -> None:
        if operation == "GetCallerIdentity":
            world.leave_behind("smoke-killed-one")
            world.endpoints[SMOKE]["status"] = "Creating"

    world.on_call = creating
    assert smoke(SMOKE_TAKE_OVER="yes").result.passed


def test_a_run_by_hand_does_not_disturb_another_run(smoke: Smoke, world: World) -> None:
    world.leave_behind("smoke-other")
    done = smoke()
    assert "another smoke run holds the smoke line" in done.detail("smoke-line")
    assert "SMOKE_TAKE_OVER=yes" in done.detail("smoke-line")
    assert SMOKE in world.endpoints and f"{SMOKE}-smoke-other" in world.models


def test_the_pipeline_sweeps_what_a_killed_build_left(smoke: Smoke, world: World) -> None:
    world.leave_behind("smoke-killed")
    orphan = world.StartExecution({"name": "smoke-killed", "input": json.dumps({"run_id": "smoke-killed"})})
    world.polls_until_done = 3
    world.executions[orphan["executionArn"]]["polls"] = -100
    done = smoke(PIPELINE_EXECUTION_ID="e-1")
    assert done.result.passed, done.printed
    assert "after sweeping an earlier run: 1 endpoint" in done.detail("smoke-line")
    assert world.executions[orphan["executionArn"]]["status"] == "ABORTED"
    assert nothing_of_the_run(world)


def test_an_interrupted_run_stops_the_workflow_and_cleans_up(
    context: Callable[..., Context], world: World
) -> None:
    run = context()
    world.polls_until_done = 10_000
    world.on_call = lambda name: run.budget.cancel("SIGTERM") if name == "DescribeExecution" else None
    plan.execute(run)
    assert "stopped by SIGTERM while waiting for the training run" in run.journal["training"].detail
    assert run.journal["clean-up"].passed and run.journal["nothing-left"].passed
    assert "workflow stopped" in run.journal["clean-up"].detail
    assert [execution["status"] for execution in world.executions.values()] == ["ABORTED"]
    assert nothing_of_the_run(world)


def test_a_workflow_that_never_ends_runs_out_of_time_and_is_stopped(
    context: Callable[..., Context], world: World
) -> None:
    run = context(reserve=20)
    world.polls_until_done = 10_000

    def time_passes(name: str) -> None:
        if name == "DescribeExecution":
            run.budget.shorten(run.budget.elapsed() + 20, "SMOKE_TIMEOUT_SECONDS")

    world.on_call = time_passes
    plan.execute(run)
    assert "time is up while waiting for the training run" in run.journal["training"].detail
    assert "SMOKE_TIMEOUT_SECONDS" in run.journal["training"].detail
    assert nothing_of_the_run(world)


def test_run_ids_fit_the_workflows_rule() -> None:
    import re

    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,24}", new_run_id()) for _ in range(20))


def test_an_api_that_cannot_be_reached_is_said_in_one_line(smoke: Smoke) -> None:
    done = smoke(API_URL="http://127.0.0.1:1/v/")
    assert done.detail("refuses-unsigned").startswith("The API could not be reached: [Errno")
    assert done.status("predictions") == "failed" and done.status("nothing-left") == "passed"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "cat"}, "says 'cat'"),
        ({"model_version": "another"}, "answered by 'another'"),
        (
            {"status": "REJECTED", "problem": {"detail": "it is no image"}},
            "ended as REJECTED: it is no image",
        ),
        ({"id": "p-other"}, "told of p-other"),
        ({"label": 7}, "label"),
    ],
)
def test_a_wrong_result_of_the_burst_path_fails_the_run_and_leaves_nothing(
    smoke: Smoke, world: World, api: FakeApi, change: dict[str, Any], words: str
) -> None:
    api.spoil_later = lambda body: body | change
    done = smoke()
    (failed,) = [check for check in done.result.checks if not check.passed]
    assert failed.name == "burst"
    assert words in failed.detail
    assert not world.current(UPLOADS)


def test_an_image_that_waits_for_ever_fails_the_run(
    smoke: Smoke, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burst, "ANSWERED_WITHIN", 0.2)
    api.waits = 1_000_000
    (failed,) = [check for check in smoke().result.checks if not check.passed]
    assert "is still QUEUED" in failed.detail
