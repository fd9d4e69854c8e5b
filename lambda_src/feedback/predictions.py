"""What the platform has answered: single predictions and the champion by lineage, how many by CloudWatch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from labels import Prediction

from vision_runtime.lineage import prediction_key

# DynamoDB's own limit of a BatchGetItem.
MOST_AT_ONCE = 100
# What is left of a batch when the table is throttled, is asked for so often, with growing pauses.
BATCH_TRIES = 5
# The functions that count their answers in the metric Predictions.
ANSWERING = ("predict", "consume")


class Throttled(Exception):
    """DynamoDB has not given all items of a batch after several tries."""


class Predictions:
    """The lineage table, read. Raises botocore's errors."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def get(self, prediction_id: str, now: datetime) -> Prediction | None:
        """One prediction; None before it was made, and after its retention."""
        told = self._dynamodb.get_item(
            TableName=self._table, Key=prediction_key(prediction_id), ConsistentRead=True
        )
        return _read(told["Item"], now) if "Item" in told else None

    def several(self, prediction_ids: Sequence[str], now: datetime) -> list[Prediction]:
        """Those of up to 100 predictions that there are. Raises Throttled."""
        if not prediction_ids:
            return []
        keys = [prediction_key(each) for each in prediction_ids[:MOST_AT_ONCE]]
        wanted: dict[str, Any] = {self._table: {"Keys": keys, "ConsistentRead": True}}
        items: list[dict[str, Any]] = []
        for number in range(BATCH_TRIES):
            told = self._dynamodb.batch_get_item(RequestItems=wanted)
            items += told["Responses"].get(self._table, [])
            wanted = told.get("UnprocessedKeys") or {}
            if not wanted:
                found = [_read(item, now) for item in items]
                return [each for each in found if each is not None]
            time.sleep(0.1 * 2**number)
        raise Throttled(f"the table {self._table} is throttled")

    def champion(self, line: str) -> str | None:
        """The model (its package's ARN) that the line's endpoint serves; None before its first one."""
        key = {"pk": {"S": f"LINE#{line}"}, "sk": {"S": "CHAMPION"}}
        item = self._dynamodb.get_item(TableName=self._table, Key=key).get("Item", {})
        return item.get("model_package_arn", {}).get("S")


def answered(cloudwatch: Any, line: str, days: Sequence[str]) -> int:
    """How many answers the line has given on `days` (ISO, in their order, without gaps), by its metrics."""
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    queries = [
        {
            "Id": f"m{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "Vision",
                    "MetricName": "Predictions",
                    "Dimensions": [{"Name": "service", "Value": service}, {"Name": "line", "Value": line}],
                },
                "Period": 86_400,
                "Stat": "Sum",
            },
        }
        for number, service in enumerate(ANSWERING)
    ]
    told = cloudwatch.get_metric_data(
        MetricDataQueries=queries,
        StartTime=begin,
        EndTime=begin + timedelta(days=(last - first).days + 1),
    )
    return round(sum(sum(each["Values"]) for each in told["MetricDataResults"]))


def _read(item: dict[str, Any], now: datetime) -> Prediction | None:
    """DynamoDB removes what has expired days later; until then it is as good as gone."""
    expires_at = int(item["expires_at"]["N"])
    if expires_at <= now.timestamp():
        return None
    return Prediction(
        id=item["pk"]["S"].removeprefix("PREDICTION#"),
        line=item["line"]["S"],
        model=item["model_version"]["S"],
        label=item["label"]["S"],
        day=item["answered_at"]["S"][:10],
        expires_at=expires_at,
    )
