"""API Gateway in the twin: limits, denials, permissions, logs and metrics around the emulator's APIs."""

import json
from collections.abc import Mapping

from twin import glue
from twin.apigateway import integration, records, tracing
from twin.apigateway.call import Call, current
from twin.glue import apigateway as seam
from twin.iam.execute_api import owner_of

LARGEST_BODY_BYTES = 10 * 1024 * 1024


async def _around_request(request: seam.Request, proceed: seam.Proceed) -> seam.Response | None:
    owner = owner_of(request.api_id)
    if owner is None:
        return await proceed()
    call = Call(request, owner.account, owner.region)
    tracing.begin(call)
    token = current.set(call)
    try:
        if len(request.body) > LARGEST_BODY_BYTES:
            with glue.scope(owner.account, owner.region):
                response = seam.gateway_response(request, "REQUEST_TOO_LARGE", "Request Too Long")
        else:
            response = await proceed()
    finally:
        current.reset(token)
    if response is None:
        return None
    response[1].setdefault("x-amzn-requestid", call.id)
    response[1].setdefault("x-amz-apigw-id", call.extended_id)
    response[1].setdefault("X-Amzn-Trace-Id", call.trace_header)
    await glue.run_blocking(records.record, call, response)
    return response


def _denied(request: seam.Request, answer: seam.Response) -> seam.Response:
    """Word a denial by IAM as the API's gateway responses say; the account is masked, as on AWS."""
    try:
        told = json.loads(answer[2])
    except ValueError:
        return answer
    text = str(told.get("Message") or told.get("message") or "")
    owner = owner_of(request.api_id)
    if answer[0] != 403 or "is not authorized to perform" not in text or owner is None:
        return answer
    masked = f"********{owner.account[-4:]}"
    arn = f"arn:aws:execute-api:{owner.region}:{masked}:{request.api_id}/{request.stage}/{request.method}"
    who = text.partition(" is not authorized")[0]
    reason = text.partition("with an explicit deny")
    message = f"{who} is not authorized to perform: execute-api:Invoke on resource: {arn}{request.path}"
    if reason[1]:
        message += f" {reason[1]}{reason[2]}"
    with glue.scope(owner.account, owner.region):
        return seam.gateway_response(request, "ACCESS_DENIED", message)


def _refused(kind: str, message: str | None, status: int) -> int:
    """Note an error of the gateway; a function's unusable answer is a 502 unless the API says otherwise."""
    call = current.get()
    if call is None:
        return status
    call.error_type, call.error_message = kind, message or ""
    return 502 if call.integration_status == 502 and status == 500 else status


def _request_id() -> str | None:
    call = current.get()
    return call.id if call else None


def _choose_model(models: Mapping[str, str], media_type: str) -> str | None:
    # A body whose type no model is declared for is passed on unread, unless there is a $default.
    return models.get(media_type) or models.get("$default")


def install() -> None:
    """Complete the emulator's REST APIs."""
    seam.install_hooks(
        seam.Hooks(
            around_request=_around_request,
            around_integration=integration.around,
            denied=_denied,
            refused=_refused,
            request_id=_request_id,
            complete_event=integration.complete_event,
        )
    )
    seam.install_answers(integration.UNUSABLE)
    seam.install_model_choice(_choose_model)
