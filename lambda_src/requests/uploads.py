"""Gives out addresses for uploads: a form for one image, of one type, under one key, for a few minutes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from answers import as_json
from botocore.config import Config

from vision_runtime import environment
from vision_runtime.body import JSON, bad_json, body_bytes, content_type, json_fields
from vision_runtime.claim_check import UPLOADED, new_prediction_id

FIELD = "content_type"
IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
EXPIRES_SECONDS = 300
_HINT = f'{JSON} with {{"{FIELD}": "image/jpeg"}}'

max_bytes = environment.whole(os.environ, "UPLOAD_MAX_BYTES")
bucket = environment.text(os.environ, "UPLOADS_BUCKET")
# The bucket's own regional name: a new bucket's global one redirects for hours, and a form cannot follow.
s3: Any = boto3.client(
    "s3",
    config=Config(
        signature_version="s3v4", s3={"addressing_style": "auto", "us_east_1_regional_endpoint": "regional"}
    ),
)


def respond(event: dict[str, Any], line: str, request_id: str) -> dict[str, Any]:  # noqa: ARG001
    """The form. Nothing is asked of S3: the form is signed here, with the function's own credentials."""
    content_type(event, (JSON,), _HINT)
    fields = json_fields(body_bytes(event, f"send {_HINT}"), (FIELD,))
    wanted = fields.get(FIELD)
    if wanted not in IMAGE_TYPES:
        raise bad_json(FIELD, f"it must be one of {', '.join(IMAGE_TYPES)}")
    id = new_prediction_id()
    expires = datetime.now(UTC) + timedelta(seconds=EXPIRES_SECONDS)
    form = s3.generate_presigned_post(
        bucket,
        UPLOADED + id,
        Fields={"Content-Type": wanted},
        Conditions=[{"Content-Type": wanted}, ["content-length-range", 1, max_bytes]],
        ExpiresIn=EXPIRES_SECONDS,
    )
    return as_json(
        {
            "request_id": request_id,
            "id": id,
            "url": form["url"],
            "fields": form["fields"],
            "max_bytes": max_bytes,
            "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        status=201,
    )
