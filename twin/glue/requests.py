"""Seam in front of every AWS service: sees a request before it is judged, and may answer it itself."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twin.glue.internals import internal

Response = tuple[int, dict[str, str], bytes]
_app = internal("app")
_actions = internal("core.iam_actions")


class DropConnection(Exception):
    """The connection shall end without an answer; the server's entry point sees to it."""


@dataclass(frozen=True)
class ServiceRequest:
    """One request to an AWS service; `action` is IAM's name for it (``sagemaker:CreateTrainingJob``)."""

    service: str
    action: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, list[str]]
    request_id: str


def before_services(
    is_watched: Callable[[], bool], look: Callable[[ServiceRequest], Awaitable[Response | None]]
) -> None:
    """Show every request to `look` while `is_watched`; what it returns is the answer, None lets it pass."""
    proceed = _app._dispatch_service_request

    async def dispatch(  # noqa: PLR0917  # ministack's own signature
        method: str, path: str, headers: Any, body: bytes, query: Any, request_id: str
    ) -> Any:
        if is_watched():
            routing = _app._routing_params(method, path, headers, body, query)
            service = _app.detect_service(method, path, headers, routing)
            action = _actions.extract_iam_action(service, method, path, headers, body, routing) or ""
            seen = ServiceRequest(service, action, method, path, headers, body, query, request_id)
            answer = await look(seen)
            if answer is not None:
                return answer
        return await proceed(method, path, headers, body, query, request_id)

    _app._dispatch_service_request = dispatch


def error_answer(request: ServiceRequest, code: str, message: str, status: int) -> Response:
    """Return an error in the protocol of the request's service, as its SDKs read it."""
    _, headers, body = _actions.access_denied_response(
        request.service,
        request.action,
        "",
        request.request_id,
        error_code=code,
        message=message,
        headers=request.headers,
    )
    return status, {**headers, "x-amzn-requestid": request.request_id}, body


def services() -> Mapping[str, str]:
    """Return every service that requests are routed to, and the prefix of its IAM actions."""
    return _actions.SERVICE_TO_IAM_NAMESPACE
