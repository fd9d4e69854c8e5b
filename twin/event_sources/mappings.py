"""A mapping's settings: read from ministack's record, and refused where Lambda or the twin refuses them."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twin import glue, role_checks
from twin.glue import stream_mappings, streams

READING = ("kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:DescribeStream", "kinesis:ListShards")
_STARTS = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
# (least, most, and a value outside of them that means "no limit")
_RANGES: dict[str, tuple[int, int, int | None]] = {
    "BatchSize": (1, 10_000, None),
    "MaximumBatchingWindowInSeconds": (0, 300, None),
    "ParallelizationFactor": (1, 10, None),
    "MaximumRetryAttempts": (0, 10_000, -1),
    "MaximumRecordAgeInSeconds": (60, 604_800, -1),
}
_SENDING = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "s3": "s3:PutObject"}


@dataclass(frozen=True)
class Settings:
    """How one mapping reads; `max_age` (seconds) and `max_attempts` are None without a limit."""

    id: str
    stream_arn: str
    function_arn: str
    enabled: bool
    batch_size: int
    window: float
    factor: int
    max_attempts: int | None
    max_age: float | None
    bisects: bool
    reports_failures: bool
    destination: str


def read(record: Mapping[str, Any]) -> Settings:
    """Read ministack's record of a mapping."""
    age = int(record.get("MaximumRecordAgeInSeconds") or -1)
    attempts = record.get("MaximumRetryAttempts")
    attempts = -1 if attempts is None else int(attempts)
    on_failure = (record.get("DestinationConfig") or {}).get("OnFailure") or {}
    return Settings(
        id=record["UUID"],
        stream_arn=record["EventSourceArn"],
        function_arn=record["FunctionArn"],
        enabled=_flag(record.get("Enabled", True)),
        batch_size=int(record.get("BatchSize") or 100),
        window=float(record.get("MaximumBatchingWindowInSeconds") or 0),
        factor=int(record.get("ParallelizationFactor") or 1),
        max_attempts=None if attempts < 0 else attempts,
        max_age=None if age < 0 else float(age),
        bisects=_flag(record.get("BisectBatchOnFunctionError", False)),
        reports_failures="ReportBatchItemFailures" in (record.get("FunctionResponseTypes") or []),
        destination=on_failure.get("Destination") or "",
    )


def refusal(data: Mapping[str, Any]) -> str | None:
    """Say why Lambda, or the twin, does not take a mapping of a Kinesis stream with these properties."""
    return _wrong_value(data) or _wrong_destination(data) or _may_not(data)


def _wrong_value(data: Mapping[str, Any]) -> str | None:
    if int(data.get("TumblingWindowInSeconds") or 0):
        return "TumblingWindowInSeconds: the twin has no tumbling windows"
    for name, (least, most, unlimited) in _RANGES.items():
        value = data.get(name)
        if value is not None and int(value) != unlimited and not least <= int(value) <= most:
            return f"{name}: {value} is not from {least} to {most}"
    start = data.get("StartingPosition")
    if start not in _STARTS:
        return f"StartingPosition: {start!r} is none of {', '.join(_STARTS)}"
    if start == "AT_TIMESTAMP" and "StartingPositionTimestamp" not in data and "UUID" not in data:
        return "StartingPositionTimestamp: it is required for AT_TIMESTAMP"
    unknown = set(data.get("FunctionResponseTypes") or []) - {"ReportBatchItemFailures"}
    return f"FunctionResponseTypes: {unknown.pop()!r} is unknown" if unknown else None


def _wrong_destination(data: Mapping[str, Any]) -> str | None:
    destinations = data.get("DestinationConfig") or {}
    if destinations.get("OnSuccess"):
        return "DestinationConfig.OnSuccess: a stream has a destination for failures only"
    arn = (destinations.get("OnFailure") or {}).get("Destination")
    if arn and (arn.count(":") < 5 or arn.split(":")[2] not in _SENDING):
        return f"DestinationConfig.OnFailure.Destination: {arn} is no queue, topic or bucket"
    return None


def _may_not(data: Mapping[str, Any]) -> str | None:
    """What the function's role must be allowed for Lambda to make the mapping."""
    arn = data.get("EventSourceArn", "")
    role = stream_mappings.role_of_function(str(data.get("FunctionName", "")))
    if role is None:
        return None  # ministack says that there is no such function
    stream = streams.stream_of(arn)
    if stream is None:
        return f"Stream not found: {arn}"
    lacking = [action for action in READING if not role_checks.role_may(role, action, arn, "lambda")]
    if lacking:
        return (
            f"Cannot access stream {arn}. Please ensure the role can perform the GetRecords, "
            "GetShardIterator, DescribeStream, and ListShards Actions on your stream in IAM. "
            f"(It lacks {', '.join(lacking)}.)"
        )
    if not may_read(role, arn):
        return f"Cannot access stream {arn}: the role may not use its key (kms:Decrypt)"
    target = ((data.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if target:
        action = _SENDING[target.split(":")[2]]
        resource = f"{target}/*" if action == "s3:PutObject" else target
        if not role_checks.role_may(role, action, resource, "lambda"):
            return f"The provided execution role does not have permissions to call {action} on {target}"
    return None


def may_read(role: str, stream_arn: str) -> bool:
    """Whether a role may read a stream, and use the key that it is encrypted with."""
    stream = streams.stream_of(stream_arn)
    if stream is None or not role_checks.role_may(role, "kinesis:GetRecords", stream_arn, "lambda"):
        return False
    key = stream.get("KeyId") if stream.get("EncryptionType") == "KMS" else None
    if not key or "alias/aws/" in key:
        return True
    found: str | None = None
    with contextlib.suppress(KeyError), glue.scope(stream_arn.split(":")[4], stream_arn.split(":")[3]):
        record = glue.internal("services.kms")._resolve_key(key)
        found = record["Arn"] if record else None
    return found is not None and role_checks.role_may(role, "kms:Decrypt", found, "lambda")


def _flag(value: Any) -> bool:
    return str(value).lower() == "true"
