"""The header by which a caller says that a request is the same as one before: Idempotency-Key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vision_runtime.body import header
from vision_runtime.problem import Problem

FIELD = "Idempotency-Key"
_FORM = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def read(event: Mapping[str, Any]) -> str | None:
    """The key of a request, or None where it has none. Raises Problem (400) for one that is no key."""
    headers: Mapping[str, str] = event.get("headers") or {}
    if not any(name.lower() == FIELD.lower() for name in headers):
        return None
    key = header(event, FIELD.lower())
    if not _FORM.fullmatch(key):
        raise Problem(
            "bad-key",
            "The Idempotency-Key cannot be used",
            400,
            "it has 1 to 128 letters, digits, and . _ : or -; a UUID is a good choice",
            field=FIELD,
        )
    return key
