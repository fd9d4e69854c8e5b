"""The ways into a function: Invoke calls, weighted aliases, and events from services that may invoke it."""

import json
import logging
import random
from typing import Any

from twin import glue
from twin.glue import lambdas
from twin.iam.services import may_service
from twin.lambda_runtime.execution import inbound_trace, invoked_alias

SYNCHRONOUS_LIMIT_BYTES = 6_291_456
ASYNCHRONOUS_LIMIT_BYTES = 1_048_576
_DEPTH_HEADER = "x-ministack-invoke-depth"
log = logging.getLogger("twin.lambda")


def choose_version(function: dict[str, Any], alias: str) -> str | None:
    """Return the version that an invocation through a weighted alias runs, by chance, or None."""
    routing = (function.get("aliases") or {}).get(alias) or {}
    weights = (routing.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if not weights:
        return None
    drawn = random.random()  # noqa: S311  # a share of traffic, not a secret
    for version, weight in weights.items():
        if drawn < float(weight):
            return str(version)
        drawn -= float(weight)
    return str(routing["FunctionVersion"])


def before_invoke(
    name: str, event: Any, headers: dict[str, str], qualifier: str | None
) -> lambdas.Response | str | None:
    """Check an Invoke call's size, take up its trace, and choose the version behind a weighted alias."""
    asynchronous = headers.get("x-amz-invocation-type") == "Event"
    limit = ASYNCHRONOUS_LIMIT_BYTES if asynchronous else SYNCHRONOUS_LIMIT_BYTES
    size = len(json.dumps(event, ensure_ascii=False).encode())
    if size > limit:
        kind = "Event" if asynchronous else "RequestResponse"
        text = f"{size} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        body = {"Type": "User", "message": text}
        answer = {"Content-Type": "application/json", "x-amzn-ErrorType": "RequestTooLargeException"}
        return 413, answer, json.dumps(body).encode()
    _take_trace(headers)
    function = lambdas.function_record(name)
    if function is None or qualifier is None:
        return qualifier
    version = choose_version(function, qualifier)
    invoked_alias.set(qualifier if version else "")
    return version or qualifier


def _take_trace(headers: dict[str, str]) -> None:
    """Continue the caller's trace; SDKs inside functions send it, with the length of the chain so far.

    The chain's length stops functions that invoke each other in a circle, as on AWS.
    """
    trace = headers.get("x-amzn-trace-id", "")
    inbound_trace.set(trace)
    lineage = next((part[8:] for part in trace.split(";") if part.startswith("Lineage=")), "")
    depth = lineage.rpartition(":")[2]
    if depth.isdigit():
        headers[_DEPTH_HEADER] = depth


def may_invoke(function_arn: str, service: str, source_arn: str, source_account: str) -> bool:
    """Whether the function's resource policy lets an AWS service (``events.amazonaws.com``) invoke it.

    A statement counts for exactly the ARN that it names: one on the function does not cover its aliases.
    """
    parts = function_arn.split(":")
    with glue.scope(parts[4], parts[3]):
        policy = lambdas.function_policy(parts[6])
    return may_service(
        service,
        "lambda:InvokeFunction",
        function_arn,
        policy,
        source_arn=source_arn,
        context={"aws:SourceAccount": source_account},
    )


def deliver(delivery: lambdas.Delivery) -> None:
    """Invoke a function for an event of another service, where that service may: else the event is lost."""
    if delivery.role_arn is not None:
        _deliver_as_role(delivery, delivery.role_arn)
        return
    if not may_invoke(delivery.function_arn, delivery.service, delivery.source_arn, delivery.source_account):
        log.warning(
            "%s may not invoke %s for %s: its resource policy has no such permission",
            delivery.service,
            delivery.function_arn,
            delivery.source_arn,
        )
        _failed(delivery)
    elif not lambdas.invoke_later(delivery.function_arn, delivery.event):
        log.warning("%s: there is no function %s", delivery.source_arn, delivery.function_arn)
        _failed(delivery)


def _deliver_as_role(delivery: lambdas.Delivery, role_arn: str) -> None:
    region = glue.current_scope().region

    def invoke() -> None:
        try:
            credentials = glue.service_session(role_arn, delivery.service, "delivery")
        except glue.TrustError as fault:
            log.warning("%s: %s", delivery.source_arn, fault)
            return
        glue.client("lambda", credentials, region).invoke(
            FunctionName=delivery.function_arn,
            InvocationType="Event",
            Payload=json.dumps(delivery.event),
        )

    glue.spawn(invoke, name="twin-delivery")


def _failed(delivery: lambdas.Delivery) -> None:
    if delivery.service == "events.amazonaws.com":
        rule = delivery.source_arn.rpartition("/")[2]
        glue.record_metric("AWS/Events", "FailedInvocations", 1, "Count", {"RuleName": rule})
