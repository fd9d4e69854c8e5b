"""Serves the API's OpenAPI document: the one that the API was made from, with the address that it has."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from answers import as_json

# Made from openapi.yaml, of which the package holds this form: reading YAML would take a library.
PATH = Path(__file__).with_name("openapi.json")
_SCHEMES = {"iam": "signature", "key": "key"}


def respond(event: dict[str, Any], line: str, request_id: str) -> dict[str, Any]:  # noqa: ARG001
    """The document, with the server's address as the caller reached it."""
    context = event["requestContext"]
    # The stage stands before the path, except behind a domain of the platform's own.
    base = str(context.get("path", "")).removesuffix(str(event["resource"]))
    return as_json({**_document(), "servers": [{"url": f"https://{context['domainName']}{base}"}]})


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(PATH.read_text())
    scheme = _SCHEMES[os.environ.get("API_AUTH", "iam")]
    return {**document, "security": [{scheme: []}]}
