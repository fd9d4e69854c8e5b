"""S3 in the twin as AWS has it: its own key where none is named, global names, events beside requests."""

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from twin import glue

_SSE = "x-amz-server-side-encryption"
_EVENT_THREADS = 8


def install() -> None:
    """Put them in place."""
    _name_the_managed_key()
    _read_across_accounts()
    _keep_threads_for_events()


def _name_the_managed_key() -> None:
    """Name AWS's own key where a write asks for KMS and names none; ministack refuses that."""
    s3 = glue.internal("services.s3")
    original = s3._resolve_sse_write_headers

    def resolve(headers: dict[str, str], bucket: str) -> Any:
        if headers.get(_SSE) == "aws:kms" and not headers.get(f"{_SSE}-aws-kms-key-id"):
            here = glue.current_scope()
            managed = f"arn:aws:kms:{here.region}:{here.account}:alias/aws/s3"
            headers = {**headers, f"{_SSE}-aws-kms-key-id": managed}
        return original(headers, bucket)

    s3._resolve_sse_write_headers = resolve


def _read_across_accounts() -> None:
    """Let services find an object by its bucket's global name, whoever owns it.

    CloudFormation fetches templates this way from the pipeline's artifact bucket in another account; that the
    caller may read the object is an implied permission of the call (`twin.iam.implied`).
    """
    s3 = glue.internal("services.s3")
    original = s3._get_object_data

    def read(bucket: str, key: str, version_id: str | None = None) -> bytes | None:
        owner = s3._bucket_owner_account(bucket) or glue.current_scope().account
        with glue.scope(owner, glue.current_scope().region):
            return original(bucket, key, version_id)

    s3._get_object_data = read


def _keep_threads_for_events() -> None:
    """Deliver events by threads that live on: to start one for each takes a fifth of a PutObject."""
    s3 = glue.internal("services.s3")
    waiting: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def deliver() -> None:
        while True:
            waiting.get()()  # it logs what fails, and raises nothing

    def fire(
        bucket_name: str, key: str, event_name: str, size: int = 0, etag: str = "", *more: Any, **named: Any
    ) -> None:
        if bucket_name not in s3._bucket_notifications:
            return
        named |= dict(
            zip(("deletion_type", "version_id", "object_extra", "record_extra"), more, strict=False)
        )
        named["sequencer"] = s3._next_event_sequencer(event_name)
        send = partial(s3._fire_s3_event, bucket_name, key, event_name, size, etag, **named)
        waiting.put(partial(contextvars.copy_context().run, send))

    for _ in range(_EVENT_THREADS):
        threading.Thread(target=deliver, name="twin-s3-events", daemon=True).start()
    s3._fire_s3_event_async = fire
