"""Puts the records that the burst path gave up into its stream again: once, and those without a result only.

A message leaves the queue when its records are in the stream again. Whoever runs it twice, or stops it in
the middle, puts some records twice: the first result stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ops.faults import OperatorFault
from ops.models.home import Home
from ops.streaming.failures import (
    Failure,
    Message,
    Record,
    Undelivered,
    Unknown,
    received,
    records_of,
    release,
)
from ops.terminal import say

_PUT_AT_ONCE = 500  # PutRecords' limit
_FIND_AT_ONCE = 100  # BatchGetItem's limit
_TRIES = 6
_UPLOADS = "uploads"  # stands for the shard of records that never were in one
_FINAL = ("DONE", "REJECTED", "FAILED")


@dataclass
class Redriven:
    """What became of the queue.

    `answered` counts records between those given up: of other lanes, or put back by a message before.
    `lost` are predictions that wait in the table and whose records have expired in the stream;
    `missing` counts the records that have expired, whether or not their ids are known.
    """

    messages: int = 0
    put_back: list[str] = field(default_factory=list[str])
    answered: int = 0
    missing: int = 0
    lost: list[str] = field(default_factory=list[str])
    not_understood: list[str] = field(default_factory=list[str])

    @property
    def clean(self) -> bool:
        """Whether every message was dealt with."""
        return not self.missing and not self.not_understood


class BurstPath:
    """The stream, the queue and the table of one environment."""

    def __init__(self, home: Home) -> None:
        """Read the stacks' outputs. Raises OperatorFault when they are not deployed."""
        self._home = home
        self.stream = home.output("StreamName")
        self.queue = home.output("FailuresQueue")
        self.table = home.output("ResultsTableName")
        self.sqs, self.kinesis = home.client("sqs"), home.client("kinesis")
        self._dynamodb = home.client("dynamodb")
        # Shard and sequence number of what was put back: the ranges of two lanes of a shard overlap.
        self._put: set[tuple[str, str]] = set()

    def unanswered(self, shard: str, records: Sequence[Record]) -> list[Record]:
        """Those that have no result yet; one that does not say what it is about counts as such.

        What another message has put back already is left out.
        """
        records = [each for each in records if (shard, each.sequence_number) not in self._put]
        ids = list(dict.fromkeys(record.id for record in records if record.id))
        final: set[str] = set()
        for first in range(0, len(ids), _FIND_AT_ONCE):
            final |= self._final(ids[first : first + _FIND_AT_ONCE])
        return [record for record in records if record.id not in final]

    def put(self, shard: str, records: Sequence[Record]) -> None:
        """Put records of a shard into the stream. Raises OperatorFault when it goes on refusing some."""
        for first in range(0, len(records), _PUT_AT_ONCE):
            rest = list(records[first : first + _PUT_AT_ONCE])
            for attempt in range(_TRIES):
                answer = self.kinesis.put_records(
                    StreamName=self.stream,
                    Records=[{"Data": each.data, "PartitionKey": each.partition_key} for each in rest],
                )
                rest = [
                    each for each, told in zip(rest, answer["Records"], strict=True) if "ErrorCode" in told
                ]
                if not rest:
                    break
                time.sleep(0.2 * 2**attempt)
            else:
                raise OperatorFault(
                    f"{self._home}: the stream refuses {len(rest)} records; they stay in the queue: "
                    "try again later"
                )
        self._put |= {(shard, each.sequence_number) for each in records}

    def waiting_since(self, since: str, until: str) -> list[str]:
        """Predictions that were handed in within these times and wait still."""
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self.table,
            FilterExpression="#status = :queued AND submitted_at BETWEEN :since AND :until",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":queued": {"S": "QUEUED"},
                ":since": {"S": _minutes_before(since)},
                ":until": {"S": until},
            },
            ProjectionExpression="pk",
        )
        return [item["pk"]["S"].partition("#")[2] for page in pages for item in page["Items"]]

    def _final(self, ids: Sequence[str]) -> set[str]:
        wanted: dict[str, Any] = {
            self.table: {
                "Keys": [{"pk": {"S": f"PREDICTION#{id}"}} for id in ids],
                "ConsistentRead": True,
            }
        }
        final: set[str] = set()
        while wanted:
            answer = self._dynamodb.batch_get_item(RequestItems=wanted)
            final |= {
                item["pk"]["S"].partition("#")[2]
                for item in answer["Responses"].get(self.table, [])
                if item["status"]["S"] in _FINAL
            }
            wanted = answer.get("UnprocessedKeys") or {}
        return final


def redrive(home: Home) -> Redriven:
    """Deal with each message that is in the queue now. Raises OperatorFault."""
    path, done = BurstPath(home), Redriven()
    # They show again when the queue has been gone through: shown at once, they would come again.
    kept: list[Message] = []
    for message in received(path.sqs, path.queue, time.time()):
        done.messages += 1
        if isinstance(message, Unknown):
            done.not_understood.append(message.text)
            kept.append(message)
        elif isinstance(message, Undelivered):
            _upload(path, message, done)
        elif not _one(path, message, done):
            kept.append(message)
    for message in kept:
        release(path.sqs, path.queue, message)
    return done


def _one(path: BurstPath, failure: Failure, done: Redriven) -> bool:
    """Deal with one message; False when some of its records are no longer there, and it must be kept."""
    found = records_of(path.kinesis, path.stream, failure)
    failed = path.unanswered(failure.shard, found)
    path.put(failure.shard, failed)
    done.put_back += [each.id for each in failed]
    done.answered += len(found) - len(failed)
    # Records expire from the oldest on; between those of one batch lie those of others of the shard.
    expired = not found or found[0].sequence_number != failure.first
    missing = max(1, failure.count - len(found)) if expired else 0
    say(
        f"{failure.shard}: {failure.count} records were given up ({failure.condition}); "
        f"{len(failed)} put back, {len(found) - len(failed)} answered or put back before, {missing} expired"
    )
    if missing:
        done.missing += missing
        again = {each.id for each in failed}
        waiting = path.waiting_since(failure.since, failure.until)
        done.lost += [id for id in waiting if id not in again and id not in done.lost]
        return False
    path.sqs.delete_message(QueueUrl=path.queue, ReceiptHandle=failure.receipt)
    return True


def _upload(path: BurstPath, message: Undelivered, done: Redriven) -> None:
    """Put the record of an upload into the stream that EventBridge could not put there."""
    waiting = path.unanswered(_UPLOADS, [message.record])
    path.put(_UPLOADS, waiting)
    done.put_back += [each.id for each in waiting]
    done.answered += 1 - len(waiting)
    say(f"{message.record.partition_key}: the upload's event was not delivered; {len(waiting)} put back")
    path.sqs.delete_message(QueueUrl=path.queue, ReceiptHandle=message.receipt)


def summary(done: Redriven) -> Iterator[str]:
    """The result for people."""
    yield (
        f"{done.messages} messages: {len(done.put_back)} records put back, "
        f"{done.answered} beside them had a result, or were put back before"
    )
    if done.missing:
        yield (
            f"{done.missing} records have expired in the stream (streaming.retention_hours); "
            "their messages stay in the queue"
        )
    for id in done.lost:
        yield f"may be lost: {id}; its image, if it is still there, can be submitted again"
    for text in done.not_understood:
        yield f"not about records of the stream, and kept: {text}"


def _minutes_before(time_text: str) -> str:
    """A prediction is noted before its record arrives: look a little further back."""
    moment = datetime.fromisoformat(time_text) - timedelta(minutes=2)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
