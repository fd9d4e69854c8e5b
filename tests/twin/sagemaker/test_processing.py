"""Processing jobs on an image that the docker command built and pushed."""

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import BUCKET, PATIENCE_SECONDS, REPOSITORY, Place, until


def start(place: Place, name: str, source: str, **changes: object) -> None:
    place.sagemaker.create_processing_job(
        **{
            "ProcessingJobName": name,
            "RoleArn": place.role,
            "AppSpecification": {
                "ImageUri": place.image,
                "ContainerEntrypoint": ["python", "evaluate.py"],
                "ContainerArguments": ["/opt/ml/processing/input/data", "/opt/ml/processing/output"],
            },
            "Environment": {"GREETING": "!"},
            "ProcessingInputs": [
                {
                    "InputName": "data",
                    "S3Input": {
                        "S3Uri": source,
                        "LocalPath": "/opt/ml/processing/input/data",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "evaluation",
                        "S3Output": {
                            "S3Uri": f"s3://{BUCKET}/evaluations/{name}",
                            "LocalPath": "/opt/ml/processing/output",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5}
            },
            **changes,
        }
    )


def ended(place: Place, name: str) -> dict:
    def found() -> dict | None:
        job = place.sagemaker.describe_processing_job(ProcessingJobName=name)
        return job if job["ProcessingJobStatus"] not in ("InProgress", "Stopping") else None

    return until(found)


def test_own_image_works_between_s3_and_s3(place: Place) -> None:
    source = place.put("holdout/data.txt", "accuracy").rpartition("/")[0]
    start(place, "evaluates", source)
    waiter = place.sagemaker.get_waiter("processing_job_completed_or_stopped")
    waiter.wait(ProcessingJobName="evaluates", WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE_SECONDS})
    job = place.sagemaker.describe_processing_job(ProcessingJobName="evaluates")
    assert job["ProcessingJobStatus"] == "Completed", job
    assert job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert place.get(f"s3://{BUCKET}/evaluations/evaluates/evaluation.json") == b"ACCURACY!"
    assert any(
        "evaluating" in line for line in place.logs("/aws/sagemaker/ProcessingJobs", "evaluates/algo-1")
    )


def test_exit_code_fails_the_job_with_what_was_said_last(place: Place) -> None:
    source = place.put("holdout-bad/fail.txt", "").rpartition("/")[0]
    start(place, "fails", source)
    job = ended(place, "fails")
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: the holdout is empty, exit code: 1"
    assert job["ExitMessage"] == "the holdout is empty"


def test_message_file_becomes_the_exit_message(place: Place) -> None:
    source = place.put("holdout/data.txt", "accuracy").rpartition("/")[0]
    script = "echo 12 images > /opt/ml/output/message"
    application = {
        "ImageUri": place.image,
        "ContainerEntrypoint": ["/bin/sh", "-c"],
        "ContainerArguments": [script],
    }
    start(place, "tells", source, AppSpecification=application)
    job = ended(place, "tells")
    assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Completed", "12 images")


def test_image_that_was_never_pushed_fails_the_job(place: Place) -> None:
    source = place.put("holdout/data.txt", "accuracy").rpartition("/")[0]
    image = f"{DEV}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:none"
    start(place, "no-image", source, AppSpecification={"ImageUri": image})
    assert f"Requested image {image} not found" in ended(place, "no-image")["FailureReason"]


def test_denied_output_fails_the_job_with_access_denied(place: Place) -> None:
    source = place.put("holdout/data.txt", "accuracy").rpartition("/")[0]
    output = {
        "S3Uri": f"s3://{BUCKET}/secret/x",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    }
    start(
        place,
        "denied",
        source,
        ProcessingOutputConfig={"Outputs": [{"OutputName": "evaluation", "S3Output": output}]},
    )
    assert "AccessDenied" in ended(place, "denied")["FailureReason"]


def test_stop_ends_a_processing_job(place: Place) -> None:
    source = place.put("holdout/data.txt", "accuracy").rpartition("/")[0]
    application = {"ImageUri": place.image, "ContainerEntrypoint": ["/bin/sh", "-c"]}
    application["ContainerArguments"] = ["echo up; sleep 600"]
    start(place, "stops", source, AppSpecification=application)

    def is_up() -> bool:
        try:
            return bool(place.logs("/aws/sagemaker/ProcessingJobs", "stops/"))
        except ClientError:
            return False

    until(is_up)
    place.sagemaker.stop_processing_job(ProcessingJobName="stops")
    assert ended(place, "stops")["ProcessingJobStatus"] == "Stopped"


def test_processing_job_that_is_not_there_is_named_as_aws_does(place: Place) -> None:
    with pytest.raises(ClientError, match="Could not find requested job with name: nobody"):
        place.sagemaker.describe_processing_job(ProcessingJobName="nobody")
