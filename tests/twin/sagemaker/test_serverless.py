"""Serverless endpoints: they answer, so many at once, and take neither instances nor guardrails."""

import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.sagemaker.conftest import Place, archive, until
from tests.twin.sagemaker.guardrails import routing

SIZE = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}


def declare(place: Place, name: str, size: dict[str, Any] | None = None, **model: Any) -> str:
    """A model that answers its own name, and a serverless configuration of it."""
    data = place.put(f"artifacts/{name}.tar.gz", archive({"answer.txt": name}))
    place.sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=place.role,
        PrimaryContainer={"Image": place.image, "ModelDataUrl": data},
        **model,
    )
    variant = {"VariantName": "AllTraffic", "ModelName": name, "ServerlessConfig": size or SIZE}
    place.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return name


@pytest.fixture(scope="module")
def endpoint(place: Place) -> str:
    place.sagemaker.create_endpoint(
        EndpointName="serverless", EndpointConfigName=declare(place, "serverless-first")
    )
    assert place.settled("serverless")["EndpointStatus"] == "InService"
    return "serverless"


def test_serverless_endpoint_answers_and_shows_its_size_instead_of_instances(
    place: Place, endpoint: str
) -> None:
    assert place.ask(endpoint)["model"] == "serverless-first"
    (variant,) = place.sagemaker.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == variant["DesiredServerlessConfig"] == SIZE
    assert "CurrentInstanceCount" not in variant


def test_a_serverless_endpoint_takes_less_than_one_with_instances(place: Place, endpoint: str) -> None:
    with pytest.raises(ClientError, match="HTTP content length exceeded 4194304 bytes") as caught:
        place.ask(endpoint, b"x" * (4 * 1024 * 1024 + 1))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_more_requests_at_once_than_allowed_are_throttled(
    place: Place, endpoint: str, tmp_path: Path
) -> None:
    go, codes = tmp_path / "go", list[str]()

    def ask() -> None:
        try:
            place.ask(endpoint, f"hold {go}".encode())
            codes.append("answered")
        except ClientError as fault:
            assert fault.response["ResponseMetadata"]["HTTPStatusCode"] == 429
            codes.append(fault.response["Error"]["Code"])

    place.client("sagemaker-runtime")
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(codes) == 2)
    go.touch()
    for thread in threads:
        thread.join()

    assert sorted(codes) == ["ThrottlingException", "ThrottlingException", "answered", "answered"]
    assert place.ask(endpoint)["model"] == "serverless-first"


def test_update_exchanges_the_model_all_at_once_and_takes_no_guardrails(place: Place, endpoint: str) -> None:
    declare(place, "serverless-second", {**SIZE, "ProvisionedConcurrency": 1})
    update = {"EndpointName": endpoint, "EndpointConfigName": "serverless-second"}
    with pytest.raises(ClientError, match="DeploymentConfig is not supported for serverless endpoints"):
        place.sagemaker.update_endpoint(**update, DeploymentConfig=routing("ALL_AT_ONCE", 0))

    place.sagemaker.update_endpoint(**update)

    assert place.settled(endpoint)["EndpointConfigName"] == "serverless-second"
    assert place.ask(endpoint)["model"] == "serverless-second"


def test_endpoint_with_instances_does_not_become_serverless(place: Place) -> None:
    name = place.serve("with-instances", "first")
    declare(place, "serverless-third")
    with pytest.raises(ClientError, match="cannot be updated to a serverless endpoint"):
        place.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="serverless-third")


def test_serverless_variant_is_no_scalable_target(place: Place, endpoint: str) -> None:
    with pytest.raises(ClientError, match="is serverless: it has no instances"):
        place.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=f"endpoint/{endpoint}/variant/AllTraffic",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
            MinCapacity=1,
            MaxCapacity=2,
        )


@pytest.mark.parametrize(
    ("size", "model", "words"),
    [
        ({"MemorySizeInMB": 1500, "MaxConcurrency": 1}, {}, "MemorySizeInMB must be one of 1024"),
        ({**SIZE, "ProvisionedConcurrency": 3}, {}, "ProvisionedConcurrency must be less than or equal to"),
        (SIZE, {"EnableNetworkIsolation": True}, "EnableNetworkIsolation is not supported for serverless"),
        (
            SIZE,
            {"VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
            "VpcConfig is not supported for serverless",
        ),
    ],
)
def test_configuration_that_aws_refuses_is_refused(
    place: Place, size: dict[str, Any], model: dict[str, Any], words: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(ClientError, match=words):
        declare(place, f"refused-{abs(hash(request.node.name)) % 10**6}", size, **model)
