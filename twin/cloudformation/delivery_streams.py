"""Delivery streams in stacks: what Firehose refuses, and what the twin's own delivery does not do."""

from typing import Any

from twin import glue
from twin.cloudformation.completion import Properties, checks

PRINCIPAL = "firehose.amazonaws.com"
_LEAST_MEBIBYTES = 64  # with record format conversion


@checks("AWS::KinesisFirehose::DeliveryStream")
def check_delivery_stream(properties: Properties) -> None:
    """Refuse destinations other than S3, a role that Firehose cannot assume, and impossible buffers."""
    if properties.get("DeliveryStreamType", "DirectPut") != "DirectPut":
        raise ValueError("DeliveryStreamType: the twin's delivery streams take records by PutRecord only")
    found: dict[str, Any] | None = properties.get("ExtendedS3DestinationConfiguration")
    if found is None:
        raise ValueError("ExtendedS3DestinationConfiguration: the twin delivers to S3 only")
    try:
        glue.check_trust(found["RoleARN"], PRINCIPAL)
    except glue.TrustError as fault:
        text = "Firehose is unable to assume the role. Check its trust policy."
        raise ValueError(f"{text} ({fault})") from fault
    hints = found.get("BufferingHints") or {}
    seconds, mebibytes = int(hints.get("IntervalInSeconds", 300)), int(hints.get("SizeInMBs", 5))
    if not 0 <= seconds <= 900 or not 1 <= mebibytes <= 128:
        raise ValueError("BufferingHints: IntervalInSeconds is from 0 to 900, SizeInMBs from 1 to 128")
    conversion = found.get("DataFormatConversionConfiguration") or {}
    if conversion and str(conversion.get("Enabled", True)).lower() == "true":
        if mebibytes < _LEAST_MEBIBYTES:
            raise ValueError(
                "BufferingHints.SizeInMBs must be at least 64 when data format conversion is enabled."
            )
        if found.get("CompressionFormat", "UNCOMPRESSED") != "UNCOMPRESSED":
            raise ValueError("CompressionFormat must be UNCOMPRESSED when data format conversion is enabled.")
    elif found.get("CompressionFormat", "UNCOMPRESSED") not in ("UNCOMPRESSED", "GZIP"):
        raise ValueError("CompressionFormat: the twin knows UNCOMPRESSED and GZIP")
