"""Errors of the API as problem+json (RFC 9457): what was wrong, in which field, and what to do."""

from __future__ import annotations

import json
from typing import Any

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:vision:problem:"


class Problem(Exception):
    """An answer that is not a prediction.

    `kind` is stable and meant for programs, `title` is the same for every problem of a kind, `detail` is for
    this one, `field` names the part of the request at fault, `retry_after` is in seconds.
    """

    def __init__(
        self,
        kind: str,
        title: str,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{status} {kind}: {detail}")
        self.kind = kind
        self.title = title
        self.status = status
        self.detail = detail
        self.field = field
        self.retry_after = retry_after

    def document(self, request_id: str) -> dict[str, Any]:
        """The problem as the body of an answer, or as a part of one."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.kind,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.field is not None:
            document["field"] = self.field
        return document

    def response(self, request_id: str) -> dict[str, Any]:
        """The answer in the shape that API Gateway takes from a function."""
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return {"statusCode": self.status, "headers": headers, "body": json.dumps(self.document(request_id))}
