"""Takes an image for a later answer: stores it, notes that it waits, and queues its claim check."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from burst_path import kept_days, kinesis, path_of, s3, table, uploads_bucket
from burst_path import stream as stream_name

from vision_runtime.claim_check import SMOKE, SUBMITTED, ClaimCheck, new_prediction_id, time_text
from vision_runtime.image_request import read_request
from vision_runtime.images import ImageFault, ImageLimits, ImageRejected
from vision_runtime.images.header import inspect
from vision_runtime.problem import Problem
from vision_runtime.results import Result, Status, queued

RETRY_SECONDS = 2
_STATUS = {ImageFault.TOO_MANY_BYTES: 413, ImageFault.UNSUPPORTED_FORMAT: 415}


def respond(event: dict[str, Any], line: str, request_id: str) -> dict[str, Any]:
    """Answer one request for the line `line`: 202 with the id to ask for. Raises Problem."""
    image = read_request(event)
    _inspect(image.data, image.field)
    id = _id(event, line, image.data)
    now = datetime.now(UTC)
    check = ClaimCheck(
        id=id,
        bucket=uploads_bucket,
        key=f"{SMOKE if line == 'smoke' else SUBMITTED}{id}",
        line=line,
        content_type=_header(event, "content-type").partition(";")[0].strip().lower(),
        bytes=len(image.data),
        submitted_at=time_text(now),
    )
    try:
        found = _accept(check, image.data, queued(id, line, kept_days(line), now))
    except (ClientError, BotoCoreError) as error:
        raise Problem(
            "not-accepted",
            "The image could not be accepted",
            503,
            "it was not stored or not queued; sending it again is safe",
            retry_after=RETRY_SECONDS,
        ) from error
    document = {"request_id": request_id, "id": id, "status": found.status.value}
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "Location": path_of(line, id),
        "Retry-After": "1",
    }
    return {"statusCode": 202, "headers": headers, "body": json.dumps(document)}


def _accept(check: ClaimCheck, data: bytes, result: Result) -> Result:
    """Store, note, queue: in this order, so that whoever reads the stream finds the object."""
    s3.put_object(Bucket=check.bucket, Key=check.key, Body=data, ContentType=check.content_type)
    found = table.queue(result)
    if found is not None and found.status is not Status.QUEUED:
        return found
    try:
        # Of a prediction that waits already too: an earlier request may have ended before this line, and the
        # first result stays.
        kinesis.put_record(StreamName=stream_name, PartitionKey=check.partition_key, Data=check.to_json())
    except (ClientError, BotoCoreError):
        table.forget_queued(check.id)
        raise
    return result


def _inspect(data: bytes, field: str) -> None:
    """What can be said by an image's header is said at once; its pixels are looked at by the consumer."""
    try:
        inspect(data, ImageLimits())
    except ImageRejected as rejected:
        status = _STATUS.get(rejected.fault, 400)
        kind, title = f"image-{rejected.fault}", "The image is not accepted"
        raise Problem(kind, title, status, rejected.detail, field=field) from rejected


def _id(event: Mapping[str, Any], line: str, data: bytes) -> str:
    """The prediction's id: a new one, or always the same for one caller, Idempotency-Key and image."""
    key = _header(event, "idempotency-key")
    if not key:
        return new_prediction_id()
    identity = (event.get("requestContext") or {}).get("identity") or {}
    caller = identity.get("userArn") or identity.get("apiKeyId") or ""
    parts = [line, str(caller), key, hashlib.sha256(data).hexdigest()]
    return f"p-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def _header(event: Mapping[str, Any], name: str) -> str:
    headers = event.get("headers") or {}
    return next((str(value) for each, value in headers.items() if each.lower() == name), "")
