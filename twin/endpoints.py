"""The twin's own HTTP paths below `/_twin/`, beside AWS's: health, reset, and whatever a module adds."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

PREFIX = "/_twin/"
log = logging.getLogger("twin.endpoints")


@dataclass(frozen=True)
class Request:
    """One request: `query` keeps the last value of a repeated key; `path` is the part below the prefix."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """An answer that is not plain JSON."""

    body: bytes
    content_type: str = "application/octet-stream"
    status: int = 200


class BadRequest(Exception):
    """The request cannot be served; the message says what is wrong."""


Endpoint = Callable[[Request], Any]
_endpoints: dict[tuple[str, str], Endpoint] = {}


def register(method: str, path: str, endpoint: Endpoint) -> None:
    """Serve `method` on ``/_twin/<path>``, or on everything below a `path` that ends with a slash.

    `endpoint` runs in a worker thread; it returns JSON-able data or an `Answer`, and raises `BadRequest`.
    """
    _endpoints[method, path] = endpoint


def answer(request: Request) -> Answer:
    """Run the endpoint of a request and encode what it returns."""
    folder = request.path[: request.path.find("/") + 1]
    endpoint = _endpoints.get((request.method, request.path)) or _endpoints.get((request.method, folder))
    if endpoint is None:
        return _json({"message": f"the twin has no {request.method} {PREFIX}{request.path}"}, 404)
    try:
        result = endpoint(request)
    except BadRequest as fault:
        return _json({"message": str(fault)}, 400)
    except Exception as fault:
        log.exception("%s %s%s failed", request.method, PREFIX, request.path)
        return _json(
            {"message": f"{request.path} failed in the twin ({type(fault).__name__}): see its log"}, 500
        )
    return result if isinstance(result, Answer) else _json(result, 200)


def parse(method: str, path: str, query_string: bytes, body: bytes) -> Request:
    """Build the `Request` of an HTTP request whose path starts with the prefix."""
    return Request(method, path.removeprefix(PREFIX), dict(parse_qsl(query_string.decode("latin-1"))), body)


def _json(value: Any, status: int) -> Answer:
    return Answer(json.dumps(value, default=str).encode(), "application/json", status)
