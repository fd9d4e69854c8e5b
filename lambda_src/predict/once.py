"""Answers a request once for each Idempotency-Key: the same request again gets the same answer again.

Loaded with the first request that brings a key, so that nobody else waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)

from vision_runtime.idempotency_key import FIELD
from vision_runtime.problem import Problem

Document = dict[str, Any]
_RETRY_SECONDS = 2
_logger = Logger(child=True)


class Once:
    """Remembers answers in a DynamoDB table for `kept_seconds`."""

    def __init__(self, dynamodb: Any, table: str, kept_seconds: int) -> None:
        self._store = DynamoDBPersistenceLayer(
            table, key_attr="pk", expiry_attr="expires_at", boto3_client=dynamodb
        )
        self._kept_seconds = kept_seconds

    def answer(
        self, event: Document, key: str, work: Callable[[], Document], context: Any
    ) -> tuple[Document, bool]:
        """What `work` gives, or gave when this request came before; the latter makes the second part true.

        What `work` raises is not remembered: the caller may try again with the same key. Raises Problem: 422
        when the key belongs to another request, 409 while that is being answered, 503 without the table.
        """
        config = IdempotencyConfig(
            event_key_jmespath="key",
            payload_validation_jmespath="payload",
            expires_after_seconds=self._kept_seconds,
            hash_function="sha256",
            lambda_context=context,
        )
        made: list[Document] = []

        # Powertools names a record by its function too: the name must stay when the code moves.
        @idempotent_function(
            data_keyword_argument="asked", persistence_store=self._store, config=config, key_prefix="predict"
        )
        def run(*, asked: Document) -> Document:  # noqa: ARG001 - Powertools reads it
            made.append(work())
            return made[0]

        try:
            answer: Document = run(asked={"key": f"{_caller(event)} {key}", "payload": _digest(event)})
        except IdempotencyValidationError as error:
            detail = "this key came before with another request; choose a new key for each request"
            raise Problem(
                "key-reused", "The key belongs to another request", 422, detail, field=FIELD
            ) from error
        except (IdempotencyAlreadyInProgressError, IdempotencyInconsistentStateError) as error:
            detail = "a request with this key is being answered just now; ask again for its answer"
            raise Problem(
                "in-progress",
                "The request is in progress",
                409,
                detail,
                field=FIELD,
                retry_after=_RETRY_SECONDS,
            ) from error
        except IdempotencyPersistenceLayerError as error:
            if made:  # the answer is there; that it is not remembered hurts nobody now
                _logger.exception("the answer could not be remembered for its Idempotency-Key")
                return made[0], False
            detail = "keys cannot be looked up just now; try again, with the same key or without one"
            raise Problem(
                "keys-unavailable",
                "Keys are not available",
                503,
                detail,
                field=FIELD,
                retry_after=_RETRY_SECONDS,
            ) from error
        return answer, not made


def _caller(event: Document) -> str:
    """Who asks: keys of different callers are different, and one caller's sessions are the same caller."""
    identity = event["requestContext"].get("identity") or {}
    who = str(identity.get("caller") or "").partition(":")[0] or identity.get("apiKeyId") or "anyone"
    return f"{who} {event.get('resource')}"


def _digest(event: Document) -> str:
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    content = f"{headers.get('content-type', '')}\n{event.get('body') or ''}"
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
