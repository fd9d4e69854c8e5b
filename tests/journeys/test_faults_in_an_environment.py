"""Faults that only a deployed environment shows: the smoke test of dev stops the delivery (R5, R17, R32)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.demo import summary
from tests.journeys.changes import IMAGES_AS_TEXT, MISSING_GRANT, MODEL_THAT_MISSES_THE_GATE, Change
from tests.journeys.conftest import Delivery
from tests.journeys.pipeline import Pipeline, Push, log_of_the_stop

pytestmark = pytest.mark.delivery

_ARRIVAL_SECONDS = 20


class Listener:
    """A queue behind the event bus of dev, as another team would attach one."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._sqs = pipeline.twin.client("sqs", "dev")
        self._queue = self._sqs.create_queue(QueueName="listener")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"]
        events = pipeline.twin.client("events", "dev")
        rule = events.put_rule(
            Name="listener",
            EventBusName="vision-dev",
            EventPattern=json.dumps({"source": ["vision.platform"]}),
        )["RuleArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn["QueueArn"],
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        self._sqs.set_queue_attributes(
            QueueUrl=self._queue,
            Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})},
        )
        events.put_targets(
            Rule="listener", EventBusName="vision-dev", Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}]
        )

    def next(self, kind: str) -> dict[str, Any]:
        """The next event of this kind."""
        until = time.monotonic() + _ARRIVAL_SECONDS
        while time.monotonic() < until:
            for message in self._sqs.receive_message(QueueUrl=self._queue).get("Messages", []):
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
                event = json.loads(message["Body"])
                if event["detail-type"] == kind:
                    return event
            time.sleep(0.2)
        raise AssertionError(f"no event {kind!r} has arrived in {_ARRIVAL_SECONDS} s")


def report_of_dev(pipeline: Pipeline, push: Push, folder: Path) -> dict[str, Any]:
    """The summary of the smoke report that was kept, and the page beside it."""
    found = summary.smoke_reports(pipeline.account("tooling"), push.last.id, ["dev", "staging"], folder)
    assert list(found) == ["dev"]
    assert found["dev"]["passed"] is False
    assert (folder / "dev" / "index.html").exists()
    return found["dev"]


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["status"] for check in report["checks"]}


def test_a_model_that_misses_the_gate_is_not_promoted(
    delivery: Delivery, push: Callable[[Change], Push], tmp_path: Path
) -> None:
    pipeline = delivery.pipeline
    listener = Listener(pipeline)
    with pipeline.unchanged("staging"):
        pushed = push(MODEL_THAT_MISSES_THE_GATE)
    log = log_of_the_stop(pushed, "Dev", "Smoke")
    reason = r"GateRejected: accuracy 0\.\d{4} on \d+ holdout images is below the gate's 0\.9500"
    assert re.search(reason, log)
    assert re.search(reason, pushed.said)

    report = report_of_dev(pipeline, pushed, tmp_path)
    assert statuses(report)["training"] == "failed"
    run = pipeline.twin.client("dynamodb", "dev").get_item(
        TableName=pipeline.account("dev").output("LineageTableName"),
        Key={"pk": {"S": f"RUN#{report['run_id']}"}, "sk": {"S": "RUN"}},
    )["Item"]
    assert (run["status"]["S"], run["error"]["S"]) == ("FAILED", "GateRejected")
    assert "below the gate's" in run["cause"]["S"]
    event = listener.next("Training Failed")
    assert event["detail"]["run_id"] == report["run_id"]
    assert event["detail"]["error"] == "GateRejected"
    assert pipeline.twin.client("sagemaker", "dev").list_endpoints()["Endpoints"] == []


def test_a_failing_smoke_test_keeps_its_report_and_ends_the_promotion(
    delivery: Delivery, push: Callable[[Change], Push], tmp_path: Path
) -> None:
    with delivery.pipeline.unchanged("staging"):
        pushed = push(IMAGES_AS_TEXT)
    log = log_of_the_stop(pushed, "Dev", "Smoke")
    # Every other image is sent as base64 in JSON, which is text already.
    found = re.search(r"(\d+) of 30 images right, at least 28 needed", log)
    assert found
    assert 12 <= int(found[1]) <= 15
    assert found[0] in pushed.said
    report = report_of_dev(delivery.pipeline, pushed, tmp_path)
    ended = statuses(report)
    assert (ended["training"], ended["predictions"], ended["nothing-left"]) == ("passed", "failed", "passed")
    assert report["images"] == {"asked": 30, "right": int(found[1])}
    assert found[0] in (tmp_path / "dev" / "index.html").read_text()


def test_a_missing_grant_ends_in_access_denied(
    delivery: Delivery, push: Callable[[Change], Push], tmp_path: Path
) -> None:
    with delivery.pipeline.unchanged("staging"):
        pushed = push(MISSING_GRANT)
    log = log_of_the_stop(pushed, "Dev", "Smoke")
    for said in (log, pushed.said):
        assert "BatchesFailed: 2 of 2 batches failed" in said
        assert "AccessDenied: An error occurred (AccessDenied) when calling the GetObject operation" in said
    denied = delivery.pipeline.denials(pushed.since)
    # Refused, the function asks whether the image is missing: S3 says so only to who may list.
    assert {each["action"] for each in denied} == {"s3:GetObject", "s3:ListBucket"}
    for each in denied:
        assert ":assumed-role/vision-dev-foundation-IdentitiesPreprocess" in each["principal"]
        assert each["decision"] == "ImplicitDeny"
        assert ("/smoke/" in each["resource"]) == (each["action"] == "s3:GetObject")
    assert statuses(report_of_dev(delivery.pipeline, pushed, tmp_path))["training"] == "failed"
