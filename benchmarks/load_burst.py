"""A burst of claim checks: put into the stream at once, followed until each has its result."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.faults.platform import Platform

_BATCH = 500  # PutRecords takes no more
_LOOK_SECONDS = 1.0
_QUIET_SECONDS = 120  # without one more result: what is missing then is lost
_WRITERS = 2


@dataclass
class Burst:
    """What came of it; latencies run from a record's making to its result."""

    sent: int
    done: int = 0
    rejected: dict[str, int] = field(default_factory=dict[str, int])
    latencies_ms: list[float] = field(default_factory=list[float])
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list[str])


def run(platform: Platform, bodies: list[bytes], content_type: str, count: int) -> Burst:
    """Upload the images once, put `count` claim checks to them, and wait for the results."""
    home = platform.home
    bucket, stream = home.output("UploadsBucket"), home.output("StreamName")
    table = home.output("ResultsTableName")
    s3 = platform.client("s3")
    keys = [f"submitted/load-{number}" for number in range(len(bodies))]
    for key, body in zip(keys, bodies, strict=True):
        s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
    began = time.monotonic()
    records = [
        _record(bucket, keys[number % len(keys)], content_type, len(bodies[number % len(keys)]))
        for number in range(count)
    ]
    _put(platform.client("kinesis"), stream, records)
    put = time.monotonic() - began
    wanted = {json.loads(each["Data"])["id"]: json.loads(each["Data"])["submitted_at"] for each in records}
    found = _wait(platform.client("dynamodb"), table, set(wanted))
    burst = Burst(sent=count, seconds=time.monotonic() - began)
    statuses = Counter(item["status"] for item in found.values())
    burst.done = statuses.pop("DONE", 0)
    burst.rejected = dict(statuses)
    burst.notes = [
        f"{count} claim checks were in the stream after {put:.1f} s, drained after {burst.seconds:.1f} s"
    ]
    for id, item in found.items():
        if "answered_at" in item:
            burst.latencies_ms.append(1000 * (_time(item["answered_at"]) - _time(wanted[id])))
    return burst


def _record(bucket: str, key: str, content_type: str, size: int) -> dict[str, Any]:
    id = f"p-{uuid.uuid4().hex}"
    document = {
        "id": id,
        "bucket": bucket,
        "key": key,
        "line": "champion",
        "content_type": content_type,
        "bytes": size,
        "submitted_at": datetime.now(UTC).isoformat(),
    }
    return {"Data": json.dumps(document), "PartitionKey": id}


def _put(kinesis: Any, stream: str, records: list[dict[str, Any]]) -> None:
    """Put everything, what was throttled again."""

    def put(batch: list[dict[str, Any]]) -> None:
        while batch:
            told = kinesis.put_records(StreamName=stream, Records=batch)["Records"]
            batch = [record for record, each in zip(batch, told, strict=True) if "ErrorCode" in each]
            if batch:
                time.sleep(0.1)

    batches = [records[first : first + _BATCH] for first in range(0, len(records), _BATCH)]
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(put, batches))


def _wait(dynamodb: Any, table: str, wanted: set[str]) -> dict[str, dict[str, str]]:
    """Results by id, when all are there or no more come."""
    found: dict[str, dict[str, str]] = {}
    last = time.monotonic()
    while len(found) < len(wanted) and time.monotonic() - last < _QUIET_SECONDS:
        time.sleep(_LOOK_SECONDS)
        before = len(found)
        if dynamodb.describe_table(TableName=table)["Table"]["ItemCount"] > before:
            found = _results(dynamodb, table, wanted)
        if len(found) > before:
            last = time.monotonic()
    return found


def _results(dynamodb: Any, table: str, wanted: set[str]) -> dict[str, dict[str, str]]:
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        ProjectionExpression="pk, #status, answered_at",
        ExpressionAttributeNames={"#status": "status"},
    )
    found: dict[str, dict[str, str]] = {}
    for item in (item for page in pages for item in page["Items"]):
        id = item["pk"]["S"].partition("#")[2]
        if id in wanted and item["status"]["S"] != "QUEUED":
            found[id] = {name: value["S"] for name, value in item.items()}
    return found


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
