"""Results of predictions that are answered later: one item each, written so that one result comes out.

A record may come twice, late, or again after a crash: the first result stays, whoever comes second reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from vision_runtime.claim_check import time_text

_MOST_KEYS = 100  # DynamoDB's limit of a BatchGetItem
_OPEN = "attribute_not_exists(pk) OR #status = :queued"


class Status(StrEnum):
    """Where a prediction stands; all but QUEUED are final."""

    QUEUED = "QUEUED"
    DONE = "DONE"
    REJECTED = "REJECTED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Result:
    """What is known of one prediction.

    `answer` is there when it is DONE: label, probabilities, model_version, run, dataset. `problem` when it
    is REJECTED or FAILED: kind, title, detail. Times are UTC by ISO 8601.
    """

    id: str
    status: Status
    line: str
    submitted_at: str
    kept_days: int
    answered_at: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict[str, Any])
    problem: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def item(self) -> dict[str, Any]:
        """The item in DynamoDB's wire form."""
        expires = datetime.now(UTC) + timedelta(days=self.kept_days)
        item = {
            **_key(self.id),
            "status": {"S": self.status.value},
            "line": {"S": self.line},
            "submitted_at": {"S": self.submitted_at},
            "expires_at": {"N": str(int(expires.timestamp()))},
        }
        if self.answered_at:
            item["answered_at"] = {"S": self.answered_at}
        # Documents that nobody queries by; as text they come back with the numbers that went in.
        for name, document in (("answer", self.answer), ("problem", self.problem)):
            if document:
                item[name] = {"S": json.dumps(dict(document))}
        return item

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Result:
        """Read an item that `item` made."""
        return cls(
            id=item["pk"]["S"].partition("#")[2],
            status=Status(item["status"]["S"]),
            line=item["line"]["S"],
            submitted_at=item["submitted_at"]["S"],
            kept_days=0,
            answered_at=item.get("answered_at", {}).get("S", ""),
            answer=json.loads(item.get("answer", {}).get("S", "{}")),
            problem=json.loads(item.get("problem", {}).get("S", "{}")),
        )


class ResultsTable:
    """The results of one environment. Methods raise botocore's errors."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        """`dynamodb` is a low-level client; `table` the table's name."""
        self._dynamodb, self._table = dynamodb, table

    def queue(self, result: Result) -> Result | None:
        """Note that a prediction waits, unless it is known already: then what is known of it."""
        return self._put(result, "attribute_not_exists(pk)", {})

    def finish(self, result: Result) -> Result | None:
        """Write a final result unless there is one; the one that stays is returned if it is another's."""
        names_and_values = {
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {":queued": {"S": Status.QUEUED.value}},
        }
        return self._put(result, _OPEN, names_and_values)

    def forget_queued(self, id: str) -> None:
        """Take a prediction back that could not be queued; one that was answered meanwhile stays."""
        try:
            self._dynamodb.delete_item(
                TableName=self._table,
                Key=_key(id),
                ConditionExpression="#status = :queued",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues={":queued": {"S": Status.QUEUED.value}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise

    def find(self, id: str) -> Result | None:
        """What is known of a prediction, or None."""
        item = self._dynamodb.get_item(TableName=self._table, Key=_key(id), ConsistentRead=True).get("Item")
        return Result.from_item(item) if item else None

    def final(self, ids: Sequence[str]) -> dict[str, Result]:
        """The final results among `ids`. One written a moment ago may be missing; `finish` still finds it."""
        found: dict[str, Result] = {}
        for first in range(0, len(ids), _MOST_KEYS):
            keys = [_key(id) for id in ids[first : first + _MOST_KEYS]]
            answer = self._dynamodb.batch_get_item(RequestItems={self._table: {"Keys": keys}})
            # Keys that a busy table left out are not asked for again: `finish` looks at each anyway.
            for item in answer.get("Responses", {}).get(self._table, []):
                result = Result.from_item(item)
                if result.status is not Status.QUEUED:
                    found[result.id] = result
        return found

    def _put(self, result: Result, condition: str, more: Mapping[str, Any]) -> Result | None:
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=result.item(),
                ConditionExpression=condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **more,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            item = error.response.get("Item") or {}
            return Result.from_item(item) if item else self.find(result.id)
        return None


def queued(id: str, line: str, kept_days: int, submitted_at: datetime) -> Result:
    """A prediction that waits."""
    return Result(id, Status.QUEUED, line, time_text(submitted_at), kept_days)


def _key(id: str) -> dict[str, Any]:
    return {"pk": {"S": f"PREDICTION#{id}"}}
