"""Seams into ministack's Firehose: where records go that were put, and its words for prefixes and errors."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from twin.glue.internals import internal
from twin.glue.scope import Scope, current_scope

_firehose = internal("services.firehose")


class Undeliverable(Exception):
    """A record cannot be delivered; `kind` is the type of error in the prefix, `code` Firehose's own."""

    def __init__(self, kind: str, message: str, code: str = "") -> None:
        """`kind` is such as ``format-conversion-failed``."""
        super().__init__(message)
        self.kind, self.message, self.code = kind, message, code


def install(take: Callable[[Scope, str, Sequence[bytes]], None]) -> None:
    """Hand records for S3 to `take` (scope, name of the stream, data), after the stream's own functions."""

    def deliver(stream: dict[str, Any], destination: dict[str, Any], records: list[Any]) -> None:
        destination["records"].clear()  # ministack keeps all that ever came
        processed = _firehose._apply_lambda_processors(stream, destination, records)
        take(current_scope(), stream["name"], [data for _, data in processed])

    _firehose._deliver_records_to_s3 = deliver


def delivery_stream(scope: Scope, name: str) -> dict[str, Any] | None:
    """Return ministack's record of a delivery stream."""
    return _firehose._streams.get_scoped(scope.account, scope.region, name)


def prefix(
    template: str, moment: time.struct_time, keys: dict[str, str] | None = None, error_type: str | None = None
) -> str:
    """Evaluate the expressions in a prefix. Raises Undeliverable for one that has no value."""
    return _asking(_firehose._evaluate_prefix, template, moment, keys, None, error_type)


def partition_keys(configuration: dict[str, Any], data: bytes) -> dict[str, str] | None:
    """Return the keys for dynamic partitioning in a record. Raises Undeliverable when it lacks one."""
    if not (configuration.get("DynamicPartitioningConfiguration") or {}).get("Enabled"):
        return None
    return _asking(_firehose._metadata_extraction_keys, configuration, data)


def json_documents(data: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects in a record. Raises Undeliverable when it is something else."""
    return _asking(_firehose._json_documents, data)


def time_text(pattern: str, moment: time.struct_time) -> str:
    """Format a time as Java's patterns say."""
    return _firehose._java_time(pattern, moment)


def table_columns(scope: Scope, database: str, table: str) -> list[dict[str, Any]]:
    """Return the columns of a table in Glue's catalogue; none when it is not there."""
    found = internal("services.glue")._tables.get_scoped(scope.account, scope.region, f"{database}/{table}")
    return list(((found or {}).get("StorageDescriptor") or {}).get("Columns") or [])


def _asking(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except _firehose._DeliveryError as fault:
        raise Undeliverable(fault.output_type, fault.message, fault.code or "") from fault
