"""Endpoints: real servers, blue/green updates, rollback, invocation as SDKs see it."""

import json
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import Place, until


@pytest.fixture(scope="module")
def endpoint(place: Place) -> str:
    return place.serve("Digits", "first")


def test_model_answers_with_its_own_content_type(place: Place, endpoint: str) -> None:
    answer = place.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint,
        Body=b"12345",
        ContentType="application/octet-stream",
        Accept="application/json",
    )
    assert answer["ContentType"] == "application/vnd.answer+json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    answer = place.ask(endpoint, b"12345", Accept="application/json")
    assert answer["model"] == "first"
    assert (answer["bytes"], answer["accept"], answer["kind"]) == (
        5,
        "application/json",
        "application/octet-stream",
    )


def test_container_sees_its_variables_and_nothing_of_the_machine(place: Place, endpoint: str) -> None:
    answer = place.ask(endpoint)
    assert answer["variable"].endswith("/opt/ml/model/x") and answer["variable"] != "/opt/ml/model/x"
    assert answer["foreign"] is False


def test_endpoint_is_described_with_variants_and_images(place: Place, endpoint: str) -> None:
    found = place.sagemaker.describe_endpoint(EndpointName=endpoint.lower())
    assert found["EndpointStatus"] == "InService"
    assert found["EndpointArn"] == f"arn:aws:sagemaker:{REGION}:{DEV}:endpoint/digits"
    (variant,) = found["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (
        "AllTraffic",
        1,
        1.0,
    )
    assert variant["DeployedImages"][0]["SpecifiedImage"] == place.image
    assert "@sha256:" in variant["DeployedImages"][0]["ResolvedImage"]


def test_server_writes_to_the_endpoints_log_group(place: Place, endpoint: str) -> None:
    def is_written() -> bool:
        try:
            lines = place.logs(f"/aws/sagemaker/Endpoints/{endpoint}", "AllTraffic/")
        except ClientError as fault:
            assert fault.response["Error"]["Code"] == "ResourceNotFoundException"
            return False
        return any("serving ['serve']" in line for line in lines)

    until(is_written)


def test_error_of_the_model_is_a_model_error(place: Place, endpoint: str) -> None:
    with pytest.raises(ClientError) as caught:
        place.ask(endpoint, b"bad")
    error = caught.value.response
    assert error["Error"]["Code"] == "ModelError"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (
        'Received client error (400) from primary with message "no such thing"' in error["Error"]["Message"]
    )
    assert (error["OriginalStatusCode"], error["OriginalMessage"]) == (400, "no such thing")


def test_too_large_a_body_is_refused_before_the_model_sees_it(place: Place, endpoint: str) -> None:
    with pytest.raises(ClientError, match="HTTP content length exceeded 6291456 bytes") as caught:
        place.ask(endpoint, b"x" * (6 * 1024 * 1024 + 1))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_endpoint_that_is_not_there_is_named_as_aws_does(place: Place, endpoint: str) -> None:
    with pytest.raises(ClientError, match=f"Endpoint nobody of account {DEV} not found.") as caught:
        place.ask("nobody")
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="Endpoint digits of account"):
        place.ask(endpoint.lower())  # case counts here, as on AWS


def test_target_variant_is_honoured(place: Place, endpoint: str) -> None:
    assert place.ask(endpoint, TargetVariant="AllTraffic")["model"] == "first"
    with pytest.raises(ClientError, match="Variant Shadow not found"):
        place.ask(endpoint, TargetVariant="Shadow")


def test_invocations_are_counted_in_cloudwatch(place: Place, endpoint: str) -> None:
    place.ask(endpoint)
    listed = place.client("cloudwatch").list_metrics(Namespace="AWS/SageMaker")["Metrics"]
    names = {
        m["MetricName"] for m in listed if {"Name": "EndpointName", "Value": endpoint} in m["Dimensions"]
    }
    assert {
        "Invocations",
        "ModelLatency",
        "OverheadLatency",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
    } <= names


def test_dead_process_gives_an_error_and_comes_back(place: Place) -> None:
    name = place.serve("dies", "alive")
    with pytest.raises(ClientError) as caught:
        place.ask(name, b"die")
    assert caught.value.response["Error"]["Code"] == "ModelError"

    def answers() -> bool:
        try:
            return place.ask(name)["model"] == "alive"
        except ClientError:
            return False

    until(answers)
    log = place.logs(f"/aws/sagemaker/Endpoints/{name}", "AllTraffic/")
    assert "the container exited with code 3; it is started again" in log


def test_update_moves_to_the_new_model_and_lets_requests_end(place: Place, tmp_path: Path) -> None:
    name = place.serve("moves", "old")
    serve, go = tmp_path / "serve", tmp_path / "held" / "go"
    config = place.endpoint_config("moves-new", f"new once {serve}")
    answers: list[str] = []
    held = threading.Thread(target=lambda: answers.append(place.ask(name, f"hold {go}".encode())["model"]))
    go.parent.mkdir()
    held.start()
    until(lambda: list(go.parent.iterdir()))
    place.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    found = place.sagemaker.describe_endpoint(EndpointName=name)
    assert found["EndpointStatus"] == "Updating"
    assert found["PendingDeploymentSummary"]["EndpointConfigName"] == config
    assert found["EndpointConfigName"] == "moves-old"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        place.sagemaker.delete_endpoint(EndpointName=name)
    serve.touch()
    seen = set()
    while place.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating":
        seen.add(place.ask(name)["model"])
    assert seen <= {"old", "new"}
    assert place.ask(name)["model"] == "new"
    go.touch()
    held.join()
    assert answers == ["old"]
    found = place.sagemaker.describe_endpoint(EndpointName=name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config)
    assert "PendingDeploymentSummary" not in found


def test_update_to_a_failing_container_rolls_back(place: Place) -> None:
    name = place.serve("stays", "good")
    config = place.endpoint_config("stays-broken", "broken")
    place.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    found = place.settled(name)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "stays-good")
    assert "variant AllTraffic did not pass the ping health check" in found["FailureReason"]
    assert "this model cannot be loaded" in found["FailureReason"]
    assert place.ask(name)["model"] == "good"


def test_first_deployment_of_a_failing_container_fails(place: Place) -> None:
    config = place.endpoint_config("never", "broken")
    place.sagemaker.create_endpoint(EndpointName="never", EndpointConfigName=config)
    found = place.settled("never")
    assert found["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]
    with pytest.raises(ClientError, match="Endpoint never of account"):
        place.ask("never")
    with pytest.raises(ClientError, match="in status Failed"):
        place.sagemaker.update_endpoint(EndpointName="never", EndpointConfigName=config)
    place.sagemaker.delete_endpoint(EndpointName="never")
    place.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="never", WaiterConfig={"Delay": 1})


def test_two_variants_share_traffic_by_weight(place: Place) -> None:
    for answer in ("left", "right"):
        place.endpoint_config(f"pair-{answer}", answer)
    variants = [
        {
            "VariantName": answer,
            "ModelName": f"pair-{answer}",
            "InitialInstanceCount": 2,
            "InstanceType": "ml.m5.large",
            "InitialVariantWeight": weight,
        }
        for answer, weight in (("left", 1.0), ("right", 0.0))
    ]
    place.sagemaker.create_endpoint_config(EndpointConfigName="pair", ProductionVariants=variants)
    place.sagemaker.create_endpoint(EndpointName="pair", EndpointConfigName="pair")
    place.settled("pair")
    assert {place.ask("pair")["model"] for _ in range(5)} == {"left"}
    assert place.ask("pair", TargetVariant="right")["model"] == "right"
    weights = [{"VariantName": "left", "DesiredWeight": 0.0}, {"VariantName": "right", "DesiredWeight": 1.0}]
    place.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="pair", DesiredWeightsAndCapacities=weights
    )
    place.settled("pair")
    assert {place.ask("pair")["model"] for _ in range(5)} == {"right"}


def test_model_data_that_the_role_may_not_read_is_refused(place: Place) -> None:
    data = place.put("secret/model.tar.gz", b"x")
    with pytest.raises(ClientError, match=f"Could not access model data at {data}.*AccessDenied"):
        place.sagemaker.create_model(
            ModelName="hidden",
            ExecutionRoleArn=place.role,
            PrimaryContainer={"Image": place.image, "ModelDataUrl": data},
        )


def test_configuration_of_a_model_that_is_not_there_is_refused(place: Place) -> None:
    with pytest.raises(
        ClientError, match=f'Could not find model "arn:aws:sagemaker:{REGION}:{DEV}:model/ghost"'
    ):
        place.sagemaker.create_endpoint_config(
            EndpointConfigName="ghost",
            ProductionVariants=[
                {
                    "VariantName": "a",
                    "ModelName": "ghost",
                    "InitialInstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                }
            ],
        )


def test_invocation_needs_the_right_on_that_endpoint(place: Place, endpoint: str) -> None:
    iam = place.client("iam")
    iam.create_user(UserName="caller")
    statement = {
        "Effect": "Allow",
        "Action": "sagemaker:InvokeEndpoint",
        "Resource": f"arn:aws:sagemaker:{REGION}:{DEV}:endpoint/digits",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="caller", PolicyName="one", PolicyDocument=document)
    caller = place.twin.client("sagemaker-runtime", iam.create_access_key(UserName="caller")["AccessKey"])
    assert (
        caller.invoke_endpoint(EndpointName=endpoint, Body=b"x")["ContentType"]
        == "application/vnd.answer+json"
    )
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:InvokeEndpoint"):
        caller.invoke_endpoint(EndpointName="other", Body=b"x")
