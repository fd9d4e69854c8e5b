"""Asks IAM about actions that a service performs for a caller without a public API call of its own."""

from collections.abc import Mapping

from twin import glue


class PermissionDenied(Exception):
    """The credentials may not do this; the message is what AWS says."""


def require(
    credentials: Mapping[str, str],
    action: str,
    resource: str,
    region: str,
    context: Mapping[str, str] | None = None,
) -> None:
    """Raise `PermissionDenied` unless IAM allows `action` (``codebuild:CreateReport``) on `resource`.

    `context` adds condition keys.
    """
    evaluator = glue.internal("core.iam_evaluator")
    key = credentials["AWS_ACCESS_KEY_ID"]
    refusal = evaluator.enforce(
        key,
        action,
        action.split(":", maxsplit=1)[0],
        region,
        resource_arn=resource,
        service_context=dict(context or {}),
    )
    if refusal is None:
        return
    who = getattr(refusal, "principal_arn", "") or "the caller"
    raise PermissionDenied(
        f"AccessDenied: {who} is not authorized to perform: {action} on resource: {resource}"
    )


def caller_arn(access_key: str) -> str:
    """Return the ARN behind an access key, for records of who did what; the key itself when nobody is."""
    identity = glue.internal("core.iam_evaluator").resolve_caller_identity(access_key)
    return str(identity["userArn"]) if identity else access_key
