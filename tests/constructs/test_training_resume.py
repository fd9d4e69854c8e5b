"""The training machine after a fault: it is recorded and announced, and a repeated start goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.constructs.workflow_bench import LAMBDAS, MANIFEST, Bench, Told, announced

pytestmark = pytest.mark.twin

# Each is made once by a run, however often it is started.
EXPENSIVE = {
    "s3:get_object": "preparation",
    "sagemaker:create_training_job": "training",
    "sagemaker:create_processing_job": "evaluation",
    "sagemaker:create_model_package": "package",
}


def fault(operation: str, match: str = "", error: str = "AccessDenied") -> dict[str, Any]:
    return {"operation": operation, "match": match, "error": error, "times": 9}


# What is broken, and the state in which the run must fail of it.
FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "PlanDataset": (
        {"lambdas": {**LAMBDAS, "plan": {"errorType": "ManifestError", "errorMessage": "no"}}},
        [],
    ),
    "PreprocessBatches": ({"faults": [fault("s3:get_object")]}, []),
    "CollectDataset": (
        {"lambdas": {**LAMBDAS, "collect": {"errorType": "ShardsMissing", "errorMessage": "no"}}},
        ["preparation"],
    ),
    "RecordDataset": ({"faults": [fault("dynamodb:update_item", "manifest_sha256")]}, ["preparation"]),
    "RememberDataset": ({"faults": [fault("dynamodb:update_item", "LINE#")]}, ["preparation"]),
    "Train": ({"outcomes": {"TrainingJob": "Failed"}}, ["preparation", "training"]),
    "RecordTraining": (
        {"faults": [fault("dynamodb:transact_write_items", "training_metrics")]},
        ["preparation", "training"],
    ),
    "FindChampion": ({"faults": [fault("dynamodb:get_item", "CHAMPION")]}, ["preparation", "training"]),
    "Evaluate": (
        {"outcomes": {"ProcessingJob": "Failed"}},
        ["preparation", "training", "evaluation"],
    ),
    "RecordEvaluation": (
        {"faults": [fault("dynamodb:transact_write_items", "EVALUATION")]},
        ["preparation", "training", "evaluation"],
    ),
    "Gate": (
        {"lambdas": {**LAMBDAS, "gate": {"errorType": "EvaluationError", "errorMessage": "no"}}},
        ["preparation", "training", "evaluation"],
    ),
    "RegisterModelPackage": (
        {"faults": [fault("sagemaker:create_model_package")]},
        ["preparation", "training", "evaluation", "package"],
    ),
    "RecordModel": (
        {"faults": [fault("dynamodb:transact_write_items", "MODEL#")]},
        ["preparation", "training", "evaluation", "package"],
    ),
    "Promote": (
        {"promotion": {"status": "FAILED", "error": "RolledBack", "cause": "the alarm rang"}},
        ["preparation", "training", "evaluation", "package"],
    ),
    "RecordSuccess": (
        {"faults": [fault("dynamodb:update_item", "SUCCEEDED")]},
        ["preparation", "training", "evaluation", "package"],
    ),
    "AnnounceSuccess": (
        {"faults": [fault("events:put_events", "Training Complete")]},
        ["preparation", "training", "evaluation", "package"],
    ),
}
# These make anew what has failed, and nothing else.
MADE_AGAIN = {
    "PreprocessBatches": {"preparation"},
    "CollectDataset": {"preparation"},
    "RecordDataset": {"preparation"},
    "Train": {"training"},
    "Evaluate": {"evaluation"},
    "RegisterModelPackage": {"package"},
    # The registry answers the same token with the same package.
    "RecordModel": {"package"},
}


def expensive(bench: Bench) -> list[str]:
    return [EXPENSIVE[operation] for operation in bench.operations() if operation in EXPENSIVE]


@pytest.mark.parametrize("state", FAULTS)
def test_a_failed_step_is_recorded_announced_and_taken_up_again(bench: Bench, state: str) -> None:
    world, made = FAULTS[state]
    bench.set(**world)
    failed = bench.run(run_id="run-1")

    assert failed.status == "FAILED", failed
    record = bench.record("run-1")
    assert (record["status"], record["attempt"]) == ("FAILED", "1")
    assert (record["error"], record["cause"]) == (failed.error, failed.cause)
    assert bench.in_line() == []
    asked = bench.asked()
    kind, detail = announced(asked)[-1]
    assert (kind, detail["run_id"], detail["error"]) == ("Training Failed", "run-1", failed.error)
    assert detail["state"] == state
    assert {EXPENSIVE[each] for each, _ in asked if each in EXPENSIVE} <= set(made) | {"preparation"}

    bench.set(lambdas=LAMBDAS, faults=[], outcomes={}, promotion={})
    again = bench.run(run_id="run-1")

    assert again.status == "SUCCEEDED", again
    assert again.output["attempt"] == 2
    repeated = set(expensive(bench)) & set(made)
    assert repeated == MADE_AGAIN.get(state, set()) & set(made)
    record = bench.record("run-1")
    assert (record["status"], record["attempt"]) == ("SUCCEEDED", "2")
    assert "error" not in record
    assert bench.in_line() == []


@pytest.mark.parametrize("state", ["RegisterRun", "LookAtQueue", "TakeLock", "AnnounceStart"])
def test_a_fault_before_the_work_leaves_nothing_in_the_way(bench: Bench, state: str) -> None:
    wanted = {
        "RegisterRun": fault("dynamodb:transact_write_items", "started_at"),
        "LookAtQueue": fault("dynamodb:query"),
        "TakeLock": fault("dynamodb:transact_write_items", "since"),
        "AnnounceStart": fault("events:put_events", "Training Started"),
    }
    bench.set(faults=[wanted[state]])
    failed = bench.run(run_id="run-1")
    bench.set(faults=[])

    assert (failed.status, failed.states[-1]) == ("FAILED", "Failed")
    assert [kind for kind, _ in bench.events()][-1] == "Training Failed"
    assert bench.in_line() == []
    assert bench.run(run_id="run-1").status == "SUCCEEDED"


def test_passing_trouble_is_tried_again_without_a_trace(bench: Bench) -> None:
    throttled = {"error": "ThrottlingException", "times": 1}
    bench.set(
        faults=[
            throttled | {"operation": operation}
            for operation in ("sagemaker:create_training_job", "dynamodb:query", "events:put_events")
        ]
    )
    done = bench.run(run_id="run-1")

    assert done.status == "SUCCEEDED", done
    assert done.output["attempt"] == 1


def test_a_repeated_start_of_a_finished_run_answers_with_its_result(bench: Bench) -> None:
    first = bench.run(run_id="run-1")
    bench.asked()
    again = bench.run(run_id="run-1")

    assert again.output == {**first.output, "repeated": True}
    assert expensive(bench) == []
    assert bench.record("run-1")["attempt"] == "1"


def test_a_start_beside_a_running_one_changes_nothing(bench: Bench) -> None:
    first = bench.hold("run-1")
    again = bench.run(run_id="run-1")

    assert again.output == {"run_id": "run-1", "repeated": True}
    assert bench.record("run-1")["execution_arn"] == first
    bench.abort(first)


def test_a_run_whose_execution_is_gone_is_taken_over(bench: Bench) -> None:
    bench.abort(bench.hold("run-1"))
    again = bench.run(run_id="run-1")

    assert again.output["attempt"] == 2
    assert again.output["training_job"] == "vision-dev-run-1-2"
    assert "PlanDataset" not in again.states
    assert bench.in_line() == []


def test_a_run_that_ends_well_while_it_is_looked_at_is_not_taken_over(bench: Bench) -> None:
    bench.abort(bench.hold("run-1"))
    ends = {
        "TableName": bench.table,
        "Key": {"pk": {"S": "RUN#run-1"}, "sk": {"S": "RUN"}},
        "UpdateExpression": "SET #status = :status, #result = :result",
        "ExpressionAttributeNames": {"#status": "status", "#result": "result"},
        "ExpressionAttributeValues": {
            ":status": {"S": "SUCCEEDED"},
            ":result": {"S": '{"run_id": "run-1", "status": "Promoted"}'},
        },
    }
    bench.set(meanwhile={"stepfunctions:describe_execution": ends})
    again = bench.run(run_id="run-1")

    assert again.output == {"run_id": "run-1", "status": "Promoted", "repeated": True}
    assert bench.record("run-1")["attempt"] == "1"
    assert again.states.count("FindRun") == 2


def test_a_runs_id_alone_takes_it_up_again_as_it_was(bench: Bench) -> None:
    bench.answer(plan={"errorType": "ManifestError", "errorMessage": "no"})
    wished = {"manifest_tag": "tag", "hyperparameters": {"epochs": "3"}, "occurrence": "monday"}
    bench.run(run_id="run-1", **wished)
    bench.answer()
    bench.run(run_id="newer", manifest_uri=MANIFEST.replace("v1", "v2"))
    bench.asked()
    again = bench.run(run_id="run-1", manifest_uri=None)

    assert (again.output["run_id"], again.output["attempt"]) == ("run-1", 2)
    asked = dict(bench.asked())
    assert asked["sagemaker:create_training_job"]["HyperParameters"]["epochs"] == "3"
    assert bench.record("run-1")["manifest_uri"] == MANIFEST
    assert bench.run(run_id="run-1", manifest_uri=None).output["repeated"] is True


def test_a_new_id_alone_trains_the_newest_dataset(bench: Bench) -> None:
    bench.run(run_id="run-1")

    assert bench.run(run_id="run-2", manifest_uri=None).output["repeated"] is False
    assert bench.record("run-2")["manifest_uri"] == MANIFEST


def test_two_that_take_a_run_over_at_once_make_one_attempt(bench: Bench) -> None:
    bench.answer(plan={"errorType": "ManifestError", "errorMessage": "no"})
    bench.run(run_id="run-1")
    bench.answer()
    told = [bench.wait(arn) for arn in [bench.start(run_id="run-1") for _ in range(4)]]

    assert bench.record("run-1")["attempt"] == "2"
    assert [each.status for each in told] == ["SUCCEEDED"] * 4
    assert sum(not each.output["repeated"] for each in told) == 1


def test_a_model_is_judged_again_when_the_champion_has_changed(bench: Bench) -> None:
    bench.answer(gate={"errorType": "EvaluationError", "errorMessage": "no"})
    bench.run(run_id="run-1")
    bench.answer()
    item = {
        "pk": "LINE#champion",
        "sk": "CHAMPION",
        "model_package_arn": "arn:new",
        "model_uri": "s3://lake/m",
    }
    bench.dynamodb.put_item(TableName=bench.table, Item={name: {"S": value} for name, value in item.items()})
    bench.asked()

    assert bench.run(run_id="run-1").status == "SUCCEEDED"
    assert expensive(bench) == ["evaluation", "package"]


def refusal(told: Told) -> tuple[str, str]:
    assert told.status == "FAILED"
    return told.error, told.cause


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"run_id": "Run 1"}, "run_id must be"),
        ({"line": "other"}, "line must be"),
        ({"manifest_uri": "s3://data/smoke/manifest.json"}, "must lie under s3://data/datasets/"),
        ({"manifest_uri": "s3://other/datasets/manifest.json"}, "must lie under s3://data/datasets/"),
        ({"line": "smoke"}, "must lie under s3://data/smoke/"),
        ({"tune": "yes"}, "tune must be true or false"),
        ({"hyperparameters": {"epochs": 3}}, "hyperparameters must be an object of texts"),
        ({"hyperparameters": ["epochs"]}, "hyperparameters must be an object of texts"),
        ({"hyperparameters": {"sagemaker_program": "x.py"}}, "take them out"),
        (
            {"tune": True, "hyperparameters": {"learning-rate": "1"}},
            "learning-rate are what this run searches",
        ),
    ],
)
def test_wrong_input_is_refused_in_words_and_registers_nothing(
    bench: Bench, given: dict[str, Any], says: str
) -> None:
    error, cause = refusal(bench.run(**given))

    assert error == "InvalidInput"
    assert says in cause
    assert bench.dynamodb.scan(TableName=bench.table)["Items"] == []


def test_a_line_without_a_dataset_says_so(bench: Bench) -> None:
    error, cause = refusal(bench.run(manifest_uri=None, reason="schedule"))

    assert (error, "has no prepared dataset yet" in cause) == ("NoDataset", True)
    assert [kind for kind, _ in bench.events()] == ["Training Failed"]


def test_a_run_id_of_another_dataset_is_refused_and_that_run_is_left_alone(bench: Bench) -> None:
    bench.run(run_id="run-1")
    before = bench.record("run-1")
    error, cause = refusal(bench.run(run_id="run-1", manifest_uri=MANIFEST.replace("v1", "v2")))

    assert (error, "start with another run_id" in cause) == ("RunIdTaken", True)
    assert bench.record("run-1") == before


def test_a_rejected_model_ends_the_run_with_the_gates_reasons(bench: Bench) -> None:
    bench.answer(gate={"passed": False, "reasons": ["accuracy 0.5 is below 0.95", "b"], "metrics": {}})

    assert refusal(bench.run(run_id="run-1")) == ("GateRejected", "accuracy 0.5 is below 0.95; b")


def test_failed_batches_are_counted_and_the_first_is_told(bench: Bench) -> None:
    broken = {"errorType": "ManifestError", "errorMessage": "a holdout image is missing"}
    where = {"by": "shards", "answers": {json.dumps([{"split": "holdout", "number": 0}]): broken}}
    bench.answer(preprocess={**where, "otherwise": {"made": 1, "skipped": 0}})
    error, cause = refusal(bench.run(run_id="run-1"))

    assert error == "BatchesFailed"
    assert cause.startswith("1 of 3 batches failed")
    assert cause.endswith("ManifestError: a holdout image is missing")
    # The others were not stopped: their shards are there for the next attempt.
    assert bench.operations().count("lambda:invoke") == 4


@pytest.mark.parametrize(
    ("world", "said"),
    [
        ({"outcomes": {"TrainingJob": "Failed"}}, ("States.TaskFailed", "TrainingJob crashed")),
        (
            {"promotion": {"status": "FAILED", "error": "RolledBack", "cause": 'the "quality" alarm'}},
            ("RolledBack", 'the "quality" alarm'),
        ),
        (
            {"lambdas": {**LAMBDAS, "plan": {"errorType": "ManifestError", "errorMessage": "line 3"}}},
            ("ManifestError", "line 3"),
        ),
    ],
)
def test_a_failure_is_told_in_its_own_words(
    bench: Bench, world: dict[str, Any], said: tuple[str, str]
) -> None:
    bench.set(**world)

    assert refusal(bench.run(run_id="run-1")) == said
