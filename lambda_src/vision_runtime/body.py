"""Takes the body out of an API Gateway event; everything a caller can get wrong becomes a Problem."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pybase64

from vision_runtime.problem import Problem

JSON = "application/json"
_LONGEST_NAME = 64  # of a field in an error's text


def content_type(event: Mapping[str, Any], accepted: Sequence[str], hint: str) -> str:
    """The media type of the body, in lower case. Raises Problem (415) unless it is accepted."""
    value = header(event, "content-type")
    media_type = value.partition(";")[0].strip().lower()
    if media_type not in accepted:
        raise Problem(
            "unsupported-media-type",
            "The content type is not supported",
            415,
            f"Content-Type is {media_type[:100]!r}; send {hint}",
            field="Content-Type",
        )
    return media_type


def header(event: Mapping[str, Any], name: str) -> str:
    """A header's value, or an empty text; names are alike whatever their case."""
    headers = cast("dict[str, str]", event.get("headers") or {})
    return next((value for each, value in headers.items() if each.lower() == name), "")


def body_bytes(event: Mapping[str, Any], hint: str) -> bytes:
    """The body's bytes. Raises Problem (400) when there is none, or the gateway's base64 is broken."""
    body = event.get("body")
    if not body:
        raise Problem("missing-body", "The request has no body", 400, hint, field="body")
    if not event.get("isBase64Encoded"):
        return str(body).encode("utf-8", "surrogatepass")
    try:
        return from_base64(body)
    except binascii.Error as error:
        raise Problem(
            "bad-body", "The body cannot be read", 400, f"its base64 is broken: {error}", field="body"
        ) from error


def from_base64(text: str) -> bytes:
    """What is written in base64. Raises ValueError; binascii.Error of these, but for text beyond ASCII.

    pybase64 reads a photo of 290 KB in 0.02 ms, the standard library in 1.1 ms. It refuses a `=` too
    many, which the library takes: what it refuses is therefore the library's to judge.
    """
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        return base64.b64decode(text, validate=True)


def json_fields(body: bytes, known: Sequence[str]) -> dict[str, Any]:
    """The fields of a JSON object. Raises Problem (400) when it is none, or has others."""
    fields = json_object(body)
    for name in fields:
        if name not in known:
            short = name[:_LONGEST_NAME]
            taken = " or ".join(map(repr, known))
            raise bad_json(short, f"the field {short!r} is unknown; only {taken} is taken")
    return fields


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is. Raises Problem (400) when it is none."""
    document = _parsed(body)
    if not isinstance(document, dict):
        raise bad_json("body", "the JSON must be an object")
    return cast("dict[str, Any]", document)


def bad_json(field: str, detail: str) -> Problem:
    """The problem of a JSON body whose `field` cannot be used."""
    return Problem("bad-json", "The JSON cannot be used", 400, detail, field=field)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:  # also bad UTF-8, absurd numbers, absurd nesting
        raise bad_json("body", f"the body is not JSON: {error}") from error
