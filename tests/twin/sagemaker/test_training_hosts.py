"""Training jobs on several hosts: what each sees, how they meet, and what becomes of their output."""

import json
from typing import Any

import pytest

from tests.twin.sagemaker.conftest import BUCKET, TORCH_IMAGE, TORCH_PYTHON, Place, unpack


@pytest.fixture(scope="module")
def job(place: Place) -> dict[str, Any]:
    for name in "pqrs":
        place.put(f"parts/{name}.txt", name)
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"s3://{BUCKET}/parts/",
        "S3DataDistributionType": "ShardedByS3Key",
    }
    channel = {"ChannelName": "train", "InputMode": "FastFile", "DataSource": {"S3DataSource": source}}
    place.run("on-two-hosts", "hosts.py", hosts=2, InputDataConfig=[channel])
    return place.trained("on-two-hosts")


def seen(place: Place, job: dict[str, Any]) -> dict[str, Any]:
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    files = unpack(place.get(job["ModelArtifacts"]["S3ModelArtifacts"]))
    assert sorted(files) == ["algo-1/seen.json", "algo-2/seen.json", "model.txt"]
    assert files["model.txt"] == b"algo-1"  # where names clash, the first host's file is taken
    return {host: json.loads(files[f"{host}/seen.json"]) for host in ("algo-1", "algo-2")}


def test_each_host_has_its_own_folders_and_configuration(place: Place, job: dict[str, Any]) -> None:
    found = seen(place, job)
    for host, view in found.items():
        assert view["hosts"] == view["resources"]["hosts"] == ["algo-1", "algo-2"]
        assert view["resources"]["current_host"] == host
        assert view["resources"]["instance_groups"][0]["hosts"] == ["algo-1", "algo-2"]
    assert found["algo-1"]["place"] != found["algo-2"]["place"]
    assert found["algo-1"]["master"] == found["algo-2"]["master"]
    assert found["algo-1"]["master"][0] == "127.0.0.1"


def test_channel_is_shared_out_by_key_and_readable_as_files(place: Place, job: dict[str, Any]) -> None:
    found = seen(place, job)
    assert [found[host]["data"] for host in sorted(found)] == [["p.txt", "r.txt"], ["q.txt", "s.txt"]]


def test_every_host_writes_a_log_stream_of_its_own(place: Place, job: dict[str, Any]) -> None:
    for host in ("algo-1", "algo-2"):
        lines = place.logs("/aws/sagemaker/TrainingJobs", f"on-two-hosts/{host}-")
        assert lines == [f"{host}: train_loss=0.25"]
    assert job["FinalMetricDataList"][0]["Value"] == 0.25


def test_host_that_fails_ends_the_job_with_its_own_reason(place: Place) -> None:
    place.run("fails-on-two", "hosts.py", hosts=2, hyperparameters={"fail-on": "algo-2"})
    job = place.trained("fails-on-two")
    assert job["TrainingJobStatus"] == "Failed"
    assert "no memory left on algo-2" in job["FailureReason"]


@pytest.mark.delivery
@pytest.mark.skipif(not TORCH_PYTHON.exists(), reason="the model's environment is missing: run make setup")
def test_torchrun_starts_a_process_group_over_all_hosts(place: Place) -> None:
    image = {"TrainingImage": TORCH_IMAGE, "TrainingInputMode": "File"}
    flags = {"sagemaker_torch_distributed_enabled": "true"}
    place.run("reduces", "reduce.py", hosts=2, hyperparameters=flags, AlgorithmSpecification=image)
    job = place.trained("reduces")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    files = unpack(place.get(job["ModelArtifacts"]["S3ModelArtifacts"]))
    assert files["total.txt"] == b"3.0 2"
