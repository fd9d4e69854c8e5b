"""Answers in the shape that API Gateway takes from a function."""

from __future__ import annotations

import json
from typing import Any


def as_json(document: dict[str, Any], status: int = 200) -> dict[str, Any]:
    """A JSON document as an answer that nobody keeps."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(document)}
