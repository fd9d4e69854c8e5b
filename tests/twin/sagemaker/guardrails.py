"""Deployments for tests: ways to shift traffic, alarms that ring on demand, a client that asks on and on."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import Place, until

BREACH = {"Namespace": "Guard", "MetricName": "Low"}


def routing(kind: str, wait: int, **size: Any) -> dict[str, Any]:
    """DeploymentConfig of one way to shift traffic."""
    member = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(kind)
    traffic = {"Type": kind, "WaitIntervalInSeconds": wait, **({member: size} if member else {})}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": traffic, "TerminationWaitInSeconds": 0}}


def halves(kind: str = "CANARY", wait: int = 2) -> dict[str, Any]:
    return routing(kind, wait, Type="CAPACITY_PERCENT", Value=50)


def guarded(deployment: dict[str, Any], *alarms: str) -> dict[str, Any]:
    return {**deployment, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}


def put_alarm(place: Place, name: str) -> None:
    """An alarm on a metric of its own that is fine until somebody publishes for it."""
    place.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Dimensions=[{"Name": "Alarm", "Value": name}],
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
        **BREACH,
    )


def breach(place: Place, name: str) -> None:
    place.client("cloudwatch").put_metric_data(
        Namespace=BREACH["Namespace"],
        MetricData=[
            {"MetricName": BREACH["MetricName"], "Value": 5, "Dimensions": [{"Name": "Alarm", "Value": name}]}
        ],
    )


class Client:
    """Asks an endpoint all the time, and keeps who answered and what failed."""

    def __init__(self, place: Place, endpoint: str) -> None:
        self._place, self._endpoint = place, endpoint
        self.answers: list[tuple[float, dict[str, Any]]] = []
        self.faults: list[Exception] = []
        self.meeting: Callable[[dict[str, Any]], None] = lambda _: None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on)

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            try:
                began = time.time()
                answer = self._place.ask(self._endpoint)
            except Exception as fault:
                self.faults.append(fault)
            else:
                self.answers.append((began, answer))
                self.meeting(answer)
            time.sleep(0.04)

    def seen(self, since: float, until: float = float("inf")) -> Counter[str]:
        """How many requests that were begun between two moments each model has answered."""
        return Counter(answer["model"] for at, answer in self.answers if since <= at <= until)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def asking(place: Place, endpoint: str) -> Generator[Client]:
    """A client that has its first answer or fault already."""
    client = Client(place, endpoint)
    client.start()
    try:
        until(lambda: client.answers or client.faults)
        yield client
    finally:
        client.stop()


def serve_two(place: Place, name: str) -> str:
    """An endpoint of two instances that answers ``old``."""
    config = place.endpoint_config(f"{name}-old", "old", InitialInstanceCount=2)
    place.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    assert place.settled(name)["EndpointStatus"] == "InService"
    return name


def deploy(
    place: Place, name: str, deployment: dict[str, Any] | None, answer: str = "new", **more: Any
) -> str:
    config = place.endpoint_config(f"{name}-{answer}", answer, InitialInstanceCount=2)
    settings = {"DeploymentConfig": deployment} if deployment else {}
    place.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **settings, **more)
    return config


def watch(place: Place, name: str) -> Callable[[], list[dict[str, Any]]]:
    """Catch the events of an endpoint's deployments; returns how to get their variants, in order of time."""
    events, sqs = place.client("events"), place.client("sqs")
    url = sqs.create_queue(QueueName=f"deployments-of-{name}")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{DEV}:deployments-of-{name}"
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Endpoint Deployment State Change"],
        "detail": {"EndpointName": [name]},
    }
    events.put_rule(Name=f"deployments-of-{name}", EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"deployments-of-{name}", Targets=[{"Id": "q", "Arn": arn}])
    seen: list[dict[str, Any]] = []

    def variants() -> list[dict[str, Any]]:
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                detail = json.loads(message["Body"])["detail"]
                seen.extend(detail["PendingDeploymentSummary"]["ProductionVariants"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        # Stages may begin in the same millisecond, and messages keep no order: traffic is activated first.
        return sorted(
            seen, key=lambda v: (v["VariantStatus"][0]["StartTime"], v["VariantStatus"][0]["Status"])
        )

    return variants


def stages(variants: list[dict[str, Any]]) -> list[tuple[str, str, float]]:
    """Status, message and start (epoch seconds) of each stage."""
    found = [variant["VariantStatus"][0] for variant in variants]
    return [(each["Status"], each["StatusMessage"], each["StartTime"] / 1000) for each in found]
