"""Lets browsers of the allowed origins read answers, and answers their preflight requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_runtime.body import header

VARIABLE = "ALLOWED_ORIGINS"
_METHODS = "GET, POST, OPTIONS"
_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Amz-Date, X-Amz-Security-Token, X-Api-Key"
_SHOWN = "Idempotent-Replayed, Retry-After, x-amzn-RequestId"
_MAX_AGE_SECONDS = 3600


def allowed_origins(variables: Mapping[str, str]) -> frozenset[str]:
    """The origins in the environment variable ALLOWED_ORIGINS, apart by blanks; none by default."""
    return frozenset(variables.get(VARIABLE, "").split())


def with_origin(
    response: dict[str, Any], event: Mapping[str, Any], allowed: frozenset[str]
) -> dict[str, Any]:
    """The response, readable by the caller's origin where that is allowed; unchanged without CORS."""
    if not allowed:
        return response
    # Caches must not give one origin the answer to another.
    headers = {**response["headers"], "Vary": "Origin"}
    origin = header(event, "origin")
    if origin in allowed:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = _SHOWN
    return {**response, "headers": headers}


def preflight(event: Mapping[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    """The answer to OPTIONS: what an allowed origin may send, and nothing for any other."""
    response: dict[str, Any] = {"statusCode": 204, "headers": {}, "body": ""}
    if header(event, "origin") in allowed:
        response["headers"] = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
        }
    return with_origin(response, event, allowed)
