"""Calls a method's function: whether the gateway may, how long it waits, and what the function is told."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from twin import glue
from twin.apigateway.call import Call, current
from twin.glue import apigateway as seam
from twin.lambda_runtime.execution import inbound_trace
from twin.lambda_runtime.invocation import SYNCHRONOUS_LIMIT_BYTES, may_invoke
from twin.role_checks import role_may

PRINCIPAL = "apigateway.amazonaws.com"
LONGEST_WAIT_MS = 29_000
# What the seam answers where a function failed or gave no proxy response.
UNUSABLE = "twin: unusable answer"
_INTERNAL = "Internal server error"
# The event around the body is small; the body grows by a third in base64.
_EVENT_BYTES = 16_384


async def around(integration: seam.Integration, proceed: Callable[[dict[str, Any]], Awaitable[Any]]) -> Any:
    """Guard one call of a function; returns the response, or an error of the gateway."""
    call = current.get()
    if call is None:
        return await proceed(integration.request.headers)
    if refusal := _refusal(integration, call):
        call.trouble = refusal
        return seam.gateway_error("API_CONFIGURATION_ERROR", _INTERNAL)
    if len(integration.request.body) * 4 // 3 + _EVENT_BYTES > SYNCHRONOUS_LIMIT_BYTES:
        return seam.gateway_error("REQUEST_TOO_LARGE", "Request Too Long")
    inbound_trace.set(call.sent_trace_header)
    limit = min(int(integration.settings.get("timeoutInMillis") or LONGEST_WAIT_MS), LONGEST_WAIT_MS)
    began, call.integration_began = time.monotonic(), time.time()
    work = asyncio.ensure_future(proceed(_sent_headers(call)))
    done, _ = await asyncio.wait({work}, timeout=limit / 1000)
    call.integration_seconds = time.monotonic() - began
    if not done:
        # The function runs on, as on AWS; nobody waits for it any more.
        work.add_done_callback(lambda finished: finished.exception())
        call.trouble = f"Execution failed due to a timeout error ({limit} ms)"
        return seam.gateway_error("INTEGRATION_TIMEOUT", "Endpoint request timed out")
    answer = work.result()
    call.integration_status = 200
    if isinstance(answer, tuple) and answer[0] == 502 and UNUSABLE.encode() in answer[2]:
        call.trouble = "Lambda execution failed, or its answer is not a proxy response (statusCode, body)"
        call.integration_status = 502
        return seam.gateway_error("DEFAULT_5XX", _INTERNAL)
    return answer


def _refusal(integration: seam.Integration, call: Call) -> str | None:
    """Return why the gateway may not invoke the function, or None."""
    request = integration.request
    function = seam.function_arn(integration.settings)
    credentials = integration.settings.get("credentials")
    if credentials:
        try:
            glue.check_trust(str(credentials), PRINCIPAL)
        except glue.TrustError as fault:
            return f"Execution failed due to configuration error: {fault}"
        allowed = role_may(str(credentials), "lambda:InvokeFunction", function, "BackplaneAssumeRoleSession")
    else:
        path = integration.resource_path.lstrip("/")
        api = f"arn:aws:execute-api:{call.region}:{call.account}:{request.api_id}"
        source = f"{api}/{request.stage}/{request.method}/{path}"
        allowed = may_invoke(function, PRINCIPAL, source, call.account)
    if allowed:
        return None
    return "Execution failed due to configuration error: Invalid permissions on Lambda function"


def _sent_headers(call: Call) -> dict[str, Any]:
    """Return the client's headers with those that the gateway adds."""
    return {
        **call.request.headers,
        "host": call.host,
        "x-amzn-trace-id": call.sent_trace_header,
        "x-forwarded-for": call.source_ip,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }


def complete_event(event: dict[str, Any]) -> None:
    """Add to a function's event what the emulator leaves out; header names are spelled as AWS spells them."""
    call = current.get()
    if call is None:
        return
    event["requestContext"].update(
        domainName=call.host,
        domainPrefix=call.request.api_id,
        extendedRequestId=call.extended_id,
        deploymentId=seam.stage_record(call.request.api_id, call.request.stage).get("deploymentId", ""),
    )
    for member in ("headers", "multiValueHeaders"):
        event[member] = {_SPELLED.get(name, name): value for name, value in event[member].items()}


# API Gateway hands headers on as the client wrote them. Clients write these so; the server that the twin
# runs on hands all names over in lower case.
_SPELLED = {
    "accept": "Accept",
    "accept-encoding": "Accept-Encoding",
    "authorization": "Authorization",
    "content-type": "Content-Type",
    "host": "Host",
    "user-agent": "User-Agent",
    "x-amz-date": "X-Amz-Date",
    "x-amz-security-token": "X-Amz-Security-Token",
    "x-amzn-trace-id": "X-Amzn-Trace-Id",
    "x-forwarded-for": "X-Forwarded-For",
    "x-forwarded-port": "X-Forwarded-Port",
    "x-forwarded-proto": "X-Forwarded-Proto",
}
