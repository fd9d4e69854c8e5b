"""Managed spot training: capacity that is taken away, checkpoints that survive it, what the job says."""

from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.twin.sagemaker.conftest import BUCKET, Place, unpack, until


def start(place: Place, name: str, wait_seconds: int = 600, run_seconds: int = 600) -> None:
    place.run(
        name,
        "long.py",
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": run_seconds, "MaxWaitTimeInSeconds": wait_seconds},
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints/{name}/"},
        Environment={"CHECKPOINTS": "/opt/ml/checkpoints"},
    )


def describe(place: Place, name: str) -> dict[str, Any]:
    return place.sagemaker.describe_training_job(TrainingJobName=name)


def saved(place: Place, name: str) -> int:
    """The epoch that lies in S3."""
    try:
        return int(place.get(f"s3://{BUCKET}/checkpoints/{name}/epoch.txt"))
    except ClientError:
        return 0


def interrupt(place: Place, name: str, **query: Any) -> requests.Response:
    return requests.post(f"{place.twin.endpoint}/_twin/interrupt/{name}", params=query, timeout=10)


def test_interrupted_job_goes_on_from_its_checkpoint(place: Place) -> None:
    start(place, "reclaimed")
    until(lambda: saved(place, "reclaimed") == 21)  # copied while it runs
    assert interrupt(place, "reclaimed", account="dev", seconds=0.2).json()["seconds"] == 0.2
    job = place.trained("reclaimed")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [one["Status"] for one in job["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Interrupted",
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert unpack(place.get(job["ModelArtifacts"]["S3ModelArtifacts"])) == {"model.txt": b"21"}
    assert saved(place, "reclaimed") == 40
    # It was told before it lost its capacity.
    assert place.get(f"s3://{BUCKET}/checkpoints/reclaimed/notice.txt") == b"terminated"
    assert 0 < job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]


def test_job_that_waits_too_long_for_capacity_ends(place: Place) -> None:
    start(place, "waits", wait_seconds=10, run_seconds=10)
    until(lambda: describe(place, "waits").get("FinalMetricDataList"))
    assert interrupt(place, "waits", seconds=600).status_code == 200
    job = place.trained("waits")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")


def test_job_without_capacity_can_be_stopped(place: Place) -> None:
    start(place, "stopped-while-waiting")
    until(lambda: saved(place, "stopped-while-waiting") > 0)
    interrupt(place, "stopped-while-waiting", seconds=600)
    until(lambda: describe(place, "stopped-while-waiting")["SecondaryStatus"] == "Interrupted")
    place.sagemaker.stop_training_job(TrainingJobName="stopped-while-waiting")
    assert place.trained("stopped-while-waiting")["SecondaryStatus"] == "Stopped"


def test_only_running_jobs_on_spot_capacity_are_interrupted(place: Place) -> None:
    assert "none of that name runs" in interrupt(place, "nobody").json()["message"]
    place.train("on-demand", hyperparameters={"mode": "wait"})
    until(lambda: describe(place, "on-demand")["SecondaryStatus"] == "Training")
    refused = interrupt(place, "on-demand")
    assert (refused.status_code, "not on spot capacity" in refused.json()["message"]) == (400, True)
    place.sagemaker.stop_training_job(TrainingJobName="on-demand")


def test_killed_container_fails_the_job(place: Place) -> None:
    fault = {"service": "sagemaker", "operation": "CreateTrainingJob", "error": "crash", "times": 1}
    requests.post(f"{place.twin.endpoint}/_twin/faults", json={**fault, "match": "crashes"}, timeout=10)
    place.train("crashes", hyperparameters={"mode": "wait"})
    job = place.trained("crashes")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].endswith("exit code: 137")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds must be given"),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30},
            },
            "Invalid MaxWaitTimeInSeconds",
        ),
        (
            {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/c", "LocalPath": "/data"}},
            "LocalPath must be below",
        ),
    ],
)
def test_times_and_paths_that_cannot_be_are_refused(place: Place, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        place.train("refused", **changes)
