"""Deployment guardrails: traffic by stages, alarms that take it back, and clients that notice nothing."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.sagemaker.conftest import Place, until
from tests.twin.sagemaker.guardrails import (
    asking,
    breach,
    deploy,
    guarded,
    halves,
    put_alarm,
    routing,
    serve_two,
    stages,
    watch,
)

BAKING = "Baking for 2 seconds (WaitIntervalInSeconds) with traffic enabled on"


def status(place: Place, name: str) -> str:
    return place.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_canary_gives_its_share_to_the_new_model_then_everything(place: Place) -> None:
    name = serve_two(place, "canary")
    variants = watch(place, name)
    with asking(place, name) as client:
        config = deploy(place, name, halves(wait=2))
        found = place.sagemaker.describe_endpoint(EndpointName=name)
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Updating", "canary-old")
        assert found["PendingDeploymentSummary"]["EndpointConfigName"] == config
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            deploy(place, name, halves(), "another")
        found = place.settled(name)
        settled = time.time()
        until(lambda: client.answers[-1][0] > settled)
    assert client.faults == []
    shown = until(lambda: seen if len(seen := variants()) >= 5 else None)
    told = stages(shown)
    assert [(status, words) for status, words, _ in told] == [
        ("Creating", "Launching 2 instance(s)."),
        ("ActivatingTraffic", "Activating traffic on canary capacity of 1 instance(s)."),
        ("Baking", f"{BAKING} canary capacity of 1 instance(s)."),
        ("ActivatingTraffic", "Activating traffic on full capacity of 2 instance(s)."),
        ("Baking", f"{BAKING} full capacity of 2 instance(s)."),
    ]
    assert [(v["CurrentInstanceCount"], v["DesiredInstanceCount"]) for v in shown] == [
        (0, 2),
        (1, 2),
        (1, 2),
        (2, 2),
        (2, 2),
    ]
    baking = client.seen(told[2][2], told[3][2])
    # Of any run of requests half, to 2 (serving.py deals them out evenly), and one more at its end.
    assert baking["new"] and baking["old"]
    assert abs(baking["new"] - baking.total() / 2) <= 3
    assert set(client.seen(told[4][2])) == {"new"}
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", config)
    assert found["LastDeploymentConfig"] == halves(wait=2)
    assert "FailureReason" not in found and "PendingDeploymentSummary" not in found


def test_linear_deployment_goes_by_steps(place: Place) -> None:
    name = serve_two(place, "linear")
    variants = watch(place, name)
    config = place.endpoint_config("linear-new", "new", InitialInstanceCount=3)
    place.sagemaker.update_endpoint(
        EndpointName=name,
        EndpointConfigName=config,
        DeploymentConfig=routing("LINEAR", 0, Type="INSTANCE_COUNT", Value=1),
    )
    (variant,) = place.settled(name)["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (3, 3)
    shown = until(lambda: seen if len(seen := variants()) >= 4 else None)
    assert sorted(variant["CurrentInstanceCount"] for variant in shown) == [0, 1, 2, 3]


def test_alarm_takes_the_deployment_back_and_no_request_is_lost(place: Place, tmp_path: Path) -> None:
    name = serve_two(place, "guarded")
    put_alarm(place, "guarded-low")
    place.client("cloudwatch").put_composite_alarm(AlarmName="guarded-any", AlarmRule='ALARM("guarded-low")')
    deployment = guarded(halves(wait=300), "guarded-any")
    go, held = tmp_path / "go", list[str]()

    def hold() -> None:
        held.append(place.ask(name, f"hold {go}".encode())["model"])

    with asking(place, name) as client:
        deploy(place, name, deployment)
        until(lambda: client.answers[-1][1]["model"] == "new")
        # Requests that are under way on either fleet when the deployment is taken back are answered.
        waiting = [threading.Thread(target=hold) for _ in range(8)]
        for thread in waiting:
            thread.start()
        until(lambda: len(list(tmp_path.iterdir())) == 8)
        breach(place, "guarded-low")
        until(lambda: status(place, name) != "Updating")
        go.touch()
        found = place.settled(name)
        back = time.time()
        until(lambda: client.answers[-1][0] > back + 0.2)
        for thread in waiting:
            thread.join()
    assert client.faults == []
    assert sorted(set(held)) == ["new", "old"] and len(held) == 8
    assert set(client.seen(back)) == {"old"}
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "guarded-old")
    assert "guarded-any" in found["FailureReason"]
    assert found["LastDeploymentConfig"] == deployment
    assert "PendingDeploymentSummary" not in found


def test_crash_of_the_new_server_takes_the_deployment_back_and_nobody_notices(place: Place) -> None:
    name = serve_two(place, "crashes")

    def kill_the_new(answer: dict[str, Any]) -> None:
        # The client itself does it, so that no request of its own is under way while the server goes.
        if answer["model"] == "new":
            client.meeting = lambda _: None
            os.kill(answer["pid"], signal.SIGKILL)
            until(lambda: is_gone(answer["pid"]))

    with asking(place, name) as client:
        client.meeting = kill_the_new
        deploy(place, name, halves(wait=300))
        found = place.settled(name)
        back = time.time()
        until(lambda: client.answers[-1][0] > back + 0.2)
    assert client.faults == []
    assert found["EndpointConfigName"] == "crashes-old"
    assert "variant AllTraffic exited with code 137" in found["FailureReason"]
    assert set(client.seen(back)) == {"old"}


def test_counts_and_weights_are_kept_when_asked_for(place: Place) -> None:
    name = serve_two(place, "keeps")
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 5, "DesiredWeight": 0.5}]
    place.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=wanted
    )
    place.settled(name)
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    deploy(place, name, None, RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded)
    (variant,) = place.settled(name)["ProductionVariants"]
    assert (variant["DesiredInstanceCount"], variant["CurrentWeight"]) == (5, 1.0)
    deploy(place, name, None, "later")
    (variant,) = place.settled(name)["ProductionVariants"]
    assert variant["DesiredInstanceCount"] == 2


def test_metrics_count_every_invocation_once(place: Place) -> None:
    name = serve_two(place, "counted")
    began = time.monotonic()
    for body in [b"x"] * 7 + [b"bad"]:
        try:
            place.ask(name, body)
        except ClientError as fault:
            assert fault.response["Error"]["Code"] == "ModelError"
    spent = time.monotonic() - began

    def statistic(metric: str, kind: str) -> float:
        (found,) = place.client("cloudwatch").get_metric_data(
            StartTime=time.time() - 600,
            EndTime=time.time() + 60,
            MetricDataQueries=[
                {
                    "Id": "m",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/SageMaker",
                            "MetricName": metric,
                            "Dimensions": [
                                {"Name": "EndpointName", "Value": name},
                                {"Name": "VariantName", "Value": "AllTraffic"},
                            ],
                        },
                        "Period": 3600,
                        "Stat": kind,
                    },
                }
            ],
        )["MetricDataResults"]
        return sum(found["Values"])

    assert (statistic("Invocations", "Sum"), statistic("Invocation4XXErrors", "Sum")) == (8, 1)
    assert statistic("Invocation4XXErrors", "Average") == pytest.approx(1 / 8)
    assert statistic("InvocationsPerInstance", "Sum") == pytest.approx(4)
    assert 0 < statistic("ModelLatency", "p95") < 1.05e6 * spent  # microseconds, kept to about 2 %
