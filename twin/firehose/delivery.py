"""One delivery: records become objects under their prefixes, and those that cannot under the error prefix."""

import base64
import gzip
import json
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from twin import glue
from twin.firehose import parquet
from twin.glue import firehose
from twin.glue.firehose import Undeliverable

PRINCIPAL = "firehose.amazonaws.com"
Arrived = tuple[float, bytes]
log = logging.getLogger("twin.firehose")


def destination_of(stream: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a delivery stream's destination in S3."""
    return stream["destinations"][0]["config"]


def deliver(stream: dict[str, Any], records: Sequence[Arrived]) -> bool:
    """Write the records; False when S3, or the role, does not let Firehose, and they must be kept."""
    configuration = destination_of(stream)
    moment = time.gmtime(records[0][0])
    objects, failed = _sorted(configuration, records, moment)
    try:
        credentials = glue.service_session(configuration["RoleARN"], PRINCIPAL, stream["name"])
        s3 = glue.client("s3", credentials, glue.current_scope().region)
        bucket = configuration["BucketARN"].rpartition(":")[2]
        for place, content in _contents(configuration, objects, failed):
            s3.put_object(
                Bucket=bucket, Key=f"{place}{_name(stream, moment)}{_ending(configuration)}", Body=content
            )
        for kind, lines in _complaints(failed, configuration).items():
            place = _error_place(configuration, kind, moment)
            s3.put_object(Bucket=bucket, Key=f"{place}{_name(stream, moment)}", Body=lines)
    except (ClientError, BotoCoreError, glue.TrustError) as fault:
        _tell(stream, configuration, str(fault))
        _measure(stream, records, success=0)
        return False
    _measure(stream, records, success=1)
    for _, error in failed:
        _tell(stream, configuration, error.message)
    return True


def _sorted(
    configuration: dict[str, Any], records: Sequence[Arrived], moment: time.struct_time
) -> tuple[dict[str, list[Arrived]], list[tuple[Arrived, Undeliverable]]]:
    """The records by their prefix, and those that have none."""
    objects: dict[str, list[Arrived]] = defaultdict(list)
    failed: list[tuple[Arrived, Undeliverable]] = []
    for record in records:
        try:
            keys = firehose.partition_keys(configuration, record[1])
            objects[firehose.prefix(configuration.get("Prefix", ""), moment, keys)].append(record)
        except Undeliverable as error:
            failed.append((record, error))
    return objects, failed


def _contents(
    configuration: dict[str, Any],
    objects: dict[str, list[Arrived]],
    failed: list[tuple[Arrived, Undeliverable]],
) -> list[tuple[str, bytes]]:
    """What each prefix gets; records that cannot be converted are added to `failed`."""
    made: list[tuple[str, bytes]] = []
    for place, records in objects.items():
        if not parquet.is_wanted(configuration):
            content = b"".join(data for _, data in records)
            compressed = configuration.get("CompressionFormat") == "GZIP"
            made.append((place, gzip.compress(content) if compressed else content))
            continue
        good = parquet.Rows(configuration)
        for record in records:
            try:
                good.add(record[1])
            except Undeliverable as error:
                failed.append((record, error))
        if good.count:
            made.append((place, good.file()))
    return made


def _complaints(
    failed: list[tuple[Arrived, Undeliverable]], configuration: dict[str, Any]
) -> dict[str, bytes]:
    """A line of JSON for each record that failed, by the kind of error, in Firehose's form."""
    lines: dict[str, bytes] = defaultdict(bytes)
    now = int(time.time() * 1000)
    for (arrived, data), error in failed:
        line: dict[str, Any] = {
            "attemptsMade": 1,
            "arrivalTimestamp": int(arrived * 1000),
            "lastErrorCode": error.code,
            "lastErrorMessage": error.message,
            "attemptEndingTimestamp": now,
            "rawData": base64.b64encode(data).decode(),
        }
        if error.kind == "format-conversion-failed":
            line["dataCatalogTable"] = parquet.table_of(configuration)
        lines[error.kind] += json.dumps(line).encode() + b"\n"
    return lines


def _error_place(configuration: dict[str, Any], kind: str, moment: time.struct_time) -> str:
    template = configuration.get("ErrorOutputPrefix")
    if template:
        return firehose.prefix(template, moment, None, kind)
    return f"{configuration.get('Prefix', '')}{kind}/{firehose.time_text('yyyy/MM/dd/HH/', moment)}"


def _name(stream: dict[str, Any], moment: time.struct_time) -> str:
    stamp = firehose.time_text("yyyy-MM-dd-HH-mm-ss", moment)
    return f"{stream['name']}-{stream.get('version', 1)}-{stamp}-{uuid.uuid4()}"


def _ending(configuration: dict[str, Any]) -> str:
    if configuration.get("FileExtension"):
        return str(configuration["FileExtension"])
    if parquet.is_wanted(configuration):
        return ".parquet"
    return ".gz" if configuration.get("CompressionFormat") == "GZIP" else ""


def _tell(stream: dict[str, Any], configuration: dict[str, Any], message: str) -> None:
    """Write an error where the delivery stream's log goes."""
    log.warning("delivery stream %s: %s", stream["name"], message)
    options = configuration.get("CloudWatchLoggingOptions") or {}
    if str(options.get("Enabled")).lower() == "true":
        line = {
            "deliveryStreamARN": stream["arn"],
            "destination": configuration["BucketARN"],
            "message": message,
        }
        glue.put_log_lines(options["LogGroupName"], options["LogStreamName"], [json.dumps(line)])


def _measure(stream: dict[str, Any], records: Sequence[Arrived], *, success: int) -> None:
    named = {"DeliveryStreamName": stream["name"]}
    freshness = time.time() - records[0][0]
    for name, value, unit in (
        ("DeliveryToS3.Success", success, "Count"),
        ("DeliveryToS3.Records", len(records) * success, "Count"),
        ("DeliveryToS3.Bytes", sum(len(data) for _, data in records) * success, "Bytes"),
        ("DeliveryToS3.DataFreshness", freshness, "Seconds"),
    ):
        glue.record_metric("AWS/Firehose", name, value, unit, named)
