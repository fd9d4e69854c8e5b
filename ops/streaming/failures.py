"""The queue of what the burst path gave up: records of the stream, and uploads that never came into it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ops.faults import code_of

# Kinesis answers at most so many records or MB at once, five times a second and shard.
_MOST_RECORDS = 1000
_BETWEEN_READS_SECONDS = 0.2
_EMPTY_ANSWERS = 2
# Enough for a message's records to be put back; then it shows again.
_HIDDEN_SECONDS = 300


@dataclass(frozen=True)
class Failure:
    """One message: a range of a shard, how many of its records were given up, and when they had come."""

    receipt: str
    sent: float
    shard: str
    first: str
    last: str
    count: int
    condition: str
    since: str
    until: str


@dataclass(frozen=True)
class Record:
    """A record of the stream, and the prediction that it is about: empty where it does not say."""

    sequence_number: str
    partition_key: str
    data: bytes
    id: str


@dataclass(frozen=True)
class Undelivered:
    """An upload's event that EventBridge could not put into the stream, and the record it was to become."""

    receipt: str
    sent: float
    record: Record


@dataclass(frozen=True)
class Unknown:
    """A message that is about neither."""

    receipt: str
    sent: float
    text: str


Message = Failure | Undelivered | Unknown


def received(sqs: Any, queue: str, before: float) -> Iterator[Message]:
    """Each message that was sent before a moment (epoch seconds), once; it is hidden meanwhile.

    Those that came later show again at the end.
    """
    later: list[Message] = []
    seen: set[str] = set()
    empty = 0
    # One answer without messages may come from a part of SQS that holds none.
    while empty < _EMPTY_ANSWERS:
        messages = sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            VisibilityTimeout=_HIDDEN_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp"],
        ).get("Messages", [])
        fresh = [each for each in messages if each["MessageId"] not in seen]
        empty = 0 if fresh else empty + 1
        for message in fresh:
            seen.add(message["MessageId"])
            found = _read(message)
            if found.sent < before:
                yield found
            else:
                later.append(found)
    for message in later:
        release(sqs, queue, message)


def release(sqs: Any, queue: str, message: Message) -> None:
    """Let a message that is kept be seen again."""
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message.receipt, VisibilityTimeout=0)


def _read(message: Mapping[str, Any]) -> Message:
    sent = int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000
    try:
        document = json.loads(message["Body"])
        if "KinesisBatchInfo" not in document:
            return Undelivered(message["ReceiptHandle"], sent, _claim_check(document))
        info = document["KinesisBatchInfo"]
        return Failure(
            receipt=message["ReceiptHandle"],
            sent=sent,
            shard=info["shardId"],
            first=info["startSequenceNumber"],
            last=info["endSequenceNumber"],
            count=int(info["batchSize"]),
            condition=document["requestContext"]["condition"],
            since=info["approximateArrivalOfFirstRecord"],
            until=info["approximateArrivalOfLastRecord"],
        )
    except (ValueError, KeyError, TypeError):
        return Unknown(message["ReceiptHandle"], sent, str(message["Body"])[:200])


def _claim_check(event: Mapping[str, Any]) -> Record:
    """What EventBridge makes of the event of an upload: the image's place, for the champion."""
    detail = event["detail"]
    key = str(detail["object"]["key"])
    data = {
        "bucket": detail["bucket"]["name"],
        "key": key,
        "line": "champion",
        "content_type": "",
        "bytes": int(detail["object"]["size"]),
        "submitted_at": event["time"],
    }
    return Record(key, key, json.dumps(data).encode(), key.rpartition("/")[2])


def records_of(kinesis: Any, stream: str, failure: Failure) -> list[Record]:
    """What the stream still holds of a failure's range, in order."""
    iterator = _iterator(kinesis, stream, failure)
    found: list[Record] = []
    while iterator:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=_MOST_RECORDS)
        for each in answer["Records"]:
            place = int(each["SequenceNumber"])
            if place > int(failure.last):
                return found
            if place >= int(failure.first):
                found.append(_record(each))
        if not answer["Records"] and not answer.get("MillisBehindLatest"):
            return found
        iterator = answer.get("NextShardIterator")
        time.sleep(_BETWEEN_READS_SECONDS)
    return found


def _iterator(kinesis: Any, stream: str, failure: Failure) -> str | None:
    named = {"StreamName": stream, "ShardId": failure.shard}
    try:
        return kinesis.get_shard_iterator(
            **named, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=failure.first
        )["ShardIterator"]
    except ClientError as fault:
        if code_of(fault) == "InvalidArgumentException":  # the first record has expired
            return kinesis.get_shard_iterator(**named, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        if code_of(fault) == "ResourceNotFoundException":  # a shard that was closed has expired
            return None
        raise


def _record(each: Mapping[str, Any]) -> Record:
    data = bytes(each["Data"])
    try:
        document = json.loads(data)
        id = document.get("id") or str(document["key"]).rpartition("/")[2]
    except (ValueError, KeyError, TypeError, AttributeError):
        id = ""
    return Record(each["SequenceNumber"], each["PartitionKey"], data, id)
