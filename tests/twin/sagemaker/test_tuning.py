"""Tuning jobs that really search: trials in processes, every strategy, stops, warm starts, events."""

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import BUCKET, TRAINING_IMAGE, Place, until

X = {"Name": "x", "MinValue": "0", "MaxValue": "1", "ScalingType": "Linear"}
ENDED = ("Completed", "Failed", "Stopped")


class Tuner:
    """Starts searches for the lowest point of the valley, and looks at them."""

    def __init__(self, place: Place) -> None:
        self.place, self.api = place, place.sagemaker

    def start(
        self,
        name: str,
        strategy: str = "Random",
        *,
        trials: int | None = 4,
        parallel: int = 2,
        static: dict[str, str] | None = None,
        ranges: dict[str, Any] | None = None,
        more: dict[str, Any] | None = None,
        **request: Any,
    ) -> str:
        limits = {"MaxParallelTrainingJobs": parallel}
        limits |= {"MaxNumberOfTrainingJobs": trials} if trials else {}
        config = {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": limits,
            "ParameterRanges": ranges or {"ContinuousParameterRanges": [X]},
            "RandomSeed": 5,
            **(more or {}),
        }
        definition = {
            "StaticHyperParameters": {
                "sagemaker_program": "valley.py",
                "sagemaker_submit_directory": f"s3://{BUCKET}/code/more.tar.gz",
                **(static or {}),
            },
            "AlgorithmSpecification": {
                "TrainingImage": TRAINING_IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "score", "Regex": "score=(-?[0-9.]+)"}],
            },
            "RoleArn": self.place.role,
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/tuned/"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        self.api.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig=config,
            TrainingJobDefinition=definition,
            **request,
        )
        return name

    def describe(self, name: str) -> dict[str, Any]:
        return self.api.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    def ended(self, name: str) -> dict[str, Any]:
        def look() -> Any:
            job = self.describe(name)
            return job if job["HyperParameterTuningJobStatus"] in ENDED else None

        return until(look)

    def run(self, name: str, *arguments: Any, **settings: Any) -> dict[str, Any]:
        return self.ended(self.start(name, *arguments, **settings))

    def trials(self, name: str, **asked: Any) -> list[dict[str, Any]]:
        listed = self.api.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name, **asked
        )
        return listed["TrainingJobSummaries"]

    def scores(self, name: str) -> list[float]:
        found = self.trials(name, SortBy="CreationTime", SortOrder="Ascending")
        return [score(trial) for trial in found if "FinalHyperParameterTuningJobObjectiveMetric" in trial]


def score(trial: dict[str, Any]) -> float:
    return trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]


@pytest.fixture(scope="module")
def tuner(place: Place) -> Tuner:
    return Tuner(place)


@pytest.fixture(scope="module")
def random_job(tuner: Tuner) -> dict[str, Any]:
    return tuner.run("random", trials=4, Tags=[{"Key": "team", "Value": "vision"}])


def test_random_search_runs_every_trial_and_names_the_best(tuner: Tuner, random_job: dict[str, Any]) -> None:
    assert random_job["HyperParameterTuningJobStatus"] == "Completed", random_job.get("FailureReason")
    assert random_job["TrainingJobStatusCounters"]["Completed"] == 4
    assert random_job["ObjectiveStatusCounters"] == {"Succeeded": 4, "Pending": 0, "Failed": 0}
    trials = tuner.trials("random", SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    assert [score(trial) for trial in trials] == sorted(tuner.scores("random"), reverse=True)
    best = random_job["BestTrainingJob"]
    assert best["TrainingJobName"] == trials[0]["TrainingJobName"]
    assert best["FinalHyperParameterTuningJobObjectiveMetric"]["Type"] == "Maximize"
    expected = -((float(best["TunedHyperParameters"]["x"]) - 0.3) ** 2) - 0.01
    assert score(best) == pytest.approx(expected, abs=1e-5)


def test_trial_is_a_training_job_as_sagemaker_names_and_marks_it(
    place: Place, tuner: Tuner, random_job: dict[str, Any]
) -> None:
    names = [trial["TrainingJobName"] for trial in tuner.trials("random")]
    assert all(re.fullmatch(r"random-00[1-4]-[0-9a-f]{8}", name) for name in names)
    job = place.sagemaker.describe_training_job(TrainingJobName=names[0])
    assert job["TuningJobArn"] == random_job["HyperParameterTuningJobArn"]
    assert job["TuningJobArn"] == f"arn:aws:sagemaker:{REGION}:{DEV}:hyper-parameter-tuning-job/random"
    assert job["HyperParameters"]["_tuning_objective_metric"] == "score"
    assert {"x", "sagemaker_program"} <= job["HyperParameters"].keys()
    tags = place.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "vision"}]


def test_same_seed_tries_the_same_values(tuner: Tuner, random_job: dict[str, Any]) -> None:
    tuner.run("random-again", trials=4)
    tried = [
        [trial["TunedHyperParameters"] for trial in tuner.trials(name, SortBy="Name", SortOrder="Ascending")]
        for name in ("random", "random-again")
    ]
    assert tried[0] == tried[1]


@pytest.mark.slow
def test_bayesian_search_beats_its_first_trials_and_starts_warm(tuner: Tuner) -> None:
    # One trial at a time: what the search knows when it proposes then depends on nothing but the seed.
    done = tuner.run("bayesian", "Bayesian", trials=10, parallel=1, more={"RandomSeed": 8})
    assert done["HyperParameterTuningJobStatus"] == "Completed", done.get("FailureReason")
    scores = tuner.scores("bayesian")
    assert len(scores) == 10
    assert max(scores) > max(scores[:3]) + 0.2
    assert sum(scores[-4:]) / 4 > sum(scores[:3]) / 3 + 0.2
    warm = {"ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "bayesian"}]}
    warm["WarmStartType"] = "IdenticalDataAndAlgorithm"  # type: ignore[assignment]
    again = tuner.run("bayesian-warm", "Bayesian", trials=2, WarmStartConfig=warm)
    overall = again["OverallBestTrainingJob"]
    assert score(overall) == max(scores + tuner.scores("bayesian-warm"))
    assert overall["TuningJobName"] in ("bayesian", "bayesian-warm")


@pytest.mark.slow
def test_hyperband_ends_poor_trials_early_and_finds_a_better_value_than_its_first(tuner: Tuner) -> None:
    resources = {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}}
    more = {"StrategyConfig": resources, "RandomSeed": 0}
    static = {"epochs": "9", "pause": "0.2"}
    done = tuner.run("hyperband", "Hyperband", trials=8, parallel=2, static=static, more=more)
    assert done["HyperParameterTuningJobStatus"] == "Completed", done.get("FailureReason")
    counted = done["TrainingJobStatusCounters"]
    assert counted["Stopped"] >= 1 and counted["Completed"] >= 1
    scores = tuner.scores("hyperband")
    assert max(scores) > max(scores[:3])
    best = done["BestTrainingJob"]
    assert best["TrainingJobStatus"] == "Completed"


def test_grid_tries_every_combination(tuner: Tuner) -> None:
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.1", "0.3", "0.9"]}]}
    done = tuner.run("grid", "Grid", trials=None, parallel=3, ranges=ranges)
    assert done["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 3
    assert done["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.3"}


def test_early_stopping_ends_trials_worse_than_the_median(tuner: Tuner) -> None:
    values = ["0.3", "0.31", "0.32", "0.95"]
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": values}]}
    static = {"epochs": "5"}
    more = {"TrainingJobEarlyStoppingType": "Auto"}
    tuner.run("early", "Grid", trials=None, parallel=1, ranges=ranges, static=static, more=more)
    ended = {trial["TunedHyperParameters"]["x"]: trial for trial in tuner.trials("early")}
    assert [ended[x]["TrainingJobStatus"] for x in values] == ["Completed"] * 3 + ["Stopped"]
    assert ended["0.95"]["ObjectiveStatus"] == "Succeeded"


def test_trials_without_a_metric_or_with_a_fault_do_not_count(tuner: Tuner) -> None:
    kinds = [{"Name": "kind", "Values": ["good", "silent", "broken"]}]
    ranges = {"CategoricalParameterRanges": kinds}
    done = tuner.run("mixed", "Grid", trials=None, parallel=3, ranges=ranges, static={"x": "0.5"})
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert done["ObjectiveStatusCounters"] == {"Succeeded": 1, "Pending": 0, "Failed": 2}
    counted = done["TrainingJobStatusCounters"]
    assert (counted["Completed"], counted["NonRetryableError"]) == (2, 1)
    assert done["BestTrainingJob"]["TunedHyperParameters"] == {"kind": "good"}


def test_search_in_which_nothing_succeeds_fails(tuner: Tuner) -> None:
    done = tuner.run("hopeless", trials=20, parallel=1, static={"kind": "broken"})
    assert done["HyperParameterTuningJobStatus"] == "Failed"
    assert "No training job succeeded after 5 attempts" in done["FailureReason"]


def test_target_that_is_reached_completes_the_search(tuner: Tuner) -> None:
    more = {"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": -1.0}}
    done = tuner.run("reached", trials=50, parallel=1, more=more)
    assert done["HyperParameterTuningJobStatus"] == "Completed"
    assert done["ObjectiveStatusCounters"]["Succeeded"] < 5


def test_stopped_search_stops_its_trials_and_keeps_what_it_has(place: Place, tuner: Tuner) -> None:
    tuner.start("stopped", trials=5, parallel=1, static={"epochs": "2", "pause": "600"})
    until(lambda: tuner.trials("stopped"))
    name = tuner.trials("stopped")[0]["TrainingJobName"]
    with pytest.raises(ClientError, match="still running"):
        place.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    until(lambda: place.sagemaker.describe_training_job(TrainingJobName=name).get("FinalMetricDataList"))
    place.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    done = tuner.ended("stopped")
    assert done["HyperParameterTuningJobStatus"] == "Stopped"
    assert done["TrainingJobStatusCounters"]["Stopped"] == 1
    assert done["BestTrainingJob"]["TrainingJobName"] == name
    with pytest.raises(ClientError, match="is in status Stopped"):
        place.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    place.sagemaker.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    with pytest.raises(ClientError) as caught:
        tuner.describe("stopped")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"
    assert place.sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Stopped"


def test_searches_are_listed_and_announced(place: Place, tuner: Tuner) -> None:
    sqs, events = place.client("sqs"), place.client("events")
    queue = sqs.create_queue(QueueName="tuning-events")["QueueUrl"]
    target = f"arn:aws:sqs:{REGION}:{DEV}:tuning-events"
    permission = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": target,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [permission]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    pattern = {"detail-type": ["SageMaker HyperParameter Tuning Job State Change"]}
    events.put_rule(Name="tuning", EventPattern=json.dumps(pattern | {"source": ["aws.sagemaker"]}))
    events.put_targets(Rule="tuning", Targets=[{"Id": "queue", "Arn": target}])
    tuner.run("announced", trials=1, parallel=1)
    told: list[str] = []

    def all_told() -> bool:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        told.extend(
            json.loads(message["Body"])["detail"]["HyperParameterTuningJobStatus"] for message in messages
        )
        return len(told) >= 2

    until(all_told)
    assert sorted(told) == ["Completed", "InProgress"]
    listed = place.sagemaker.list_hyper_parameter_tuning_jobs(NameContains="announced")
    (row,) = listed["HyperParameterTuningJobSummaries"]
    assert (row["Strategy"], row["ResourceLimits"]["MaxNumberOfTrainingJobs"]) == ("Random", 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "Grid"}, "categorical ranges only"),
        ({"strategy": "Hyperband"}, "HyperbandStrategyConfig.MaxResource"),
        ({"trials": None}, "MaxNumberOfTrainingJobs or MaxRuntimeInSeconds"),
        ({"Autotune": {"Mode": "Enabled"}}, "Autotune"),
        (
            {"more": {"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"}}},
            "'loss' is not among the MetricDefinitions",
        ),
        (
            {
                "WarmStartConfig": {
                    "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "nobody"}],
                    "WarmStartType": "TransferLearning",
                }
            },
            "can't find a tuning job",
        ),
        ({"static": {"x": "1"}}, "static as well"),
    ],
)
def test_search_that_cannot_be_is_refused_in_words(tuner: Tuner, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=re.escape(said)):
        tuner.start("refused", **changes)
