"""What a request leaves behind: the stage's access log, the execution log of failures, and metrics."""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from twin import glue
from twin.apigateway import tracing
from twin.apigateway.call import Call
from twin.glue import apigateway as seam

_VARIABLE = re.compile(r"\$context\.([A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*)")


def record(call: Call, response: seam.Response) -> None:
    """Log and count a request that was answered, in the API's account."""
    with glue.scope(call.account, call.region):
        seconds = time.monotonic() - call.clock
        stage = seam.stage_record(call.request.api_id, call.request.stage)
        if not stage:
            return
        resource = seam.resource_of(call.request)
        _write_access_log(call, response, stage, resource, seconds)
        _write_execution_log(call)
        _count(call, response[0], stage, resource, seconds)
        tracing.record(call, response)


def _count(call: Call, status: int, stage: Mapping[str, Any], resource: str, seconds: float) -> None:
    name = str(seam.api_record(call.request.api_id).get("name", ""))
    of_stage = {"ApiName": name, "Stage": call.request.stage}
    sets: list[dict[str, str]] = [{"ApiName": name}, of_stage]
    settings = (stage.get("methodSettings") or {}).get("*/*") or {}
    if settings.get("metricsEnabled") and resource:
        sets.append({**of_stage, "Method": call.request.method, "Resource": resource})
    for dimensions in sets:
        glue.record_metric("AWS/ApiGateway", "Count", 1, "Count", dimensions)
        glue.record_metric("AWS/ApiGateway", "4XXError", int(400 <= status < 500), "Count", dimensions)
        glue.record_metric("AWS/ApiGateway", "5XXError", int(status >= 500), "Count", dimensions)
        glue.record_metric("AWS/ApiGateway", "Latency", seconds * 1000, "Milliseconds", dimensions)
        if call.integration_seconds is not None:
            spent = call.integration_seconds * 1000
            glue.record_metric("AWS/ApiGateway", "IntegrationLatency", spent, "Milliseconds", dimensions)


def _write_access_log(
    call: Call, response: seam.Response, stage: Mapping[str, Any], resource: str, seconds: float
) -> None:
    setting = stage.get("accessLogSettings") or {}
    group = str(setting.get("destinationArn", "")).partition(":log-group:")[2].removesuffix(":*")
    if not group:
        return
    known = _variables(call, response, resource, seconds)
    line = _VARIABLE.sub(lambda found: _shown(known.get(found[1])), str(setting.get("format", "")))
    glue.put_log_lines(group, _stream(call), [line])


def _shown(value: Any) -> str:
    """Return a variable's value as a log line holds it; what is not known is a dash."""
    if value is None or value == "":
        return "-"
    return json.dumps(str(value))[1:-1]


def _variables(call: Call, response: seam.Response, resource: str, seconds: float) -> dict[str, Any]:
    request, identity = call.request, seam.caller_identity(call.request)
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(call.began))
    integration = None if call.integration_seconds is None else round(call.integration_seconds * 1000)
    return {
        "accountId": call.account,
        "apiId": request.api_id,
        "domainName": call.host,
        "domainPrefix": request.api_id,
        "error.message": call.error_message,
        "error.messageString": json.dumps(call.error_message) if call.error_message else "",
        "error.responseType": call.error_type,
        "extendedRequestId": call.extended_id,
        "httpMethod": request.method,
        "identity.accountId": identity.get("accountId"),
        "identity.caller": identity.get("caller"),
        "identity.sourceIp": call.source_ip,
        "identity.user": identity.get("user"),
        "identity.userAgent": request.headers.get("user-agent"),
        "identity.userArn": identity.get("userArn"),
        "integration.error": call.trouble,
        "integration.latency": integration,
        "integration.status": call.integration_status,
        "integrationErrorMessage": call.trouble,
        "integrationLatency": integration,
        "integrationStatus": call.integration_status,
        "path": f"/{request.stage}{request.path}",
        "protocol": "HTTP/1.1",
        "requestId": call.id,
        "requestTime": stamp,
        "requestTimeEpoch": int(call.began * 1000),
        "resourcePath": resource,
        "responseLatency": round(seconds * 1000),
        "responseLength": len(response[2]),
        "stage": request.stage,
        "status": response[0],
        "xrayTraceId": call.trace_root,
    }


def _write_execution_log(call: Call) -> None:
    """Say why an integration failed, where people look for it."""
    if call.trouble:
        group = f"API-Gateway-Execution-Logs_{call.request.api_id}/{call.request.stage}"
        glue.put_log_lines(group, _stream(call), [f"({call.id}) {call.trouble}"])


def _stream(call: Call) -> str:
    key = f"{call.request.api_id}/{call.request.stage}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]
