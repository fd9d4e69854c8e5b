"""Tells a mapping's destination which records were given up, in Lambda's own form."""

import json
import logging
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from twin import config, glue
from twin.event_sources.batches import GivenUp
from twin.event_sources.mappings import Settings
from twin.lambda_runtime.environment import LAMBDA_PRINCIPAL

_TRIES = 3
log = logging.getLogger("twin.event_sources")


def tell(
    settings: Settings,
    shard_id: str,
    given_up: GivenUp,
    *,
    role: str,
    result: dict[str, Any],
    event: Any,
) -> None:
    """Send the message to the destination with the function's role, in the current scope.

    As on AWS, records whose destination does not take them are lost; that is logged, and counted in the
    function's metric DestinationDeliveryFailures.
    """
    if not settings.destination:
        return
    message = _message(settings, shard_id, given_up, result)
    for attempt in range(_TRIES):
        try:
            _send(settings, shard_id, role, message, event)
            return
        except (ClientError, BotoCoreError, glue.TrustError) as fault:
            log.warning("%s did not take a failed batch: %s", settings.destination, fault)
            time.sleep(0.2 * 2**attempt)
    name = settings.function_arn.split(":")[6]
    glue.record_metric("AWS/Lambda", "DestinationDeliveryFailures", 1, "Count", {"FunctionName": name})


def _message(settings: Settings, shard_id: str, given_up: GivenUp, result: dict[str, Any]) -> dict[str, Any]:
    first, last = given_up.records[0], given_up.records[-1]
    response = {"statusCode": 200, "executedVersion": _version(settings.function_arn)}
    if result.get("error"):
        response["functionError"] = result.get("function_error") or "Unhandled"
    return {
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": settings.function_arn,
            "condition": given_up.condition,
            "approximateInvokeCount": given_up.invocations,
        },
        "responseContext": response,
        "version": "1.0",
        "timestamp": _time(time.time()),
        "KinesisBatchInfo": {
            "shardId": shard_id,
            "startSequenceNumber": first["SequenceNumber"],
            "endSequenceNumber": last["SequenceNumber"],
            "approximateArrivalOfFirstRecord": _time(first["ApproximateArrivalTimestamp"]),
            "approximateArrivalOfLastRecord": _time(last["ApproximateArrivalTimestamp"]),
            "batchSize": len(given_up.records),
            "streamArn": settings.stream_arn,
        },
    }


def _send(settings: Settings, shard_id: str, role: str, message: dict[str, Any], event: Any) -> None:
    region = glue.current_scope().region
    service = settings.destination.split(":")[2]
    credentials = glue.service_session(role, LAMBDA_PRINCIPAL, "event-source-mapping")
    client = glue.client(service, credentials, region)
    if service == "sqs":
        account, name = settings.destination.split(":")[4:6]
        url = f"{config.current().endpoint}/{account}/{name}"
        client.send_message(QueueUrl=url, MessageBody=json.dumps(message))
    elif service == "sns":
        client.publish(TopicArn=settings.destination, Message=json.dumps(message))
    else:
        # A bucket gets the records themselves too.
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H.%M.%S")
        key = f"aws/lambda/{settings.id}/{shard_id}/{stamp}-{uuid.uuid4()}"
        body = json.dumps({**message, "payload": json.dumps(event)}).encode()
        client.put_object(Bucket=settings.destination.rpartition(":")[2], Key=key, Body=body)


def _version(function_arn: str) -> str:
    qualifier = function_arn.partition(":function:")[2].partition(":")[2]
    return qualifier if qualifier.isdigit() else "$LATEST"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
