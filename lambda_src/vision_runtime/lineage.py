"""The lineage table's items for predictions, and their conditional write.

The table and its other items: docs/lineage.md. A prediction names the model, run and dataset that it came
from, so that one look at it answers what trained the model; the index lists it below its dataset and run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True)
class PredictionRecord:
    """What is kept of one answered request; the image itself is not."""

    request_id: str
    line: str
    model_version: str
    run_id: str
    dataset: str
    label: str
    confidence: float
    answered_at: datetime
    kept_days: int

    def item(self) -> dict[str, Any]:
        """The item in DynamoDB's wire form."""
        time = self.answered_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        expires = self.answered_at + timedelta(days=self.kept_days)
        return {
            **prediction_key(self.request_id),
            **self._place(time),
            "request_id": {"S": self.request_id},
            "line": {"S": self.line},
            "model_version": {"S": self.model_version},
            "run_id": {"S": self.run_id},
            "dataset": {"S": self.dataset},
            "label": {"S": self.label},
            "confidence": {"N": f"{self.confidence:.6f}"},
            "answered_at": {"S": time},
            "expires_at": {"N": str(int(expires.timestamp()))},
        }

    def _place(self, time: str) -> dict[str, Any]:
        """Where the index lists the item: nowhere, when the model's deployment does not say what made it."""
        if not self.run_id or not self.dataset:
            return {}
        return {
            "gsi1pk": {"S": f"DATASET#{self.dataset}"},
            "gsi1sk": {"S": f"RUN#{self.run_id}#PREDICTION#{time}#{self.request_id}"},
        }


def record_prediction(dynamodb: Any, table: str, record: PredictionRecord) -> None:
    """Write the record once. A second write of the same request changes nothing. Raises botocore's errors."""
    try:
        dynamodb.put_item(TableName=table, Item=record.item(), ConditionExpression="attribute_not_exists(pk)")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


def prediction_key(request_id: str) -> dict[str, Any]:
    """The key of a prediction's item, in DynamoDB's wire form."""
    return {"pk": {"S": f"PREDICTION#{request_id}"}, "sk": {"S": "PREDICTION"}}
