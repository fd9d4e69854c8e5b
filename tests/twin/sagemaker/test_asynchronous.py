"""Asynchronous endpoints: a queue, answers and failures in S3, notifications, and no instance at rest."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import BUCKET, Place, archive, until
from tests.twin.sagemaker.guardrails import routing

VARIANT = {"VariantName": "AllTraffic", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
DIMENSION = "sagemaker:variant:DesiredInstanceCount"


@pytest.fixture(scope="module")
def topics(place: Place) -> dict[str, str]:
    """Topics that the role may publish to, with a queue that hears both; its URL stands under `queue`."""
    sns, sqs, iam = place.client("sns"), place.client("sqs"), place.client("iam")
    found = {kind: sns.create_topic(Name=f"inference-{kind}")["TopicArn"] for kind in ("success", "error")}
    allowed = {"Effect": "Allow", "Action": "sns:Publish", "Resource": list(found.values())}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="jobs", PolicyName="tell", PolicyDocument=document)
    url = sqs.create_queue(QueueName="inference-results")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{DEV}:inference-results"
    hear = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**hear, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    for topic in found.values():
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return {**found, "queue": url}


def declare(place: Place, name: str, topics: dict[str, str]) -> str:
    data = place.put(f"artifacts/{name}.tar.gz", archive({"answer.txt": name}))
    container = {"Image": place.image, "ModelDataUrl": data}
    place.sagemaker.create_model(ModelName=name, ExecutionRoleArn=place.role, PrimaryContainer=container)
    place.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{**VARIANT, "ModelName": name}],
        AsyncInferenceConfig={
            "OutputConfig": {
                "S3OutputPath": f"s3://{BUCKET}/answers",
                "S3FailurePath": f"s3://{BUCKET}/failures",
                "NotificationConfig": {"SuccessTopic": topics["success"], "ErrorTopic": topics["error"]},
            },
            "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 2},
        },
    )
    return name


@pytest.fixture(scope="module")
def endpoint(place: Place, topics: dict[str, str]) -> str:
    name = declare(place, "asynchronous", topics)
    place.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert place.settled(name)["EndpointStatus"] == "InService"
    return name


def submit(place: Place, endpoint: str, body: bytes, **more: Any) -> dict[str, Any]:
    source = place.put(f"requests/{time.time_ns()}", body)
    return place.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=endpoint, InputLocation=source, ContentType="application/octet-stream", **more
    )


def written(place: Place, uri: str) -> bytes:
    def there() -> bytes | None:
        try:
            return place.get(uri)
        except ClientError as fault:
            assert fault.response["Error"]["Code"] == "NoSuchKey"
            return None

    return until(there)


def heard(place: Place, topics: dict[str, str]) -> dict[str, Any]:
    def message() -> Any:
        found = place.client("sqs").receive_message(QueueUrl=topics["queue"]).get("Messages", [])
        for each in found:
            place.client("sqs").delete_message(QueueUrl=topics["queue"], ReceiptHandle=each["ReceiptHandle"])
        return json.loads(json.loads(found[0]["Body"])["Message"]) if found else None

    return until(message)


def test_answer_is_written_where_the_reply_says_and_somebody_hears_of_it(
    place: Place, endpoint: str, topics: dict[str, str]
) -> None:
    reply = submit(place, endpoint, b"hello", InferenceId="one")

    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert reply["InferenceId"] == "one"
    assert json.loads(written(place, reply["OutputLocation"]))["model"] == endpoint
    told = heard(place, topics)
    assert (told["invocationStatus"], told["inferenceId"]) == ("Completed", "one")
    assert told["responseParameters"]["outputLocation"] == reply["OutputLocation"]


def test_failure_is_written_too_and_nothing_where_the_answer_would_be(
    place: Place, endpoint: str, topics: dict[str, str]
) -> None:
    reply = submit(place, endpoint, b"bad")

    assert b'client error (400) from primary with message "no such thing"' in written(
        place, reply["FailureLocation"]
    )
    with pytest.raises(ClientError, match="NoSuchKey"):
        place.get(reply["OutputLocation"])
    assert heard(place, topics)["invocationStatus"] == "Failed"
    missing = place.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=endpoint, InputLocation=f"s3://{BUCKET}/requests/nothing"
    )
    assert b"NoSuchKey" in written(place, missing["FailureLocation"])


def test_the_two_ways_to_invoke_are_for_their_own_kind_of_endpoint(place: Place, endpoint: str) -> None:
    with pytest.raises(ClientError, match="use InvokeEndpointAsync"):
        place.ask(endpoint)
    plain = place.serve("answers-at-once", "first")
    with pytest.raises(ClientError, match="is not an asynchronous endpoint"):
        submit(place, plain, b"hello")
    with pytest.raises(ClientError, match="does not update an endpoint between asynchronous and real-time"):
        place.sagemaker.update_endpoint(EndpointName=plain, EndpointConfigName=endpoint)
    with pytest.raises(ClientError, match="Minimum capacity cannot be 0"):
        place.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=f"endpoint/{plain}/variant/AllTraffic",
            ScalableDimension=DIMENSION,
            MinCapacity=0,
            MaxCapacity=1,
        )


def test_update_by_guardrails_leaves_no_request_unanswered(
    place: Place, endpoint: str, topics: dict[str, str]
) -> None:
    following = declare(place, "asynchronous-next", topics)
    replies = [submit(place, endpoint, b"hello") for _ in range(10)]
    place.sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=following, DeploymentConfig=routing("ALL_AT_ONCE", 0)
    )
    replies += [submit(place, endpoint, b"hello") for _ in range(10)]

    models = {json.loads(written(place, reply["OutputLocation"]))["model"] for reply in replies}

    assert models <= {endpoint, following}
    assert place.settled(endpoint)["EndpointConfigName"] == following
    assert place.sagemaker.describe_endpoint(EndpointName=endpoint)["AsyncInferenceConfig"]


def test_without_a_backlog_no_instance_stays_and_a_request_brings_one_back(
    place: Place, topics: dict[str, str]
) -> None:
    name = declare(place, "scales-to-zero", topics)
    place.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    place.settled(name)
    scaling = place.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": DIMENSION,
    }
    dimensions = [{"Name": "EndpointName", "Value": name}]
    scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=2)
    scaling.put_scaling_policy(
        **target,
        PolicyName="backlog",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 4.0,
            "CustomizedMetricSpecification": {
                "Namespace": "AWS/SageMaker",
                "MetricName": "ApproximateBacklogSizePerInstance",
                "Dimensions": dimensions,
                "Statistic": "Average",
            },
            "ScaleInCooldown": 1,
        },
    )
    steps = scaling.put_scaling_policy(
        **target,
        PolicyName="from-zero",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
            "Cooldown": 60,
        },
    )
    place.client("cloudwatch").put_metric_alarm(
        AlarmName="backlog-without-capacity",
        Namespace="AWS/SageMaker",
        MetricName="HasBacklogWithoutCapacity",
        Dimensions=dimensions,
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        AlarmActions=[steps["PolicyARN"]],
    )

    def instances() -> int:
        (variant,) = place.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]
        return variant["CurrentInstanceCount"]

    until(lambda: instances() == 0)
    reply = submit(place, name, b"hello")

    assert json.loads(written(place, reply["OutputLocation"]))["model"] == name
    assert instances() == 1
