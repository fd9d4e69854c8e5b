"""Takes a JSON object out of an API Gateway event; everything a caller can get wrong becomes a Problem."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, cast

from vision_runtime.problem import Problem

JSON = "application/json"


def read_object(event: Mapping[str, Any], *, most_bytes: int) -> dict[str, Any]:
    """The request's body, a JSON object of at most `most_bytes`. Raises Problem."""
    _check_content_type(event)
    body = _body(event)
    if len(body) > most_bytes:
        raise Problem(
            "body-too-large",
            "The body is too large",
            413,
            f"the body has {len(body)} bytes; at most {most_bytes} are taken",
            field="body",
        )
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:  # also bad UTF-8, absurd numbers, absurd nesting
        raise bad_json("body", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise bad_json("body", "the JSON must be an object")
    return cast("dict[str, Any]", document)


def bad_json(field: str, detail: str) -> Problem:
    """The problem of a JSON body whose `field` cannot be used."""
    return Problem("bad-json", "The JSON cannot be used", 400, detail, field=field)


def _check_content_type(event: Mapping[str, Any]) -> None:
    headers = cast("dict[str, str]", event.get("headers") or {})
    value = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    media_type = value.partition(";")[0].strip().lower()
    if media_type != JSON:
        raise Problem(
            "unsupported-media-type",
            "The content type is not supported",
            415,
            f"Content-Type is {media_type[:100]!r}; send {JSON}",
            field="Content-Type",
        )


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body")
    if not body:
        raise Problem("missing-body", "The request has no body", 400, f"send {JSON}", field="body")
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise Problem(
            "bad-body", "The body cannot be read", 400, f"its base64 is broken: {error}", field="body"
        ) from error
