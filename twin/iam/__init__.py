"""IAM where ministack falls short: condition keys, implied permissions, AWS services as callers, a log."""

from twin import endpoints
from twin.iam import (
    conditions,
    decisions,
    enforcement,
    execute_api,
    last_accessed,
    resource_policies,
    upload_forms,
)
from twin.iam.decisions import record, summarise
from twin.iam.resource_policies import register as judge_by
from twin.iam.services import Denied, check_service, may_service, service_may_invoke, service_may_use_key

__all__ = [
    "Denied",
    "check_service",
    "install",
    "judge_by",
    "may_service",
    "record",
    "service_may_invoke",
    "service_may_use_key",
    "summarise",
]


def install() -> None:
    """Put the checks in place, and serve the summary of all decisions on ``GET /_twin/iam``."""
    decisions.install()
    resource_policies.install()
    conditions.install()
    enforcement.install()
    execute_api.install()
    upload_forms.install()
    last_accessed.install()
    endpoints.register("GET", "iam", _summary)


def _summary(request: endpoints.Request) -> dict[str, object]:
    since = request.query.get("since", "0")
    try:
        return summarise(float(since))
    except ValueError as fault:
        raise endpoints.BadRequest(f"since must be a time in epoch seconds, not {since!r}") from fault
