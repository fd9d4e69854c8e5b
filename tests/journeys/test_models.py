"""From a dataset to a promoted model and back: arrival, tuning, a canary, a roll-back, and lineage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.models import drill, lineage, outcome, start
from ops.models.home import Home
from ops.models.pictures import of_the_champion
from ops.models.records import Records
from ops.models.traffic import Client, Traffic
from tests.faults import platform as platforms
from tests.faults.world import sample_data

pytestmark = pytest.mark.delivery

TRIALS = 6
IMAGES = 700
# What a team would set, but for the waits, which are as short as the alarms allow.
SETTINGS: dict[str, dict[str, Any]] = {
    "preprocessing": {"shard_images": 150, "max_rejected_share": 0.01, "concurrency": 2},
    "training": {
        "hyperparameters": {"epochs": 8, "learning-rate": 0.005, "batch-size": 64, "seed": 17},
        "spot": False,
    },
    "tuning": {"strategy": "Bayesian", "max_jobs": TRIALS, "max_parallel_jobs": 2},
    # Of 175 images a few answers decide: see docs/models.md for what a holdout of this size can show.
    "gate": {
        "min_accuracy": 0.9,
        "min_class_recall": 0.5,
        "max_calibration_error": 0.2,
        "max_regression": 0.06,
    },
    "hosting": {"instance_count": 2, "strategy": "canary", "step_wait_seconds": 12, "bake_seconds": 2},
    "quality": {"period_seconds": 10, "low_confidence": 0.5, "low_confidence_percent": 20.0},
}


@dataclass(frozen=True)
class Place:
    """The deployed environment, and the first champion's run."""

    home: Home
    first: dict[str, Any]
    dataset: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The environment after a dataset has arrived in it, with nobody's hand in what followed."""
    folder, before = tmp_path_factory.mktemp("models"), dict(os.environ)
    try:
        with platforms.deployed(folder, **SETTINGS) as platform:
            os.environ.update(platform.caller())
            dataset = sample_data(folder / "dataset", IMAGES)
            execution = start.with_folder(platform.home, dataset, start.Wish())
            yield Place(platform.home, outcome.watch(platform.home, execution), dataset)
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_a_dataset_that_arrives_becomes_the_champion(place: Place) -> None:
    assert place.first["status"] == "SUCCEEDED", place.first
    champion = Records(place.home).champion()
    assert champion is not None
    told = place.first
    assert champion["model_package_arn"] == told["model_package_arn"]
    assert told["metrics"]["accuracy"] >= 0.9
    assert told["counts"]["rejected"] == 0
    assert sum(told["counts"].values()) == IMAGES


def test_the_best_of_six_trials_takes_over_by_a_canary(place: Place) -> None:
    records = Records(place.home)
    before = records.champion()
    assert before is not None
    traffic = Traffic(Client(place.home), of_the_champion(place.home, before), 8.0)
    with traffic.flowing():
        execution = start.with_newest(place.home, start.Wish(tune=True, run_id="tuned"))
        told = outcome.watch(place.home, execution)
    assert told["status"] == "SUCCEEDED", told
    run = records.run("tuned")
    assert run is not None
    trials = place.home.client("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=run["tuning_job"], MaxResults=100
    )["TrainingJobSummaries"]
    objectives = {
        each["TrainingJobName"]: each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for each in trials
        if "FinalHyperParameterTuningJobObjectiveMetric" in each
    }
    assert len(trials) == TRIALS
    assert objectives[told["training_job"]] == max(objectives.values())
    counts = traffic.counts
    assert not counts.faults
    after = records.champion()
    assert after is not None and after["model_package_arn"] != before["model_package_arn"]
    # Both answered while the canary went on.
    assert set(counts.by_model) == {before["model_package_arn"], after["model_package_arn"]}


def test_a_bad_model_is_taken_back_without_a_failed_request(place: Place) -> None:
    told = drill.run(place.home, images=None, rate=8.0, yes_really=None)
    assert told["passed"], told["misses"]
    assert told["error"] == "RolledBack"
    assert told["requests"]["failed"] == 0
    assert told["requests"]["by_bad_model"] > 0


def test_lineage_answers_both_ways(place: Place) -> None:
    records = Records(place.home)
    champion = records.champion()
    assert champion is not None
    answered = [
        item
        for item in records.descendants(champion["dataset"], predictions=50)
        if item["sk"] == "PREDICTION"
    ]
    assert answered
    request = str(answered[-1]["pk"]).removeprefix("PREDICTION#")
    found = records.prediction(request)
    assert found is not None and found["dataset"] == champion["dataset"]
    tree = lineage.of(place.home, request, predictions=10).as_dict()
    assert request in str(tree)


def test_the_same_run_started_again_changes_nothing(place: Place) -> None:
    told = outcome.watch(place.home, start.with_newest(place.home, start.Wish(tune=True, run_id="tuned")))
    assert told["status"] == "SUCCEEDED" and told["repeated"] is True
