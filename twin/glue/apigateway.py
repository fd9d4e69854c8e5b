"""Seams into ministack's REST APIs: around each request, around its integration, and its own refusals."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twin.glue.internals import internal

Response = tuple[int, dict[str, Any], bytes]
Proceed = Callable[[], Awaitable[Any]]
_app = internal("app")
_rest = internal("services.apigateway_v1")


@dataclass(frozen=True)
class Request:
    """One request to a deployed API, as its client sent it; header names are in lower case."""

    api_id: str
    stage: str
    method: str
    path: str
    headers: dict[str, Any]
    body: bytes
    query: Mapping[str, Any]


@dataclass(frozen=True)
class Integration:
    """Where a method's request goes: the integration's settings, and the resource's path (``/v1/{id}``)."""

    settings: Mapping[str, Any]
    resource_path: str
    request: Request


@dataclass(frozen=True)
class Hooks:
    """What the twin does around ministack's gateway.

    `around_request` and `around_integration` get a function that goes on with ministack's part.
    `refused` is told the type and text of each gateway error and may change its status; `request_id` gives
    the id that all parts of the running request share (None outside of one).
    """

    around_request: Callable[[Request, Proceed], Awaitable[Response | None]]
    around_integration: Callable[[Integration, Callable[[dict[str, Any]], Awaitable[Any]]], Awaitable[Any]]
    denied: Callable[[Request, Response], Response]
    refused: Callable[[str, str | None, int], int]
    request_id: Callable[[], str | None]
    complete_event: Callable[[dict[str, Any]], None]


def install_hooks(hooks: Hooks) -> None:
    """Put the hooks around ministack's handling of REST APIs."""
    _around_requests(hooks)
    _around_integrations(hooks)
    _around_denials(hooks)
    _around_errors(hooks)


def _around_requests(hooks: Hooks) -> None:
    original = _app._handle_execute_api_request

    async def handle(  # noqa: PLR0917  # ministack's own signature
        host: str,
        path: str,
        method: str,
        headers: dict[str, Any],
        body: bytes,
        query: Mapping[str, Any],
        **more: Any,
    ) -> Response | None:
        parsed = _app._parse_execute_api_url(host, path)

        async def proceed() -> Any:
            return await original(host, path, method, headers, body, query, **more)

        if parsed is None or _rest.find_api_scope(parsed[0]) is None:
            return await proceed()
        api_id, stage, inner = parsed
        request = Request(api_id, stage, method, inner, headers, body, query)
        return await hooks.around_request(request, proceed)

    _app._handle_execute_api_request = handle
    new_id = _rest.new_uuid
    _rest.new_uuid = lambda: hooks.request_id() or new_id()


def _around_integrations(hooks: Hooks) -> None:
    def wrapped(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def invoke(  # noqa: PLR0917  # ministack's own signature
            settings: Mapping[str, Any],
            api_id: str,
            stage_name: str,
            stage: Any,
            resource: Mapping[str, Any],
            path: str,
            method: str,
            headers: dict[str, Any],
            body: bytes,
            query: Mapping[str, Any],
            path_params: Any,
            **more: Any,
        ) -> Any:
            request = Request(api_id, stage_name, method, path, headers, body, query)

            async def proceed(sent_headers: dict[str, Any]) -> Any:
                return await original(
                    settings,
                    api_id,
                    stage_name,
                    stage,
                    resource,
                    path,
                    method,
                    sent_headers,
                    body,
                    query,
                    path_params,
                    **more,
                )

            return await hooks.around_integration(Integration(settings, resource["path"], request), proceed)

        return invoke

    _rest._invoke_lambda_proxy_v1 = wrapped(_rest._invoke_lambda_proxy_v1)
    _rest._invoke_lambda_custom_v1 = wrapped(_rest._invoke_lambda_custom_v1)
    build = _rest._build_lambda_event_v1

    def build_event(*arguments: Any, **named: Any) -> dict[str, Any]:
        event = build(*arguments, **named)
        hooks.complete_event(event)
        return event

    _rest._build_lambda_event_v1 = build_event


def _around_denials(hooks: Hooks) -> None:
    original = _app._enforce_execute_api

    def enforce(  # noqa: PLR0917  # ministack's own signature
        api_id: str,
        stage: str,
        method: str,
        path: str,
        headers: dict[str, Any],
        query: Mapping[str, Any],
        iam_action: str = "execute-api:Invoke",
    ) -> Response | None:
        answer = original(api_id, stage, method, path, headers, query, iam_action)
        if answer is None or _rest.find_api_scope(api_id) is None:
            return answer
        return hooks.denied(Request(api_id, stage, method, path, headers, b"", query), answer)

    _app._enforce_execute_api = enforce


def _around_errors(hooks: Hooks) -> None:
    original = _rest._gateway_error_response

    def respond(error: Any, request: Any) -> Response:
        status, headers, body = original(error, request)
        return hooks.refused(error.response_type, error.message, status), headers, body

    _rest._gateway_error_response = respond


def gateway_error(kind: str, message: str) -> Any:
    """Return an error of the gateway for `around_integration` to give back (``INTEGRATION_TIMEOUT``)."""
    return _rest._gw_error(kind, message)


def gateway_response(request: Request, kind: str, message: str) -> Response:
    """Render an error of the gateway as the API's own gateway responses say, in the API's scope."""
    rendered = {
        "api_id": request.api_id,
        "stage_name": request.stage,
        "stage": _rest._stages_v1.get(request.api_id, {}).get(request.stage) or {},
        "headers": request.headers,
        "query_params": request.query,
        "path_params": {},
        "resource_path": "",
        "request_id": _rest.new_uuid(),
    }
    return _rest._gateway_error_response(_rest._gw_error(kind, message), rendered)


def install_answers(unusable: str) -> None:
    """Answer `unusable` in the place of a function's error, and of an answer that is no proxy response."""
    shape = _rest._lambda_proxy_response

    def proxy_response(result: dict[str, Any]) -> tuple[Any, str | None]:
        body = result.get("body")
        if result.get("error") and not result.get("throttle"):
            return None, unusable
        if not result.get("throttle") and not (isinstance(body, dict) and "statusCode" in body):
            return None, unusable
        return shape(result)

    _rest._lambda_proxy_response = proxy_response


def install_model_choice(choose: Callable[[Mapping[str, str], str], str | None]) -> None:
    """Let `choose` (request models, media type) name the model that a body is validated against, or none."""
    original = _rest._check_request_validation

    def check(  # noqa: PLR0917  # ministack's own signature
        method: Mapping[str, Any],
        api_id: str,
        request: Any,
        headers: Mapping[str, Any],
        body: Any,
        query: Any,
    ) -> Any:
        stated = next((str(value) for name, value in headers.items() if name.lower() == "content-type"), "")
        media = (stated or "application/json").split(";", 1)[0].strip()
        chosen = choose(method.get("requestModels") or {}, media)
        models = {media: chosen, "application/json": chosen} if chosen else {}
        return original({**method, "requestModels": models}, api_id, request, headers, body, query)

    _rest._check_request_validation = check


def function_arn(settings: Mapping[str, Any]) -> str:
    """Return the function that an integration's URI names."""
    return _rest._extract_lambda_ref_from_integration_uri(settings.get("uri", ""))


def api_record(api_id: str) -> Mapping[str, Any]:
    """Return an API of the current scope."""
    return _rest._rest_apis.get(api_id) or {}


def stage_record(api_id: str, stage: str) -> Mapping[str, Any]:
    """Return a stage of the current scope; empty when there is none."""
    return _rest._stages_v1.get(api_id, {}).get(stage) or {}


def resource_of(request: Request) -> str:
    """Return the path of the resource that serves a request (``/v1/{id}``), or an empty text."""
    segments = [part for part in request.path.split("/") if part]
    resource, _ = _rest._match_resource_tree(request.api_id, segments)
    return resource["path"] if resource else ""


def caller_identity(request: Request) -> Mapping[str, Any]:
    """Return who signed a request: accessKey, accountId, caller, user, userArn; empty for an unsigned one."""
    return _rest._iam_caller_identity(request.headers, request.query) or {}
