"""SageMaker's own SDK against an account in memory: what the smoke tests take from it is what it says."""

import io
import json
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from smoke_tests.sdk import DirectAnswer, ModelPackage, Sdk, TrainingJob

PACKAGE = "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-smoke/1"
JOB_ARN = "arn:aws:sagemaker:us-east-1:222222222222:training-job/job"
ANSWERS: dict[str, dict[str, Any]] = {
    "DescribeTrainingJob": {
        "TrainingJobName": "job",
        "TrainingJobArn": JOB_ARN,
        "TrainingJobStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://artifacts/model.tar.gz"},
        "ResourceConfig": {"InstanceType": "ml.c7i.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "BillableTimeInSeconds": 61,
        "FinalMetricDataList": [{"MetricName": "train:loss", "Value": 0.25}],
    },
    "DescribeModelPackage": {
        "ModelPackageName": "vision-dev-smoke",
        "ModelPackageArn": PACKAGE,
        "ModelPackageGroupName": "vision-dev-smoke",
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelApprovalStatus": "Approved",
    },
    "DescribeEndpoint": {
        "EndpointName": "vision-dev-smoke",
        "EndpointArn": "arn:aws:sagemaker:us-east-1:222222222222:endpoint/vision-dev-smoke",
        "EndpointConfigName": "c",
        "EndpointStatus": "InService",
    },
}


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    """The last request of each operation, as the SDK made it."""
    return {}


@pytest.fixture(scope="module")
def sdk(asked: dict[str, Any]) -> Sdk:
    """The SDK with a session whose calls end here."""
    session = boto3.session.Session("AKIDEXAMPLE", "secret", region_name="us-east-1")

    def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        asked[model.name] = params
        parsed = dict(ANSWERS.get(model.name, {}))
        if model.name == "InvokeEndpoint":
            probabilities = {"3": 0.75, "4": 0.25}
            said = {"predictions": [{"label": "3", "probabilities": probabilities}], "model_version": PACKAGE}
            parsed = {"Body": io.BytesIO(json.dumps(said).encode()), "ContentType": "application/json"}
        return AWSResponse("https://aws", 200, {}, None), parsed | {
            "ResponseMetadata": {"HTTPStatusCode": 200}
        }

    session.events.register("before-call.*.*", answer)
    return Sdk(session)


def test_a_training_job_is_read(sdk: Sdk) -> None:
    assert sdk.training_job("job") == TrainingJob(
        "job", "Completed", "ml.c7i.xlarge", 61.0, {"train:loss": 0.25}
    )


def test_a_model_package_is_read(sdk: Sdk) -> None:
    assert sdk.model_package(PACKAGE) == ModelPackage(PACKAGE, "vision-dev-smoke", "Completed", "Approved")


def test_an_endpoint_is_asked_with_the_pixels_as_they_are(sdk: Sdk, asked: dict[str, Any]) -> None:
    assert sdk.ask("vision-dev-smoke", bytes(range(256))) == DirectAnswer("3", 0.75, PACKAGE)
    assert asked["InvokeEndpoint"]["body"] == bytes(range(256))
    assert asked["InvokeEndpoint"]["headers"]["Content-Type"] == "application/octet-stream"
