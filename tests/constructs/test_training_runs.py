"""The training machine at work: from a manifest to a promoted model, and all that is recorded (R14)."""

from __future__ import annotations

import json

import pytest

from tests.constructs.workflow_bench import Bench

pytestmark = pytest.mark.twin

STRAIGHT = [
    "Plan", "DatasetGiven", "Check", "InputAcceptable", "RegisterRun", "LookAtQueue", "MyTurn", "TakeLock",
    "AnnounceStart", "Resume", "PlanDataset", "PreprocessBatches", "BatchesMade", "CollectDataset",
    "RecordDataset", "RememberDataset", "ChooseTraining", "Train", "RecordTraining", "FindChampion",
    "DescribeEvaluation", "EvaluationNeeded", "Evaluate", "RecordEvaluation", "Gate", "GatePassed",
    "RegisterModelPackage", "RecordModel", "Promote", "RecordSuccess", "AnnounceSuccess", "LeaveQueue",
    "Done",
]  # fmt: skip
PACKAGE = "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-champion/run-1"


def test_a_run_goes_the_straight_way_and_tells_what_it_made(bench: Bench) -> None:
    done = bench.run(run_id="run-1")

    assert done.status == "SUCCEEDED", done
    assert done.states == STRAIGHT
    assert done.output == {
        "run_id": "run-1",
        "line": "champion",
        "metrics": {"accuracy": 0.98},
        "model_package_arn": PACKAGE,
        "endpoint_name": "vision-dev-champion",
        "endpoint_config_name": "vision-dev-champion-run-1",
        "evaluation_uri": "s3://lake/evaluations/champion/run-1/evaluation.json",
        "report_uri": "s3://lake/evaluations/champion/run-1/report.html",
        "dataset": {"name": "digits", "version": "v1"},
        "counts": {"train": 30, "validation": 0, "holdout": 10, "rejected": 1},
        "training_job": "vision-dev-run-1",
        "attempt": 1,
        "repeated": False,
    }


def test_a_run_is_recorded_with_all_that_descends_from_its_dataset(bench: Bench) -> None:
    done = bench.run(run_id="run-1")

    record = bench.record("run-1")
    assert (record["status"], record["attempt"], record["dataset"]) == ("SUCCEEDED", "1", "digits#v1")
    assert (record["gsi1pk"], record["gsi1sk"]) == ("DATASET#digits#v1", "RUN#run-1")
    assert record["training_job"] == "vision-dev-run-1"
    assert json.loads(record["training_metrics"]) == {"validation:accuracy": 0.97}
    assert (record["deployment_id"], record["accuracy"]) == ("run-1", "0.98")
    assert json.loads(record["result"]) == done.output
    evaluation = bench.item("RUN#run-1", "EVALUATION")
    assert (evaluation["gsi1pk"], evaluation["gsi1sk"]) == ("DATASET#digits#v1", "RUN#run-1#EVALUATION")
    model = bench.item(f"MODEL#{PACKAGE}", "MODEL")
    assert (model["gsi1sk"], model["run_id"]) == (f"RUN#run-1#MODEL#{PACKAGE}", "run-1")
    assert bench.item("LINE#champion", "DATASET")["dataset"] == "digits#v1"
    assert bench.in_line() == []


def test_start_and_end_are_announced(bench: Bench) -> None:
    bench.run(run_id="run-1", reason="dataset")

    (begun, start), (ended, end) = bench.events()
    assert (begun, ended) == ("Training Started", "Training Complete")
    for detail in (start, end):
        assert (detail["version"], detail["environment"], detail["line"]) == ("1", "vision-dev", "champion")
        assert detail["run_id"] == "run-1"
    assert (start["reason"], start["attempt"]) == ("dataset", 1)
    assert (end["metrics"], end["counts"]["rejected"]) == ({"accuracy": 0.98}, 1)


def test_the_jobs_get_data_checkpoints_and_hyperparameters(bench: Bench) -> None:
    bench.run(run_id="run-1", hyperparameters={"epochs": "3"})

    asked = dict(bench.asked())
    training = asked["sagemaker:create_training_job"]
    assert training["HyperParameters"] == {
        "epochs": "3",
        "learning-rate": "0.002",
        "seed": "17",
        "checkpoints": "/opt/ml/checkpoints",
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": "s3://assets/source.tar.gz",
    }
    (channel,) = training["InputDataConfig"]
    assert (channel["ChannelName"], channel["InputMode"]) == ("train", "FastFile")
    assert training["CheckpointConfig"]["S3Uri"] == "s3://lake/checkpoints/champion/run-1/"
    evaluation = asked["sagemaker:create_processing_job"]
    assert [each["InputName"] for each in evaluation["ProcessingInputs"]] == ["model", "holdout"]
    assert "--champion" not in evaluation["AppSpecification"]["ContainerArguments"]


def test_a_validation_split_is_a_channel_of_its_own(bench: Bench) -> None:
    from tests.constructs.workflow_bench import PREPARED

    bench.answer(collect={**PREPARED, "validation_uri": "s3://lake/prepared/champion/d1/validation/"})
    bench.run(run_id="run-1")

    training = bench.request("sagemaker:create_training_job")
    assert [each["ChannelName"] for each in training["InputDataConfig"]] == ["train", "validation"]


def test_the_champion_is_evaluated_beside_the_new_model(bench: Bench) -> None:
    champion = {
        "model_package_arn": "arn:champion/7",
        "model_uri": "s3://lake/models/champion/old/model.tar.gz",
    }
    bench.dynamodb.put_item(
        TableName=bench.table,
        Item={
            "pk": {"S": "LINE#champion"},
            "sk": {"S": "CHAMPION"},
            **{name: {"S": value} for name, value in champion.items()},
        },
    )
    bench.run(run_id="run-1")

    evaluation = bench.request("sagemaker:create_processing_job")
    uris = {each["InputName"]: each["S3Input"]["S3Uri"] for each in evaluation["ProcessingInputs"]}
    assert uris["champion"] == champion["model_uri"]
    arguments = evaluation["AppSpecification"]["ContainerArguments"]
    assert arguments[-2:] == ["--champion-version", "arn:champion/7"]
    assert bench.record("run-1")["evaluated_against"] == "arn:champion/7"


def test_smoke_runs_are_promoted_as_such_and_know_no_champion(bench: Bench) -> None:
    done = bench.run(run_id="s-1", line="smoke", manifest_uri="s3://data/smoke/s-1/manifest.json")

    assert done.output["endpoint_name"] == "vision-dev-smoke"
    started = bench.request("stepfunctions:start_execution")
    assert json.loads(started["input"])["reason"] == "smoke"


def test_without_a_run_id_equal_input_is_an_equal_run(bench: Bench) -> None:
    first = bench.run(manifest_tag="tag-1")
    again = bench.run(manifest_tag="tag-1", reason="dataset")
    other = bench.run(manifest_tag="tag-2")
    changed = bench.run(manifest_tag="tag-1", hyperparameters={"epochs": "3"})

    assert again.output == {**first.output, "repeated": True}
    runs = {each.output["run_id"] for each in (first, other, changed)}
    assert len(runs) == 3
    assert all(run.startswith("r-") and len(run) == 22 for run in runs)


def test_a_schedule_trains_the_newest_dataset_again_each_time(bench: Bench) -> None:
    bench.run(manifest_tag="tag-1")
    newest = {"manifest_uri": None, "reason": "schedule"}
    monday, repeated, tuesday = (
        bench.run(**newest, occurrence=event) for event in ("event-1", "event-1", "event-2")
    )

    assert monday.output["dataset"] == {"name": "digits", "version": "v1"}
    assert repeated.output == {**monday.output, "repeated": True}
    assert tuesday.output["run_id"] != monday.output["run_id"]


def test_an_older_dataset_does_not_become_the_newest_by_being_taken_up_again(bench: Bench) -> None:
    bench.answer(plan={"errorType": "ClientError", "errorMessage": "S3 is away"})
    bench.run(run_id="old", manifest_uri="s3://data/datasets/digits/v1/manifest.json")
    bench.answer()
    bench.run(run_id="new", manifest_uri="s3://data/datasets/digits/v2/manifest.json")
    bench.run(run_id="old", manifest_uri="s3://data/datasets/digits/v1/manifest.json")

    assert bench.item("LINE#champion", "DATASET")["manifest_uri"].endswith("/v2/manifest.json")
