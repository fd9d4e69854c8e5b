"""Takes the image out of an API Gateway event; everything a caller can get wrong becomes a Problem."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from vision_runtime.problem import Problem

JSON = "application/json"
IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
FIELD = "image"


@dataclass(frozen=True)
class ImageRequest:
    """The image's bytes, and the part of the request that they came from (to name it in problems)."""

    data: bytes
    field: str


def read_request(event: Mapping[str, Any]) -> ImageRequest:
    """The image of a request, not yet checked as an image. Raises Problem."""
    content_type = _content_type(event)
    body = _body(event)
    if content_type == JSON:
        return ImageRequest(_from_json(body), FIELD)
    return ImageRequest(body, "body")


def _content_type(event: Mapping[str, Any]) -> str:
    headers = cast("dict[str, str]", event.get("headers") or {})
    value = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    media_type = value.partition(";")[0].strip().lower()
    if media_type != JSON and media_type not in IMAGE_TYPES:
        raise Problem(
            "unsupported-media-type",
            "The content type is not supported",
            415,
            f"Content-Type is {media_type!r}; send {', '.join(IMAGE_TYPES)} with the image's bytes, "
            f'or {JSON} with {{"{FIELD}": "<base64>"}}',
            field="Content-Type",
        )
    return media_type


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body")
    if not body:
        raise Problem(
            "missing-body", "The request has no body", 400, "send the image in the body", field="body"
        )
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise Problem(
            "bad-body", "The body cannot be read", 400, f"its base64 is broken: {error}", field="body"
        ) from error


def _from_json(body: bytes) -> bytes:
    document = _parsed(body)
    if not isinstance(document, dict):
        raise _bad_json("body", "the JSON must be an object")
    fields = cast("dict[str, Any]", document)
    for name in fields:
        if name != FIELD:
            raise _bad_json(name[:64], f"the field {name[:64]!r} is unknown; only {FIELD!r} is taken")
    image = fields.get(FIELD)
    if not isinstance(image, str) or not image:
        raise _bad_json(FIELD, f"the field {FIELD!r} is missing or not a text; it holds the image in base64")
    if image.startswith("data:"):
        raise _bad_json(FIELD, "it is a data URI; send only what follows the comma")
    try:
        return base64.b64decode(image, validate=True)
    except ValueError as error:  # includes text that is not ASCII
        raise _bad_json(FIELD, f"it is not base64: {error}") from error


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:  # also bad UTF-8, absurd numbers, absurd nesting
        raise _bad_json("body", f"the body is not JSON: {error}") from error


def _bad_json(field: str, detail: str) -> Problem:
    return Problem("bad-json", "The JSON cannot be used", 400, detail, field=field)
