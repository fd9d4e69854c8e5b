"""What a twin that is stopped and started again still knows, and what it says of work that was cut off."""

import time

from botocore.exceptions import ClientError

from tests.twin.conftest import start_twin
from tests.twin.sagemaker.conftest import BUCKET, Place, until
from tests.twin.sagemaker.test_tuning import Tuner

CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "WaitIntervalInSeconds": 600,
            "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
        }
    }
}


def test_endpoints_come_back_and_jobs_fail_with_a_reason(place: Place, project) -> None:
    name = place.serve("outlives", "still here")
    place.sagemaker.delete_endpoint_config(EndpointConfigName="outlives-still here".replace(" ", "-"))
    place.train("cut-off", hyperparameters={"mode": "wait"})
    tuner = Tuner(place)
    tuner.start("cut-off", trials=3, parallel=1, static={"epochs": "2", "pause": "600"})
    until(lambda: tuner.trials("cut-off"))
    until(lambda: place.sagemaker.describe_training_job(TrainingJobName="cut-off").get("FinalMetricDataList"))

    place.sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=place.endpoint_config("outlived", "never", InitialInstanceCount=2),
        DeploymentConfig=CANARY,
    )
    until(lambda: "never" in {place.ask(name)["model"] for _ in range(4)})

    assert place.twin.stop() == 0
    place.twin.process = start_twin(place.twin.home, place.twin.port, project).process

    found = place.settled(name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "outlives-still-here")
    assert found["FailureReason"] == "The update was interrupted: the local twin was shut down."
    assert {place.ask(name)["model"] for _ in range(4)} == {"still here"}
    job = until(lambda: _failed(place))
    assert job["SecondaryStatus"] == "Failed"
    assert "the local twin was shut down while the job was running" in job["FailureReason"]
    search = tuner.ended("cut-off")
    assert search["HyperParameterTuningJobStatus"] == "Failed"
    assert "the local twin was shut down" in search["FailureReason"]
    assert search["ObjectiveStatusCounters"] == {"Succeeded": 0, "Pending": 0, "Failed": 1}
    assert [trial["TrainingJobStatus"] for trial in tuner.trials("cut-off")] == ["Failed"]
    try:
        place.sagemaker.stop_training_job(TrainingJobName="cut-off")
    except ClientError as fault:
        assert "is in status Failed" in str(fault)


def test_nothing_is_lost_by_a_stop_while_a_job_writes_its_log(place: Place, project) -> None:
    logs = place.client("logs")
    logs.create_log_group(logGroupName="long")
    logs.create_log_stream(logGroupName="long", logStreamName="s")
    now = int(time.time() * 1000)
    for _ in range(4):  # so many that one copy of them takes a while
        logs.put_log_events(
            logGroupName="long",
            logStreamName="s",
            logEvents=[{"timestamp": now, "message": f"line {n}"} for n in range(10_000)],
        )
    place.train("chatters", hyperparameters={"epochs": str(10**9)})
    until(
        lambda: place.sagemaker.describe_training_job(TrainingJobName="chatters").get("FinalMetricDataList")
    )

    assert place.twin.stop() == 0
    place.twin.process = start_twin(place.twin.home, place.twin.port, project).process

    found = logs.describe_log_streams(logGroupName="long")["logStreams"]
    assert [stream["logStreamName"] for stream in found] == ["s"]
    assert place.logs("/aws/sagemaker/TrainingJobs", "chatters")


def _failed(place: Place) -> dict | None:
    job = place.sagemaker.describe_training_job(TrainingJobName="cut-off")
    return job if job["TrainingJobStatus"] == "Failed" else None


def test_requests_in_an_asynchronous_queue_are_answered_after_a_restart(place: Place, project) -> None:
    name = place.endpoint_config("waits", "patient")
    place.sagemaker.create_endpoint_config(
        EndpointConfigName="waits-asynchronous",
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": name,
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
            }
        ],
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/answers"}},
    )
    place.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="waits-asynchronous")
    place.settled(name)

    def scale(instances: int) -> None:
        wanted = {"VariantName": "AllTraffic", "DesiredInstanceCount": instances}
        place.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[wanted]
        )

    scale(0)
    reply = place.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=name, InputLocation=place.put("requests/waits", b"hello")
    )

    assert place.twin.stop() == 0
    place.twin.process = start_twin(place.twin.home, place.twin.port, project).process

    assert place.settled(name)["EndpointStatus"] == "InService"
    scale(1)
    assert b'"patient"' in until(lambda: _written(place, reply["OutputLocation"]))


def _written(place: Place, uri: str) -> bytes | None:
    try:
        return place.get(uri)
    except ClientError:
        return None
