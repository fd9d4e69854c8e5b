"""The only place that imports ministack: all that the twin takes from it or adds to it goes through here."""

from twin.glue.credentials import (
    TrustError,
    check_trust,
    client,
    role_credentials,
    root_credentials,
    service_session,
)
from twin.glue.internals import GlueError, internal, selfcheck
from twin.glue.saving import install_saving
from twin.glue.scope import (
    Scope,
    ScopedStore,
    current_scope,
    keep_scope,
    run_blocking,
    run_in_scope,
    scope,
    spawn,
)
from twin.glue.services import (
    install_resource_arns,
    register_cloudformation,
    register_service,
    register_state,
    states,
)
from twin.glue.signals import count_metric, put_log_lines, put_service_event, record_metric

__all__ = [
    "GlueError",
    "Scope",
    "ScopedStore",
    "TrustError",
    "check_trust",
    "client",
    "count_metric",
    "current_scope",
    "install",
    "internal",
    "keep_scope",
    "put_log_lines",
    "put_service_event",
    "record_metric",
    "register_cloudformation",
    "register_service",
    "register_state",
    "role_credentials",
    "root_credentials",
    "run_blocking",
    "run_in_scope",
    "scope",
    "selfcheck",
    "service_session",
    "spawn",
    "states",
]


def install() -> None:
    """Check ministack against the manifest and add the hooks that registered services need."""
    selfcheck()
    install_saving()
    install_resource_arns()
