"""SageMaker jobs that a task waits for: their description, their failure, and their stop."""

import json
import uuid
from typing import Any

import pytest

from tests.twin.sagemaker.conftest import Place, place, project, until
from tests.twin.stepfunctions.conftest import Machines

__all__ = ["place", "project"]  # fixtures
pytestmark = pytest.mark.twin
RULE = "arn:aws:events:*:*:rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule"
TUNING_RULE = "arn:aws:events:*:*:rule/StepFunctionsGetEventsForSageMakerTuningJobsRule"


@pytest.fixture(scope="module")
def jobs(place: Place) -> "Jobs":
    return Jobs(place)


class Jobs(Machines):
    """Machines that train and wait, with just the permissions that this takes."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.twin)
        self.request = place.train("template")

    def tuning(self, **static: str) -> tuple[str, str]:
        """A machine that tunes, and the name of its tuning job, with just the permissions that this takes."""
        name = f"tune-{uuid.uuid4().hex[:8]}"
        copied = ("AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig")
        definition = {key: self.request[key] for key in (*copied, "ResourceConfig", "StoppingCondition")}
        hyperparameters = {k: v for k, v in self.request["HyperParameters"].items() if k != "learning-rate"}
        choices = {"Name": "learning-rate", "Values": ["0.1", "0.2"]}
        arguments = {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobConfig": {
                "Strategy": "Grid",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "train:loss"},
                "ResourceLimits": {"MaxParallelTrainingJobs": 2},
                "ParameterRanges": {"CategoricalParameterRanges": [choices]},
            },
            "TrainingJobDefinition": {**definition, "StaticHyperParameters": {**hyperparameters, **static}},
        }
        state = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sagemaker:createHyperParameterTuningJob.sync",
            "Arguments": arguments,
            "End": True,
        }
        verbs = ("Create", "Describe", "Stop")
        job = f"arn:aws:sagemaker:*:*:hyper-parameter-tuning-job/{name}"
        actions = [f"sagemaker:{verb}HyperParameterTuningJob" for verb in verbs]
        rules = ["events:PutRule", "events:PutTargets", "events:DescribeRule"]
        role = self.role(
            {"Effect": "Allow", "Action": actions, "Resource": job},
            {"Effect": "Allow", "Action": "iam:PassRole", "Resource": self.request["RoleArn"]},
            {"Effect": "Allow", "Action": rules, "Resource": TUNING_RULE},
        )
        definition = {"QueryLanguage": "JSONata", "StartAt": "Tune", "States": {"Tune": state}}
        return self.make(definition, role), name

    def training(self, *more: str, seconds: int = 60, **hyperparameters: str) -> tuple[str, str]:
        """A machine, and the name of the job that it starts; `more` are further actions of its role."""
        name = f"job-{uuid.uuid4().hex[:8]}"
        changed: dict[str, Any] = {"TrainingJobName": name}
        changed["HyperParameters"] = {**self.request["HyperParameters"], **hyperparameters}
        state = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
            "Arguments": {**self.request, **changed},
            "TimeoutSeconds": seconds,
            "End": True,
        }
        job = ["sagemaker:CreateTrainingJob", "sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"]
        rules = ["events:PutRule", "events:PutTargets", "events:DescribeRule"]
        role = self.role(
            {"Effect": "Allow", "Action": [*job, *more], "Resource": "*"},
            {"Effect": "Allow", "Action": rules, "Resource": RULE},
        )
        definition = {"QueryLanguage": "JSONata", "StartAt": "Train", "States": {"Train": state}}
        return self.make(definition, role), name


def test_finished_job_is_described_in_the_result(jobs: Jobs) -> None:
    machine, name = jobs.training("iam:PassRole")
    done = jobs.wait(jobs.start(machine))
    result = json.loads(done["output"])
    assert (result["TrainingJobName"], result["TrainingJobStatus"]) == (name, "Completed")
    assert result["ModelArtifacts"]["S3ModelArtifacts"].endswith(f"{name}/output/model.tar.gz")
    assert isinstance(result["CreationTime"], int)
    kinds = [event["type"] for event in jobs.events(done["executionArn"])]
    assert "TaskSubmitted" in kinds


def test_job_whose_role_may_not_be_passed_is_refused(jobs: Jobs) -> None:
    failed = jobs.wait(jobs.start(jobs.training()[0]))
    assert failed["error"] == "SageMaker.AmazonSageMakerException"
    assert "iam:PassRole" in failed["cause"]


def test_failed_job_fails_the_task_with_its_description(jobs: Jobs) -> None:
    machine, name = jobs.training("iam:PassRole", mode="fail")
    failed = jobs.wait(jobs.start(machine))
    assert failed["error"] == "States.TaskFailed"
    cause = json.loads(failed["cause"])
    assert (cause["TrainingJobName"], cause["TrainingJobStatus"]) == (name, "Failed")
    assert "the learning rate is absurd" in cause["FailureReason"]


def test_stopped_execution_stops_its_training_job(jobs: Jobs, place: Place) -> None:
    machine, name = jobs.training("iam:PassRole", mode="wait")
    execution = jobs.start(machine)
    describe = place.sagemaker.describe_training_job

    def submitted() -> bool:
        return any(event["type"] == "TaskSubmitted" for event in jobs.events(execution))

    until(submitted)
    jobs.client.stop_execution(executionArn=execution)
    assert jobs.wait(execution)["status"] == "ABORTED"
    until(lambda: describe(TrainingJobName=name)["TrainingJobStatus"] in ("Stopping", "Stopped"))


def test_task_that_runs_out_of_time_stops_its_training_job(jobs: Jobs, place: Place) -> None:
    machine, name = jobs.training("iam:PassRole", seconds=2, mode="wait")
    failed = jobs.wait(jobs.start(machine))
    assert failed["error"] == "States.Timeout"

    def stopped() -> bool:
        # The job is there later than that, where its creation took all the time.
        found = place.sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
        return [job["TrainingJobStatus"] for job in found] in (["Stopping"], ["Stopped"])

    until(stopped)


def test_tuning_job_is_waited_for_and_described(jobs: Jobs) -> None:
    machine, name = jobs.tuning()
    done = jobs.wait(jobs.start(machine))
    assert done["status"] == "SUCCEEDED", done.get("cause")
    result = json.loads(done["output"])
    assert (result["HyperParameterTuningJobName"], result["HyperParameterTuningJobStatus"]) == (
        name,
        "Completed",
    )
    assert result["BestTrainingJob"]["TunedHyperParameters"]["learning-rate"] in ("0.1", "0.2")
    assert result["TrainingJobStatusCounters"]["Completed"] == 2


def test_stopped_execution_stops_its_tuning_job_and_the_trials(jobs: Jobs, place: Place) -> None:
    machine, name = jobs.tuning(mode="wait")
    execution = jobs.start(machine)
    trials = place.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job

    def running() -> bool:
        known = any(event["type"] == "TaskSubmitted" for event in jobs.events(execution))
        return known and bool(trials(HyperParameterTuningJobName=name)["TrainingJobSummaries"])

    until(running)
    jobs.client.stop_execution(executionArn=execution)
    describe = place.sagemaker.describe_hyper_parameter_tuning_job
    until(lambda: describe(HyperParameterTuningJobName=name)["HyperParameterTuningJobStatus"] == "Stopped")
    found = trials(HyperParameterTuningJobName=name)["TrainingJobSummaries"]
    assert {trial["TrainingJobStatus"] for trial in found} == {"Stopped"}
