"""What the API answers to labels, good and bad ones (R25, R35)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.lambda_src.feedback.world import CLASSES, MODEL, World

pytestmark = pytest.mark.twin
GOOD = {"prediction_id": "p1", "label": CLASSES[0]}


def test_label_of_a_prediction_is_counted(world: World, metrics: Callable[[], Any]) -> None:
    world.predict("p1", "3")
    answer = world.label("p1", "8", source="annotators")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    labelled_at = answer.body.pop("labelled_at")
    assert datetime.now(UTC) - datetime.fromisoformat(labelled_at) < timedelta(minutes=1)
    assert answer.body == {
        "request_id": "request-1",
        "prediction_id": "p1",
        "status": "counted",
        "label": "8",
        "model_version": MODEL,
        "predicted": "3",
    }
    assert world.counted() == world.recounted({"p1": "8"})
    assert world.item("p1")["source"] == "annotators"
    assert metrics() == {"Labels": 1, "Corrections": 0}


def test_label_before_its_prediction_is_accepted_and_waits(world: World) -> None:
    answer = world.label("p1", "8")
    assert (answer.status, answer.body["status"]) == (202, "pending")
    assert "predicted" not in answer.body
    assert not world.counted()


def test_same_label_twice_changes_nothing(world: World) -> None:
    world.predict("p1", "3")
    world.label("p1", "8")
    before = world.items()
    answer = world.label("p1", "8")
    assert (answer.status, answer.body["status"]) == (200, "unchanged")
    assert world.items() == before


def test_another_label_corrects_the_counts(world: World, metrics: Callable[[], Any]) -> None:
    world.predict("p1", "3")
    world.label("p1", "8")
    metrics()
    answer = world.label("p1", "3")
    assert (answer.status, answer.body["status"], answer.body["label"]) == (200, "corrected", "3")
    assert world.counted() == world.recounted({"p1": "3"})
    assert metrics() == {"Labels": 1, "Corrections": 1}


def test_older_label_is_told_what_stands(world: World) -> None:
    world.predict("p1", "3")
    world.label("p1", "8", labelled_at="2026-11-02T10:00:00Z")
    answer = world.label("p1", "3", labelled_at="2026-11-01T12:00:00+02:00")
    assert (answer.status, answer.body["status"], answer.body["label"]) == (200, "superseded", "8")
    assert answer.body["labelled_at"] == "2026-11-02T10:00:00.000000Z"
    assert world.counted() == world.recounted({"p1": "8"})


def test_prediction_past_its_retention_is_none(world: World) -> None:
    """DynamoDB removes it some day later; a label must not count by that chance."""
    world.predict("p1", "3", days_ago=2, kept_days=1)
    assert world.label("p1", "8").status == 202
    assert world.sweep()["joined"] == 0


def test_label_outlives_its_prediction(world: World) -> None:
    """Or the same label could be counted again while DynamoDB has yet to remove the prediction."""
    world.predict("p1", "3")
    world.label("p1", "8")
    key = {"pk": {"S": "PREDICTION#p1"}, "sk": {"S": "PREDICTION"}}
    prediction = world.dynamodb.get_item(TableName=world.lineage, Key=key)["Item"]
    assert int(world.item("p1")["expires_at"]) >= int(prediction["expires_at"]["N"]) + 7 * 86_400


def test_body_may_come_as_base64(world: World) -> None:
    body = base64.b64encode(json.dumps(GOOD).encode()).decode()
    assert world.send(body, isBase64Encoded=True).status == 202


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**GOOD, "label": "seven"}, "label"),
        ({**GOOD, "label": 7}, "label"),
        ({**GOOD, "label": ""}, "label"),
        ({**GOOD, "label": "\ud800"}, "label"),
        ({"prediction_id": "p1"}, "label"),
        ({"label": CLASSES[0]}, "prediction_id"),
        ({**GOOD, "prediction_id": ""}, "prediction_id"),
        ({**GOOD, "prediction_id": "-p"}, "prediction_id"),
        ({**GOOD, "prediction_id": "a b"}, "prediction_id"),
        ({**GOOD, "prediction_id": "p1\n"}, "prediction_id"),
        ({**GOOD, "prediction_id": "p" * 129}, "prediction_id"),
        ({**GOOD, "prediction_id": ["p1"]}, "prediction_id"),
        ({**GOOD, "labelled_at": "2026-11-30"}, "labelled_at"),
        ({**GOOD, "labelled_at": "2026-11-30T12:00:00"}, "labelled_at"),
        ({**GOOD, "labelled_at": "2026-13-30T12:00:00Z"}, "labelled_at"),
        ({**GOOD, "labelled_at": "2026-11-30T12:00:60Z"}, "labelled_at"),
        ({**GOOD, "labelled_at": "0001-01-01T00:00:00+23:00"}, "labelled_at"),
        ({**GOOD, "labelled_at": "9999-12-31T23:59:59Z"}, "labelled_at"),
        ({**GOOD, "labelled_at": 1764504000}, "labelled_at"),
        ({**GOOD, "source": ""}, "source"),
        ({**GOOD, "source": "x" * 65}, "source"),
        ({**GOOD, "source": {}}, "source"),
        ({**GOOD, "corrected": True}, "corrected"),
        ([GOOD], "body"),
        ("{", "body"),
        ("NaN", "body"),
        ("[" * 10_000, "body"),
        (None, "body"),
    ],
)
def test_what_cannot_be_used_is_a_400_that_names_the_field(world: World, body: Any, field: str) -> None:
    answer = world.send(body)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["field"] == field
    assert answer.body["request_id"] == "request-1"
    assert answer.body["detail"]
    assert world.items() == []


def test_unknown_label_is_told_which_there_are(world: World) -> None:
    answer = world.send({**GOOD, "label": "seven"})
    assert answer.body["type"] == "urn:vision:problem:unknown-label"
    assert all(repr(each) in answer.body["detail"] for each in CLASSES)


def test_other_content_types_and_large_bodies_are_refused(world: World) -> None:
    assert world.send("label=7", headers={"content-type": "text/plain"}).status == 415
    assert world.send(GOOD, headers=None).status == 415
    assert world.send({**GOOD, "source": "x" * 20_000}).status == 413


@pytest.mark.parametrize("moment", ["2026-11-30T12:00:00z", "2026-11-30 ", "2026-11-30T12:00:00.123456789Z"])
def test_times_are_read_as_rfc_3339_has_them(world: World, moment: str) -> None:
    world.at(datetime(2026, 12, 1, tzinfo=UTC))
    accepted = not moment.endswith(" ")
    assert world.label("p1", CLASSES[0], labelled_at=moment).status == (202 if accepted else 400)


def test_table_that_cannot_be_reached_is_a_503_that_says_when_to_try_again(world: World) -> None:
    world.dynamodb.delete_table(TableName=world.feedback)
    answer = world.label("p1", CLASSES[0])
    world.dynamodb.create_table(
        TableName=world.feedback,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert answer.headers["Content-Type"] == "application/problem+json"
