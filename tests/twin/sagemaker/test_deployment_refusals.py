"""What UpdateEndpoint refuses of a deployment configuration, with the words that name the field."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import Place
from tests.twin.sagemaker.guardrails import guarded, halves, put_alarm, routing, serve_two


@pytest.fixture(scope="module")
def pair(place: Place) -> str:
    return serve_two(place, "refuses")


@pytest.mark.parametrize(
    ("deployment", "words"),
    [
        (routing("CANARY", 0, Type="CAPACITY_PERCENT", Value=51), "CanarySize must be at most 50 %"),
        (routing("CANARY", 0, Type="INSTANCE_COUNT", Value=2), "CanarySize must be at most 50 %"),
        (routing("LINEAR", 0, Type="CAPACITY_PERCENT", Value=5), "LinearStepSize must be 10-50 %"),
        (guarded(halves(), "no-such-alarm"), "Could not find the CloudWatch alarms.*no-such-alarm"),
        (
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                    "WaitIntervalInSeconds": 0,
                }
            },
            "RollingUpdatePolicy is not supported by the local twin",
        ),
        (
            {
                "BlueGreenUpdatePolicy": {
                    **halves(wait=3600)["BlueGreenUpdatePolicy"],
                    "MaximumExecutionTimeoutInSeconds": 600,
                }
            },
            "must be greater than the total waiting time.*7200 seconds",
        ),
    ],
)
def test_configuration_that_aws_refuses_is_refused(
    place: Place, pair: str, deployment: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        place.sagemaker.update_endpoint(
            EndpointName=pair, EndpointConfigName="refuses-old", DeploymentConfig=deployment
        )
    assert place.sagemaker.describe_endpoint(EndpointName=pair)["EndpointStatus"] == "InService"


def test_variants_must_be_the_same_and_have_two_instances(place: Place, pair: str) -> None:
    place.endpoint_config("refuses-lone", "lone")
    with pytest.raises(ClientError, match="needs at least 2 instances: production variant AllTraffic has an"):
        place.sagemaker.update_endpoint(
            EndpointName=pair, EndpointConfigName="refuses-lone", DeploymentConfig=halves()
        )
    place.endpoint_config("refuses-named", "named", VariantName="Other", InitialInstanceCount=2)
    with pytest.raises(ClientError, match="needs the same production variants"):
        place.sagemaker.update_endpoint(
            EndpointName=pair, EndpointConfigName="refuses-named", DeploymentConfig=halves()
        )


def test_who_deploys_must_be_allowed_to_see_the_alarms(place: Place, pair: str) -> None:
    put_alarm(place, "seen")
    iam = place.client("iam")
    iam.create_user(UserName="deployer")
    prefix = f"arn:aws:sagemaker:{REGION}:{DEV}"
    statement = {
        "Effect": "Allow",
        "Action": "sagemaker:UpdateEndpoint",
        "Resource": [f"{prefix}:endpoint/refuses", f"{prefix}:endpoint-config/*"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="deployer", PolicyName="one", PolicyDocument=document)
    deployer = place.twin.client("sagemaker", iam.create_access_key(UserName="deployer")["AccessKey"])
    with pytest.raises(
        ClientError, match=r"not authorized to perform: cloudwatch:DescribeAlarms.*alarm:seen"
    ):
        deployer.update_endpoint(
            EndpointName=pair,
            EndpointConfigName="refuses-old",
            DeploymentConfig=guarded(halves(), "seen"),
        )
