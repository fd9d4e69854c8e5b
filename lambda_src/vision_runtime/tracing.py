"""Puts the calls that a function makes to AWS into its X-Ray trace, by the protocol of Lambda's own daemon.

AWS ends its support of the X-Ray SDK in February 2027, and OpenTelemetry comes to Lambda as a layer that
slows every cold start. The platform needs one subsegment a call of either, which is what this module sends.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any

_HEADER = b'{"format": "json", "version": 1}\n'
_CALL = "vision_traced_call"  # in botocore's context of a call
_log = logging.getLogger(__name__)
_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


class TracedCall:
    """One call to AWS, from now on. At its end a subsegment is sent, if the invocation at hand is sampled.

    `shown` names the parameters whose values the trace shows, and how (`{"EndpointName": "endpoint_name"}`).
    A subsegment that cannot be sent is lost: a trace must never fail a request.
    """

    def __init__(
        self,
        service_id: str,
        region: str,
        operation: str,
        shown: Mapping[str, str],
        parameters: Mapping[str, Any],
    ) -> None:
        """`service_id` as AWS's models of services have it: `DynamoDB`, `SageMaker Runtime`."""
        self._service, self._started = service_id, time.time()
        named = {name: parameters[parameter] for parameter, name in shown.items() if parameter in parameters}
        self._about = {"region": region, "operation": operation, **named}

    def answered(self, status: int, request_id: str) -> None:
        """The service's answer, a refusal included, came with this HTTP status."""
        about = {**self._about, "request_id": request_id}
        http: dict[str, Any] = {"http": {"response": {"status": status}}} if status else {}
        _send(self._service, self._started, about, **http, **_verdict(status))

    def failed(self, exception: Exception) -> None:
        """There was no answer."""
        cause = {"exceptions": [{"id": secrets.token_hex(8), "type": type(exception).__name__}]}
        _send(self._service, self._started, self._about, fault=True, cause=cause)


def trace_calls(client: Any, *, shown: dict[str, str]) -> None:
    """Send a subsegment for every call of a boto3 `client`; `shown` as for TracedCall."""
    service = str(client.meta.service_model.service_id)
    events, region = client.meta.events, client.meta.region_name
    place = service.replace(" ", "-").lower()

    def begin(params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        context[_CALL] = TracedCall(service, region, model.name, shown, params)

    def end(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        answer = parsed.get("ResponseMetadata", {})
        context[_CALL].answered(int(answer.get("HTTPStatusCode", 0)), answer.get("RequestId", ""))

    def fail(exception: Exception, context: dict[str, Any], **_: Any) -> None:
        context[_CALL].failed(exception)

    events.register(f"provide-client-params.{place}", begin)
    events.register(f"after-call.{place}", end)
    events.register(f"after-call-error.{place}", fail)


def _send(service: str, started: float, about: dict[str, Any], **more: Any) -> None:
    trace = _current_trace()
    address = os.environ.get("AWS_XRAY_DAEMON_ADDRESS", "")
    if trace is None or not address:
        return
    subsegment = {
        "type": "subsegment",
        "trace_id": trace["Root"],
        "parent_id": trace["Parent"],
        "id": secrets.token_hex(8),
        "name": service,
        "namespace": "aws",
        "start_time": started,
        "end_time": time.time(),
        "aws": about,
        **more,
    }
    host, _, port = address.rpartition(":")
    try:
        _socket.sendto(_HEADER + json.dumps(subsegment).encode(), (host, int(port)))
    except (OSError, ValueError) as error:
        _log.debug("a trace subsegment was lost: %s", error)


def _current_trace() -> dict[str, str] | None:
    """The invocation's trace (Root, Parent), or None when it is not sampled."""
    header = os.environ.get("_X_AMZN_TRACE_ID", "")
    parts = dict(part.split("=", 1) for part in header.split(";") if "=" in part)
    return parts if parts.get("Sampled") == "1" and {"Root", "Parent"} <= set(parts) else None


def _verdict(status: int) -> dict[str, bool]:
    """X-Ray's words for an answer: a fault is the service's, an error the caller's."""
    if status >= 500:
        return {"fault": True}
    if status >= 400:
        return {"error": True, **({"throttle": True} if status == 429 else {})}
    return {}
