"""Application Auto Scaling: limits and load change a variant's instances, and updates respect targets."""

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import Place, until

SAGEMAKER = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}


def target_of(name: str) -> dict[str, str]:
    return {**SAGEMAKER, "ResourceId": f"endpoint/{name}/variant/AllTraffic"}


def register(place: Place, name: str, least: int, most: int) -> Any:
    scaling = place.client("application-autoscaling")
    scaling.register_scalable_target(**target_of(name), MinCapacity=least, MaxCapacity=most)
    return scaling


def instances(place: Place, name: str) -> int:
    (variant,) = place.sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]
    return variant["DesiredInstanceCount"]


def dimensions_of(name: str) -> list[dict[str, str]]:
    return [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}]


def publish_load(place: Place, name: str, per_minute: float) -> None:
    dimensions = dimensions_of(name)
    place.client("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {
                "MetricName": "InvocationsPerInstance",
                "Dimensions": dimensions,
                "Value": per_minute,
                "Timestamp": time.time() - 60 * minute,
            }
            for minute in range(4)
        ],
    )


@pytest.fixture(scope="module")
def endpoint(place: Place) -> str:
    return place.serve("Scaled", "first")


def test_load_above_the_target_adds_instances_up_to_the_limit(place: Place, endpoint: str) -> None:
    scaling = register(place, endpoint, 2, 5)
    until(lambda: instances(place, endpoint) == 2)  # the minimum itself is no question of load
    made = scaling.put_scaling_policy(
        **target_of(endpoint),
        PolicyName="by-load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 100.0,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleOutCooldown": 600,
        },
    )
    high, low = (alarm["AlarmName"] for alarm in made["Alarms"])
    assert high.startswith(f"TargetTracking-endpoint/{endpoint}/variant/AllTraffic-AlarmHigh-")
    publish_load(place, endpoint, 190)
    until(lambda: instances(place, endpoint) == 4)  # 2 * 190 / 100, rounded up

    def noted() -> Any:
        activities = scaling.describe_scaling_activities(**SAGEMAKER)["ScalingActivities"]
        newest = next(each for each in activities if each["ResourceId"].split("/")[1] == endpoint)
        return newest if newest["Description"] == "Setting desired instance count to 4." else None

    assert high in until(noted)["Cause"]  # an activity is noted once the count is set
    found = scaling.describe_scaling_policies(**target_of(endpoint))["ScalingPolicies"]
    assert [(policy["PolicyName"], policy["PolicyARN"]) for policy in found] == [
        ("by-load", made["PolicyARN"])
    ]
    scaling.delete_scaling_policy(**target_of(endpoint), PolicyName="by-load")
    assert place.client("cloudwatch").describe_alarms(AlarmNames=[high, low])["MetricAlarms"] == []


def latency_policy(name: str) -> dict[str, Any]:
    return {
        **target_of(name),
        "PolicyName": "by-latency",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 100_000.0,
            "CustomizedMetricSpecification": {
                "Namespace": "AWS/SageMaker",
                "MetricName": "ModelLatency",
                "Dimensions": dimensions_of(name),
                "Statistic": "Average",
                "Unit": "Microseconds",
            },
            "ScaleOutCooldown": 0,
            "ScaleInCooldown": 0,
        },
    }


def publish(place: Place, name: str, minutes: int = 4, **point: Any) -> None:
    point = {"Dimensions": dimensions_of(name), **point}
    data = [{**point, "Timestamp": time.time() - 60 * minute} for minute in range(minutes)]
    place.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=data)


def test_of_two_policies_the_larger_wish_counts_and_fewer_instances_need_both(place: Place) -> None:
    name = place.serve("scaled-twice", "first")
    scaling = register(place, name, 1, 6)
    scaling.put_scaling_policy(**latency_policy(name))
    scaling.put_scaling_policy(
        **target_of(name),
        PolicyName="by-load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 100.0,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleOutCooldown": 0,
            "ScaleInCooldown": 0,
        },
    )
    # Slow, although it is asked little: latency adds instances, and invocations alone take none away.
    publish_load(place, name, 10)
    publish(place, name, MetricName="ModelLatency", Value=240_000, Unit="Microseconds")
    until(lambda: instances(place, name) >= 3)
    time.sleep(2.5)
    assert instances(place, name) >= 3
    scaling.deregister_scalable_target(**target_of(name))


def test_steps_follow_the_alarm_that_names_them(place: Place) -> None:
    name = place.serve("scaled-by-steps", "first")
    scaling = register(place, name, 1, 6)
    policy = scaling.put_scaling_policy(
        **target_of(name),
        PolicyName="steps",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [
                {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
                {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 3},
            ],
            "Cooldown": 600,
        },
    )
    assert policy["Alarms"] == []
    place.client("cloudwatch").put_metric_alarm(
        AlarmName="steps",
        Namespace="AWS/SageMaker",
        MetricName="Waiting",
        Dimensions=dimensions_of(name),
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing",
        AlarmActions=[policy["PolicyARN"]],
    )
    publish(place, name, minutes=1, MetricName="Waiting", Value=20)
    until(lambda: instances(place, name) == 4)  # 15 beyond the threshold: the second step
    time.sleep(1.5)
    assert instances(place, name) == 4  # it cools down
    scaling.delete_scaling_policy(**target_of(name), PolicyName="steps")
    scaling.deregister_scalable_target(**target_of(name))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 1.0}},
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification",
        ),
        ({"PolicyType": "StepScaling"}, "StepScalingPolicyConfiguration must be specified"),
        (
            {
                "PolicyType": "StepScaling",
                "StepScalingPolicyConfiguration": {
                    "AdjustmentType": "PercentChangeInCapacity",
                    "StepAdjustments": [{"ScalingAdjustment": 10}],
                },
            },
            "AdjustmentType PercentChangeInCapacity is not supported by the local twin",
        ),
    ],
)
def test_policy_that_cannot_be_followed_is_refused(
    place: Place, endpoint: str, change: dict[str, Any], words: str
) -> None:
    scaling = register(place, endpoint, 1, 5)
    with pytest.raises(ClientError, match=words):
        scaling.put_scaling_policy(**{**latency_policy(endpoint), **change})


def test_update_may_not_change_the_hardware_of_what_is_scaled(place: Place, endpoint: str) -> None:
    register(place, endpoint, 1, 5)
    other = place.endpoint_config("scaled-large", "large", InstanceType="ml.m5.xlarge")
    with pytest.raises(ClientError, match="registered as a scalable target"):
        place.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=other)
    same = place.endpoint_config("scaled-same", "same")
    place.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=same)
    assert place.settled(endpoint)["EndpointConfigName"] == same
    scaling = place.client("application-autoscaling")
    scaling.deregister_scalable_target(**target_of(endpoint))
    assert scaling.describe_scalable_targets(**SAGEMAKER)["ScalableTargets"] == []
    with pytest.raises(ClientError) as caught:
        scaling.deregister_scalable_target(**target_of(endpoint))
    assert caught.value.response["Error"]["Code"] == "ObjectNotFoundException"
    place.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=other)
    assert place.settled(endpoint)["EndpointConfigName"] == other


def test_deletion_gives_up_the_target_if_the_caller_may(place: Place) -> None:
    name = place.serve("scaled-away", "first")
    scaling, iam = register(place, name, 1, 2), place.client("iam")
    iam.create_user(UserName="remover")
    statement = {
        "Effect": "Allow",
        "Action": "sagemaker:DeleteEndpoint",
        "Resource": f"arn:aws:sagemaker:{REGION}:{DEV}:endpoint/{name}",
    }
    more = {
        "Effect": "Allow",
        "Action": "application-autoscaling:DeregisterScalableTarget",
        "Resource": f"arn:aws:application-autoscaling:{REGION}:{DEV}:scalable-target/*",
    }
    remover = place.twin.client("sagemaker", iam.create_access_key(UserName="remover")["AccessKey"])

    def allow(*statements: dict[str, str]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName="remover", PolicyName="one", PolicyDocument=document)

    allow(statement)
    with pytest.raises(ClientError, match="does not have application-autoscaling:DeregisterScalableTarget"):
        remover.delete_endpoint(EndpointName=name)
    allow(statement, more)
    remover.delete_endpoint(EndpointName=name)
    assert scaling.describe_scalable_targets(**SAGEMAKER)["ScalableTargets"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ServiceNamespace": "dynamodb"}, "ServiceNamespace dynamodb is not supported by the local twin"),
        ({"MinCapacity": 3, "MaxCapacity": 2}, "Maximum capacity cannot be less than minimum capacity"),
        ({"ResourceId": "endpoint/ghost/variant/AllTraffic"}, "Could not find endpoint"),
    ],
)
def test_target_that_cannot_be_is_refused(
    place: Place, endpoint: str, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        place.client("application-autoscaling").register_scalable_target(
            **{**target_of(endpoint), "MinCapacity": 1, "MaxCapacity": 2, **change}
        )
