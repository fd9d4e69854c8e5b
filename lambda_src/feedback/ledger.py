"""The feedback table: the labels of predictions and the counts, changed together or not at all.

The table's keys and questions: docs/feedback.md. A change is decided by what was read (labels.py) and written
under the condition that nothing has changed since: whoever loses a race reads again and decides anew. Counts
move in the same transaction as the label, so that no repetition, race or crash counts anything twice.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError
from labels import Cell, Change, Prediction, Standing, Status, Told, expire, join, tell
from predictions import Predictions

INDEX = "pending"
# A count lies in so many items, by prediction: transactions on one item get in each other's way.
SHARDS = 4
# DynamoDB removes expired items within days; a label must outlive its prediction, or it could count anew.
BEHIND_THE_PREDICTION_SECONDS = 7 * 24 * 3600
# What no sweep has looked at goes by itself; a month behind its time, so that one can be made up for.
BEHIND_THE_WAIT = timedelta(days=30)
TRIES, LONGEST_PAUSE_SECONDS = 10, 0.5
_LOST = {
    "ConditionalCheckFailed",
    "ConditionalCheckFailedException",
    "ProvisionedThroughputExceeded",
    "ThrottlingError",
    "TransactionConflict",
    "TransactionConflictException",
    "TransactionInProgressException",
}

Item = dict[str, dict[str, str]]


class Contended(Exception):
    """Others have changed the same label or count at every try; the same call may work a moment later."""


class Ledger:
    """Labels and counts; `predictions` says what a label is for. Raises botocore's errors, and Contended."""

    def __init__(self, dynamodb: Any, table: str, predictions: Predictions, *, wait: timedelta) -> None:
        self._dynamodb, self._table, self._predictions = dynamodb, table, predictions
        self.wait = wait

    def tell(self, told: Told, now: datetime) -> Change:
        """Take a label in."""

        def decide(standing: Standing | None) -> Change:
            known = standing is not None and standing.prediction is not None
            prediction = None if known else self._predictions.get(told.prediction_id, now)
            return tell(standing, told, prediction, now)

        return self._changed(told.prediction_id, decide)

    def join(self, prediction: Prediction) -> bool:
        """Count the label that waits for this prediction; whether this call has done it."""

        def decide(standing: Standing | None) -> Change | None:
            return None if standing is None else join(standing, prediction)

        change = self._changed(prediction.id, decide)
        return change is not None and not change.is_none

    def expire(self, prediction_id: str, deadline: datetime) -> bool:
        """Give a label up that waits since before `deadline`; whether this call has done it."""

        def decide(standing: Standing | None) -> Change | None:
            if standing is None or standing.waiting_since > deadline:
                return None
            return expire(standing)

        change = self._changed(prediction_id, decide)
        return change is not None and not change.is_none

    def waiting(self, shard: int) -> Iterator[list[str]]:
        """Pages of ids that labels wait for, the longest waiting first."""
        request = self._query_of_waiting(shard) | {"Limit": 100}
        for page in self._dynamodb.get_paginator("query").paginate(**request):
            yield [each["pk"]["S"].removeprefix("PREDICTION#") for each in page["Items"]]

    def count_waiting(self) -> int:
        """How many labels wait."""
        return sum(
            page["Count"]
            for shard in range(SHARDS)
            for page in self._dynamodb.get_paginator("query").paginate(
                **self._query_of_waiting(shard), Select="COUNT"
            )
        )

    def get(self, prediction_id: str) -> Standing | None:
        """The label that stands for a prediction."""
        told = self._dynamodb.get_item(TableName=self._table, Key=_key(prediction_id), ConsistentRead=True)
        return _read(told["Item"]) if "Item" in told else None

    def counts(self, line: str, day: str) -> dict[str, dict[tuple[str, str], int]]:
        """What was counted of a day's answers (UTC, ISO): by model, by truth and prediction."""
        found: dict[str, dict[tuple[str, str], int]] = {}
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :day",
            ExpressionAttributeValues={":day": {"S": f"COUNTS#{line}#{day}"}},
        )
        for page in pages:
            for item in page["Items"]:
                of_model = found.setdefault(item["model"]["S"], {})
                pair = item["truth"]["S"], item["predicted"]["S"]
                of_model[pair] = of_model.get(pair, 0) + int(item["n"]["N"])
        return found

    def _changed(self, prediction_id: str, decide: Callable[[Standing | None], Any]) -> Any:
        """Decide and write until nobody was faster; what was decided last. Raises Contended."""
        for number in range(TRIES):
            change = decide(self.get(prediction_id))
            if change is None or change.is_none or self._written(change):
                return change
            pause = min(LONGEST_PAUSE_SECONDS, 0.02 * 2**number)
            time.sleep(random.random() * pause)  # noqa: S311  # jitter, no secret
        raise Contended(f"the label of {prediction_id} or its count is being changed by others")

    def _written(self, change: Change) -> bool:
        """Whether the change was written; False when something else was written meanwhile."""
        put: dict[str, Any] = {"TableName": self._table, "Item": self._item(change.after)}
        if change.before is None:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            put["ConditionExpression"] = "revision = :seen"
            put["ExpressionAttributeValues"] = {":seen": {"N": str(change.before.revision)}}
        shard = _shard(change.after.prediction_id)
        counts = [
            self._count(cell, shard, step)
            for cell, step in ((change.more, 1), (change.less, -1))
            if cell is not None
        ]
        try:
            if counts:
                self._dynamodb.transact_write_items(TransactItems=[{"Put": put}, *counts])
            else:
                self._dynamodb.put_item(**put)
        except ClientError as error:
            if not _is_lost_race(error):
                raise
            return False
        return True

    def _count(self, cell: Cell, shard: int, step: int) -> dict[str, Any]:
        name = "#".join([*(quote(part, safe="") for part in (cell.model, cell.truth, cell.predicted)), ""])
        key = {"pk": {"S": f"COUNTS#{cell.line}#{cell.day}"}, "sk": {"S": f"{name}{shard}"}}
        update = {
            "TableName": self._table,
            "Key": key,
            "UpdateExpression": "SET model = :model, truth = :truth, predicted = :predicted ADD n :step",
            "ExpressionAttributeValues": {
                ":model": {"S": cell.model},
                ":truth": {"S": cell.truth},
                ":predicted": {"S": cell.predicted},
                ":step": {"N": str(step)},
            },
        }
        return {"Update": update}

    def _item(self, standing: Standing) -> Item:
        known = standing.prediction
        if known is not None:
            until = known.expires_at + BEHIND_THE_PREDICTION_SECONDS
        else:
            until = int((standing.waiting_since + self.wait + BEHIND_THE_WAIT).timestamp())
        item = {
            **_key(standing.prediction_id),
            "label": {"S": standing.label},
            "labelled_at": {"S": written(standing.labelled_at)},
            "waiting_since": {"S": written(standing.waiting_since)},
            "status": {"S": standing.status.value},
            "revision": {"N": str(standing.revision)},
            "expires_at": {"N": str(until)},
        }
        if standing.source is not None:
            item["source"] = {"S": standing.source}
        if standing.status is Status.PENDING:
            # Only what waits stands in the index.
            item["pending"] = {"S": f"PENDING#{_shard(standing.prediction_id)}"}
        if known is not None:
            item |= {
                "line": {"S": known.line},
                "model": {"S": known.model},
                "predicted": {"S": known.label},
                "day": {"S": known.day},
                "prediction_expires_at": {"N": str(known.expires_at)},
            }
        return item

    def _query_of_waiting(self, shard: int) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": "pending = :shard",
            "ExpressionAttributeValues": {":shard": {"S": f"PENDING#{shard}"}},
        }


def written(moment: datetime) -> str:
    """A moment as items and answers have it: UTC, with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _key(prediction_id: str) -> Item:
    return {"pk": {"S": f"PREDICTION#{prediction_id}"}, "sk": {"S": "LABEL"}}


def _shard(prediction_id: str) -> int:
    return zlib.crc32(prediction_id.encode()) % SHARDS


def _read(item: Item) -> Standing:
    prediction_id = item["pk"]["S"].removeprefix("PREDICTION#")
    prediction = None
    if "predicted" in item:
        prediction = Prediction(
            id=prediction_id,
            line=item["line"]["S"],
            model=item["model"]["S"],
            label=item["predicted"]["S"],
            day=item["day"]["S"],
            expires_at=int(item["prediction_expires_at"]["N"]),
        )
    return Standing(
        prediction_id=prediction_id,
        label=item["label"]["S"],
        labelled_at=datetime.fromisoformat(item["labelled_at"]["S"]),
        source=item["source"]["S"] if "source" in item else None,
        waiting_since=datetime.fromisoformat(item["waiting_since"]["S"]),
        revision=int(item["revision"]["N"]),
        prediction=prediction,
        expired=item["status"]["S"] == Status.EXPIRED,
    )


def _is_lost_race(error: ClientError) -> bool:
    """Whether another write was faster, or is still going on, on one of the same items."""
    code = error.response["Error"]["Code"]
    if code != "TransactionCanceledException":
        return code in _LOST
    reasons: list[dict[str, str]] = list(error.response.get("CancellationReasons") or [])
    found = {reason.get("Code") for reason in reasons} - {"None", None}
    return bool(found) and found <= _LOST
