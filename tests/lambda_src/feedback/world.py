"""What surrounds the function in tests: tables, predictions, callers, a clock, and a recount by hand."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.lambda_src.conftest import SPEC
from vision_runtime.lineage import PredictionRecord, record_prediction

CLASSES: list[str] = SPEC["classes"]
PACKAGES = "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-champion/"
MODEL = f"{PACKAGES}7"
_TEXT = {"AttributeType": "S"}
# By line, day, model, truth and prediction.
Counts = Counter[tuple[str, str, str, str, str]]


def create_tables(dynamodb: Any) -> tuple[str, str]:
    """A feedback table and a lineage table, as the stacks have them; answers their names."""
    suffix = uuid.uuid4().hex[:8]
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    dynamodb.create_table(
        TableName=f"feedback-{suffix}",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, **_TEXT} for name in ("pk", "sk", "pending", "waiting_since")
        ],
        KeySchema=keys,
        GlobalSecondaryIndexes=[
            {
                "IndexName": "pending",
                "KeySchema": [
                    {"AttributeName": "pending", "KeyType": "HASH"},
                    {"AttributeName": "waiting_since", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    dynamodb.create_table(
        TableName=f"lineage-{suffix}",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, **_TEXT} for name in ("pk", "sk")],
        KeySchema=keys,
    )
    return f"feedback-{suffix}", f"lineage-{suffix}"


@dataclass
class Asked:
    """A prediction that the platform has made."""

    id: str
    label: str
    model: str
    line: str
    day: str


@dataclass
class World:
    """The function, and what is before and behind it."""

    function: ModuleType
    dynamodb: Any
    feedback: str
    lineage: str
    context: SimpleNamespace
    patch: pytest.MonkeyPatch
    predictions: dict[str, Asked] = field(default_factory=dict[str, Asked])
    clock: datetime | None = None

    def connect(self, client: Any) -> None:
        """Let the function use `client` for its tables."""
        function = self.function
        predictions = function.Predictions(client, self.lineage)
        self.patch.setattr(function, "predictions", predictions)
        ledger = function.Ledger(client, self.feedback, predictions, wait=timedelta(days=14))
        self.patch.setattr(function, "ledger", ledger)

    def at(self, moment: datetime) -> None:
        """Let it be `moment` for the function."""
        world = self
        world.clock = moment

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                assert world.clock is not None
                return world.clock

        self.patch.setattr(self.function, "datetime", Clock)

    def predict(
        self,
        id: str,
        label: str,
        *,
        model: str = MODEL,
        line: str = "champion",
        days_ago: float = 0,
        kept_days: int = 90,
    ) -> None:
        """The platform answers a request."""
        answered = (self.clock or datetime.now(UTC)) - timedelta(days=days_ago)
        record = PredictionRecord(id, line, model, "r-1", "digits#v1", label, 0.9, answered, kept_days)
        record_prediction(self.dynamodb, self.lineage, record)
        self.predictions[id] = Asked(id, label, model, line, answered.date().isoformat())

    def send(self, body: Any, **event: Any) -> SimpleNamespace:
        """One request to the API."""
        given = {
            "resource": "/v1/feedback",
            "path": "/v1/feedback",
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "requestContext": {"requestId": "request-1"},
            "isBase64Encoded": False,
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
            **event,
        }
        answer = self.function.handler(given, self.context)
        return SimpleNamespace(
            status=answer["statusCode"], headers=answer["headers"], body=json.loads(answer["body"])
        )

    def label(self, id: str, label: str, **more: Any) -> SimpleNamespace:
        """Somebody tells the truth about a prediction."""
        return self.send({"prediction_id": id, "label": label, **more})

    def sweep(self) -> dict[str, Any]:
        """The schedule fires."""
        event = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
        return self.function.handler(event, self.context)

    def report(self, **asked: Any) -> dict[str, Any]:
        """An operator asks."""
        return self.function.handler({"report": asked}, self.context)

    def items(self) -> list[dict[str, Any]]:
        """All items of the feedback table."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.feedback, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def item(self, id: str) -> dict[str, Any]:
        """The label's item, without DynamoDB's types."""
        key = {"pk": {"S": f"PREDICTION#{id}"}, "sk": {"S": "LABEL"}}
        found = self.dynamodb.get_item(TableName=self.feedback, Key=key, ConsistentRead=True)["Item"]
        return {name: next(iter(value.values())) for name, value in found.items()}

    def counted(self) -> Counts:
        """What the table says; every single count must make sense."""
        found: Counts = Counter()
        for item in self.items():
            if item["pk"]["S"].startswith("COUNTS#"):
                _, line, day = item["pk"]["S"].split("#")
                parts = [item[name]["S"] for name in ("model", "truth", "predicted")]
                number = int(item["n"]["N"])
                assert number >= 0, item
                found[(line, day, parts[0], parts[1], parts[2])] += number
        return +found

    def recounted(self, truths: dict[str, str]) -> Counts:
        """What a plain count of these labels gives, for the predictions that there are."""
        asked = [(self.predictions[id], label) for id, label in truths.items() if id in self.predictions]
        return Counter((each.line, each.day, each.model, label, each.label) for each, label in asked)


def written_metrics(output: str) -> dict[str, Any]:
    """The metrics among what was written, by name; with `<line>/` in front where they have a line."""
    found: dict[str, Any] = {}
    for line in output.splitlines():
        if '"_aws"' not in line:
            continue
        document = json.loads(line)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                name = f"{document['line']}/{metric['Name']}" if "line" in document else metric["Name"]
                found[name] = value[-1] if isinstance(value, list) else value
    return found
