"""The training machine when it tunes: what it asks of SageMaker, and which model goes on (R16)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.constructs.workflow_bench import Bench

pytestmark = pytest.mark.twin


def test_the_selected_model_goes_on(bench: Bench) -> None:
    done = bench.run(run_id="run-1", tune=True)

    assert done.output["training_job"] == "trial-2"
    assert "Train" not in done.states
    asked = bench.asked()
    selected = next(
        json.loads(request["Payload"])
        for operation, request in asked
        if operation == "lambda:invoke" and request["FunctionName"] == "select"
    )
    request = dict(asked)["sagemaker:create_hyper_parameter_tuning_job"]
    name = request["HyperParameterTuningJobName"]
    assert selected == {"run_id": "run-1", "line": "champion", "tuning_job": name}
    assert len(name) <= 32
    record = bench.record("run-1")
    assert (record["tuning_job"], record["training_job"]) == (name, "trial-2")
    assert json.loads(record["training_metrics"]) == {"validation:accuracy": 0.99}
    assert bench.item("LINE#champion", "TUNING")["job"] == name


def test_the_request_says_what_is_searched_and_what_is_fixed(bench: Bench) -> None:
    bench.run(run_id="run-1", tune=True, hyperparameters={"epochs": "3"})

    request = bench.request("sagemaker:create_hyper_parameter_tuning_job")
    config, trial = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    assert config["Strategy"] == "Bayesian"
    assert config["HyperParameterTuningJobObjective"] == {
        "Type": "Maximize",
        "MetricName": "validation:accuracy",
    }
    assert config["ResourceLimits"] == {
        "MaxNumberOfTrainingJobs": 4,
        "MaxParallelTrainingJobs": 2,
        "MaxRuntimeInSeconds": 3600,
    }
    assert config["ParameterRanges"]["ContinuousParameterRanges"] == [
        {"Name": "learning-rate", "MinValue": "0.0005", "MaxValue": "0.02", "ScalingType": "Logarithmic"}
    ]
    assert config["TrainingJobEarlyStoppingType"] == "Auto"
    assert trial["StaticHyperParameters"] == {
        "epochs": "3",
        "seed": "17",
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": "s3://assets/source.tar.gz",
    }
    # Trials must not go on from each other's checkpoints.
    assert "CheckpointConfig" not in trial
    assert "WarmStartConfig" not in request


@pytest.mark.parametrize(
    ("enabled", "given", "line", "tunes"),
    [
        (True, None, "champion", True),
        (True, None, "smoke", False),
        (True, False, "champion", False),
        (False, None, "champion", False),
    ],
)
def test_a_run_tunes_when_settings_or_its_input_say_so(
    bench: Bench, enabled: bool, given: bool | None, line: str, tunes: bool
) -> None:
    bench.changes = {"tuning": {"enabled": enabled}}
    folder = "datasets" if line == "champion" else "smoke"
    done = bench.run(run_id="run-1", line=line, tune=given, manifest_uri=f"s3://data/{folder}/manifest.json")

    assert ("Tune" in done.states) == tunes


def test_a_tuning_job_begins_with_what_the_last_one_learned(bench: Bench) -> None:
    bench.changes = {"tuning": {"warm_start": True}}
    bench.run(run_id="run-1", tune=True)
    assert "WarmStartConfig" not in bench.request("sagemaker:create_hyper_parameter_tuning_job")
    bench.run(run_id="run-2", tune=True)

    parents = bench.request("sagemaker:create_hyper_parameter_tuning_job")["WarmStartConfig"]
    last = bench.record("run-1")["tuning_job"]
    assert parents == {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": last}],
        "WarmStartType": "TransferLearning",
    }


def test_a_tuning_job_that_was_done_is_not_repeated(bench: Bench) -> None:
    bench.answer(select={"errorType": "NoUsableTrial", "errorMessage": "4 trials failed"})
    failed = bench.run(run_id="run-1", tune=True)
    assert (failed.error, failed.cause) == ("NoUsableTrial", "4 trials failed")
    bench.answer()
    bench.asked()
    done = bench.run(run_id="run-1", tune=True)

    assert done.output["training_job"] == "trial-2"
    assert "sagemaker:create_hyper_parameter_tuning_job" not in bench.operations()


def test_a_failed_tuning_job_is_made_again_under_another_name(bench: Bench) -> None:
    bench.set(outcomes={"HyperParameterTuningJob": "Failed"})
    bench.run(run_id="a-run-id-of-25-characters", tune=True)
    bench.set(outcomes={})
    done = bench.run(run_id="a-run-id-of-25-characters", tune=True)

    names = [
        request["HyperParameterTuningJobName"]
        for operation, request in bench.asked()
        if operation == "sagemaker:create_hyper_parameter_tuning_job"
    ]
    assert done.status == "SUCCEEDED"
    assert len(set(names)) == 2
    assert all(len(name) <= 32 for name in names)


@pytest.mark.parametrize(
    ("changes", "stopping", "configured"),
    [
        ({"strategy": "Hyperband"}, "Off", True),
        ({"strategy": "Random"}, "Auto", False),
        ({"early_stopping": False}, "Off", False),
    ],
)
def test_strategies_stop_trials_their_own_way(
    changes: dict[str, Any], stopping: str, configured: bool
) -> None:
    from tests.constructs.workflow_bench import parts
    from vision_platform.training_requests import tuning_job

    whole = parts(tuning=changes)
    config = tuning_job(whole.jobs, whole.identity, whole.tuning, warm_start=False)[
        "HyperParameterTuningJobConfig"
    ]
    assert config["TrainingJobEarlyStoppingType"] == stopping
    assert ("StrategyConfig" in config) == configured


def test_spot_and_several_instances_show_in_every_job() -> None:
    from tests.constructs.workflow_bench import parts
    from vision_platform.training_requests import script_mode, training_job, tuning_job

    whole = parts(jobs={"spot": True, "training_instance_count": 3})
    job = training_job(whole.jobs, whole.identity)
    trial = tuning_job(whole.jobs, whole.identity, whole.tuning, warm_start=False)["TrainingJobDefinition"]
    for each in (job, trial):
        assert each["EnableManagedSpotTraining"] is True
        assert each["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}
        assert each["ResourceConfig"]["InstanceCount"] == 3
    assert script_mode(whole.jobs)["sagemaker_torch_distributed_enabled"] == "true"
