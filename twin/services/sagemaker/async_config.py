"""What makes an endpoint asynchronous: its configuration, checked, and where requests and answers lie."""

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

from twin.json_service import ServiceError
from twin.services.sagemaker import serverless
from twin.services.sagemaker.records import Record

CONFIG = "AsyncInferenceConfig"
# What SageMaker chooses where the configuration says nothing, it does not document.
_CONCURRENCY = 4


@dataclass(frozen=True)
class Locations:
    """Where the answer of one request will lie, or the reason why there is none (s3://...)."""

    output: str
    failure: str


def check(request: Record) -> None:
    """Raise `ServiceError` unless an endpoint configuration can be an asynchronous one."""
    config = request.get(CONFIG)
    if config is None:
        return
    if any(serverless.CONFIG in variant for variant in request["ProductionVariants"]):
        raise _invalid("AsyncInferenceConfig is not supported for serverless endpoints.")
    output = config["OutputConfig"]
    for member in ("S3OutputPath", "S3FailurePath"):
        given = output.get(member)
        if given is None and member == "S3FailurePath":
            continue
        if urlparse(given or "").scheme != "s3":
            raise _invalid(f"AsyncInferenceConfig.OutputConfig.{member} must be an S3 URI; it is {given!r}.")


def of(plan: list[Record]) -> Record | None:
    """Return the asynchronous configuration of a plan, None where it answers at once."""
    return plan[0].get(CONFIG) if plan else None


def require_same_kind(serving: list[Record], plan: list[Record]) -> None:
    """Raise `ServiceError` for an update that would make an endpoint asynchronous, or cease to be so."""
    if (of(serving) is None) != (of(plan) is None):
        raise _invalid(
            "The local twin does not update an endpoint between asynchronous and real-time inference: delete "
            "it, and create it anew."
        )


def concurrency(config: Record) -> int:
    """Return how many requests one instance has at a time."""
    return config.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", _CONCURRENCY)


def locations(config: Record, endpoint: str) -> Locations:
    """Return new places for the answer of a request to an endpoint."""
    output, name = config["OutputConfig"], uuid.uuid4()
    base: str = output["S3OutputPath"].rstrip("/")
    bucket = urlparse(base).netloc
    failures: str = output.get("S3FailurePath") or f"s3://{bucket}/async-endpoint-failures/{endpoint}"
    return Locations(f"{base}/{name}.out", f"{failures.rstrip('/')}/{name}-error.out")


def topic(config: Record, completed: bool) -> str | None:
    """Return the topic that hears of requests that ended so, None where nobody does."""
    notification: dict[str, Any] = config["OutputConfig"].get("NotificationConfig", {})
    return notification.get("SuccessTopic" if completed else "ErrorTopic")


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
