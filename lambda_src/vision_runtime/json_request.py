"""Takes a JSON object out of an API Gateway event; everything a caller can get wrong becomes a Problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_runtime.body import JSON, bad_json, body_bytes, content_type, json_object
from vision_runtime.problem import Problem

__all__ = ["bad_json", "read_object"]


def read_object(event: Mapping[str, Any], *, most_bytes: int) -> dict[str, Any]:
    """The request's body, a JSON object of at most `most_bytes`. Raises Problem."""
    content_type(event, (JSON,), JSON)
    body = body_bytes(event, f"send {JSON}")
    if len(body) > most_bytes:
        raise Problem(
            "body-too-large",
            "The body is too large",
            413,
            f"the body has {len(body)} bytes; at most {most_bytes} are taken",
            field="body",
        )
    return json_object(body)
