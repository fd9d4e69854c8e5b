"""What the gateway tells X-Ray of a request, where the stage traces."""

import time
from typing import Any

from twin import glue
from twin.apigateway.call import Call
from twin.glue import apigateway as seam
from twin.services import xray

_sampler = xray.Sampler()


def begin(call: Call) -> None:
    """Decide whether a request is recorded: its client's word counts, then the default rule for sampling."""
    with glue.scope(call.account, call.region):
        stage = seam.stage_record(call.request.api_id, call.request.stage)
    call.traced = bool(stage.get("tracingEnabled"))
    if call.traced:
        decided = call.inbound.sampled
        place = f"{call.request.api_id}/{call.request.stage}"
        call.sampled = _sampler.decide(place) if decided is None else decided


def record(call: Call, response: seam.Response) -> None:
    """Record the request's segment, with its call of the function inside; in the scope of the API."""
    if not call.sampled:
        return
    request = call.request
    name = f"{seam.api_record(request.api_id).get('name', '')}/{request.stage}"
    asked = {
        "url": f"https://{call.host}/{request.stage}{request.path}",
        "method": request.method,
        "client_ip": call.source_ip,
        "x_forwarded_for": True,
        "user_agent": str(request.headers.get("user-agent", "")),
    }
    about = {
        "account_id": call.account,
        "rest_api_id": request.api_id,
        "stage": request.stage,
        "request_id": call.id,
    }
    arn = f"arn:aws:apigateway:{call.region}::/restapis/{request.api_id}/stages/{request.stage}"
    segment: dict[str, Any] = {
        "id": call.segment_id,
        "trace_id": call.trace_root,
        "name": name,
        "origin": "AWS::ApiGateway::Stage",
        "resource_arn": arn,
        "start_time": call.began,
        "end_time": max(time.time(), call.began),
        "http": {"request": asked, "response": _answered(response[0], len(response[2]))},
        "aws": {"api_gateway": about},
        **_verdict(response[0]),
        **({"parent_id": call.inbound.parent} if call.inbound.parent else {}),
    }
    if call.integration_seconds is not None:
        segment["subsegments"] = [_function_call(call)]
    xray.store.put(segment)


def _function_call(call: Call) -> dict[str, Any]:
    status = call.integration_status or 504
    return {
        "id": call.function_call_id,
        "name": "Lambda",
        "namespace": "aws",
        "start_time": call.integration_began,
        "end_time": call.integration_began + (call.integration_seconds or 0.0),
        "http": {"request": {"method": "POST"}, "response": {"status": status}},
        "aws": {"operation": "Invoke", "region": call.region},
        **_verdict(status),
    }


def _answered(status: int, length: int) -> dict[str, int]:
    return {"status": status, "content_length": length}


def _verdict(status: int) -> dict[str, bool]:
    """X-Ray's words: a fault is the server's, an error the client's, and too many requests are throttled."""
    if status >= 500:
        return {"fault": True}
    if status >= 400:
        return {"error": True, **({"throttle": True} if status == 429 else {})}
    return {}
