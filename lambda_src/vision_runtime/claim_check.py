"""The record in the stream of the burst path: it says where an image lies, and never holds the image."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard, cast

# API Gateway's own ids are UUIDs; those given here begin with a letter that no UUID has.
_ID = re.compile(r"[0-9a-zA-Z-]{8,64}")
_LINES = ("champion", "smoke")
UPLOADED, SUBMITTED, SMOKE = "uploads/", "submitted/", "smoke/"
_FIELDS = {"id", "bucket", "key", "line", "content_type", "bytes", "submitted_at"}


class ClaimCheckError(ValueError):
    """A record is no claim check; `id` is the prediction that it is about, where that can be read."""

    def __init__(self, message: str, id: str | None = None) -> None:
        super().__init__(message)
        self.id = id


@dataclass(frozen=True)
class ClaimCheck:
    """One image to be predicted: where it lies, which line answers, and when it was handed in (UTC).

    `bytes` is the object's size, 0 where the sender does not know it. `content_type` is what the sender
    called it, which nobody relies on: the image's own bytes decide.
    """

    id: str
    bucket: str
    key: str
    line: str
    content_type: str
    bytes: int
    submitted_at: str

    @property
    def partition_key(self) -> str:
        """What spreads claim checks over the shards; all records of one prediction share it."""
        return self.id

    def to_json(self) -> bytes:
        """The record's data."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes, bucket: str) -> ClaimCheck:
        """Read a record's data; the image must lie in `bucket`. Raises ClaimCheckError.

        A record made from the event of an upload has no id: it is the last part of the key.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ClaimCheckError(f"the record is not JSON: {error}") from error
        if not isinstance(document, dict):
            raise ClaimCheckError("the record is not a JSON object")
        fields = cast("dict[str, Any]", document)
        key = fields.get("key")
        id = fields.get("id", key.rpartition("/")[2] if isinstance(key, str) else None)
        if not is_prediction_id(id):
            raise ClaimCheckError(f"id: {str(id)[:64]!r} is no prediction's id")
        unknown = sorted(set(fields) - _FIELDS)
        if unknown:
            raise ClaimCheckError(f"{unknown[0][:64]}: the field is unknown", id)
        return cls(
            id=id,
            bucket=_bucket(fields, bucket, id),
            key=_key(fields, id),
            line=_line(fields, id),
            content_type=str(fields.get("content_type", "")),
            bytes=_size(fields, id),
            submitted_at=_time(fields, id),
        )


def new_prediction_id() -> str:
    """An id for a prediction that is answered later."""
    return f"p-{uuid.uuid4().hex}"


def is_prediction_id(text: object) -> TypeGuard[str]:
    """Whether `text` has the form of a prediction's id, the API's own request ids included."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def _bucket(fields: Mapping[str, Any], bucket: str, id: str) -> str:
    if fields.get("bucket") != bucket:
        raise ClaimCheckError("bucket: images of the burst path lie in the bucket for uploads", id)
    return bucket


def _key(fields: Mapping[str, Any], id: str) -> str:
    key = fields.get("key")
    if not isinstance(key, str) or not key.startswith((UPLOADED, SUBMITTED, SMOKE)):
        raise ClaimCheckError(f"key: it must lie under {UPLOADED}, {SUBMITTED} or {SMOKE}", id)
    return key


def _line(fields: Mapping[str, Any], id: str) -> str:
    line = fields.get("line")
    if line not in _LINES:
        raise ClaimCheckError(f"line: it must be one of {', '.join(_LINES)}", id)
    return str(line)


def _size(fields: Mapping[str, Any], id: str) -> int:
    size = fields.get("bytes", 0)
    if type(size) is not int or size < 0:
        raise ClaimCheckError("bytes: it must be a whole number, 0 or more", id)
    return size


def _time(fields: Mapping[str, Any], id: str) -> str:
    text = fields.get("submitted_at")
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise ClaimCheckError("submitted_at: it must be a time by ISO 8601", id) from error
    return time_text(time if time.tzinfo else time.replace(tzinfo=UTC))


def time_text(time: datetime) -> str:
    """A time as the platform writes it: UTC, to the microsecond."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
