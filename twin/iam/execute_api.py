"""Calls of deployed APIs: the API's id names its account, whoever signed, or did not sign, the request."""

import re
from typing import Any

from twin import glue

_app = glue.internal("app")
# As in an https URL of AWS, or the shorter form on the twin's own host.
_HOST = re.compile(r"^([a-z0-9]{8,10})\.execute-api\.(?:[a-z0-9-]+\.amazonaws\.com|localhost)(?::\d+)?$")


def install() -> None:
    """Accept AWS's host names, and judge and run each call in the account that owns the API."""
    _app._EXECUTE_API_RE = _HOST
    _find_owner_anywhere()
    _judge_against_owner()


def owner_of(api_id: str) -> glue.Scope | None:
    """Return the account and region of a REST API."""
    for (account, region, stored), _ in glue.internal("services.apigateway_v1")._rest_apis.all_items():
        if stored == api_id:
            return glue.Scope(account, region)
    return None


def _find_owner_anywhere() -> None:
    def find(api_id: str) -> tuple[str, str] | None:
        owner = owner_of(api_id)
        return (owner.account, owner.region) if owner else None

    glue.internal("services.apigateway_v1").find_api_scope = find


def _judge_against_owner() -> None:
    original = _app._enforce_execute_api

    def enforce(  # noqa: PLR0917  # ministack's own signature
        api_id: str,
        stage: str,
        method: str,
        path: str,
        headers: Any,
        query: Any,
        iam_action: str = "execute-api:Invoke",
    ) -> Any:
        owner = owner_of(api_id)
        caller = glue.current_scope().account
        if owner is None or owner.account == caller or not headers.get("authorization"):
            return original(api_id, stage, method, path, headers, query, iam_action)
        if _app._execute_api_authorization_type(api_id, stage, method, path) != "AWS_IAM":
            return None
        arn = f"arn:aws:execute-api:{owner.region}:{owner.account}:{api_id}/{stage}/{method}{path}"
        return _app._enforce_data_plane("apigateway", iam_action, headers, query, "", resource_arn=arn)

    _app._enforce_execute_api = enforce
